//! Weights: the bytes of their files, and the bytes they take on each device.
//!
//! ```text
//!   stored 16 bits ── loaded as they are
//!   stored fp32    ── loaded as bf16: half
//!   stored quantised (fp8, awq, gptq, mxfp4, …) ── loaded as they are
//!   another format ── linear layers in that format, the rest in 16 bits
//!
//!   one device = linear / tensor + KV projections / (KV heads at most) + experts / expert ranks
//!              + what every rank holds whole, of the largest pipeline stage, + rotary tables
//! ```
//!
//! The bytes of the files are the truth; the formula only splits them.

use std::path::Path;

use openmodel_schemas::model_card::{ModelCard, ModelKind, WeightBasis};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::spec::Quantization;

use crate::architecture::{Architecture, ParameterCount, product};
use crate::error::{Fault, Field};
use crate::format::Format;
use crate::parallel::Parallelism;

/// The weights of a model as an engine loads them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights {
    /// Bytes of the files the engine downloads.
    pub(crate) files: Bytes,
    /// How the bytes of the files are known.
    pub(crate) basis: &'static str,
    /// Format of the linear layers in memory.
    pub(crate) format: Format,
    /// Which linear layers are in that format.
    pub(crate) mix: Mix,
    parts: Parts,
    /// Layers that predict further tokens, where `parts` does not hold them.
    prediction: Parts,
}

/// Which linear layers a format is about; the rest is in 16 bits, but for experts with a format of
/// their own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mix {
    /// Experts alone.
    pub(crate) experts_only: bool,
    /// All but attention's projections.
    pub(crate) attention_kept: bool,
    /// Format of the experts, where it is another one.
    pub(crate) experts: Option<Format>,
}

/// Bytes in memory, by how ranks share them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Parts {
    embedding: f64,
    head: f64,
    linear: f64,
    key_value: f64,
    experts: f64,
    whole: f64,
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
        .is_some_and(|config| config.quantization.is_some());
    let Ok(architecture) = Architecture::of(card) else {
        return all;
    };
    if quantised {
        return all;
    }
    for (dtype, format) in [("bfloat16", Format::Bf16), ("fp8", Format::Fp8)] {
        if let Ok(weights) = Weights::in_format(card, architecture, format) {
            all.push(DtypeWeights {
                dtype,
                bytes: weights.loaded(),
            });
        }
    }
    all
}

impl Weights {
    /// The weights of `card` as an engine loads them: as stored (32 bits as bf16), or with
    /// linear layers in the format a request names.
    pub(crate) fn of(
        card: &ModelCard,
        architecture: Architecture,
        quantization: Option<Quantization>,
    ) -> Result<Self, Fault> {
        let stored = stored_format(card, architecture)?;
        let format = match (quantization, stored) {
            (Some(asked), Format::Fp32 | Format::Bf16 | Format::Fp16) => Format::of_request(asked),
            (Some(asked), stored) => {
                let asked_format = Format::of_request(asked);
                if asked_format.as_str() != stored.as_str() {
                    return Err(twice_quantised(card, stored, asked));
                }
                stored
            }
            (None, Format::Fp32) => Format::Bf16,
            (None, stored) => stored,
        };
        Self::in_format(card, architecture, format)
    }

