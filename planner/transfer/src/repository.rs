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

/// Move files, so many at once. The first trouble that lasts ends it: nothing more is begun, and what
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
        loop {
            while moving.len() < parallelism.max(1)
                && let Some(file) = waiting.next()
            {
                let mover = mover.clone();
                moving.spawn(async move { (mover.file(&file).await, file) });
            }
            let Some(ended) = moving.join_next().await else {
                break;
            };
            let (done, file) = ended.unwrap_or_else(|error| resume_unwind(error.into_panic()));
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
        if !wanted.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    moved.sort_by(|a, b| a.file.path.cmp(&b.file.path));
    Ok(moved)
}

/// Bytes of all that was moved.
#[must_use]
pub fn bytes(moved: &[Moved]) -> Bytes {
    moved.iter().map(|one| one.file.size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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
