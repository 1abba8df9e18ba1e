//! Why a repository cannot be read, and the next move.

use std::time::Duration;

use openmodel_schemas::name::{ModelId, Revision};
use openmodel_schemas::snapshot::Repository;

use super::calls::page;
use crate::transport::ApiError;

/// Why a repository is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    /// No such repository, or a private one that the caller may not see: the Hub does not say.
    #[error(
        "the Hub has no {} {}, or it is private. {}{}",
        repository.kind, repository.id, nearest_text(repository, nearest), not_found_move(*has_token)
    )]
    NotFound {
        /// The repository.
        repository: Repository,
        /// What there is of nearly the same name, the nearest first.
        nearest: Vec<Repository>,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error(
        "{id} has no revision {revision}. Its branches and commits are listed at {url}/commits"
    )]
    RevisionNotFound {
        /// The repository.
        id: ModelId,
        /// The revision.
        revision: Revision,
        /// The repository's page.
        url: String,
    },
    /// The repository is behind terms that the caller has not accepted.
    #[error("{id} is gated: its files wait for terms to be accepted. {}", gated_move(url, *has_token))]
    Gated {
        /// The repository.
        id: ModelId,
        /// The page where terms are accepted.
        url: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// The Hub has closed the repository to everyone.
    #[error(
        "the Hub has disabled {id}: {detail}. Its page may say why: {url}. Use another repository, or a copy of your own"
    )]
    Disabled {
        /// The repository.
        id: ModelId,
        /// The repository's page.
        url: String,
        /// The Hub's words.
        detail: String,
    },
    /// The token is not accepted, or does not allow reading this repository.
    #[error(
        "the Hub refused the token: {detail}. Make one that may read {id} at https://huggingface.co/settings/tokens"
    )]
    Unauthorized {
        /// The repository.
        id: ModelId,
        /// The Hub's words.
        detail: String,
    },
    /// Too many requests in the Hub's window of five minutes.
    #[error("the Hub's rate limit is used up; {}. {}", retry_text(*retry_after), rate_move(*has_token))]
    RateLimited {
        /// When the window ends.
        retry_after: Option<Duration>,
        /// Whether a token was sent: limits are higher with one.
        has_token: bool,
    },
    /// No answer, or an answer that has nothing to do with the question.
    #[error(
        "{url} cannot be reached: {detail}. Check the network and HF_ENDPOINT; with `offline = true` what was read before is used"
    )]
    Unreachable {
        /// The Hub's base URL.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The repository's data cannot be understood.
    #[error(
        "{id} cannot be understood: {field}: {detail}. If {id} loads elsewhere, this is a defect of openmodel: please report it"
    )]
    Malformed {
        /// The repository.
        id: ModelId,
        /// File or field.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A file has other bytes than the listing says.
    #[error(
        "the Hub serves other bytes as {path} of {id} than it lists; none of them is used. Try again later; if it stays so, look for a proxy or mirror in between that changes them"
    )]
    Altered {
        /// The repository.
        id: ModelId,
        /// The file.
        path: String,
    },
    /// An answer is larger than anything a repository needs.
    #[error(
        "{what} of {id} is larger than {limit} bytes, which no repository needs; it is not read"
    )]
    TooLarge {
        /// The repository.
        id: ModelId,
        /// File or listing.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// Offline, and not read before.
    #[error(
        "{id} at {revision} was not read before, and `offline = true` forbids asking the Hub. Plan once online, or set `revision` to a commit that was read"
    )]
    Offline {
        /// The repository.
        id: ModelId,
        /// The revision.
        revision: Revision,
    },
}

impl HubError {
    /// Whether the Hub may answer later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unreachable { .. } | Self::Offline { .. }
        )
    }
}

/// What was asked, as far as an error needs it.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) revision: &'a Revision,
    /// File or listing, in words.
    pub(crate) what: &'a str,
    /// The Hub's base URL.
    pub(crate) hub: &'a str,
    pub(crate) has_token: bool,
    /// The bound on the answer's size.
    pub(crate) limit: u64,
}