    /// The weights of `card` with linear layers in `format`.
    pub(crate) fn in_format(
        card: &ModelCard,
        architecture: Architecture,
        format: Format,
    ) -> Result<Self, Fault> {
        let stored = stored_format(card, architecture)?;
        let count = architecture.parameters();
        let mix = architecture
            .config
            .quantization
            .as_ref()
            .filter(|_| format != Format::Fp32)
            .map_or_else(Mix::default, |stored| Mix {
                experts_only: stored.experts_only,
                attention_kept: stored.attention_kept,
                experts: stored.expert_bits.and_then(Format::of_expert_bits),
            });
        let known = files(card)?;
        let (files, basis) = match (known, card.parameters, count) {
            (Some(known), ..) => known,
            (None, Some(parameters), Some(count)) => (
                bytes(split(scaled(count, parameters.0), stored, mix).sum()),
                "parameter count",
            ),
            (None, Some(parameters), None) => (
                bytes(float(parameters.0) * stored.bytes_per_weight()),
                "parameter count",
            ),
            (None, None, Some(count)) => {
                (bytes(split(count, stored, mix).sum()), "parameter formula")
            }
            (None, None, None) => {
                return Err(no_weights(
                    card,
                    "it lists no sizes, no parameter count, and too little for the formula",
                ));
            }
        };
        let parts = match count {
            // As stored: the files' bytes, split as the formula splits them.
            Some(count) if same(format, stored) => {
                let total = float(in_memory(card, files, stored, format).0);
                fitted(split(count, format, mix), total)
            }
            // In another format: the true number of parameters, in the new format.
            Some(count) => {
                let parameters = card.parameters.map_or_else(
                    || implied(count, files, stored, mix),
                    |parameters| parameters.0,
                );
                split(scaled(count, parameters), format, mix)
            }
            // An incomplete configuration: all of it is split.
            None => {
                let width = format.bytes_per_weight() / stored.bytes_per_weight();
                Parts {
                    linear: float(files.0) * width,
                    ..Parts::default()
                }
            }
        };
        let prediction = match (architecture.prediction_parameters(), count) {
            // Files that hold much more than the formula's layers hold these too.
            (Some(layers), Some(count)) => {
                let held = known
                    .map(|(files, _)| implied(count, files, stored, mix))
                    .or(card.parameters.map(|parameters| parameters.0))
                    .unwrap_or(0)
                    .saturating_sub(count.total());
                if held.saturating_mul(2) < layers.total() {
                    split(layers, format, mix)
                } else {
                    Parts::default()
                }
            }
            _ => Parts::default(),
        };
        Ok(Self {
            files,
            basis,
            format,
            mix,
            parts,
            prediction,
        })
    }

    /// Bytes in memory on one device that holds all of it, without what loading adds.
    pub(crate) fn loaded(&self) -> Bytes {
        bytes(self.parts.sum())
    }

    /// The same in a repository that is stored so: the files are what is loaded.
    pub(crate) fn as_stored(self) -> Self {
        Self {
            files: self.loaded(),
            ..self
        }
    }

    /// The same in files of so many bytes, which are loaded as they are.
    pub(crate) fn of_files(self, files: Bytes) -> Self {
        Self {
            files,
            basis: "weight files",
            parts: fitted(self.parts, float(files.0)),
            ..self
        }
    }

    /// Bytes that layers predicting further tokens add to the fullest device, the last stage's:
    /// nothing where the files hold them, whose bytes are counted whether they draft or not.
    pub(crate) fn prediction(&self, parallelism: Parallelism) -> Bytes {
        let tensor = float(u64::from(parallelism.tensor.max(1)));
        let experts = float(u64::from(parallelism.expert_ranks().max(1)));
        let parts = self.prediction;
        // KV projections may be repeated; those of one layer are small.
        bytes((parts.linear / tensor) + parts.key_value + parts.experts / experts + parts.whole)
    }

    /// Bytes on the fullest device, with what loading adds: rotary tables, copies of latent
    pub(crate) fn per_device(&self, architecture: Architecture, parallelism: Parallelism) -> Bytes {
        let c = architecture.config;
        let tensor = float(u64::from(parallelism.tensor.max(1)));
        let kv_ranks = if c.latent.is_some() || c.kv_heads == 0 {
            tensor
        } else {
            tensor.min(float(c.kv_heads))
        };
        let parts = self.parts;
        let experts = parts.experts / float(u64::from(parallelism.expert_ranks().max(1)));
        let layers = parts.linear / tensor + parts.key_value / kv_ranks + experts + parts.whole;
        // Engines cut the layers evenly, the rest one each; embeddings lie in the first stage,
        // the head (a copy where it is tied) in the last.
        let stages = u64::from(parallelism.pipeline.max(1));
        let share = if c.layers == 0 {
            1.0 / float(stages)
        } else {
            float(c.layers.div_ceil(stages)) / float(c.layers)
        };
        let edge = if stages == 1 {
            (parts.embedding + parts.head) / tensor
        } else {
            parts.embedding.max(parts.head) / tensor
        };
        bytes(layers * share + edge)
            + rotary_tables(architecture)
            + absorbed(architecture, parallelism)
            + self.kernels()
    }
}

impl Weights {
    /// Buffers that kernels of mxfp4 experts take when they are loaded, on each device (gpt-oss-20b:
    /// 0.65 and 0.82 GiB alone, 0.60 GiB on each of two).
    fn kernels(&self) -> Bytes {
        if self.format == Format::Mxfp4 {
            Bytes::from_gib(0.67)
        } else {
            Bytes(0)
        }
    }
}

impl Parts {
    fn sum(self) -> f64 {
        self.embedding + self.head + self.linear + self.key_value + self.experts + self.whole
    }
}

