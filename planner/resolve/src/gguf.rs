//! Which of the models that a repository keeps in GGUF files is served.

use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::gguf::{GgufModel, gguf_models};
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::spec::Quantization;

use crate::error::{Fault, Field};
use crate::needed::has_ending;

/// Whether an engine loads GGUF files.
pub(crate) fn reads(engine: &EngineRow) -> bool {
    engine.formats.iter().any(|format| format == "gguf")
}

/// The model that is asked for, or the only one.
pub(crate) fn served(card: &ModelCard, asked: Option<Quantization>) -> Option<GgufModel<'_>> {
    let mut models = gguf_models(&card.files);
    if let Some(asked) = asked.filter(|asked| asked.gguf().is_some()) {
        // A name that says nothing of its format is taken to be what is asked for.
        let is_bare = models.len() == 1 && models[0].bits().is_none();
        models.retain(|model| is_bare || model.is_stored_as(asked));
    }
    let only = models.pop()?;
    models.is_empty().then_some(only)
}

/// The same; an error where the repository keeps GGUF models and it is not known which one is meant.
pub(crate) fn of_variant(
    card: &ModelCard,
    asked: Option<Quantization>,
) -> Result<Option<GgufModel<'_>>, Fault> {
    let found = served(card, asked);
    let asked = asked.filter(|asked| asked.gguf().is_some());
    let models = gguf_models(&card.files);
    // Beside weights of another kind they are served only where they are asked for.
    let is_meant = asked.is_some() || !has_others(card);
    if !is_meant {
        return Ok(found);
    }
    if let Some(model) = found
        .as_ref()
        .filter(|model| model.files.len() != model.parts)
    {
        return Err(in_parts(card, model));
    }
    if found.is_some() || models.is_empty() {
        return Ok(found);
    }
    let told: Vec<&str> = Quantization::ALL
        .into_iter()
        .filter(|stored| stored.gguf().is_some() && served(card, Some(*stored)).is_some())
        .map(Quantization::as_str)
        .collect();
    let next = match told.as_slice() {
        [] => "No format of quantization tells one of them from the rest; set model to another repository.".to_owned(),
        told => format!("Set quantization to {}.", told.join(" or ")),
    };
    let why = asked.map_or_else(
        || "one of them must be chosen".to_owned(),
        |asked| {
            let named = models.iter().filter(|model| model.is_stored_as(asked));
            let what = match named.count() {
                0 => "none".to_owned(),
                several => several.to_string(),
            };
            format!("quantization = \"{}\" names {what} of them", asked.as_str())
        },
    );
    Err(Fault {
        field: Field::Quantization,
        code: "another_gguf",
        summary: "GGUF model is not chosen",
        detail: format!(
            "{} keeps {} in GGUF files, and {why}. {next}",
            card.id,
            names(&models)
        ),
    })
}

/// Whether it has weights that other engines load.
fn has_others(card: &ModelCard) -> bool {
    let is_other = |path: &str| has_ending(path, "safetensors") || has_ending(path, "bin");
    card.files.iter().any(|file| is_other(&file.path))
}

fn in_parts(card: &ModelCard, model: &GgufModel) -> Fault {
    Fault {
        field: Field::Model,
        code: "incomplete_gguf",
        summary: "GGUF model is not whole",
        detail: format!(
            "{} has {} of the {} files of {}. Set model to a repository that has them all, or quantization to another \
             format.",
            card.id,
            model.files.len(),
            model.parts,
            model.name
        ),
    }
}

/// The first few of them, for a sentence.
fn names(models: &[GgufModel]) -> String {
    const MOST: usize = 6;
    let shown: Vec<&str> = models.iter().take(MOST).map(|model| model.name).collect();
    let shown = shown.join(", ");
    match models.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
