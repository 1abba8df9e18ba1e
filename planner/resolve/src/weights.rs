//! Weights: the bytes of their files, and the bytes they take in accelerator memory.
//!
//! ```text
//!   stored 16 bits ── loaded as they are
//!   stored fp32    ── loaded as bf16: half
//!   stored quantised (fp8, awq, gptq, mxfp4, …) ── loaded as they are
//!   quantization = "fp8" on 16 or 32 bits ── linear layers 1 byte, the rest 2
//! ```

use std::path::Path;

use openmodel_schemas::model_card::{ModelCard, WeightBasis};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::shape::EngineRow;
use openmodel_schemas::spec::Quantization;

use crate::architecture::Architecture;
use crate::error::{Fault, Field};

/// The weights of a model as one engine loads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weights {
    /// Bytes of the files the engine downloads.
    pub(crate) files: Bytes,
    /// Bytes in accelerator memory, without what loading adds.
    pub(crate) loaded: Bytes,
    /// How the bytes of the files are known.
    pub(crate) basis: &'static str,
    /// Least compute capability of the stored quantisation, without its dot.
    pub(crate) min_compute_capability: u32,
}

/// The weights of a model in one data type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DtypeWeights {
    /// `stored`, `bfloat16` or `fp8`.
    pub dtype: &'static str,
    /// Bytes in accelerator memory.
    pub bytes: Bytes,
}

/// What the weights of a model take: as stored, and where the checkpoint is not quantised
/// already, in bf16 and in fp8. A data type that cannot be computed is left out.
#[must_use]
pub fn weights_by_dtype(card: &ModelCard) -> Vec<DtypeWeights> {
    let mut all = Vec::new();
    if let Some(stored) = &card.weights {
        all.push(DtypeWeights {
            dtype: "stored",
            bytes: stored.bytes,
        });
    }
    let quantised = card
        .config
        .as_ref()
        .is_some_and(|config| config.quant_method.is_some());
    let Ok(architecture) = Architecture::of(card) else {
        return all;
    };
    if let (false, Ok(stored)) = (quantised, stored(card, architecture)) {
        all.push(DtypeWeights {
            dtype: "bfloat16",
            bytes: in_16_bits(card, stored.0),
        });
        all.push(DtypeWeights {
            dtype: "fp8",
            bytes: in_fp8(card, architecture, stored.0),
        });
    }
    all
}

/// The weights of `card` as `engine` loads them with `quantization`.
pub(crate) fn weights(
    card: &ModelCard,
    architecture: Architecture,
    quantization: Option<Quantization>,
    engine: &EngineRow,
) -> Result<Weights, Fault> {
    let (files, basis) = stored(card, architecture)?;
    let plain = Weights {
        files,
        loaded: files,
        basis,
        min_compute_capability: BF16_CAPABILITY,
    };
    match (architecture.config.quant_method.as_deref(), quantization) {
        (None, None) => Ok(Weights {
            loaded: in_16_bits(card, files),
            ..plain
        }),
        (None, Some(Quantization::Fp8)) => Ok(Weights {
            loaded: in_fp8(card, architecture, files),
            min_compute_capability: capability(engine, "fp8").unwrap_or(0).max(BF16_CAPABILITY),
            ..plain
        }),
        (Some("fp8"), Some(Quantization::Fp8)) | (Some(_), None) => {
            let method = architecture
                .config
                .quant_method
                .as_deref()
                .unwrap_or_default();
            let min =
                capability(engine, method).ok_or_else(|| unknown_method(card, engine, method))?;
            Ok(Weights {
                min_compute_capability: min,
                ..plain
            })
        }
        (Some(method), Some(asked)) => Err(Fault {
            field: Field::Quantization,
            code: "already_quantized",
            summary: "The checkpoint is quantised already",
            detail: format!(
                "{} is stored as {method:?}, so {} {} cannot make it {:?} while loading. \
                 Remove quantization, or choose a checkpoint stored in 16 bits.",
                card.id,
                engine.name,
                engine.version,
                asked.as_str()
            ),
        }),
    }
}

