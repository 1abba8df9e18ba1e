//! Which format a file has, and whether it is allowed.

use openmodel_schemas::repository::{FileScan, RepoFile, RepositoryCard};

use super::{Asker, Finding, Gates, Verdict, listing, naming};

/// Formats by the word of `formats`, with the endings that it stands for, without their dot. A file of
/// another ending (a configuration, a tokenizer, a page) is of no format, and always passes.
///
/// The endings of `pickle` are those that the Hub's import scanner takes for one whatever is in them
/// (picklescan 1.0, `_pytorch_file_extensions` and `_pickle_file_extensions`), without its `.dat` and
/// `.data`, which are as often something else: such a file counts where the Hub found imports in it.
/// `.npy` and `.npz` are not among them: `numpy` has refused pickles in them since 1.16.3.
pub const FORMATS: [(&str, &[&str]); 16] = [
    ("safetensors", &["safetensors"]),
    ("gguf", &["gguf"]),
    (PICKLE, &PICKLES),
    ("onnx", &["onnx", "onnx_data"]),
    ("openvino", &[]),
    ("h5", &["h5", "keras"]),
    ("msgpack", &["msgpack"]),
    ("tflite", &["tflite"]),
    ("rust", &["ot"]),
    ("coreml", &["mlmodel", "mlpackage"]),
    ("numpy", &["npy", "npz"]),
    ("parquet", &["parquet"]),
    ("arrow", &["arrow"]),
    ("csv", &["csv", "tsv"]),
    ("jsonl", &["jsonl"]),
    ("archive", &["tar", "zip", "gz", "zst", "7z"]),
];

/// The format that runs code when it is loaded.
const PICKLE: &str = "pickle";

const PICKLES: [&str; 7] = ["bin", "pt", "pth", "ckpt", "pkl", "pickle", "joblib"];

const FIELD: &str = "formats";

/// Whether `formats` may hold this word.
#[must_use]
pub fn is_format(word: &str) -> bool {
    FORMATS
        .iter()
        .any(|(format, endings)| *format == word || endings.contains(&word))
}

/// Whether the words let pickles in.
pub(super) fn lets_pickles_in(gates: &Gates) -> bool {
    let pickle = |word: &String| word == PICKLE || PICKLES.contains(&word.as_str());
    gates
        .formats
        .as_ref()
        .is_some_and(|words| words.iter().any(pickle))
}

pub(super) fn judge(
    gates: &Gates,
    card: &RepositoryCard,
    kept: &[RepoFile],
    verdict: &mut Verdict,
) {
    let (mut pickles, mut others) = (Vec::new(), Vec::new());
    for file in kept {
        let Some(format) = format_of(file, card) else {
            continue;
        };
        let allowed = match &gates.formats {
            Some(words) => words
                .iter()
                .any(|word| word == format || Some(word.as_str()) == ending(&file.path).as_deref()),
            None => format != PICKLE,
        };
        match (allowed, format) {
            (true, _) => {}
            (false, PICKLE) => pickles.push(file.path.as_str()),
            (false, _) => others.push(file.path.as_str()),
        }
    }
    if !pickles.is_empty() {
        let (are, them) = if pickles.len() == 1 {
            ("is a pickle", "it")
        } else {
            ("are pickles", "them")
        };
        let move_on = match gates.asker {
            Asker::Cache => format!(
                "Leave {them} out with exclude if safetensors are there too, choose a repository or revision with \
                 safetensors"
            ),
            Asker::Endpoint => "Choose a repository or revision with safetensors".to_owned(),
        };
        verdict.refused.push(Finding {
            attribute: FIELD,
            summary: "A pickle runs code when it is loaded",
            detail: format!(
                "{} {are}, by name or by what the Hub found inside. {move_on}, or add \"{PICKLE}\" to formats if you \
                 trust {}.",
                naming(&pickles),
                card.repository.id
            ),
        });
    }
    if let (Some(words), false) = (&gates.formats, others.is_empty()) {
        verdict.refused.push(Finding {
            attribute: FIELD,
            summary: "Format is not allowed",
            detail: format!(
                "formats allows {}; not among them: {}. {}, or add its format.",
                listing(words),
                naming(&others),
                match gates.asker {
                    Asker::Cache => "Leave out with exclude what is not needed",
                    Asker::Endpoint => "Choose another repository or revision",
                }
            ),
        });
    }
}

/// The word of a file's format; `None` for one that is of none.
fn format_of(file: &RepoFile, card: &RepositoryCard) -> Option<&'static str> {
    let imports = |scan: &FileScan| !scan.imports.is_empty();
    if card.scans.get(&file.path).is_some_and(imports) {
        return Some(PICKLE);
    }
    let ending = ending(&file.path)?;
    // `openvino_model.bin` beside its `.xml`: arrays, as that engine writes them.
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if name.starts_with("openvino_") {
        return (ending == "bin").then_some("openvino");
    }
    let of = |(_, endings): &&(&str, &[&str])| endings.contains(&ending.as_str());
    FORMATS.iter().find(of).map(|(word, _)| *word)
}

pub(super) fn ending(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    Some(name.rsplit_once('.')?.1.to_ascii_lowercase())
}
