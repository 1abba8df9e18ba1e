//! Bytes of any size: hashed as they come in, then kept in memory, in a temporary file, or not.
//!
//!   write … write ─► Writer ─► Blob  (size, CRC32C, MD5; its bytes in parts)
//!
//! A blob is cheap to copy and to append to another, because its parts are shared. The temporary
//! files have no name: they are gone with the last blob that holds them, also when the sandbox is
//! killed. In a state file only the parts in memory are kept.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::http::Source;

/// Most bytes that a blob keeps in memory, and so in each state file; a longer one lies in a file.
const IN_MEMORY: usize = 256 << 10;

/// A finished content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blob {
    parts: Vec<Part>,
    pub(crate) size: u64,
    pub(crate) crc32c: u32,
    /// Not known of what was put together from parts, in the sandbox as in Cloud Storage.
    pub(crate) md5: Option<[u8; 16]>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Kept", from = "Kept")]
enum Part {
    Memory(Bytes),
    File { file: Arc<Mutex<File>>, size: u64 },
    Gone { size: u64, lost: bool },
}

/// A part in a state file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kept {
    Base64(String),
    /// It lay in a temporary file.
    Lost(u64),
    /// It was not kept in the first place.
    Discarded(u64),
}

impl From<Part> for Kept {
    fn from(part: Part) -> Self {
        match part {
            Part::Memory(bytes) => Self::Base64(STANDARD.encode(bytes)),
            Part::File { size, .. } | Part::Gone { size, lost: true } => Self::Lost(size),
            Part::Gone { size, lost: false } => Self::Discarded(size),
        }
    }
}

impl From<Kept> for Part {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Base64(text) => Self::Memory(STANDARD.decode(text).unwrap_or_default().into()),
            Kept::Lost(size) => Self::Gone { size, lost: true },
            Kept::Discarded(size) => Self::Gone { size, lost: false },
        }
    }
}

impl Part {
    fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size, .. } | Self::Gone { size, .. } => *size,
        }
    }

    /// The bytes of a range inside this part; fewer when the file cannot be read.
    fn read(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Memory(bytes) => Source::read(bytes, range),
            Self::File { file, .. } => {
                let length = usize::try_from(range.end - range.start).unwrap_or(0);
                let mut bytes = vec![0; length];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let read = file
                    .seek(SeekFrom::Start(range.start))
                    .and_then(|_| file.read_exact(&mut bytes));
                // A short body ends the connection before its announced length: that is seen.
                read.map_or_else(|_| Bytes::new(), |()| bytes.into())
            }
            Self::Gone { .. } => Bytes::new(),
        }
    }
}

impl Blob {
    /// These blobs one after the other, without a copy. CRC32C follows from theirs; MD5 cannot.
    pub(crate) fn joined<'a>(blobs: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut whole = Self {
            parts: Vec::new(),
            size: 0,
            crc32c: 0,
            md5: None,
        };
        for blob in blobs {
            let length = usize::try_from(blob.size).unwrap_or(usize::MAX);
            whole.parts.extend(blob.parts.iter().cloned());
            whole.size += blob.size;
            whole.crc32c = crc32c::crc32c_combine(whole.crc32c, blob.crc32c, length);
        }
        whole
    }

    /// Why its bytes cannot be read, if so.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.parts.iter().find_map(|part| match part {
            Part::Gone { lost: true, .. } => Some(
                "The sandbox kept this content in a temporary file, which did not outlive the run \
                 that made it; upload it again.",
            ),
            Part::Gone { lost: false, .. } => Some(
                "The sandbox was told to discard contents (PUT /sandbox/storage) when this one was \
                 uploaded: only its size and checksums are known.",
            ),
            _ => None,
        })
    }

    /// The CRC32C as Cloud Storage writes it: base64 of its four bytes, the highest first.
    pub(crate) fn crc32c_base64(&self) -> String {
        STANDARD.encode(self.crc32c.to_be_bytes())
    }

    pub(crate) fn md5_base64(&self) -> Option<String> {
        self.md5.map(|md5| STANDARD.encode(md5))
    }
}