/// Compute capability that has bf16, without its dot (NVIDIA: Ampere, 8.0).
const BF16_CAPABILITY: u32 = 80;

fn capability(engine: &EngineRow, method: &str) -> Option<u32> {
    engine
        .quantizations
        .iter()
        .find(|row| row.method == method)
        .map(|row| row.min_compute_capability)
}

/// Bytes of the weight files and how they are known.
fn stored(card: &ModelCard, architecture: Architecture) -> Result<(Bytes, &'static str), Fault> {
    if let Some(weights) = &card.weights {
        let pickled = || card.files.iter().any(|file| is_pickled(&file.path));
        return match weights.basis {
            WeightBasis::SafetensorsIndex => Ok((weights.bytes, "safetensors index")),
            WeightBasis::SingleSafetensors => Ok((weights.bytes, "safetensors file")),
            WeightBasis::OtherFiles if pickled() => Ok((weights.bytes, "weight files")),
            WeightBasis::OtherFiles => Err(no_weights(card, "none is a .safetensors or .bin file")),
        };
    }
    if architecture.config.quant_method.is_some() {
        return Err(no_weights(
            card,
            "the checkpoint is quantised and lists no sizes",
        ));
    }
    let (parameters, basis) = match card.parameters {
        Some(parameters) => (parameters.0, "parameter count"),
        None => (architecture.parameters().total(), "parameter formula"),
    };
    let width = if is_fp32(card) { 4 } else { 2 };
    Ok((Bytes(parameters) * width, basis))
}

/// Bytes of unquantised weights loaded in 16 bits.
fn in_16_bits(card: &ModelCard, stored: Bytes) -> Bytes {
    match card.parameters_by_dtype.get("F32") {
        Some(fp32) => stored.saturating_sub(Bytes(*fp32) * 2),
        None if card.parameters_by_dtype.is_empty() && is_fp32(card) => Bytes(stored.0 / 2),
        None => stored,
    }
}

/// Bytes of unquantised weights loaded in fp8: linear layers one byte, everything else
/// (embeddings, output head, norms, routers, towers) two.
fn in_fp8(card: &ModelCard, architecture: Architecture, stored: Bytes) -> Bytes {
    let total = card
        .parameters
        .map_or(in_16_bits(card, stored).0 / 2, |parameters| parameters.0);
    let linear = architecture.parameters().linear.min(total);
    Bytes(linear) + Bytes(total - linear) * 2
}

/// The older format of weights: `pytorch_model-00001-of-00002.bin`.
fn is_pickled(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "bin")
}

fn is_fp32(card: &ModelCard) -> bool {
    card.config
        .as_ref()
        .and_then(|config| config.dtype.as_deref())
        == Some("float32")
}

fn no_weights(card: &ModelCard, why: &str) -> Fault {
    Fault {
        field: Field::Model,
        code: "unknown_weights",
        summary: "Weights of the model are unknown",
        detail: format!(
            "The size of {}'s weights is not known: {why}. Choose a repository with safetensors files.",
            card.id
        ),
    }
}