/// The format the checkpoint is stored in.
pub(crate) fn stored_format(card: &ModelCard, architecture: Architecture) -> Result<Format, Fault> {
    let config = architecture.config;
    if let Some(stored) = &config.quantization {
        return Format::of_checkpoint(stored).ok_or_else(|| Fault {
            field: Field::Model,
            code: "unknown_quantization",
            summary: "Quantisation of the checkpoint is unknown",
            detail: format!(
                "{} is stored with quant_method {:?}{}, whose size per weight is not known here. \
                 Choose a checkpoint in 16 bits, or in fp8, int8, awq, gptq, mxfp4 or nvfp4.",
                card.id,
                stored.method,
                stored
                    .bits
                    .map_or_else(String::new, |bits| format!(" and {bits} bits")),
            ),
        });
    }
    Ok(match config.dtype.as_deref() {
        Some("float32") => Format::Fp32,
        Some("float16") => Format::Fp16,
        _ => Format::Bf16,
    })
}

/// Bytes of the weight files, where they are listed.
fn files(card: &ModelCard) -> Result<Option<(Bytes, &'static str)>, Fault> {
    let Some(weights) = &card.weights else {
        return Ok(None);
    };
    let kind = card
        .config
        .as_ref()
        .map_or(ModelKind::Decoder, |config| config.kind);
    let loadable =
        || kind == ModelKind::Diffusion || card.files.iter().any(|file| is_loadable(&file.path));
    match weights.basis {
        WeightBasis::SafetensorsIndex => Ok(Some((weights.bytes, "safetensors index"))),
        WeightBasis::SingleSafetensors => Ok(Some((weights.bytes, "safetensors file"))),
        WeightBasis::OtherFiles if loadable() => Ok(Some((weights.bytes, "weight files"))),
        WeightBasis::OtherFiles => Err(no_weights(
            card,
            "it has no model.safetensors, no index of several such files, and no .bin or .gguf file",
        )),
    }
}

/// Older formats that engines load too: `pytorch_model-00001-of-00002.bin`, `model-Q4_K_M.gguf`.
fn is_loadable(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "bin" || extension == "gguf")
}

/// Whether loading leaves the bytes of linear layers as they are, but for 32 bits made 16.
fn same(format: Format, stored: Format) -> bool {
    let plain = |format| matches!(format, Format::Fp32 | Format::Bf16 | Format::Fp16);
    format == stored || (plain(format) && plain(stored))
}

/// Bytes in memory of an unquantised or unchanged checkpoint.
fn in_memory(card: &ModelCard, files: Bytes, stored: Format, format: Format) -> Bytes {
    if !matches!(stored, Format::Fp32 | Format::Bf16 | Format::Fp16) {
        return files;
    }
    if format == Format::Fp32 {
        return if stored == Format::Fp32 {
            files
        } else {
            files * 2
        };
    }
    // The Hub counts parameters by the type they are stored in, whatever the configuration says.
    match card.parameters_by_dtype.get("F32") {
        Some(fp32) => files.saturating_sub(Bytes(*fp32) * 2),
        None if card.parameters_by_dtype.is_empty() && stored == Format::Fp32 => Bytes(files.0 / 2),
        None => files,
    }
}

/// Bytes of a count in a format.
fn split(count: ParameterCount, format: Format, mix: Mix) -> Parts {
    let width = format.bytes_per_weight();
    let plain = if format == Format::Fp32 { 4.0 } else { 2.0 };
    let other = if mix.experts_only { plain } else { width };
    let attention = if mix.attention_kept { plain } else { other };
    let experts = mix.experts.map_or(width, Format::bytes_per_weight);
    let linear = count.linear.saturating_sub(count.attention);
    Parts {
        embedding: float(count.embedding) * plain,
        head: float(count.head) * plain,
        linear: float(linear) * other
            + float(count.attention.min(count.linear)) * attention
            + float(count.plain) * plain,
        key_value: float(count.key_value) * attention,
        experts: float(count.experts) * experts,
        whole: float(count.latent) * attention + float(count.replicated) * plain,
    }
}

/// A formula's parts, stretched so that they add up to the true bytes. Embeddings and norms are
/// exact; what the formula misses (biases, towers, prediction layers) is in the layers.
fn fitted(parts: Parts, total: f64) -> Parts {
    let exact = parts.embedding + parts.head + parts.whole;
    let layers = parts.linear + parts.key_value + parts.experts;
    if total > exact && layers > 0.0 {
        let stretch = (total - exact) / layers;
        Parts {
            linear: parts.linear * stretch,
            key_value: parts.key_value * stretch,
            experts: parts.experts * stretch,
            ..parts
        }
    } else {
        Parts {
            linear: total,
            ..Parts::default()
        }
    }
}

