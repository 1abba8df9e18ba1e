//! Long-running operations: asked about until they are done, less and less often.

use std::time::Duration;

use openmodel_apply::cloud::Failure;
use serde::Deserialize;
use tokio::time::Instant;

use super::failure;
use crate::transport::{Api, ApiError, Request, Transport, path_text, segment};

/// First wait between two questions; small, because a change of labels is done at once.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Longest wait between two questions; a model takes minutes to load.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// `google.longrunning.Operation`, without the response: the object itself is read after it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Lro {
    #[serde(default)]
    name: String,
    #[serde(default)]
    done: bool,
    error: Option<Status>,
    #[serde(default)]
    metadata: serde_json::Value,
}

impl Lro {
    /// Full name of the object that it is about, where the operation says.
    pub(crate) fn target(&self) -> Option<&str> {
        self.metadata["name"].as_str()
    }
}

/// `google.rpc.Status`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Status {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// How an operation ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// It did what it should, or nobody remembers it: the object says more.
    Done,
    /// It failed.
    Failed(Failure),
}

/// Waits for the end of an operation. An error means that the end is not known.
pub(crate) async fn wait(
    transport: &Transport,
    lro: Lro,
    deadline: Instant,
) -> Result<End, ApiError> {
    let mut lro = lro;
    let mut pause = Pause::new();
    while !lro.done {
        let request = get(&lro.name);
        if !pause.sleep(transport, deadline).await {
            return Err(ApiError {
                transient: true,
                ..ApiError::local(
                    &request,
                    "DEADLINE_EXCEEDED",
                    "the operation is not done, and the time is up",
                )
            });
        }
        match transport.json(&request, deadline).await {
            Ok(next) => lro = next,
            // Operations are forgotten some time after their end.
            Err(error) if error.is_not_found() => return Ok(End::Done),
            Err(error) => return Err(error),
        }
    }
    Ok(lro
        .error
        .map_or(End::Done, |status| End::Failed(status.into_failure())))
}

/// The time between two questions: grows, with jitter, and never passes the deadline.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(FIRST_WAIT)
    }

    /// Sleeps, or says `false` where the deadline comes first.
    pub(crate) async fn sleep(&mut self, transport: &Transport, deadline: Instant) -> bool {
        let wait = transport.jittered(self.0);
        self.0 = self.0.mul_f64(1.6).min(LONGEST_WAIT);
        if Instant::now() + wait >= deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

/// Cloud Storage names its operations like resources of a project, and answers them below the bucket.
fn get(name: &str) -> Request {
    let storage = name
        .strip_prefix("projects/_/buckets/")
        .and_then(|rest| rest.split_once("/operations/"));
    match storage {
        Some((bucket, id)) => Request::get(
            Api::Storage,
            format!(
                "/storage/v1/b/{}/operations/{}",
                segment(bucket),
                segment(id)
            ),
        ),
        None => Request::get(Api::Run, format!("/v2/{}", path_text(name))),
    }
}

impl Status {
    fn into_failure(self) -> Failure {
        let code = canonical(self.code);
        Failure {
            transient: matches!(
                code,
                "UNAVAILABLE" | "INTERNAL" | "ABORTED" | "RESOURCE_EXHAUSTED"
            ),
            hint: failure::text_hint(&self.message),
            ..Failure::lasting(code, self.message)
        }
    }
}

/// `google.rpc.Code` by its number.
fn canonical(code: i64) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|code| NAMES.get(code))
        .copied()
        .unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transport::script;

    fn lro(body: serde_json::Value) -> Lro {
        serde_json::from_value(body).expect("an operation")
    }

    const NAME: &str = "projects/p/locations/r/operations/o";

    #[tokio::test(start_paused = true)]
    async fn an_operation_is_asked_about_until_it_is_done() {
        let pending = json!({"name": NAME, "metadata": {"@type": "x"}});
        let done = json!({"name": NAME, "done": true, "response": {}});
        let (transport, seen) = script::transport(vec![
            script::json(200, pending.clone()),
            script::json(200, done),
        ]);
        let end = wait(
            &transport,
            lro(pending),
            Instant::now() + Duration::from_mins(1),
        )
        .await;
        assert_eq!(end.expect("an end"), End::Done);
        let line = format!("GET https://run.googleapis.com/v2/{NAME}");
        assert_eq!(seen.lines(), [line.clone(), line]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_operation_says_why() {
        let (transport, _) = script::transport(vec![]);
        let failed = lro(
            json!({"name": NAME, "done": true, "error": {"code": 9, "message": "HEALTH_CHECK_CONTAINER_ERROR"}}),
        );
        let end = wait(&transport, failed, Instant::now() + Duration::from_mins(1))
            .await
            .expect("an end");
        let End::Failed(failure) = end else {
            panic!("it failed")
        };
        assert_eq!(
            (failure.code.as_str(), failure.transient),
            ("FAILED_PRECONDITION", false)
        );
        assert!(failure.hint.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_outlives_the_deadline_has_no_known_end() {
        let pending = json!({"name": NAME});
        let answers = (0..99)
            .map(|_| script::json(200, pending.clone()))
            .collect();
        let (transport, _) = script::transport(answers);
        let started = Instant::now();
        let error = wait(&transport, lro(pending), started + Duration::from_secs(30))
            .await
            .expect_err("not done");
        assert_eq!(error.code, "DEADLINE_EXCEEDED");
        assert!(started.elapsed() <= Duration::from_secs(30));
    }

    #[test]
    fn codes_have_their_names() {
        assert_eq!(canonical(8), "RESOURCE_EXHAUSTED");
        assert_eq!(canonical(16), "UNAUTHENTICATED");
        assert_eq!(canonical(99), "UNKNOWN");
    }
}