fn unknown_method(card: &ModelCard, engine: &EngineRow, method: &str) -> Fault {
    let known: Vec<&str> = engine
        .quantizations
        .iter()
        .map(|row| row.method.as_str())
        .collect();
    Fault {
        field: Field::Model,
        code: "unknown_quantization",
        summary: "Stored quantisation of the model is unknown",
        detail: format!(
            "{} is stored with quantization_config.quant_method = {method:?}; known for {} {} are {}. \
             Choose another checkpoint of the model.",
            card.id,
            engine.name,
            engine.version,
            known.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::WeightBytes;
    use openmodel_schemas::quantity::Parameters;

    use super::*;
    use crate::testing;

    fn of(card: &ModelCard, quantization: Option<Quantization>) -> Result<Weights, Fault> {
        weights(
            card,
            Architecture::of(card).expect("known"),
            quantization,
            testing::engine(),
        )
    }

    fn gib(card: &ModelCard, quantization: Option<Quantization>) -> String {
        of(card, quantization)
            .expect("known weights")
            .loaded
            .to_string()
    }

    #[test]
    fn fp8_leaves_embeddings_and_head_in_16_bits() {
        assert_eq!(gib(&testing::llama_8b(), None), "14.96 GiB");
        // vLLM 0.19 measured 8.49 GiB, and 67.72 GiB for Llama-3.3-70B-Instruct-FP8-dynamic.
        assert_eq!(
            gib(&testing::llama_8b(), Some(Quantization::Fp8)),
            "8.46 GiB"
        );
        assert_eq!(
            gib(&testing::llama_70b(), Some(Quantization::Fp8)),
            "67.67 GiB"
        );
    }

    #[test]
    fn fp32_checkpoints_are_loaded_as_bf16() {
        let mut card = testing::llama_8b();
        card.weights = card.weights.map(|w| WeightBytes {
            bytes: w.bytes * 2,
            ..w
        });
        card.parameters_by_dtype = [("F32".to_owned(), 8_030_261_248)].into();
        assert_eq!(gib(&card, None), "14.96 GiB");
        card.parameters_by_dtype.clear();
        card.config.as_mut().expect("it has one").dtype = Some("float32".to_owned());
        assert_eq!(gib(&card, None), "14.96 GiB");
        assert_eq!(
            of(&card, None).expect("known").files.to_string(),
            "29.92 GiB"
        );
    }

    #[test]
    fn a_quantised_checkpoint_stays_as_stored_and_cannot_be_quantised_again() {
        let mut card = testing::llama_8b();
        card.weights = Some(WeightBytes {
            bytes: Bytes::from_gib(5.3),
            basis: WeightBasis::SafetensorsIndex,
        });
        card.config.as_mut().expect("it has one").quant_method = Some("awq".to_owned());
        assert_eq!(gib(&card, None), "5.30 GiB");
        assert_eq!(of(&card, None).expect("known").min_compute_capability, 75);
        let fault = of(&card, Some(Quantization::Fp8)).expect_err("twice quantised");
        assert_eq!(
            (fault.field, fault.code),
            (Field::Quantization, "already_quantized")
        );
        card.config.as_mut().expect("it has one").quant_method = Some("fp8".to_owned());
        assert_eq!(gib(&card, Some(Quantization::Fp8)), "5.30 GiB");
        card.config.as_mut().expect("it has one").quant_method = Some("mystery".to_owned());
        assert_eq!(
            of(&card, None).expect_err("unknown").code,
            "unknown_quantization"
        );
    }

    #[test]
    fn without_an_index_the_parameters_count_and_then_the_formula() {
        let mut card = testing::llama_8b();
        card.weights = None;
        card.parameters = Some(Parameters(8_030_261_248));
        let counted = of(&card, None).expect("counted");
        assert_eq!(
            (counted.basis, counted.loaded),
            ("parameter count", Bytes(16_060_522_496))
        );
        card.parameters = None;
        let computed = of(&card, None).expect("computed");
        assert_eq!(
            (computed.basis, computed.loaded.to_string()),
            ("parameter formula", "14.96 GiB".to_owned())
        );
    }

    #[test]
    fn files_that_no_engine_here_loads_are_refused() {
        let mut card = testing::llama_8b();
        card.weights = Some(WeightBytes {
            bytes: Bytes::gib(5),
            basis: WeightBasis::OtherFiles,
        });
        assert_eq!(of(&card, None).expect_err("gguf").code, "unknown_weights");
    }

    #[test]
    fn a_card_lists_its_weights_by_dtype() {
        let shown: Vec<String> = weights_by_dtype(&testing::gemma_9b())
            .iter()
            .map(|weights| format!("{} {}", weights.dtype, weights.bytes))
            .collect();
        assert_eq!(
            shown,
            ["stored 17.21 GiB", "bfloat16 17.21 GiB", "fp8 9.46 GiB"]
        );
    }
}
