//! A wire for tests: answers from a list, and keeps what was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::wire::{Flowing, Incoming, Lost, Outgoing, Payload, Wire};
use super::{Options, Transport};
use crate::auth;

/// One answer of the script.
pub(crate) enum Answer {
    /// Status, headers, body.
    Status(u16, Vec<(&'static str, String)>, Value),
    /// No answer; whether the request was sent.
    Lost(bool),
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: Value) -> Answer {
    Answer::Status(status, Vec::new(), body)
}

/// An answer with headers.
pub(crate) fn with_headers(status: u16, headers: &[(&'static str, &str)], body: Value) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    Answer::Status(status, headers, body)
}

/// What a scripted wire saw: method, URL, `Authorization` if there was one, and body.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<(String, HeaderMap, String)>>>);

impl Seen {
    /// `GET https://…` for each exchange.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.with(|all| all.iter().map(|(line, ..)| line.clone()).collect())
    }

    /// A header of each exchange.
    pub(crate) fn header(&self, name: &str) -> Vec<Option<String>> {
        self.with(|all| {
            let text = |headers: &HeaderMap| {
                headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned)
            };
            all.iter().map(|(_, headers, _)| text(headers)).collect()
        })
    }

    fn with<T>(&self, look: impl FnOnce(&Vec<(String, HeaderMap, String)>) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Script {
    answers: Mutex<VecDeque<Answer>>,
    seen: Seen,
}

impl Wire for Script {
    fn flow(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<Flowing, Lost>> {
        Box::pin(async move {
            let Incoming {
                status,
                headers,
                body,
            } = self.exchange(outgoing).await?;
            Ok(Flowing {
                status,
                headers,
                body: futures::stream::iter([Ok(body)]).boxed(),
            })
        })
    }

    fn exchange(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<Incoming, Lost>> {
        let body = match &outgoing.body {
            Payload::None => String::new(),
            Payload::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Payload::Flowing(_, length) => format!("({length} bytes)"),
        };
        let line = format!("{} {}", outgoing.method, outgoing.url);
        self.seen
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((line.clone(), outgoing.headers, body));
        let next = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        Box::pin(async move {
            match next {
                None => panic!("the script has no answer left for {line}"),
                Some(Answer::Lost(sent)) => Err(Lost::NoAnswer {
                    sent,
                    timed_out: false,
                    message: "connection reset".to_owned(),
                }),
                Some(Answer::Status(status, headers, body)) => {
                    let mut map = HeaderMap::new();
                    for (name, value) in headers {
                        map.insert(name, value.parse().expect("a header value"));
                    }
                    Ok(Incoming {
                        status: StatusCode::from_u16(status).expect("a status"),
                        headers: map,
                        body: Bytes::from(body.to_string()),
                    })
                }
            }
        })
    }
}

/// A transport over a script, with the sandbox's fixed Google token.
pub(crate) fn transport(answers: Vec<Answer>) -> (Transport, Seen) {
    let auth = auth::Options {
        sandbox: true,
        ..auth::Options::default()
    };
    with_options(
        Options {
            auth,
            ..Options::default()
        },
        answers,
    )
}

/// A transport over a script.
pub(crate) fn with_options(options: Options, answers: Vec<Answer>) -> (Transport, Seen) {
    let seen = Seen::default();
    let script = Script {
        answers: Mutex::new(answers.into()),
        seen: seen.clone(),
    };
    (Transport::over(options, Box::new(script)), seen)
}
