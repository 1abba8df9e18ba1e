//! The repository that is moved: eight files of one block of random bytes, each from another place of it.
//!
//! ```text
//!   block     0 ─────────────────── 16 MiB
//!   file 0    └──────────────────►┘└──────►…     the block, again and again
//!   file 1      └──────────────────►┘└────►…     the same from 1 MiB on: another digest
//! ```
//!
//! Its digests are computed once and kept under `target/peers`.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The repository's name and its only commit.
pub(crate) const NAME: &str = "bench/eight";
/// See [`NAME`].
pub(crate) const COMMIT: &str = "7b5b30e35a5e3b5d5f1d1c2a90f8f1f5cb0a8e11";

/// How many files it has.
pub(crate) const FILES: u64 = 8;

/// Bytes of the block.
pub(crate) const BLOCK: u64 = 16 << 20;

/// How far the beginnings of two files are apart.
const STEP: u64 = 1 << 20;

/// A file of the repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Its name.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// As a number.
    pub(crate) crc32c: u32,
    /// Where in the block it begins.
    pub(crate) start: u64,
}

/// The block, the same in every run.
pub(crate) fn block() -> Vec<u8> {
    // SplitMix64: nothing can compress it, and no crate is needed.
    let mut state = 0_u64;
    let mut block = Vec::new();
    while (block.len() as u64) < BLOCK {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        block.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    block
}

/// The files of a repository of so many MiB, with their digests, which are kept in a folder.
pub(crate) fn samples(mib: u64, folder: &Path) -> Result<Vec<Sample>> {
    let kept = folder.join(format!("digests-{mib}-mib.json"));
    if let Ok(text) = fs::read(&kept) {
        return serde_json::from_slice(&text).with_context(|| kept.display().to_string());
    }
    let block = block();
    let block = &block;
    let size = (mib << 20) / FILES;
    let samples = thread::scope(|scope| {
        let threads: Vec<_> = (0..FILES)
            .map(|number| scope.spawn(move || sample(block, number, size)))
            .collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended.collect::<Result<Vec<Sample>, _>>()
    })
    .map_err(|_| anyhow!("a digest was not computed"))?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::write(&kept, serde_json::to_vec_pretty(&samples)?)?;
    Ok(samples)
}

fn sample(block: &[u8], number: u64, size: u64) -> Sample {
    let (start, mut sha256, mut crc32c) = (number * STEP, Sha256::new(), 0);
    let mut done = 0;
    while done < size {
        let part = piece(block, start + done, size - done);
        sha256.update(part);
        crc32c = crc32c::crc32c_append(crc32c, part);
        done += part.len() as u64;
    }
    Sample {
        path: format!("model-{:05}-of-{FILES:05}.safetensors", number + 1),
        size,
        sha256: hexadecimal(&sha256.finalize()),
        crc32c,
        start,
    }
}

/// The bytes of the endless block from a place on: as many as lie together, and no more than so many.
pub(crate) fn piece(block: &[u8], place: u64, most: u64) -> &[u8] {
    let (first, length) = together(place, most);
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    &block[place(first)..place(first + length)]
}

/// Where a place of the endless block lies in the one that is held, and how many bytes follow it there.
pub(crate) fn together(place: u64, most: u64) -> (u64, u64) {
    let first = place % BLOCK;
    (first, most.min(BLOCK - first))
}

/// As digests are written.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}
