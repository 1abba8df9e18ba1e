//! Names that are checked at the door; after it the type is the proof.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the name it should be. Says what was given and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    what: &'static str,
    given: String,
    rule: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name that is far too long is wrong for its length; nobody wants to read it.
        let shown: String = self.given.chars().take(80).collect();
        let cut = if shown.len() < self.given.len() {
            "…"
        } else {
            ""
        };
        write!(f, "{shown:?}{cut} is not {}: {}", self.what, self.rule)
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The checked text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(rule) => Err(NameError { what: $what, given: text.to_owned(), rule }),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A model repository on the Hub: `organisation/name`, or a legacy one-part `name`.
    ///
    /// The rules are those of `huggingface_hub.utils.validate_repo_id` (2.4.0): at most 96
    /// characters of `[A-Za-z0-9._-]` in each part, no `--` or `..`, no part that starts or
    /// ends with `-` or `.`, and no `.git` at the end.
    ModelId, "a Hugging Face model id", check_model_id
);

name!(
    /// A branch, tag or commit of a Hub repository.
    Revision, "a Hub revision", check_revision
);

name!(
    /// A full Git commit id: 40 lower-case hexadecimal digits.
    CommitSha, "a commit id", check_commit
);

name!(
    /// A Google Cloud project id (6 to 30 characters), with an optional `domain.com:` prefix.
    ProjectId, "a Google Cloud project id", check_project
);

name!(
    /// A Google Cloud region such as `us-central1`.
    Region, "a Google Cloud region", check_region
);

name!(
    /// A Google Cloud zone such as `us-central1-a`, or an AI zone such as `us-central1-ai1a`.
    Zone, "a Google Cloud zone", check_zone
);

name!(
    /// The name of an endpoint: what Cloud Run takes as a service name, one character shorter
    /// than its 49 so that every derived name fits too.
    EndpointName, "an endpoint name", check_endpoint_name
);

impl ModelId {
    /// The organisation or user, where the id has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The repository's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl Revision {
    /// The branch that stands for a repository where no revision is named.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The commit this revision names by itself, without asking the Hub.
    #[must_use]
    pub fn as_commit(&self) -> Option<CommitSha> {
        self.0.parse().ok()
    }
}

impl CommitSha {
    /// Stands where a model has no commit: forty zeros, Git's own null id.
    #[must_use]
    pub fn null() -> Self {
        Self("0".repeat(40))
    }

    /// Whether it stands where there is none.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::null()
    }
}

impl Zone {
    /// The region it lies in: all before the last `-`.
    #[must_use]
    pub fn region(&self) -> Region {
        let (region, _) = self.0.rsplit_once('-').unwrap_or((&self.0, ""));
        Region(region.to_owned())
    }
}

impl From<CommitSha> for Revision {
    /// A commit names itself.
    fn from(commit: CommitSha) -> Self {
        Self(commit.0)
    }
}

fn check_model_id(text: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > 2 {
        return Err("write it as organisation/name, with at most one slash");
    }
    for part in &parts {
        if part.is_empty() || part.len() > 96 {
            return Err("each part has 1 to 96 characters");
        }
        if !part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            return Err("only letters, digits, '.', '_' and '-' are allowed");
        }
        if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
            return Err("no part may start or end with '-' or '.'");
        }
        if part.contains("--") || part.contains("..") {
            return Err("'--' and '..' are not allowed");
        }
    }
    // The Hub compares the bytes: `.GIT` is a name like any other there.
    if text.as_bytes().ends_with(b".git") {
        return Err("it must not end in .git");
    }
    Ok(())
}

fn check_revision(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 255 {
        return Err("a branch, tag or commit has 1 to 255 characters");
    }
    if text
        .bytes()
        .any(|b| b <= b' ' || b == 0x7f || b"~^:?*[\\".contains(&b))
    {
        return Err("Git forbids spaces, control characters and any of ~ ^ : ? * [ \\");
    }
    if text.contains("..") || text.starts_with(['/', '-', '.']) || text.ends_with(['/', '.']) {
        return Err("Git forbids '..' and a leading or trailing '/' or '.'");
    }
    Ok(())
}

