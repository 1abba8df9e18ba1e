//! A local folder as a store.
//!
//! ```text
//!   DIR/model.safetensors                   whole and verified
//!   DIR/.openmodel/model.safetensors.part   under way: pieces, one after the other
//!   DIR/.openmodel/model.safetensors.json   how far it is verified, and what of the whole is
//! ```

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use crate::digest::{Crc32c, Midstate, Running};
use crate::ports::{Body, Found, Identity, Kept, Part, Store, Trouble, Wanted};

/// Where files under way and notes about them lie.
const NOTES: &str = ".openmodel";

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// What is noted of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// What its content must be.
    identity: String,
    /// Its sealed pieces.
    pieces: Vec<(Kept, Midstate)>,
    /// The whole, once it is verified, and when it was last written: whoever changes it changes that.
    whole: Option<(Kept, SystemTime)>,
}

impl Folder {
    /// A folder, which is made when the first file arrives.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn target(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn part(&self, path: &str) -> PathBuf {
        self.0.join(NOTES).join(format!("{path}.part"))
    }

    fn note(&self, path: &str) -> PathBuf {
        self.0.join(NOTES).join(format!("{path}.json"))
    }

    /// The note of a file, where it is about this content.
    async fn read_note(&self, file: &Wanted) -> Note {
        let bytes = fs::read(self.note(&file.path)).await.unwrap_or_default();
        serde_json::from_slice(&bytes)
            .ok()
            .filter(|note: &Note| note.identity == identity(file))
            .unwrap_or_else(|| Note {
                identity: identity(file),
                ..Note::default()
            })
    }

    async fn write_note(&self, path: &str, note: &Note) -> Result<(), Trouble> {
        let place = self.note(path);
        let text = serde_json::to_vec(note).map_err(|error| Trouble::last(error.to_string()))?;
        let new = place.with_extension("new");
        parent(&place).await?;
        fs::write(&new, text)
            .await
            .map_err(|why| lost(&new, &why))?;
        // Renamed when whole: whoever comes after a kill sees all of it, or the one before.
        fs::rename(&new, &place)
            .await
            .map_err(|why| lost(&place, &why))
    }
}

impl Store for Folder {
    fn find<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(async move {
            let note = self.read_note(file).await;
            if let Some((whole, written)) = note.whole {
                let there = fs::metadata(self.target(&file.path)).await;
                let same = there.is_ok_and(|there| {
                    there.len() == file.size.0 && there.modified().is_ok_and(|at| at == written)
                });
                if same {
                    return Ok(Found::Whole(whole));
                }
            }
            let length: u64 = note.pieces.iter().map(|(piece, _)| piece.length).sum();
            let part = fs::metadata(self.part(&file.path)).await;
            let sealed = if part.is_ok_and(|part| part.len() >= length) {
                note.pieces
            } else {
                Vec::new()
            };
            Ok(Found::Pieces {
                sealed,
                // What lies after them is written over.
                loose: Vec::new(),
            })
        })
    }

    fn write<'a>(
        &'a self,
        file: &'a Wanted,
        part: Part,
        mut body: Body,
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        Box::pin(async move {
            let (offset, length) = match part {
                Part::Whole => (0, file.size.0),
                Part::Piece(piece) => (piece.offset, piece.length),
            };
            let place = self.part(&file.path);
            let io = |why: &std::io::Error| lost(&place, why);
            parent(&place).await?;
            let mut out = fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&place)
                .await
                .map_err(|why| io(&why))?;
            out.set_len(offset).await.map_err(|why| io(&why))?;
            let end = std::io::SeekFrom::Start(offset);
            out.seek(end).await.map_err(|why| io(&why))?;
            let mut running = Running::new();
            while let Some(chunk) = body.next().await {
                let chunk = chunk?;
                running.update(&chunk);
                out.write_all(&chunk).await.map_err(|why| io(&why))?;
            }
            out.sync_data().await.map_err(|why| io(&why))?;
            if running.length() != length {
                let why = format!("{}: it ended after {} bytes", file.path, running.length());
                return Err(Trouble::passing(why));
            }
            Ok(Kept {
                name: format!("{}#{offset}", file.path),
                generation: 0,
                length,
                crc32c: running.crc32c(),
            })
        })
    }

    fn seal<'a>(
        &'a self,
        file: &'a Wanted,
        piece: &'a Kept,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let mut note = self.read_note(file).await;
            // Pieces of an earlier run that are no more are not of this row.
            let before: u64 = after.length - piece.length;
            let mut end = 0;
            note.pieces.retain(|(piece, _)| {
                end += piece.length;
                end <= before
            });
            note.pieces.push((piece.clone(), after.clone()));
            self.write_note(&file.path, &note).await
        })
    }

    fn join<'a>(
        &'a self,
        file: &'a Wanted,
        parts: &'a [Kept],
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        Box::pin(async move {
            let crc32c = parts.iter().fold(Crc32c::default(), |sum, part| {
                sum.then(part.crc32c, part.length)
            });
            let whole = Kept {
                name: file.path.clone(),
                generation: 0,
                length: file.size.0,
                crc32c,
            };
            let (from, to) = (self.part(&file.path), self.target(&file.path));
            parent(&to).await?;
            fs::rename(&from, &to)
                .await
                .map_err(|why| lost(&to, &why))?;
            let written = fs::metadata(&to).await.and_then(|there| there.modified());
            let written = written.map_err(|why| lost(&to, &why))?;
            let note = Note {
                identity: identity(file),
                pieces: Vec::new(),
                whole: Some((whole.clone(), written)),
            };
            self.write_note(&file.path, &note).await?;
            Ok(whole)
        })
    }

    fn remove<'a>(&'a self, kept: &'a Kept) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let (path, place) = match kept.name.split_once('#') {
                // A piece: what was joined has moved on, and what was not is worth nothing.
                Some((path, _)) => (path, self.part(path)),
                None => (kept.name.as_str(), self.target(&kept.name)),
            };
            if fs::try_exists(&place).await.unwrap_or(false) {
                fs::remove_file(&place)
                    .await
                    .map_err(|why| lost(&place, &why))?;
                let _ = fs::remove_file(self.note(path)).await;
            }
            Ok(())
        })
    }
}

fn identity(file: &Wanted) -> String {
    match file.identity {
        Identity::Sha256(digest) => format!("sha256:{digest}"),
        Identity::Blob(digest) => format!("git:{digest}"),
    }
}

async fn parent(path: &Path) -> Result<(), Trouble> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder)
            .await
            .map_err(|why| lost(folder, &why)),
        None => Ok(()),
    }
}

/// A folder that cannot be written does not heal by waiting.
fn lost(path: &Path, why: &std::io::Error) -> Trouble {
    Trouble::last(format!("{}: {why}", path.display()))
}
