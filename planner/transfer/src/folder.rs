//! A local folder as a store.
//!
//! ```text
//!   DIR/model.safetensors                   whole and verified
//!   DIR/.openmodel/model.safetensors.part   under way
//!   DIR/.openmodel/model.safetensors.json   how far it is verified, what of the whole is, and whose that is
//!   DIR/.openmodel/.openmodel               held by the run that writes into the folder
//! ```
//!
//! What lies under a file's name and was not written by openmodel is never written over.

use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use openmodel_schemas::repository::RepoFile;
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::digest::{Crc32c, Digests, Midstate};
use crate::file::{fresh, matches};
use crate::ports::{Begun, Body, Kept, Span, Store, Trouble, Wanted};

/// Where files under way and notes about them lie.
const NOTES: &str = ".openmodel";

/// No note has this name: no file of a repository is taken that lies in such a folder.
const LOCK: &str = ".openmodel/.openmodel";

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// A folder that this run writes into, until it is dropped.
#[derive(Debug)]
pub struct Held {
    /// Files that an earlier run wrote, and that the repository does not have so: whoever reads the folder finds
    /// them too.
    pub stale: Vec<String>,
    _lock: std::fs::File,
}

/// What is noted of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// What its content must be.
    identity: String,
    /// How far it is sealed.
    sealed: Option<Midstate>,
    /// The whole, once it is verified, and when it was last written: whoever changes it changes that.
    whole: Option<(Kept, SystemTime)>,
    /// Whether what lies under its name, of whatever content, is there because openmodel wrote it.
    ours: bool,
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

    /// The note of a file; of one about another content only whose the file is.
    async fn read_note(&self, file: &Wanted) -> Note {
        let bytes = fs::read(self.note(&file.path)).await.unwrap_or_default();
        let note: Note = serde_json::from_slice(&bytes).unwrap_or_default();
        if note.identity == file.identity.to_string() {
            return note;
        }
        Note {
            identity: file.identity.to_string(),
            ours: note.ours,
            ..Note::default()
        }
    }

    /// Take the folder for this run, and find what lies there already of these files, before any is fetched. One
    /// that openmodel did not write is kept where it is the wanted one, and a trouble that lasts otherwise; so is
    /// another run that writes into the folder. `listed` are all files of the repository.
    pub async fn hold(&self, files: &[RepoFile], listed: &[RepoFile]) -> Result<Held, Trouble> {
        let place = self.target(LOCK);
        parent(&place).await?;
        let lock = std::fs::File::create(&place).map_err(|why| lost(&place, &why))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = self.0.display();
                return Err(Trouble::last(format!(
                    "{folder}: another run writes into it. Wait for its end, or choose another folder"
                )));
            }
            Err(TryLockError::Error(why)) => return Err(lost(&place, &why)),
        }
        for file in files {
            self.settled(&Wanted::of(file)?).await?;
        }
        let mut written = BTreeMap::new();
        self.written(&self.target(NOTES), &mut written)
            .map_err(|why| lost(&self.target(NOTES), &why))?;
        // What is to be moved anew is written over.
        for file in files {
            written.remove(&file.path);
        }
        for file in listed.iter().filter_map(|file| Wanted::of(file).ok()) {
            if written.get(&file.path) == Some(&file.identity.to_string()) {
                written.remove(&file.path);
            }
        }
        Ok(Held {
            stale: written.into_keys().collect(),
            _lock: lock,
        })
    }

    /// Files that are there because openmodel wrote them, and what each is, by the notes in a folder of notes.
    fn written(&self, notes: &Path, into: &mut BTreeMap<String, String>) -> io::Result<()> {
        let entries = match std::fs::read_dir(notes) {
            Ok(entries) => entries,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(why),
        };
        for entry in entries {
            let entry = entry?;
            let place = entry.path();
            if entry.file_type()?.is_dir() {
                self.written(&place, into)?;
                continue;
            }
            let path = place.strip_prefix(self.target(NOTES)).ok();
            let Some(path) = path.and_then(|path| path.to_str()?.strip_suffix(".json")) else {
                continue;
            };
            let note: Note = serde_json::from_slice(&std::fs::read(&place)?).unwrap_or_default();
            if note.ours && self.target(path).exists() {
                into.insert(path.to_owned(), note.identity);
            }
        }
        Ok(())
    }

    /// The file that is there, if it is the wanted one; a trouble where it is somebody else's.
    async fn settled(&self, file: &Wanted) -> Result<Option<Kept>, Trouble> {
        let place = self.target(&file.path);
        let there = match fs::metadata(&place).await {
            Ok(there) => there,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(lost(&place, &why)),
        };
        let written = there.modified().map_err(|why| lost(&place, &why))?;
        let note = self.read_note(file).await;
        let sized = there.is_file() && there.len() == file.size.0;
        match note.whole {
            Some((whole, at)) if sized && at == written => return Ok(Some(whole)),
            // What was changed since openmodel wrote it is fetched again.
            _ if note.ours => return Ok(None),
            _ => {}
        }
        if sized {
            let mut digests = fresh(file);
            read(&place, |chunk| digests.update(chunk)).await?;
            let digests = digests.finish();
            if matches(file, &digests).is_ok() {
                let whole = Kept {
                    generation: 0,
                    crc32c: digests.crc32c,
                };
                let note = Note {
                    identity: file.identity.to_string(),
                    whole: Some((whole.clone(), written)),
                    ..Note::default()
                };
                self.write_note(&file.path, &note).await?;
                return Ok(Some(whole));
            }
        }
        Err(Trouble::last(format!(
            "{}: {} is there, is another file, and was not written by openmodel. Remove it, or choose another folder",
            file.path,
            place.display()
        )))
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
    fn begin<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Begun, Trouble>> {
        Box::pin(async move {
            if let Some(whole) = self.settled(file).await? {
                return Ok(Begun::Whole(whole));
            }
            let note = self.read_note(file).await;
            let part = fs::metadata(self.part(&file.path)).await;
            let has = part.map_or(0, |part| part.len());
            // What lies after it is written over.
            Ok(Begun::From(
                note.sealed.filter(|sealed| has >= sealed.length),
            ))
        })
    }

    fn append<'a>(
        &'a self,
        file: &'a Wanted,
        span: Span,
        mut body: Body,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
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
            out.set_len(span.offset).await.map_err(|why| io(&why))?;
            let end = std::io::SeekFrom::Start(span.offset);
            out.seek(end).await.map_err(|why| io(&why))?;
            let mut length = 0;
            while let Some(chunk) = body.next().await {
                let chunk = chunk?;
                length += chunk.len() as u64;
                out.write_all(&chunk).await.map_err(|why| io(&why))?;
            }
            // The last write goes on behind our back: of a full disk it is told here.
            out.flush().await.map_err(|why| io(&why))?;
            out.sync_data().await.map_err(|why| io(&why))?;
            if length != span.length {
                let why = format!("{}: it ended after {length} bytes", file.path);
                return Err(Trouble::passing(why));
            }
            Ok(())
        })
    }

    fn seal<'a>(
        &'a self,
        file: &'a Wanted,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let mut note = self.read_note(file).await;
            note.sealed = Some(after.clone());
            self.write_note(&file.path, &note).await
        })
    }

    fn finish<'a>(
        &'a self,
        file: &'a Wanted,
        digests: &'a Digests,
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        Box::pin(async move {
            let (from, to) = (self.part(&file.path), self.target(&file.path));
            let has = checksum(&from).await?;
            if has != digests.crc32c {
                self.discard(file).await?;
                return Err(Trouble::passing(format!(
                    "{}: the disk kept other bytes than it was given (CRC32C {:08x}, given {:08x})",
                    file.path, has.0, digests.crc32c.0
                )));
            }
            // Somebody may have put another one there meanwhile.
            self.settled(file).await?;
            parent(&to).await?;
            fs::rename(&from, &to)
                .await
                .map_err(|why| lost(&to, &why))?;
            let written = fs::metadata(&to).await.and_then(|there| there.modified());
            let written = written.map_err(|why| lost(&to, &why))?;
            let whole = Kept {
                generation: 0,
                crc32c: has,
            };
            let note = Note {
                identity: file.identity.to_string(),
                sealed: None,
                whole: Some((whole.clone(), written)),
                ours: true,
            };
            self.write_note(&file.path, &note).await?;
            Ok(whole)
        })
    }

    fn discard<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let note = Note {
                sealed: None,
                ..self.read_note(file).await
            };
            self.write_note(&file.path, &note).await?;
            let part = self.part(&file.path);
            match fs::remove_file(&part).await {
                Err(why) if why.kind() != ErrorKind::NotFound => Err(lost(&part, &why)),
                _ => Ok(()),
            }
        })
    }

    /// A folder is one run's at a time.
    fn release<'a>(&'a self, _file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async { Ok(()) })
    }
}

/// The CRC32C of a file as the disk gives it back.
async fn checksum(path: &Path) -> Result<Crc32c, Trouble> {
    let mut crc = 0;
    let add = |chunk: &[u8]| crc = crc32c::crc32c_append(crc, chunk);
    read(path, add).await?;
    Ok(Crc32c(crc))
}

async fn read(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), Trouble> {
    let mut file = fs::File::open(path).await.map_err(|why| lost(path, &why))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).await;
        match read.map_err(|why| lost(path, &why))? {
            0 => return Ok(()),
            length => take(&buffer[..length]),
        }
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