impl Asked<'_> {
    /// The transport's error in the Hub's terms. `X-Error-Code` decides where the Hub sends one;
    /// without it, 401 means "no such repository, or not for you" unless the token is at fault.
    pub(crate) fn explain(&self, error: &ApiError) -> HubError {
        let id = self.repository.id.clone();
        let url = format!("{}{}", self.hub, page(self.repository));
        let (has_token, status) = (
            self.has_token,
            error.status.map_or(0, |status| status.as_u16()),
        );
        match (error.reason.as_deref(), status) {
            (Some("GatedRepo"), _) => HubError::Gated { id, url, has_token },
            (Some("RevisionNotFound"), _) => HubError::RevisionNotFound {
                id,
                revision: self.revision.clone(),
                url,
            },
            (Some("RepoNotFound"), _) => self.not_found(),
            (_, 401) if error.message.starts_with("Invalid credentials") => {
                HubError::Unauthorized {
                    id,
                    detail: error.message.clone(),
                }
            }
            (_, 401 | 404) => self.not_found(),
            // The Hub's own client tells it by these words too: there is no code for it.
            (_, 403)
                if error
                    .message
                    .starts_with("Access to this resource is disabled") =>
            {
                HubError::Disabled {
                    id,
                    url,
                    detail: error.message.trim_end_matches('.').to_owned(),
                }
            }
            (_, 403) => HubError::Unauthorized {
                id,
                detail: error.message.clone(),
            },
            (_, 429) => HubError::RateLimited {
                retry_after: error.retry_after,
                has_token,
            },
            _ if error.code == "OUT_OF_RANGE" => HubError::TooLarge {
                id,
                what: self.what.to_owned(),
                limit: self.limit,
            },
            _ if error.code == "DATA_LOSS" => self.malformed(&error.message),
            _ => HubError::Unreachable {
                url: self.hub.to_owned(),
                detail: unreachable_detail(error),
            },
        }
    }

    fn not_found(&self) -> HubError {
        HubError::NotFound {
            repository: self.repository.clone(),
            nearest: Vec::new(),
            has_token: self.has_token,
        }
    }

    pub(crate) fn malformed(&self, detail: &str) -> HubError {
        HubError::Malformed {
            id: self.repository.id.clone(),
            field: self.what.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

fn unreachable_detail(error: &ApiError) -> String {
    match error.status {
        Some(status) => format!("HTTP {}: {}", status.as_u16(), error.message),
        None => error.message.clone(),
    }
}

/// `Did you mean a, b or c? `, or that the name is one of another kind.
fn nearest_text(missing: &Repository, nearest: &[Repository]) -> String {
    if let Some(other) = nearest.iter().find(|each| each.kind != missing.kind) {
        let (id, kind) = (&other.id, other.kind);
        return format!("There is a {kind} {id}: if that is meant, ask for it as a {kind}. ");
    }
    let ids: Vec<&str> = nearest.iter().map(|each| each.id.as_str()).collect();
    match ids.as_slice() {
        [] => String::new(),
        [one] => format!("Did you mean {one}? "),
        [first @ .., last] => format!("Did you mean {} or {last}? ", first.join(", ")),
    }
}

fn not_found_move(has_token: bool) -> &'static str {
    if has_token {
        "Check the name, and that the token may read it"
    } else {
        "Check the name; for a private one set hugging_face_token or HF_TOKEN"
    }
}

fn gated_move(url: &str, has_token: bool) -> String {
    if has_token {
        format!(
            "The account of the given token has no access yet: accept the terms at {url}, and use a token of that account"
        )
    } else {
        format!(
            "Accept the terms at {url}, then set hugging_face_token or HF_TOKEN to a token of that account"
        )
    }
}

fn retry_text(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!("it opens again in {} s", wait.as_secs()),
        None => "it opens again within five minutes".to_owned(),
    }
}

fn rate_move(has_token: bool) -> &'static str {
    if has_token {
        "Apply again after that"
    } else {
        "Set hugging_face_token or HF_TOKEN: limits are higher with a token"
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::transport::{Api, Request};

    fn explain(status: u16, headers: &[(&'static str, &str)], has_token: bool) -> String {
        let id = "meta-llama/Llama-3.1-8B-Instruct".parse().expect("an id");
        let repository = Repository::model(id);
        let revision = "main".parse().expect("a revision");
        let asked = Asked {
            repository: &repository,
            revision: &revision,
            what: "config.json",
            hub: "https://huggingface.co",
            has_token,
            limit: 7,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        let request = Request::get(Api::Hub, "/x");
        let status = StatusCode::from_u16(status).expect("a status");
        asked
            .explain(&ApiError::refused(&request, status, &map, b""))
            .to_string()
    }

    #[test]
    fn each_refusal_names_the_next_move() {
        let gated = [("x-error-code", "GatedRepo")];
        let text = [
            explain(401, &gated, false),
            explain(403, &gated, true),
            explain(404, &[("x-error-code", "RepoNotFound")], true),
            explain(
                401,
                &[("x-error-message", "Invalid username or password.")],
                false,
            ),
            explain(
                401,
                &[(
                    "x-error-message",
                    "Invalid credentials in Authorization header",
                )],
                true,
            ),
            explain(404, &[("x-error-code", "RevisionNotFound")], true),
            explain(
                403,
                &[("x-error-message", "Access to this resource is disabled.")],
                true,
            ),
            explain(429, &[("ratelimit", "\"api\";r=0;t=12")], false),
            explain(502, &[], false),
        ]
        .join("\n");
        insta::assert_snapshot!(text, @"
        meta-llama/Llama-3.1-8B-Instruct is gated: its files wait for terms to be accepted. Accept the terms at https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct, then set hugging_face_token or HF_TOKEN to a token of that account
        meta-llama/Llama-3.1-8B-Instruct is gated: its files wait for terms to be accepted. The account of the given token has no access yet: accept the terms at https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct, and use a token of that account
        the Hub has no model meta-llama/Llama-3.1-8B-Instruct, or it is private. Check the name, and that the token may read it
        the Hub has no model meta-llama/Llama-3.1-8B-Instruct, or it is private. Check the name; for a private one set hugging_face_token or HF_TOKEN
        the Hub refused the token: Invalid credentials in Authorization header. Make one that may read meta-llama/Llama-3.1-8B-Instruct at https://huggingface.co/settings/tokens
        meta-llama/Llama-3.1-8B-Instruct has no revision main. Its branches and commits are listed at https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct/commits
        the Hub has disabled meta-llama/Llama-3.1-8B-Instruct: Access to this resource is disabled. Its page may say why: https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct. Use another repository, or a copy of your own
        the Hub's rate limit is used up; it opens again in 13 s. Set hugging_face_token or HF_TOKEN: limits are higher with a token
        https://huggingface.co cannot be reached: HTTP 502: Bad Gateway. Check the network and HF_ENDPOINT; with `offline = true` what was read before is used
        ");
    }
}
