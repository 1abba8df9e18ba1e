//! Each question once per process: who asks while it is being answered waits for that answer.
//!
//! A run of Terraform is one process, so within a run a branch is one commit, and a thousand
//! endpoints of one model ask the Hub once. A failure is remembered only for a moment, so that
//! they do not wait for an unreachable Hub one after the other.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

/// How long a failure is remembered.
const FAILURE_KEPT: Duration = Duration::from_secs(15);

/// Answers by question.
pub(crate) struct Memo<K, V, E> {
    entries: Mutex<HashMap<K, Entry<V, E>>>,
}

struct Entry<V, E> {
    answer: Shared<BoxFuture<'static, Result<V, E>>>,
    failed: Arc<OnceLock<Instant>>,
}

impl<K: Hash + Eq, V, E> Default for Memo<K, V, E> {
    fn default() -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
        }
    }
}

impl<K, V, E> Memo<K, V, E>
where
    K: Hash + Eq,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// The answer to a question; `ask` is called only if nobody asks or has asked it.
    pub(crate) async fn get(
        &self,
        question: K,
        ask: impl FnOnce() -> BoxFuture<'static, Result<V, E>>,
    ) -> Result<V, E> {
        let answer = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let stale = |entry: &Entry<V, E>| {
                entry
                    .failed
                    .get()
                    .is_some_and(|when| when.elapsed() > FAILURE_KEPT)
            };
            if entries.get(&question).is_some_and(stale) {
                entries.remove(&question);
            }
            entries
                .entry(question)
                .or_insert_with(|| Entry::new(ask()))
                .answer
                .clone()
        };
        answer.await
    }
}

impl<V, E> Entry<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn new(asking: BoxFuture<'static, Result<V, E>>) -> Self {
        let failed = Arc::new(OnceLock::new());
        let note = Arc::clone(&failed);
        let answer = asking.inspect(move |answer| {
            if answer.is_err() {
                note.get_or_init(Instant::now);
            }
        });
        Self {
            answer: answer.boxed().shared(),
            failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_is_asked_once_however_many_wait() {
        let memo = Memo::<&str, u32, ()>::default();
        let asked = Arc::new(AtomicU32::new(0));
        let ask = || {
            let asked = Arc::clone(&asked);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(asked.fetch_add(1, Ordering::SeqCst))
            }
            .boxed()
        };
        let answers = futures::join!(
            memo.get("q", ask),
            memo.get("q", ask),
            memo.get("other", ask)
        );
        assert_eq!((answers.0, answers.1), (Ok(0), Ok(0)));
        assert_eq!(memo.get("q", ask).await, Ok(0));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_kept_for_a_moment_only() {
        let memo = Memo::<&str, u32, &str>::default();
        let fails = || async { Err("unreachable") }.boxed();
        let works = || async { Ok(7) }.boxed();
        assert_eq!(memo.get("q", fails).await, Err("unreachable"));
        assert_eq!(memo.get("q", works).await, Err("unreachable"));
        tokio::time::advance(FAILURE_KEPT + Duration::from_secs(1)).await;
        assert_eq!(memo.get("q", works).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_does_not_take_the_answer_from_who_waits() {
        let memo = Memo::<&str, u32, ()>::default();
        let slow = || {
            async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Ok(1)
            }
            .boxed()
        };
        let gave_up = tokio::time::timeout(Duration::from_secs(1), memo.get("q", slow)).await;
        assert!(gave_up.is_err());
        assert_eq!(memo.get("q", slow).await, Ok(1));
    }
}
