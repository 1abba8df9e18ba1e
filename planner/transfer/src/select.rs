//! Which files of a repository are kept: of a model those that serve, once, and in one format; of a dataset or a
//! space all.
//!
//! ```text
//!   files ─► include? ─► exclude? ─► (nothing included by name) a copy of what is kept anyway? ─► Selection
//!                │           │                                    │
//!                └───────────┴────────────────────────────────────┴──► LeftOut, with the reason and the bytes
//! ```
//!
//! Patterns are those of the Hub's own tools: `*` stands for anything, slashes too, and a folder for
//! all that is in it.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::RepoFile;
use openmodel_schemas::snapshot::RepositoryType;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// What of a repository is kept, by the user's patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Files that are kept; none: all that serve, of a model, and else all.
    pub include: Vec<String>,
    /// Files that are left out whatever else says.
    pub exclude: Vec<String>,
}

/// What is kept of a repository, and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The files that are kept, by path.
    pub files: Vec<RepoFile>,
    /// The others, by path.
    pub left_out: Vec<LeftOut>,
}

/// A file that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path.
    pub path: String,
    /// Its size.
    pub size: Bytes,
    /// Why.
    pub why: Why,
}

/// Why a file is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No pattern of `include` means it.
    NotIncluded,
    /// A pattern of `exclude` means it.
    Excluded,
    /// The same weights in a format that is not loaded where there are safetensors.
    OtherFormat,
    /// The same weights as their author trained them, in a folder or files of their own.
    Original,
    /// It configures Git.
    Git,
}

/// Patterns that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no pattern.
    #[error("{pattern:?} is no pattern: {problem}")]
    Broken {
        /// Which of the lists: `include` or `exclude`.
        list: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It means no file: most likely a slip.
    #[error("{pattern:?} matches none of the {files} files; the nearest is {nearest}")]
    MatchesNothing {
        /// Which of the lists: `include` or `exclude`.
        list: &'static str,
        /// The pattern.
        pattern: String,
        /// How many files there are.
        files: usize,
        /// The file whose name is the most alike.
        nearest: String,
    },
    /// Nothing is left.
    #[error("the patterns leave none of the {0} files")]
    NothingLeft(usize),
}

/// Endings of weights that are not loaded where there are safetensors, and of exports.
const OTHER_FORMATS: [&str; 14] = [
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".h5",
    ".msgpack",
    ".ot",
    ".onnx",
    ".onnx_data",
    ".tflite",
    ".gguf",
    ".mlmodel",
    ".npz",
];

/// Folders with the same weights in another layout: as they were trained (Llama), for Apple's Metal
/// (gpt-oss), exports.
const ORIGINALS: [&str; 6] = [
    "original/",
    "metal/",
    "onnx/",
    "openvino/",
    "coreml/",
    "flax/",
];

impl Patterns {
    /// Apply them to the files of a repository of this kind.
    pub fn select(
        &self,
        kind: RepositoryType,
        files: &[RepoFile],
    ) -> Result<Selection, PatternError> {
        let include = set("include", &self.include, files)?;
        let exclude = set("exclude", &self.exclude, files)?;
        let by_name = !self.include.is_empty();
        // Of a dataset or a space no file is another's weights in another format.
        let safetensors = kind == RepositoryType::Model && has_safetensors(files);
        let mut selection = Selection {
            files: Vec::new(),
            left_out: Vec::new(),
        };
        for file in files {
            let why = if by_name && !include.is_match(&file.path) {
                Some(Why::NotIncluded)
            } else if exclude.is_match(&file.path) {
                Some(Why::Excluded)
            } else if by_name {
                None
            } else {
                copy(&file.path, safetensors)
            };
            match why {
                None => selection.files.push(file.clone()),
                Some(why) => selection.left_out.push(LeftOut {
                    path: file.path.clone(),
                    size: file.size,
                    why,
                }),
            }
        }
        if selection.files.is_empty() && !files.is_empty() {
            return Err(PatternError::NothingLeft(files.len()));
        }
        selection.files.sort_by(|a, b| a.path.cmp(&b.path));
        selection.left_out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(selection)
    }
}

