//! Weight files: a true safetensors header, then values computed from their place.
//!
//! A 70B checkpoint is served without being held anywhere: the header names every tensor with its
//! true shape and offset, and the value at an offset is a function of the offset.

use std::ops::Range;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::tensors::Tensor;
use crate::http::Source;
use crate::ids;

/// Largest shard in bytes; what `save_pretrained` calls 5 GB.
const SHARD: u64 = 5_000_000_000;

/// A file whose start is given and whose rest is computed.
pub(crate) struct Weights {
    header: Bytes,
    size: u64,
    seed: u64,
}

impl Weights {
    /// A safetensors file of these tensors.
    fn new(tensors: &[Tensor], seed: u64) -> Self {
        let header = header(tensors);
        let size = header.len() as u64 + tensors.iter().map(Tensor::bytes).sum::<u64>();
        Self {
            header: header.into(),
            size,
            seed,
        }
    }

    /// `size` bytes without a header.
    pub(crate) fn plain(size: u64, seed: u64) -> Self {
        Self {
            header: Bytes::new(),
            size,
            seed,
        }
    }

    /// SHA-256 of the bytes that are served.
    pub(crate) fn sha256(&self) -> String {
        const CHUNK: u64 = 1 << 20;
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < self.size {
            let end = self.size.min(at + CHUNK);
            hash.update(self.read(at..end));
            at = end;
        }
        ids::hex(&hash.finalize())
    }

    /// Eight bytes at a multiple of eight: four small bfloat16 numbers of either sign.
    fn word(&self, index: u64) -> [u8; 8] {
        // SplitMix64, <https://prng.di.unimi.it/splitmix64.c>
        let mut mixed = self
            .seed
            .wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((mixed & 0x80ff_80ff_80ff_80ff) | 0x3c00_3c00_3c00_3c00).to_le_bytes()
    }
}

impl Source for Weights {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        let length = usize::try_from(range.end - range.start).unwrap_or(0);
        let mut bytes = Vec::with_capacity(length + 8);
        let head = self.header.len() as u64;
        if range.start < head {
            bytes.extend_from_slice(&self.header.read(range.start..range.end.min(head)));
        }
        let start = range.start.max(head);
        let mut word = start / 8;
        let mut skip = usize::try_from(start % 8).unwrap_or(0);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.word(word)[skip..]);
            skip = 0;
            word += 1;
        }
        bytes.truncate(length);
        bytes.into()
    }
}

/// The files of a checkpoint: `model.safetensors`, or shards and their index.
pub(crate) struct Checkpoint {
    pub(crate) files: Vec<(String, Weights)>,
    /// `model.safetensors.index.json`, when there is more than one file.
    pub(crate) index: Option<Value>,
}

/// Split tensors into shards as `save_pretrained` does: in order, each as full as it may be.
pub(crate) fn checkpoint(tensors: &[Tensor], id: &str) -> Checkpoint {
    let mut shards: Vec<Vec<Tensor>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in tensors {
        if filled > 0 && filled + tensor.bytes() > SHARD {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += tensor.bytes();
        if let Some(shard) = shards.last_mut() {
            shard.push(tensor.clone());
        }
    }
    let count = shards.len();
    let mut files = Vec::new();
    let mut places = Map::new();
    for (at, shard) in shards.iter().enumerate() {
        let name = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", at + 1),
        };
        places.extend(
            shard
                .iter()
                .map(|tensor| (tensor.name.clone(), Value::from(name.as_str()))),
        );
        let bytes = ids::digest(0, &["weights", id, &name]);
        let seed = bytes[..8]
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        files.push((name, Weights::new(shard, seed)));
    }
    let total: u64 = tensors.iter().map(Tensor::bytes).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": places});
    Checkpoint {
        files,
        index: (count > 1).then_some(index),
    }
}

/// Length in eight bytes, then JSON, padded with spaces to a multiple of eight.
fn header(tensors: &[Tensor]) -> Vec<u8> {
    let mut members = Map::new();
    members.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes();
        let entry =
            json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]});
        members.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut text = Value::Object(members).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let tensor = |name: &str, shape: &[u64]| Tensor {
            name: name.to_owned(),
            dtype: "BF16",
            shape: shape.to_vec(),
        };
        Weights::new(&[tensor("a", &[3, 5]), tensor("b", &[7])], 1)
    }

    #[test]
    fn the_header_is_that_of_safetensors() {
        let weights = weights();
        let length = u64::from_le_bytes(weights.read(0..8)[..].try_into().expect("eight bytes"));
        let header: Value = serde_json::from_slice(&weights.read(8..8 + length)).expect("JSON");
        assert_eq!(header["a"]["data_offsets"], json!([0, 30]));
        assert_eq!(header["b"]["data_offsets"], json!([30, 44]));
        assert_eq!(weights.size(), 8 + length + 44);
    }

    #[test]
    fn a_range_reads_the_same_bytes_as_the_whole() {
        let weights = weights();
        let whole = weights.read(0..weights.size());
        assert_eq!(whole.len() as u64, weights.size());
        for start in 0..weights.size() {
            for end in start + 1..=weights.size() {
                let slice = whole.read(start..end);
                assert_eq!(weights.read(start..end), slice, "{start}..{end}");
            }
        }
    }
}