impl Source for Blob {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        let mut found = BytesMut::new();
        let mut start = 0;
        for part in &self.parts {
            let end = start + part.size();
            if range.start < end && range.end > start {
                let from = range.start.max(start) - start;
                let bytes = part.read(from..range.end.min(end) - start);
                if range.end <= end && found.is_empty() {
                    return bytes;
                }
                found.extend_from_slice(&bytes);
            }
            start = end;
        }
        found.freeze()
    }
}

/// A content that is still coming in.
pub(crate) struct Writer {
    memory: Vec<u8>,
    file: Option<File>,
    keep: bool,
    size: u64,
    crc32c: u32,
    md5: Md5,
}

impl Writer {
    /// Starts empty. Without `keep` the bytes are hashed and counted, and then dropped.
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            memory: Vec::new(),
            file: None,
            keep,
            size: 0,
            crc32c: 0,
            md5: Md5::new(),
        }
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Fails when the temporary file cannot be made or the disk is full.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.keep {
            match &mut self.file {
                None if self.memory.len() + bytes.len() <= IN_MEMORY => {
                    self.memory.extend_from_slice(bytes);
                }
                None => {
                    let mut file = tempfile::tempfile()?;
                    file.write_all(&std::mem::take(&mut self.memory))?;
                    file.write_all(bytes)?;
                    self.file = Some(file);
                }
                Some(file) => file.write_all(bytes)?,
            }
        }
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.md5.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn finish(self) -> Blob {
        let size = self.size;
        let part = match self.file {
            _ if !self.keep => Part::Gone { size, lost: false },
            Some(file) => Part::File {
                file: Arc::new(Mutex::new(file)),
                size,
            },
            None => Part::Memory(self.memory.into()),
        };
        Blob {
            parts: vec![part],
            size,
            crc32c: self.crc32c,
            md5: Some(self.md5.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &[u8], keep: bool) -> Blob {
        let mut writer = Writer::new(keep);
        for piece in bytes.chunks(300_000) {
            writer.write(piece).expect("a disk with room");
        }
        writer.finish()
    }

    #[test]
    fn digests_are_those_of_the_published_check_values() {
        // CRC-32C: RFC 3720 B.4 and the usual check value. MD5: RFC 1321 A.5.
        let digits = blob(b"123456789", false);
        assert_eq!((digits.size, digits.crc32c), (9, 0xe306_9283));
        assert_eq!(blob(&[0; 32], true).crc32c, 0x8a91_36aa);
        let text = blob(b"message digest", true);
        assert_eq!(
            crate::ids::hex(&text.md5.expect("of one part")),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
    }

    #[test]
    fn what_was_joined_reads_as_one_whatever_it_lies_in() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        let whole = [b"head".as_slice(), &large, b"tail"].concat();
        let joined = Blob::joined(&[blob(b"head", true), blob(&large, true), blob(b"tail", true)]);
        assert_eq!(joined.crc32c, blob(&whole, false).crc32c);
        assert_eq!((joined.size, joined.md5), (whole.len() as u64, None));
        for range in [0..4, 2..9, 1_500_000..1_500_003, 3_000_000..3_000_008] {
            let place = usize::try_from(range.start).expect("small");
            let end = usize::try_from(range.end).expect("small");
            assert_eq!(joined.read(range), whole[place..end]);
        }
    }

    #[test]
    fn a_state_file_keeps_what_is_in_memory_and_says_what_is_lost() {
        let through = |blob: &Blob| -> Blob {
            let text = serde_json::to_string(blob).expect("JSON");
            serde_json::from_str(&text).expect("a blob")
        };
        let small = through(&blob(b"small", true));
        assert_eq!((small.read(0..5), small.fault()), ("small".into(), None));
        let large = through(&blob(&vec![1; IN_MEMORY + 1], true));
        assert!(
            large
                .fault()
                .is_some_and(|text| text.contains("temporary file"))
        );
        let discarded = through(&blob(b"small", false));
        assert!(
            discarded
                .fault()
                .is_some_and(|text| text.contains("discard"))
        );
    }
}