impl Selection {
    /// Names a choice that is another than the one made where nobody chooses: some digits of a digest over
    /// its paths. Two caches with one choice share a folder, whatever their patterns.
    #[must_use]
    pub fn digest(&self, kind: RepositoryType, all: &[RepoFile]) -> Option<String> {
        let usual = Patterns::default().select(kind, all).ok();
        if usual.is_some_and(|usual| usual.files == self.files) {
            return None;
        }
        let paths: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        let digest: Digest<32> = Digest(Sha256::digest(paths.join("\n")).into());
        Some(digest.to_string()[..8].to_owned())
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes that are left out because they are there in another form, not because the user says so.
    #[must_use]
    pub fn saved(&self) -> Bytes {
        let spared = |file: &&LeftOut| !matches!(file.why, Why::NotIncluded | Why::Excluded);
        self.left_out
            .iter()
            .filter(spared)
            .map(|file| file.size)
            .sum()
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotIncluded => "not in include",
            Self::Excluded => "in exclude",
            Self::OtherFormat => "the same weights in another format",
            Self::Original => "the same weights in another layout",
            Self::Git => "configures Git",
        })
    }
}

/// Whether weights are there as safetensors by the Hub's own names: one file or several, of a model or
/// of the parts of a pipeline, or those of an adapter.
fn has_safetensors(files: &[RepoFile]) -> bool {
    files.iter().any(|file| {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        name.ends_with(".safetensors") && !is_consolidated(name)
    })
}

/// Whether the file is there in another form, or serves nobody.
fn copy(path: &str, safetensors: bool) -> Option<Why> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if matches!(name, ".gitattributes" | ".gitignore" | ".gitmodules") {
        return Some(Why::Git);
    }
    if !safetensors {
        return None;
    }
    if ORIGINALS.iter().any(|folder| path.starts_with(folder)) || is_consolidated(name) {
        return Some(Why::Original);
    }
    let lower = name.to_ascii_lowercase();
    OTHER_FORMATS
        .iter()
        .any(|ending| lower.ends_with(ending))
        .then_some(Why::OtherFormat)
}

/// Mistral's and Meta's name for the weights in one layout beside the Hub's.
fn is_consolidated(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("consolidated.") else {
        return false;
    };
    // `consolidated.safetensors`, `consolidated.00.pth`, and the index of several.
    rest == "safetensors.index.json"
        || matches!(rest.rsplit('.').next(), Some("safetensors" | "pth"))
}

