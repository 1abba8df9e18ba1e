//! Move the files of a repository: many at once, the largest first, until one cannot be moved.
//!
//! A file that another run moves is left to it, and looked at again after the others.

use std::panic::resume_unwind;
use std::time::Duration;

use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::RepoFile;
use tokio::task::JoinSet;

use crate::file::{How, Mover};
use crate::ports::{Identity, Kept, Trouble, Wanted};
use crate::snapshot::OWN;

/// Files in flight where nobody says otherwise: a single stream from the Hub is slower than a network
/// card, and each holds some MiB.
pub const PARALLELISM: usize = 8;

/// Files up to this many bytes spend their time in requests, and hold little: of them [`BUNCH`] are in flight where
/// one other would be.
const LITTLE: u64 = 256 << 10;

/// Little files in the place of a larger one.
const BUNCH: usize = 4;

/// How often it is looked whether another run has moved a file.
const LOOK: Duration = Duration::from_secs(1);

/// A file that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The file.
    pub file: Wanted,
    /// What the store says of it.
    pub kept: Kept,
    /// How it came there.
    pub how: How,
}

impl Wanted {
    /// A file as the Hub lists it.
    pub fn of(file: &RepoFile) -> Result<Self, Trouble> {
        let plain = |part: std::path::Component| matches!(part, std::path::Component::Normal(_));
        if file.path.is_empty() || !std::path::Path::new(&file.path).components().all(plain) {
            return Err(Trouble::last(format!(
                "{:?}: the Hub lists a path that leads out of the repository",
                file.path
            )));
        }
        if format!("{}/", file.path).starts_with(OWN) {
            return Err(Trouble::last(format!(
                "{:?}: the repository has a file where openmodel keeps its own; leave it out with exclude = [\"{OWN}\"]",
                file.path
            )));
        }
        if file.path.contains(char::is_control) {
            // Cloud Storage takes no line breaks, and nobody can type the others.
            return Err(Trouble::last(format!(
                "{:?}: the name of the file has control characters; leave it out with exclude",
                file.path
            )));
        }
        let identity = match &file.sha256 {
            Some(sha256) => sha256.parse().map(Identity::Sha256),
            None => file.git_oid.parse().map(Identity::Blob),
        };
        Ok(Self {
            path: file.path.clone(),
            size: file.size,
            identity: identity.map_err(|error| {
                Trouble::last(format!(
                    "{}: the Hub lists a digest that is none: {error}",
                    file.path
                ))
            })?,
        })
    }
}

