//! Models in a repository's GGUF files, told by the names of the files: one model may lie in parts, and a
//! repository often keeps one model in many formats.
//!
//! ```text
//!   m-Q4_K_M.gguf                        one model
//!   m-Q8_0-00001-of-00002.gguf  ┐
//!   m-Q8_0-00002-of-00002.gguf  ┘        another
//!   mmproj-F16.gguf, m-imatrix.gguf      beside a model
//! ```

use std::collections::BTreeMap;

use crate::quantity::Bytes;
use crate::repository::RepoFile;
use crate::spec::Quantization;

/// One model in GGUF files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufModel<'a> {
    /// Its path, without the number of a part and the ending: `Q4_K_M/m-Q4_K_M`.
    pub name: &'a str,
    /// Its one file, or its parts in order.
    pub files: Vec<&'a RepoFile>,
    /// How many parts it has, by their names.
    pub parts: usize,
}

impl GgufModel<'_> {
    /// Bytes of its files.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let bytes = self.files.iter().map(|file| file.size);
        bytes.fold(Bytes(0), |sum, size| sum + size)
    }

    /// Bits of most of its weights, where its name says them (`m-Q4_K_M`, `m-IQ4_XS`: llama.cpp's names of
    /// its types).
    #[must_use]
    pub fn bits(&self) -> Option<u64> {
        let name = self.name.to_lowercase();
        let types = name
            .split(['-', '.', '_', '/'])
            .filter_map(|word| word.strip_prefix('i').unwrap_or(word).strip_prefix('q'));
        let mut bits = types.filter_map(|digits| digits.parse().ok());
        bits.find(|bits| [2, 3, 4, 5, 6, 8].contains(bits))
    }

    /// Whether its name says that it is stored so: `m-Q6_K` is `gguf-q6_k`, and `m-Q6_K_L` is not.
    #[must_use]
    pub fn is_stored_as(&self, quantization: Quantization) -> bool {
        let Some(label) = quantization.gguf() else {
            return false;
        };
        let name = self.name.to_ascii_uppercase();
        let ends = |c: char| !c.is_ascii_alphanumeric();
        name.match_indices(&label).any(|(at, _)| {
            let (before, after) = (&name[..at], &name[at + label.len()..]);
            before.chars().next_back().is_none_or(ends)
                && after.chars().next().is_none_or(|c| ends(c) && c != '_')
        })
    }
}

/// The models that a repository's GGUF files hold, by name.
#[must_use]
pub fn gguf_models(files: &[RepoFile]) -> Vec<GgufModel<'_>> {
    let mut models: BTreeMap<&str, GgufModel> = BTreeMap::new();
    for file in files {
        if let Some((name, parts)) = model(&file.path) {
            let model = models.entry(name).or_insert_with(|| GgufModel {
                name,
                files: Vec::new(),
                parts,
            });
            model.files.push(file);
        }
    }
    for model in models.values_mut() {
        model.files.sort_by(|a, b| a.path.cmp(&b.path));
    }
    models.into_values().collect()
}

/// The model that a file is of, and in how many parts; none for what lies beside one: the encoder of images (`mmproj`) and the
/// weights' importance.
fn model(path: &str) -> Option<(&str, usize)> {
    let stem = path.strip_suffix(".gguf")?;
    let name = stem.rsplit('/').next().unwrap_or_default();
    if name.contains("mmproj") || name.contains("imatrix") {
        return None;
    }
    let part = stem.rsplit_once("-of-").and_then(|(rest, count)| {
        let (name, number) = rest.rsplit_once('-')?;
        number.parse::<usize>().ok()?;
        Some((name, count.parse().ok()?))
    });
    Some(part.unwrap_or((stem, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<RepoFile> {
        let file = |path: &&str| RepoFile {
            path: (*path).to_owned(),
            size: Bytes(3),
            sha256: None,
            git_oid: String::new(),
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn parts_are_one_model_and_what_lies_beside_is_none() {
        let files = files(&[
            "Q8_0/m-Q8_0-00002-of-00002.gguf",
            "Q8_0/m-Q8_0-00001-of-00002.gguf",
            "m-Q4_K_M.gguf",
            "m-imatrix.gguf",
            "mmproj-m-F16.gguf",
            "config.json",
            "best-of-3.gguf",
        ]);
        let models = gguf_models(&files);
        let shown: Vec<(&str, Vec<&str>, Bytes)> = models
            .iter()
            .map(|model| {
                let paths = model.files.iter().map(|file| file.path.as_str());
                (model.name, paths.collect(), model.bytes())
            })
            .collect();
        let parts = [
            "Q8_0/m-Q8_0-00001-of-00002.gguf",
            "Q8_0/m-Q8_0-00002-of-00002.gguf",
        ];
        assert_eq!(
            shown,
            [
                ("Q8_0/m-Q8_0", parts.to_vec(), Bytes(6)),
                ("best-of-3", vec!["best-of-3.gguf"], Bytes(3)),
                ("m-Q4_K_M", vec!["m-Q4_K_M.gguf"], Bytes(3)),
            ]
        );
    }

    #[test]
    fn a_name_says_how_a_model_is_stored() {
        let stored = |path: &str| {
            let files = files(&[path]);
            let models = gguf_models(&files);
            let by = |quantization: &Quantization| models[0].is_stored_as(*quantization);
            let words: Vec<&str> = Quantization::ALL
                .into_iter()
                .filter(by)
                .map(Quantization::as_str)
                .collect();
            (words, models[0].bits())
        };
        for (path, word, bits) in [
            ("Llama-3.1-8B-Q4_K_M.gguf", Some("gguf-q4_k_m"), Some(4)),
            ("m.q8_0.gguf", Some("gguf-q8_0"), Some(8)),
            ("m_IQ4_XS.gguf", Some("gguf-iq4_xs"), Some(4)),
            ("Q2_K/m-00001-of-00002.gguf", Some("gguf-q2_k"), Some(2)),
            ("m-Q6_K_L.gguf", None, Some(6)),
            ("m-UD-Q2_K_XL.gguf", None, Some(2)),
            ("m-IQ3_XS.gguf", None, Some(3)),
            ("m-f16.gguf", None, None),
        ] {
            assert_eq!(stored(path), (word.into_iter().collect(), bits), "{path}");
        }
    }
}