/// A list of patterns, each of which must mean a file.
fn set(
    list: &'static str,
    patterns: &[String],
    files: &[RepoFile],
) -> Result<GlobSet, PatternError> {
    let mut all = GlobSetBuilder::new();
    for pattern in patterns {
        let broken = |problem: String| PatternError::Broken {
            list,
            pattern: pattern.clone(),
            problem,
        };
        // As in the Hub's own tools: a folder means what is in it.
        let text = if pattern.ends_with('/') {
            format!("{pattern}*")
        } else {
            pattern.clone()
        };
        let glob = GlobBuilder::new(&text)
            .literal_separator(false)
            .build()
            .map_err(|error| broken(error.kind().to_string()))?;
        let matcher = glob.compile_matcher();
        if !files.is_empty() && !files.iter().any(|file| matcher.is_match(&file.path)) {
            let alike = |file: &&RepoFile| strsim::sorensen_dice(&file.path, pattern);
            let nearest = files.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
            return Err(PatternError::MatchesNothing {
                list,
                pattern: pattern.clone(),
                files: files.len(),
                nearest: nearest.map_or_else(String::new, |file| file.path.clone()),
            });
        }
        all.add(glob);
    }
    all.build().map_err(|error| PatternError::Broken {
        list,
        pattern: patterns.join(", "),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> RepoFile {
        RepoFile {
            path: path.to_owned(),
            size: Bytes::gib(1),
            sha256: None,
            git_oid: String::new(),
        }
    }

    /// `+` kept, `-` left out with the reason.
    fn picture(include: &[&str], exclude: &[&str], paths: &[&str]) -> String {
        picture_of(RepositoryType::Model, include, exclude, paths)
    }

    fn picture_of(
        kind: RepositoryType,
        include: &[&str],
        exclude: &[&str],
        paths: &[&str],
    ) -> String {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let patterns = Patterns {
            include: owned(include),
            exclude: owned(exclude),
        };
        let files: Vec<RepoFile> = paths.iter().copied().map(file).collect();
        match patterns.select(kind, &files) {
            Ok(selection) => {
                let kept = selection
                    .files
                    .iter()
                    .map(|file| format!("+ {}", file.path));
                let not = selection
                    .left_out
                    .iter()
                    .map(|file| format!("- {}: {}", file.path, file.why));
                let lines: Vec<String> = kept.chain(not).collect();
                format!("{}\nsaved {}", lines.join("\n"), selection.saved())
            }
            Err(error) => error.to_string(),
        }
    }

    const LLAMA: [&str; 10] = [
        ".gitattributes",
        "LICENSE",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "original/consolidated.00.pth",
        "original/params.json",
        "pytorch_model.bin",
        "tokenizer.json",
    ];

    #[test]
    fn weights_are_kept_once_in_safetensors() {
        insta::assert_snapshot!(picture(&[], &[], &LLAMA), @"
        + LICENSE
        + config.json
        + model-00001-of-00002.safetensors
        + model-00002-of-00002.safetensors
        + model.safetensors.index.json
        + tokenizer.json
        - .gitattributes: configures Git
        - original/consolidated.00.pth: the same weights in another layout
        - original/params.json: the same weights in another layout
        - pytorch_model.bin: the same weights in another format
        saved 4.00 GiB
        ");
    }

    #[test]
    fn without_safetensors_the_other_formats_are_the_weights() {
        let paths = ["config.json", "pytorch_model.bin", "model-q4.gguf"];
        insta::assert_snapshot!(picture(&[], &[], &paths), @"
        + config.json
        + model-q4.gguf
        + pytorch_model.bin
        saved 0 bytes
        ");
        // Mistral's layout alone is what there is.
        let paths = ["params.json", "consolidated.safetensors", "tekken.json"];
        insta::assert_snapshot!(picture(&[], &[], &paths), @"
        + consolidated.safetensors
        + params.json
        + tekken.json
        saved 0 bytes
        ");
    }

    #[test]
    fn of_a_dataset_or_a_space_every_file_is_kept() {
        let paths = [
            ".gitattributes",
            "embeddings.safetensors",
            "images.npz",
            "onnx/labels.bin",
            "original/rows.h5",
            "train.pt",
        ];
        for kind in [RepositoryType::Dataset, RepositoryType::Space] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(picture_of(kind, &[], &["*.pt"], &paths), @"
                + embeddings.safetensors
                + images.npz
                + onnx/labels.bin
                + original/rows.h5
                - .gitattributes: configures Git
                - train.pt: in exclude
                saved 1.00 GiB
                ");
                insta::assert_snapshot!(picture_of(kind, &["*.npz"], &[], &paths[1..4]), @"
                + images.npz
                - embeddings.safetensors: not in include
                - onnx/labels.bin: not in include
                saved 0 bytes
                ");
            }
        }
    }

    #[test]
    fn what_is_included_by_name_is_kept_whatever_it_is() {
        insta::assert_snapshot!(picture(&["original/", "*.json"], &["tokenizer*"], &LLAMA), @"
        + config.json
        + model.safetensors.index.json
        + original/consolidated.00.pth
        + original/params.json
        - .gitattributes: not in include
        - LICENSE: not in include
        - model-00001-of-00002.safetensors: not in include
        - model-00002-of-00002.safetensors: not in include
        - pytorch_model.bin: not in include
        - tokenizer.json: in exclude
        saved 0 bytes
        ");
    }

    #[test]
    fn only_another_choice_has_a_name() {
        let files: Vec<RepoFile> = LLAMA.iter().copied().map(file).collect();
        let digest = |include: &[&str], exclude: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
            let patterns = Patterns {
                include: owned(include),
                exclude: owned(exclude),
            };
            let kind = RepositoryType::Model;
            let selection = patterns.select(kind, &files).expect("files are left");
            selection.digest(kind, &files)
        };
        assert_eq!(digest(&[], &[]), None);
        assert_eq!(digest(&[], &["pytorch_model.bin"]), None);
        let weights = digest(&["*.safetensors"], &[]).expect("another choice");
        assert_eq!(weights.len(), 8);
        assert_eq!(digest(&["model-*-of-*.safetensors"], &[]), Some(weights));
    }

    #[test]
    fn slips_are_named() {
        insta::assert_snapshot!(picture(&["*.safetensor"], &[], &LLAMA), @r#""*.safetensor" matches none of the 10 files; the nearest is model.safetensors.index.json"#);
        insta::assert_snapshot!(picture(&[], &["model-[0.bin"], &LLAMA), @r#""model-[0.bin" is no pattern: unclosed character class; missing ']'"#);
        insta::assert_snapshot!(picture(&["*.json"], &["*"], &LLAMA), @"the patterns leave none of the 10 files");
    }
}
