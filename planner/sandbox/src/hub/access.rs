//! Who may read what on the Hub, and how often.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::repo::{Gate, Kind, Repo, sha256};
use super::{Hub, error};
use crate::http::{Reply, Request};

/// Seconds of a window of the rate limit.
const WINDOW: u64 = 300;

/// What a token may do. A token that the sandbox was not told of may do everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) name: String,
    /// False is a token that the Hub does not know.
    valid: bool,
    /// Gated repositories whose terms its owner has accepted.
    gated: Reach,
    /// Private repositories that it may see.
    private: Reach,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            name: "sandbox".to_owned(),
            valid: true,
            gated: Reach::default(),
            private: Reach::default(),
        }
    }
}

/// All repositories, or those of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Reach {
    All(All),
    Only(Vec<String>),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum All {
    All,
}

impl Default for Reach {
    fn default() -> Self {
        Self::All(All::All)
    }
}

impl Reach {
    fn has(&self, id: &str) -> bool {
        match self {
            Self::All(_) => true,
            Self::Only(ids) => ids.iter().any(|known| known == id),
        }
    }
}

/// Tokens by their SHA-256, so that no token is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tokens(BTreeMap<String, Token>);

impl Tokens {
    pub(crate) fn set(&mut self, tokens: BTreeMap<String, Token>) {
        self.0 = tokens
            .into_iter()
            .map(|(token, rule)| (sha256(token.as_bytes()), rule))
            .collect();
    }

    /// Whose request it is; nobody's without a token, an answer for a token that is not valid.
    pub(crate) fn of(&self, request: &Request) -> Result<Option<Token>, Reply> {
        let Some(token) = request.token() else {
            return Ok(None);
        };
        let token = self
            .0
            .get(&sha256(token.as_bytes()))
            .cloned()
            .unwrap_or_default();
        if token.valid {
            return Ok(Some(token));
        }
        Err(error(
            StatusCode::UNAUTHORIZED,
            None,
            "Invalid credentials in Authorization header",
        ))
    }
}

/// Whether the metadata of a repository may be seen: not of a private one without its token.
pub(crate) fn may_see(repo: Option<&Repo>, token: Option<&Token>) -> Result<(), Reply> {
    match (repo, token) {
        (Some(repo), Some(token)) if !repo.card.private || token.private.has(&repo.id) => {}
        (Some(repo), None) if !repo.card.private => {}
        (_, None) => {
            let text = "Invalid username or password.";
            return Err(error(StatusCode::UNAUTHORIZED, Some("RepoNotFound"), text));
        }
        (_, Some(_)) => {
            let text = "Repository not found";
            return Err(error(StatusCode::NOT_FOUND, Some("RepoNotFound"), text));
        }
    }
    if repo.is_some_and(|repo| repo.card.disabled) {
        return Err(error(
            StatusCode::FORBIDDEN,
            None,
            "Access to this resource is disabled.",
        ));
    }
    Ok(())
}

/// Whether its files may be read: of a gated one only with a token whose owner accepted the terms.
pub(crate) fn may_read(repo: &Repo, token: Option<&Token>) -> Result<(), Reply> {
    let what = match repo.kind {
        Kind::Models => "model",
        Kind::Datasets => "dataset",
        Kind::Spaces => "space",
    };
    let (status, text) = match token {
        _ if repo.card.gated == Gate::Open => return Ok(()),
        Some(token) if token.gated.has(&repo.id) => return Ok(()),
        Some(_) => (
            StatusCode::FORBIDDEN,
            format!(
                "Access to {what} {} is restricted and you are not in the authorized list. Visit \
                 https://huggingface.co/{} to ask for access.",
                repo.id, repo.id
            ),
        ),
        None => (
            StatusCode::UNAUTHORIZED,
            format!(
                "Access to {what} {} is restricted. You must have access to it and be authenticated \
                 to access it. Please log in.",
                repo.id
            ),
        ),
    };
    Err(error(status, Some("GatedRepo"), &text))
}

/// Requests per window that are enforced; without a number only announced.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Limits {
    api: Option<u64>,
    resolvers: Option<u64>,
    /// Length of a window; five minutes, as the Hub's, when absent.
    window_seconds: Option<u64>,
}

/// Requests of each caller in its current window. By the wall clock, because clients wait by it.
#[derive(Default)]
pub(crate) struct Windows(HashMap<(Bucket, String), (Instant, u64)>);

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    Api,
    Resolvers,
}

impl Hub {
    /// Count a request; the headers that say how many are left, and an answer when none is.
    pub(crate) fn count(
        &mut self,
        bucket: Bucket,
        request: &Request,
    ) -> (Vec<(&'static str, String)>, Option<Reply>) {
        let caller = request.token().map(|token| sha256(token.as_bytes()));
        // Published quotas: anonymous 500 and 3,000, a free account 1,000 and 5,000.
        let (name, announced, enforced) = match (bucket, &caller) {
            (Bucket::Api, None) => ("api", 500, self.limits.api),
            (Bucket::Api, _) => ("api", 1_000, self.limits.api),
            (Bucket::Resolvers, None) => ("resolvers", 3_000, self.limits.resolvers),
            (Bucket::Resolvers, _) => ("resolvers", 5_000, self.limits.resolvers),
        };
        let quota = enforced.unwrap_or(announced);
        let length = Duration::from_secs(self.limits.window_seconds.unwrap_or(WINDOW));
        let now = Instant::now();
        let key = (bucket, caller.unwrap_or_default());
        let window = self.windows.0.entry(key).or_insert((now, 0));
        if now.duration_since(window.0) >= length {
            *window = (now, 0);
        }
        window.1 += 1;
        let left = quota.saturating_sub(window.1);
        let wait = length
            .saturating_sub(now.duration_since(window.0))
            .as_secs()
            + 1;
        let headers = vec![
            ("ratelimit", format!("\"{name}\";r={left};t={wait}")),
            (
                "ratelimit-policy",
                format!(
                    "\"fixed window\";\"{name}\";q={quota};w={}",
                    length.as_secs()
                ),
            ),
        ];
        let over = enforced.is_some_and(|quota| window.1 > quota);
        let text = "We had to rate limit your IP. To continue using our service, log in or wait.";
        (
            headers,
            over.then(|| error(StatusCode::TOO_MANY_REQUESTS, None, text)),
        )
    }
}
