//! What bytes are, read once and in order: SHA-256 for the Hub, CRC32C for Cloud Storage.
//!
//! ```text
//!   bytes ──► SHA-256 ──► the Hub's `lfs.oid`; of files that are not in LFS, SHA-1 of a Git blob
//!      └────► CRC32C ───► Cloud Storage's `crc32c`
//! ```
//!
//! SHA-256 goes from the first byte to the last, so a file is one stream. Its state after so many
//! bytes can be put down and taken up by another process ([`Running::put_down`]): a transfer that was
//! killed goes on where it was, without reading again what it has read.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

/// Digests of the bytes so far.
#[derive(Debug, Clone, Default)]
pub struct Running {
    sha256: Sha256,
    /// Of a file that the Hub keeps in Git itself.
    blob: Option<Sha1>,
    crc32c: u32,
    length: u64,
}

/// The digests of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Bytes.
    pub length: u64,
    /// SHA-256 of them.
    pub sha256: Digest<32>,
    /// Git's object id, where it was asked for.
    pub blob: Option<Digest<20>>,
    /// CRC32C (Castagnoli) of them.
    pub crc32c: Crc32c,
}

/// The state of [`Running`], to be written down. Text, so that it fits the metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Midstate {
    /// Bytes so far.
    pub length: u64,
    /// CRC32C so far.
    pub crc32c: Crc32c,
    /// SHA-256's state so far, in hexadecimal.
    pub sha256: String,
}

/// A digest of `N` bytes; shown and written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest<const N: usize>(pub [u8; N]);

/// A CRC32C. Cloud Storage writes it as the Base64 of its four bytes, the highest first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Crc32c(pub u32);

/// Why a text is no digest, or no state of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct DigestError {
    /// The text.
    pub text: String,
    /// What it should be.
    pub what: &'static str,
}

impl Running {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Before the first byte of a file that the Hub keeps in Git: its object id is of a header with
    /// the length, so that must be known.
    #[must_use]
    pub fn of_blob(length: u64) -> Self {
        let mut blob = Sha1::new();
        blob.update(format!("blob {length}\0"));
        Self {
            blob: Some(blob),
            ..Self::default()
        }
    }

    /// Take the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(blob) = &mut self.blob {
            blob.update(bytes);
        }
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.length += bytes.len() as u64;
    }

    /// Bytes so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// CRC32C of the bytes so far.
    #[must_use]
    pub const fn crc32c(&self) -> Crc32c {
        Crc32c(self.crc32c)
    }

    /// After the last byte.
    #[must_use]
    pub fn finish(self) -> Digests {
        Digests {
            length: self.length,
            sha256: Digest(self.sha256.finalize().into()),
            blob: self.blob.map(|blob| Digest(blob.finalize().into())),
            crc32c: Crc32c(self.crc32c),
        }
    }

    /// The state so far, to be taken up later. A file that the Hub keeps in Git is small and is read
    /// again instead; it has none.
    #[must_use]
    pub fn put_down(&self) -> Option<Midstate> {
        if self.blob.is_some() {
            return None;
        }
        Some(Midstate {
            length: self.length,
            crc32c: Crc32c(self.crc32c),
            sha256: hex::encode(self.sha256.serialize()),
        })
    }

    /// Go on from a state that was put down.
    pub fn take_up(state: &Midstate) -> Result<Self, DigestError> {
        let broken = || DigestError {
            text: state.sha256.clone(),
            what: "a state of SHA-256",
        };
        let mut bytes = SerializedState::<Sha256>::default();
        hex::decode_to_slice(&state.sha256, &mut bytes).map_err(|_| broken())?;
        let sha256 = Sha256::deserialize(&bytes).map_err(|_| broken())?;
        Ok(Self {
            sha256,
            blob: None,
            crc32c: state.crc32c.0,
            length: state.length,
        })
    }
}

/// In Cloud Storage's writing: Base64 of the four bytes, the highest first.
impl fmt::Display for Crc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.to_be_bytes()))
    }
}

impl std::str::FromStr for Crc32c {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let bytes = STANDARD.decode(text).ok();
        let four = bytes.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        four.map(|four| Self(u32::from_be_bytes(four)))
            .ok_or_else(|| DigestError {
                text: text.to_owned(),
                what: "a CRC32C as Cloud Storage writes it",
            })
    }
}

impl<const N: usize> fmt::Display for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<const N: usize> std::str::FromStr for Digest<N> {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError {
            text: text.to_owned(),
            what: "a digest in hexadecimal",
        })?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digests(bytes: &[u8]) -> Digests {
        let mut running = Running::of_blob(bytes.len() as u64);
        running.update(bytes);
        running.finish()
    }

    #[test]
    fn digests_are_those_of_other_tools() {
        // sha256sum, git hash-object, and RFC 3720's example of CRC32C.
        let of_nothing = digests(b"");
        assert_eq!(
            of_nothing.sha256.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            of_nothing.blob.map(|blob| blob.to_string()).as_deref(),
            Some("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        );
        assert_eq!(digests(&[0; 32]).crc32c, Crc32c(0x8a91_36aa));
        assert_eq!(digests(b"123456789").crc32c, Crc32c(0xe306_9283));
        // As `gcloud storage hash` prints it.
        assert_eq!(digests(b"123456789").crc32c.to_string(), "4waSgw==");
        assert_eq!("4waSgw==".parse(), Ok(Crc32c(0xe306_9283)));
    }

    #[test]
    fn a_state_that_is_none_is_refused() {
        let state = Midstate {
            length: 0,
            crc32c: Crc32c(0),
            sha256: "00".repeat(7),
        };
        let error = Running::take_up(&state).expect_err("it is too short");
        assert!(error.to_string().contains("a state of SHA-256"), "{error}");
        assert!("0g".repeat(32).parse::<Digest<32>>().is_err());
    }

    proptest! {
        #[test]
        fn what_was_put_down_and_taken_up_is_as_if_it_never_was(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
            cut in 0.0..=1.0_f64,
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small list")]
            let cut = (bytes.len() as f64 * cut) as usize;
            let mut whole = Running::new();
            whole.update(&bytes);
            let mut first = Running::new();
            first.update(&bytes[..cut]);
            let state = first.put_down().expect("it can be put down");
            let text = serde_json::to_string(&state).expect("it can be written");
            let mut second = Running::take_up(&serde_json::from_str(&text).expect("it can be read"))
                .expect("it is a state");
            second.update(&bytes[cut..]);
            prop_assert_eq!(second.finish(), whole.finish());
        }
    }
}
