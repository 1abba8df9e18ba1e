//! Whose a large file is: one object for each that is moved, which says who, and how far.
//!
//! ```text
//!   none ──► mine          an upload is opened, and the claim is written where there is none
//!   mine ──► mine          each seal writes it anew; between them, a beat shows that the run lives
//!   theirs ──► mine        it did not change for a lease, or it was released
//! ```
//!
//! Each write names the generation that it replaces: of two runs, one wins.

use std::collections::BTreeMap;
use std::time::Instant;

use openmodel_cloud::google::storage::{self, Description, Object};
use openmodel_cloud::transport::Response;
use serde::{Deserialize, Serialize};

use super::{BucketStore, Large, MOVING, soon};
use crate::digest::{Crc32c, Midstate};
use crate::ports::{Trouble, Wanted};

/// Whose a file is.
pub(super) enum Claimed {
    /// This run's; whether its upload is new.
    Mine(Large, bool),
    /// Another run's.
    Theirs,
    /// Nobody's any more: it is there.
    There,
}

/// The object that says who moves a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The run; empty: nobody any more.
    pub(super) holder: String,
    /// Content that is moved.
    pub(super) identity: String,
    /// Id of the upload, and all that it takes to write into it: whoever may read the bucket while the file
    /// moves could finish it with other bytes. A run that is at it sees that, unless their CRC32C is the same.
    pub(super) upload: String,
    /// State of the digests after what is sealed.
    pub(super) sealed: Option<Midstate>,
}

impl BucketStore {
    /// Make the file this run's.
    pub(super) async fn claim(&self, file: &Wanted) -> Result<Claimed, Trouble> {
        let path = format!("{MOVING}{}", file.path);
        let known = self.listed.contains_key(&path)
            || self.seen().contains_key(&file.path)
            || self.get(file).is_ok();
        let found = if known {
            self.read_claim(file).await?
        } else {
            None
        };
        let Some((claim, generation, version)) = found else {
            let Some(upload) = self.open_upload(file).await? else {
                return Ok(Claimed::There);
            };
            let claim = Claim {
                holder: self.holder.clone(),
                identity: file.identity.to_string(),
                upload: upload.expose().to_owned(),
                sealed: None,
            };
            let written = self.write_claim(file, &claim, 0).await?;
            let Some(generation) = written else {
                self.cancel(file, &claim).await?;
                // It is looked at when this file's turn comes again.
                let now = (String::new(), Instant::now());
                self.seen().insert(file.path.clone(), now);
                return Ok(Claimed::Theirs);
            };
            return Ok(Claimed::Mine(Large::new(claim, generation), true));
        };
        let mine = claim.holder == self.holder || claim.holder.is_empty();
        if !mine && !self.is_dead(file, version) {
            return Ok(Claimed::Theirs);
        }
        let sealed = claim
            .sealed
            .filter(|_| claim.identity == file.identity.to_string());
        let claim = Claim {
            holder: self.holder.clone(),
            identity: file.identity.to_string(),
            sealed,
            ..claim
        };
        let written = self.write_claim(file, &claim, generation).await?;
        Ok(match written {
            Some(generation) => Claimed::Mine(Large::new(claim, generation), false),
            None => Claimed::Theirs,
        })
    }

    /// Whether a claim has not changed for so long that nobody can be behind it.
    fn is_dead(&self, file: &Wanted, version: String) -> bool {
        let mut seen = self.seen();
        match seen.get(&file.path) {
            Some((before, since)) if *before == version => since.elapsed() >= self.lease,
            _ => {
                seen.insert(file.path.clone(), (version, Instant::now()));
                false
            }
        }
    }

    /// A claim, its generation, and what changes when it is renewed.
    async fn read_claim(&self, file: &Wanted) -> Result<Option<(Claim, i64, String)>, Trouble> {
        let request = storage::read_object(self.uri.bucket(), &self.claim_name(file));
        let answer = match self.transport.send(&request, soon()).await {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(self.trouble(&file.path, &error)),
        };
        let claim = answer.json::<Claim>();
        let generation = answer
            .header("x-goog-generation")
            .and_then(|text| text.parse().ok());
        match (claim, generation) {
            (Ok(claim), Some(generation)) => Ok(Some((claim, generation, version(&answer)))),
            _ => Err(Trouble::last(format!(
                "{}: gs://{}/{} is not a claim of openmodel's; remove it",
                file.path,
                self.uri.bucket(),
                self.claim_name(file)
            ))),
        }
    }

    /// Write a claim in place of a generation; `None`: it is another by now.
    async fn write_claim(
        &self,
        file: &Wanted,
        claim: &Claim,
        expected: i64,
    ) -> Result<Option<i64>, Trouble> {
        let bytes = serde_json::to_vec(claim).map_err(|error| Trouble::last(error.to_string()))?;
        let (name, none) = (self.claim_name(file), BTreeMap::new());
        let crc32c = Crc32c(crc32c::crc32c(&bytes)).to_string();
        let description = Description {
            bucket: self.uri.bucket(),
            name: &name,
            metadata: &none,
            // Claims live for minutes: the colder classes bill for days.
            storage_class: Some("STANDARD"),
        };
        let request = storage::insert_object(&description, &crc32c, &bytes, expected);
        match self.transport.json::<Object>(&request, soon()).await {
            Ok(object) => Ok(Some(object.generation)),
            Err(error) if error.is_conflict() => {
                // The answer to this very claim may have been lost.
                let found = self.read_claim(file).await?;
                let same = |found: &Claim| {
                    found.holder == self.holder
                        && found.upload == claim.upload
                        && found.sealed == claim.sealed
                };
                Ok(found.and_then(|(found, generation, _)| same(&found).then_some(generation)))
            }
            Err(error) => Err(self.trouble(&file.path, &error)),
        }
    }

    /// Write this run's claim anew.
    pub(super) async fn rewrite_claim(
        &self,
        file: &Wanted,
        large: &mut Large,
    ) -> Result<(), Trouble> {
        match self
            .write_claim(file, &large.claim, large.generation)
            .await?
        {
            Some(generation) => {
                large.generation = generation;
                Ok(())
            }
            None => Err(lost_claim(file)),
        }
    }

    /// Show that this run lives.
    pub(super) async fn beat(
        &self,
        file: &Wanted,
        large: &Large,
        beat: u32,
    ) -> Result<(), Trouble> {
        let name = self.claim_name(file);
        let claim = self.exact(&name, large.generation);
        let note = BTreeMap::from([("beat".to_owned(), beat.to_string())]);
        match self
            .transport
            .send(&storage::patch_metadata(claim, &note), soon())
            .await
        {
            Err(error) if error.is_conflict() || error.is_not_found() => Err(lost_claim(file)),
            // One that is missed is made up for by the next.
            _ => Ok(()),
        }
    }

    /// Remove this run's claim.
    pub(super) async fn forget(&self, file: &Wanted, large: &Large) -> Result<(), Trouble> {
        self.delete(&self.claim_name(file), large.generation).await
    }

    fn claim_name(&self, file: &Wanted) -> String {
        self.uri.object(&format!("{MOVING}{}", file.path))
    }
}

fn lost_claim(file: &Wanted) -> Trouble {
    Trouble::passing(format!("{}: another run has taken it over", file.path))
}

fn version(answer: &Response) -> String {
    let part = |name| answer.header(name).unwrap_or_default();
    format!(
        "{}.{}",
        part("x-goog-generation"),
        part("x-goog-metageneration")
    )
}

/// A name that no other run has.
pub(super) fn holder() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one("openmodel");
    format!("{}-{random:016x}", std::process::id())
}
