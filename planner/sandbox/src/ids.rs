//! Names that a server would invent, derived from the seed and from what they name.
//!
//! The same requests against the same seed give the same ids in any order of arrival, because
//! an id depends on the thing it names and on how often that name was used, not on a counter.

use sha2::{Digest, Sha256};

/// SHA-256 over the parts, each closed by a zero byte.
pub(crate) fn digest(seed: u64, parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(hex_digit)
        .collect()
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

/// A version 4 UUID of the parts.
pub(crate) fn uuid(seed: u64, parts: &[&str]) -> String {
    let mut bytes = digest(seed, parts);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex(&bytes[..16]);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

/// `length` lowercase letters.
pub(crate) fn letters(seed: u64, parts: &[&str], length: usize) -> String {
    digest(seed, parts)
        .iter()
        .take(length)
        .map(|byte| char::from(b'a' + byte % 26))
        .collect()
}

/// An opaque version mark, quoted as Google's are.
pub(crate) fn etag(seed: u64, parts: &[&str]) -> String {
    format!("\"{}\"", &hex(&digest(seed, parts))[..24])
}

/// The number of a project: twelve digits, the same in every sandbox.
pub(crate) fn project_number(project: &str) -> u64 {
    let bytes = digest(0, &["project", project]);
    let value = bytes[..8]
        .iter()
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    100_000_000_000 + value % 900_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_seed_and_the_name() {
        assert_eq!(uuid(1, &["a"]), uuid(1, &["a"]));
        assert_ne!(uuid(1, &["a"]), uuid(2, &["a"]));
        assert_ne!(uuid(1, &["ab", "c"]), uuid(1, &["a", "bc"]));
        assert_eq!(uuid(1, &["a"]).len(), 36);
        assert_eq!(uuid(1, &["a"]).as_bytes()[14], b'4');
        assert_eq!(project_number("acme-ml").to_string().len(), 12);
    }
}