fn check_commit(text: &str) -> Result<(), &'static str> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 40 && text.bytes().all(hex) {
        Ok(())
    } else {
        Err("it has 40 lower-case hexadecimal digits")
    }
}

fn check_project(text: &str) -> Result<(), &'static str> {
    let id = match text.split_once(':') {
        Some((domain, id)) if domain.contains('.') => id,
        Some(_) => return Err("before ':' stands a domain such as example.com"),
        None => text,
    };
    check_label(id, 6, 30)
        .ok_or("6 to 30 lower-case letters, digits and '-', starting with a letter")
}

fn check_region(text: &str) -> Result<(), &'static str> {
    let shape = text.split_once('-').is_some_and(|(area, rest)| {
        area.bytes().all(|b| b.is_ascii_lowercase())
            && rest.bytes().last().is_some_and(|b| b.is_ascii_digit())
    });
    check_label(text, 5, 40)
        .filter(|()| shape)
        .ok_or("it looks like us-central1 or europe-west4")
}

fn check_zone(text: &str) -> Result<(), &'static str> {
    text.rsplit_once('-')
        .filter(|(region, _)| check_region(region).is_ok())
        .and_then(|(_, zone)| check_label(zone, 1, 8))
        .ok_or("it looks like us-central1-a or us-central1-ai1a")
}

fn check_endpoint_name(text: &str) -> Result<(), &'static str> {
    check_label(text, 1, 48).ok_or(
        "1 to 48 lower-case letters, digits and '-', starting with a letter, not ending in '-'",
    )
}

fn check_label(text: &str, shortest: usize, longest: usize) -> Option<()> {
    let body = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('-');
    (body && ends && (shortest..=longest).contains(&text.len())).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr<Err = NameError>>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?} should be accepted");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} should be refused");
        }
    }

    #[test]
    fn model_ids() {
        check::<ModelId>(
            &[
                "meta-llama/Llama-3.1-8B-Instruct",
                "gpt2",
                "Qwen/Qwen2.5-7B-Instruct",
                "a/b_c",
            ],
            &[
                "", "a/b/c", "a b/c", "-a/b", "a/b.", "a--b/c", "a/..", "a/b.git", "a/", "/b",
                "ä/b",
            ],
        );
    }

    #[test]
    fn revisions_and_commits() {
        let sha = "0e9e39f249a16976918f6564b8830bc894c89659";
        check::<Revision>(
            &["main", "v1.0", "refs/pr/7", sha],
            &["", "a b", "a..b", "/x", "-x", "a:b"],
        );
        check::<CommitSha>(&[sha], &["main", &sha[1..], &sha.to_uppercase()]);
        let revision: Revision = sha.parse().expect("a revision");
        assert_eq!(revision.as_commit().map(String::from).as_deref(), Some(sha));
    }

    #[test]
    fn google_names() {
        check::<ProjectId>(
            &["acme-ml", "example.com:acme-ml"],
            &["Acme", "a", "acme-", "x:acme-ml"],
        );
        check::<Region>(
            &["us-central1", "northamerica-northeast1"],
            &["us", "us-central1-a", "US-central1"],
        );
        check::<Zone>(
            &["us-central1-a", "us-central1-ai1a", "us-central1-ai1"],
            &[
                "us-central1",
                "us-central1-",
                "us-central1-1",
                "a",
                "us-A1-a",
            ],
        );
        let zone: Zone = "us-central1-ai1a".parse().expect("a zone");
        assert_eq!(zone.region().as_str(), "us-central1");
        check::<EndpointName>(
            &["chat", "a"],
            &["", "Chat", "1a", "a-", "a_b", &"a".repeat(49)],
        );
    }

    #[test]
    fn the_error_says_what_was_given_and_the_rule() {
        let error = "a b/c".parse::<ModelId>().expect_err("a space");
        assert_eq!(
            error.to_string(),
            "\"a b/c\" is not a Hugging Face model id: only letters, digits, '.', '_' and '-' are allowed"
        );
    }

    #[test]
    fn names_are_checked_when_read_from_a_document_too() {
        assert!(serde_json::from_str::<ModelId>("\"a/b/c\"").is_err());
    }
}