/// A formula's count, brought to the true number of parameters. A few more than the formula has
/// are biases and towers, which no quantisation touches; a larger difference is in the layers.
fn scaled(count: ParameterCount, parameters: u64) -> ParameterCount {
    let exact = count.in_16_bits();
    let layers = count.total().saturating_sub(exact);
    let more = parameters.saturating_sub(count.total());
    if more > 0 && more.saturating_mul(20) < parameters {
        return ParameterCount {
            plain: more,
            ..count
        };
    }
    if parameters <= exact || layers == 0 {
        return ParameterCount {
            linear: parameters,
            ..ParameterCount::default()
        };
    }
    let stretch = |part: u64| {
        let wide = u128::from(part) * u128::from(parameters - exact) / u128::from(layers);
        u64::try_from(wide).unwrap_or(u64::MAX)
    };
    ParameterCount {
        linear: stretch(count.linear),
        key_value: stretch(count.key_value),
        experts: stretch(count.experts),
        latent: stretch(count.latent),
        attention: stretch(count.attention),
        ..count
    }
}

/// The number of parameters that files of a stored format hold.
fn implied(count: ParameterCount, files: Bytes, stored: Format, mix: Mix) -> u64 {
    let formula = split(count, stored, mix).sum();
    let ratio = if formula > 0.0 {
        float(files.0) / formula
    } else {
        1.0
    };
    bytes(float(count.total()) * ratio).0
}

/// Tables of rotary embeddings, which each device holds: positions × rotary dimension × 2 bytes.
/// Stretching by a factor makes them longer (gemma-3-4b: 0.56 GiB more than its files).
fn rotary_tables(architecture: Architecture) -> Bytes {
    let c = architecture.config;
    if c.kind != ModelKind::Decoder || architecture.attention_layers() == 0 {
        return Bytes(0);
    }
    let positions = c.max_positions.unwrap_or(0);
    let stretched = c.rope_scaling.as_ref().map_or(positions, |scaling| {
        let factor = scaling.factor.unwrap_or(1.0).clamp(1.0, 1024.0);
        match (scaling.kind.as_str(), scaling.original_positions) {
            ("linear" | "dynamic", _) => bytes(float(positions) * factor).0,
            ("yarn", Some(original)) => bytes(float(original) * factor).0.max(positions),
            _ => positions,
        }
    });
    let dim = c.latent.map_or_else(
        || c.global_head_dim.unwrap_or(c.head_dim),
        |latent| latent.rope_dim,
    );
    let global = product(&[stretched, dim, 2]);
    // Families with windowed layers turn those by another base: a second, unstretched table.
    let local = if architecture.layers().windowed > 0 && c.rope_scaling.is_some() {
        product(&[positions, c.head_dim, 2])
    } else {
        0
    };
    Bytes(global.saturating_add(local))
}

/// Copies of the up-projections of latent attention, absorbed into queries and outputs.
fn absorbed(architecture: Architecture, parallelism: Parallelism) -> Bytes {
    let c = architecture.config;
    let Some(latent) = &c.latent else {
        return Bytes(0);
    };
    let heads = c
        .attention_heads
        .div_ceil(u64::from(parallelism.tensor.max(1)));
    let layers = architecture
        .attention_layers()
        .div_ceil(u64::from(parallelism.pipeline.max(1)));
    let dims = latent.nope_dim.saturating_add(latent.value_dim);
    Bytes(product(&[layers, latent.kv_rank, heads, dims, 2]))
}

fn twice_quantised(card: &ModelCard, stored: Format, asked: Quantization) -> Fault {
    Fault {
        field: Field::Quantization,
        code: "already_quantized",
        summary: "The checkpoint is quantised already",
        detail: format!(
            "{} is stored in {}, so it cannot be made {:?} while loading. Remove quantization, or \
             choose a checkpoint stored in 16 bits.",
            card.id,
            stored.as_str(),
            asked.as_str()
        ),
    }
}

fn no_weights(card: &ModelCard, why: &str) -> Fault {
    Fault {
        field: Field::Model,
        code: "unknown_weights",
        summary: "Weights of the model are unknown",
        detail: format!(
            "The size of the weights of {} is not known: {why}. Choose a model with safetensors \
             files.",
            card.id
        ),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes below 8 PiB are exact")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate; no part is negative"
)]
fn bytes(count: f64) -> Bytes {
    Bytes(count.round() as u64)
}

#[cfg(test)]
mod tests;
