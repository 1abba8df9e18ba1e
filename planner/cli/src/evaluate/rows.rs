//! Rows of a CSV file of measurements, and the models they name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::spec::Quantization;

use crate::models_file::ModelsFile;

/// One row: column name to text. A column that is missing reads as empty.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    columns: BTreeMap<String, String>,
}

impl Row {
    /// The text of a column, trimmed.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", |text| text.trim())
    }

    /// The number of a column; `None` where it is empty or no number.
    pub(crate) fn number(&self, column: &str) -> Option<f64> {
        self.text(column)
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
    }

    /// The whole number of a column.
    pub(crate) fn whole(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok()
    }
}

/// All rows of a file, whose header must have `needed`.
pub(crate) fn read(path: &Path, needed: &[&str]) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let header = reader
        .headers()
        .with_context(|| format!("{} has no header", path.display()))?
        .clone();
    for column in needed {
        anyhow::ensure!(
            header.iter().any(|name| name.trim() == *column),
            "{} has no column {column:?}; its columns are {}",
            path.display(),
            header.iter().collect::<Vec<_>>().join(", ")
        );
    }
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.with_context(|| format!("{}, row {}", path.display(), index + 1))?;
        let columns = header
            .iter()
            .zip(record.iter())
            .map(|(name, text)| (name.trim().to_owned(), text.to_owned()))
            .collect();
        rows.push(Row { columns });
    }
    Ok(rows)
}

/// A model a row names, and the format its name says it is stored in.
#[derive(Debug, Clone)]
pub(crate) struct Named<'a> {
    pub(crate) card: &'a ModelCard,
    /// The format that the name or the row says, where the facts are those of the model it was
    /// made from.
    pub(crate) quantization: Option<Quantization>,
}

/// Find a model by the name a row gives it: as it stands, then as the model it was made from by
/// quantising, tuning or renaming.
pub(crate) fn named<'a>(models: &'a ModelsFile, name: &str, format: &str) -> Option<Named<'a>> {
    let name = name
        .split(" (")
        .next()
        .unwrap_or(name)
        .trim()
        .replace(' ', "-");
    let stated = quantization_in(format);
    if let Some(card) = models.find(&name) {
        let own = card
            .config
            .as_ref()
            .is_some_and(|config| config.quantization.is_some());
        return Some(Named {
            card,
            quantization: if own {
                None
            } else {
                stated.or_else(|| quantization_in(&name))
            },
        });
    }
    let stripped = strip(&name);
    let bases = [
        stripped.clone(),
        format!("{stripped}-instruct"),
        format!("{stripped}-it"),
        format!("meta-{stripped}"),
        format!("{stripped}-hf"),
        format!("{stripped}-bf16"),
        stripped.trim_start_matches("meta-").to_owned(),
        format!("{}-instruct", stripped.trim_start_matches("meta-")),
        stripped.trim_end_matches("-instruct").to_owned(),
        stripped.trim_end_matches("-it").to_owned(),
    ];
    let card = bases.iter().find_map(|base| models.find(base))?;
    let own = card
        .config
        .as_ref()
        .is_some_and(|config| config.quantization.is_some());
    Some(Named {
        card,
        quantization: if own {
            None
        } else {
            stated.or_else(|| quantization_in(&name))
        },
    })
}

/// A name without what quantising adds to it.
fn strip(name: &str) -> String {
    let name = name.to_lowercase();
    let name = name.rsplit('/').next().unwrap_or(&name);
    let ends = [
        "-block",
        "-v2",
        "-fp8-dynamic",
        "-fp8-static-pertensor",
        "-fp8",
        "-quantized.w8a8",
        "-quantized.w4a16",
        "-nvfp4",
        "-awq-int4",
        "-awq",
        "-gptq-int4",
        "-gptq-int8",
        "-gptq-4bit",
        "-gptq",
        "-bnb-4bit",
        "-4bit",
        "-bf16",
        "-fp16",
        "-dynamic",
    ];
    let mut name = name;
    while let Some(shorter) = ends.iter().find_map(|end| name.strip_suffix(end)) {
        name = shorter;
    }
    name.to_owned()
}

/// The format a text names, if it names one.
pub(crate) fn quantization_in(text: &str) -> Option<Quantization> {
    let text = text.to_lowercase();
    // "kv fp8" is about the cache.
    let text = text
        .replace("kv fp8", "")
        .replace("fp8_e5m2 kv", "")
        .replace("fp8 kv", "");
    let has = |word: &str| text.contains(word);
    if has("nvfp4") {
        Some(Quantization::Nvfp4)
    } else if has("mxfp4") {
        Some(Quantization::Mxfp4)
    } else if has("w8a8") || has("int8") {
        Some(Quantization::Int8)
    } else if has("w4a16") || has("awq") {
        Some(Quantization::Awq)
    } else if has("gptq") {
        Some(Quantization::Gptq)
    } else if has("fp8") {
        Some(Quantization::Fp8)
    } else if has("bnb") || has("nf4") || has("bitsandbytes") {
        Some(Quantization::Bnb4)
    } else if has("int4") || has("4bit") || has("4-bit") {
        Some(Quantization::Gptq)
    } else {
        None
    }
}

/// A model whose parameters are known: the one a row names, or the one it was made from.
pub(crate) fn with_parameters<'a>(models: &'a ModelsFile, name: &str) -> Option<&'a ModelCard> {
    let counted = |card: &&ModelCard| card.parameters.is_some();
    let renamed = name.to_lowercase().replace("deepseek-v3.1", "deepseek-v3");
    [name, &renamed]
        .iter()
        .find_map(|name| {
            models.find(name).filter(counted).or_else(|| {
                named(models, &strip(name), "")
                    .map(|named| named.card)
                    .filter(counted)
            })
        })
        .or_else(|| named(models, name, "").map(|named| named.card))
}