/// Move files, so many at once, and of little ones more. The first trouble that lasts ends it: nothing more is begun, and what
/// is verified stays for the next run.
pub async fn move_all(
    mover: &Mover,
    files: &[RepoFile],
    parallelism: usize,
) -> Result<Vec<Moved>, Trouble> {
    let mut wanted = files
        .iter()
        .map(Wanted::of)
        .collect::<Result<Vec<_>, _>>()?;
    // The last to end is then a small one.
    wanted.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    let mut moved = Vec::with_capacity(files.len());
    while !wanted.is_empty() {
        let mut waiting = wanted.into_iter();
        // Tasks, so that what reads and what sends a file run on one thread after the other.
        let mut moving = JoinSet::new();
        let mut others = Vec::new();
        let mut load = 0;
        loop {
            while load < parallelism.max(1) * BUNCH
                && let Some(file) = waiting.next()
            {
                load += weight(&file);
                let mover = mover.clone();
                moving.spawn(async move { (mover.file(&file).await, file) });
            }
            let Some(ended) = moving.join_next().await else {
                break;
            };
            let (done, file) = ended.unwrap_or_else(|error| resume_unwind(error.into_panic()));
            load -= weight(&file);
            match done {
                Ok(Some((kept, how))) => moved.push(Moved { file, kept, how }),
                Ok(None) => others.push(file),
                Err(trouble) => {
                    // Nothing of it goes on behind the caller's back.
                    moving.shutdown().await;
                    return Err(trouble);
                }
            }
        }
        wanted = others;
        mover.meter.leave_to_others(wanted.len());
        if !wanted.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    moved.sort_by(|a, b| a.file.path.cmp(&b.file.path));
    Ok(moved)
}

/// What a file in flight takes of all places.
const fn weight(file: &Wanted) -> usize {
    if file.size.0 <= LITTLE { 1 } else { BUNCH }
}

/// Bytes of all that was moved.
#[must_use]
pub fn bytes(moved: &[Moved]) -> Bytes {
    moved.iter().map(|one| one.file.size).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::BoxFuture;
    use futures::{FutureExt as _, StreamExt as _};
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::digest::{Digest, Digests, Midstate};
    use crate::file::{Meter, Patience, SPAN};
    use crate::ports::{Begun, Body, Origin, Span, Store};

    /// Both ends of a transfer of zeros; each file takes a while, and how many are under way is counted.
    #[derive(Default)]
    struct Ends {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Origin for Ends {
        fn open<'a>(&'a self, file: &'a Wanted, _: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
            async {
                let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
                self.most.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.now.fetch_sub(1, Ordering::Relaxed);
                Ok(futures::stream::iter([Ok(zeros(file.size).into())]).boxed())
            }
            .boxed()
        }
    }

    impl Store for Ends {
        fn begin<'a>(&'a self, _: &'a Wanted) -> BoxFuture<'a, Result<Begun, Trouble>> {
            async { Ok(Begun::From(None)) }.boxed()
        }

        fn append<'a>(
            &'a self,
            _: &'a Wanted,
            _: Span,
            body: Body,
        ) -> BoxFuture<'a, Result<(), Trouble>> {
            body.for_each(|_| async {}).map(Ok).boxed()
        }

        fn seal<'a>(
            &'a self,
            _: &'a Wanted,
            _: &'a Midstate,
        ) -> BoxFuture<'a, Result<(), Trouble>> {
            async { Ok(()) }.boxed()
        }

        fn finish<'a>(
            &'a self,
            _: &'a Wanted,
            digests: &'a Digests,
        ) -> BoxFuture<'a, Result<Kept, Trouble>> {
            let crc32c = digests.crc32c;
            let kept = Kept {
                generation: 1,
                crc32c,
            };
            async move { Ok(kept) }.boxed()
        }

        fn discard<'a>(&'a self, _: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
            async { Ok(()) }.boxed()
        }

        fn release<'a>(&'a self, _: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
            async { Ok(()) }.boxed()
        }
    }

    fn zeros(size: Bytes) -> Vec<u8> {
        vec![0; usize::try_from(size.0).expect("a small file")]
    }

    /// The most files under way at once.
    async fn most(sizes: &[u64], parallelism: usize) -> usize {
        let files: Vec<RepoFile> = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| RepoFile {
                path: format!("{number}.bin"),
                size: Bytes(*size),
                sha256: Some(Digest::<32>(Sha256::digest(zeros(Bytes(*size))).into()).to_string()),
                git_oid: String::new(),
            })
            .collect();
        let ends = Arc::new(Ends::default());
        let mover = Mover {
            origin: ends.clone(),
            store: ends.clone(),
            span: SPAN,
            patience: Patience::default(),
            throttle: None,
            meter: Arc::new(Meter::default()),
        };
        let moved = move_all(&mover, &files, parallelism).await;
        assert_eq!(moved.expect("nothing is wrong").len(), sizes.len());
        ends.most.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn of_little_files_more_are_under_way_than_of_large_ones() {
        assert_eq!(most(&[LITTLE + 1; 9], 2).await, 2);
        assert_eq!(most(&[100; 9], 2).await, 2 * BUNCH);
        assert_eq!(
            most(&[LITTLE + 1, 100, 100, 100, 100, 100], 2).await,
            1 + BUNCH
        );
    }

    #[test]
    fn a_path_that_leads_out_or_forges_a_manifest_is_refused() {
        let listed = |path: &str| {
            Wanted::of(&RepoFile {
                path: path.to_owned(),
                size: Bytes(1),
                sha256: Some("00".repeat(32)),
                git_oid: String::new(),
            })
        };
        assert!(listed("a/b.bin").is_ok());
        for out in ["../b.bin", "/etc/passwd", "a/../../b", ""] {
            let trouble = listed(out).expect_err("it leads out");
            assert!(trouble.message.contains("leads out"), "{trouble}");
        }
        for own in [".openmodel/manifest.json", ".openmodel"] {
            let trouble = listed(own).expect_err("it is ours");
            assert!(trouble.message.contains("keeps its own"), "{trouble}");
        }
        assert!(listed(".openmodels/x").is_ok());
    }
}
