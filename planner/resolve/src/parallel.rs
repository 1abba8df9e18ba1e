//! How a model is spread over devices, and which spreads its shape allows.
//!
//! ```text
//!   devices = tensor × pipeline × data      (experts are split over tensor × data where
//!                                             `expert` is set, over tensor alone where not)
//! ```

use std::fmt;

use openmodel_schemas::catalog::AcceleratorKind;

use crate::architecture::Architecture;
use crate::format::Format;

/// A spread over devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Parallelism {
    /// Ranks that split each layer.
    pub(crate) tensor: u32,
    /// Stages that split the layers.
    pub(crate) pipeline: u32,
    /// Ranks with attention and a cache of their own.
    pub(crate) data: u32,
    /// Whole experts on each rank, over `tensor × data`, instead of a slice of each.
    pub(crate) expert: bool,
}

impl Parallelism {
    /// One device.
    pub(crate) const ONE: Self = Self::tensor(1);

    /// Tensor parallelism alone.
    pub(crate) const fn tensor(ranks: u32) -> Self {
        Self {
            tensor: ranks,
            pipeline: 1,
            data: 1,
            expert: false,
        }
    }

    /// Devices it takes.
    pub(crate) const fn devices(self) -> u32 {
        self.tensor
            .saturating_mul(self.pipeline)
            .saturating_mul(self.data)
    }

    /// Ranks that share the routed experts of one layer.
    pub(crate) const fn expert_ranks(self) -> u32 {
        if self.expert {
            self.tensor.saturating_mul(self.data)
        } else {
            self.tensor
        }
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tensor {}", self.tensor)?;
        if self.pipeline > 1 {
            write!(f, ", pipeline {}", self.pipeline)?;
        }
        if self.data > 1 {
            write!(f, ", data {}", self.data)?;
        }
        if self.expert {
            write!(f, ", expert {}", self.expert_ranks())?;
        }
        Ok(())
    }
}

/// Why a model cannot be spread so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Indivisible {
    /// Attention heads.
    Heads { heads: u64, ranks: u32 },
    /// KV heads that are neither split evenly nor repeated evenly.
    KvHeads { heads: u64, ranks: u32 },
    /// The vocabulary, which is padded to multiples of 64.
    Vocabulary { padded: u64, ranks: u32 },
    /// The width of a feed-forward layer or expert, in blocks that share a scale.
    Width { width: u64, ranks: u32, block: u64 },
    /// Whole experts.
    Experts { experts: u64, ranks: u32 },
    /// Layers.
    Layers { layers: u64, stages: u32 },
}

impl fmt::Display for Indivisible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heads { heads, ranks } => {
                write!(f, "{heads} attention heads do not split over {ranks} ranks")
            }
            Self::KvHeads { heads, ranks } => {
                write!(
                    f,
                    "{heads} KV heads neither split nor repeat evenly over {ranks} ranks"
                )
            }
            Self::Vocabulary { padded, ranks } => {
                write!(
                    f,
                    "a vocabulary of {padded} does not split over {ranks} ranks"
                )
            }
            Self::Width {
                width,
                ranks,
                block,
            } => write!(
                f,
                "a width of {width} does not split over {ranks} ranks in blocks of {block}"
            ),
            Self::Experts { experts, ranks } => {
                write!(f, "{experts} experts do not split over {ranks} ranks")
            }
            Self::Layers { layers, stages } => {
                write!(f, "{layers} layers are fewer than {stages} stages")
            }
        }
    }
}

/// Whether a model can be spread so. TPU engines pad what GPU kernels want whole.
pub(crate) fn check(
    architecture: Architecture,
    format: Format,
    parallelism: Parallelism,
    kind: AcceleratorKind,
) -> Result<(), Indivisible> {
    let c = architecture.config;
    let ranks = parallelism.tensor;
    let wide = u64::from(ranks);
    if c.attention_heads > 0 && !c.attention_heads.is_multiple_of(wide) {
        return Err(Indivisible::Heads {
            heads: c.attention_heads,
            ranks,
        });
    }
    let kv = c.kv_heads;
    if c.latent.is_none() && kv > 0 && !kv.is_multiple_of(wide) && !wide.is_multiple_of(kv) {
        return Err(Indivisible::KvHeads { heads: kv, ranks });
    }
    let padded = c.vocab_size.next_multiple_of(64);
    if !padded.is_multiple_of(wide) {
        return Err(Indivisible::Vocabulary { padded, ranks });
    }
    if c.layers > 0 && u64::from(parallelism.pipeline) > c.layers {
        return Err(Indivisible::Layers {
            layers: c.layers,
            stages: parallelism.pipeline,
        });
    }
    match &c.experts {
        Some(experts) if parallelism.expert => {
            let ranks = parallelism.expert_ranks();
            if !experts.count.is_multiple_of(u64::from(ranks)) {
                return Err(Indivisible::Experts {
                    experts: experts.count,
                    ranks,
                });
            }
            Ok(())
        }
        _ if kind == AcceleratorKind::Tpu => Ok(()),
        Some(experts) => width(experts.intermediate_size, block(format), ranks),
        None => width(c.intermediate_size, group(format), ranks),
    }
}

fn width(width: u64, block: u64, ranks: u32) -> Result<(), Indivisible> {
    let wide = u64::from(ranks);
    let slice = width / wide.max(1);
    if width == 0 || ranks == 1 || (width.is_multiple_of(wide) && slice.is_multiple_of(block)) {
        return Ok(());
    }
    Err(Indivisible::Width {
        width,
        ranks,
        block,
    })
}

/// Experts stored in fp8 have one scale for a block of 128×128, which no rank may cut; engines
/// pad the experts of 4-bit float formats instead.
fn block(format: Format) -> u64 {
    match format {
        Format::Fp8 => 128,
        other => group(other),
    }
}

/// Weights that share one scale along the split dimension.
fn group(format: Format) -> u64 {
    match format {
        Format::Int4 { group } => group.max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::{ModelCard, ModelConfig};

    use super::*;
    use crate::testing;

    #[track_caller]
    fn splits(card: &ModelCard, format: Format, tensor: u32) -> Result<(), String> {
        let architecture = Architecture::of(card).expect("known");
        check(
            architecture,
            format,
            Parallelism::tensor(tensor),
            AcceleratorKind::Gpu,
        )
        .map_err(|why| why.to_string())
    }

    #[test]
    fn heads_decide_how_far_a_model_splits() {
        let qwen = testing::qwen_7b();
        for tensor in [1, 2, 4, 7, 14, 28] {
            assert_eq!(
                splits(&qwen, Format::Bf16, tensor).is_ok(),
                matches!(tensor, 1 | 2 | 4 | 28)
                    && qwen_vocabulary().is_multiple_of(u64::from(tensor)),
                "{tensor}"
            );
        }
        let why = splits(&qwen, Format::Bf16, 8).expect_err("28 heads");
        assert_eq!(why, "28 attention heads do not split over 8 ranks");
    }

    fn qwen_vocabulary() -> u64 {
        152_064_u64.next_multiple_of(64)
    }

    #[test]
    fn scales_are_not_cut() {
        // Qwen3-235B: experts of 1,536 in fp8 blocks of 128 split over four ranks, not eight.
        let mut card = testing::qwen3_30b_moe();
        let config: &mut ModelConfig = card.config.as_mut().expect("it has one");
        config.attention_heads = 64;
        config
            .experts
            .as_mut()
            .expect("it has some")
            .intermediate_size = 1536;
        assert!(splits(&card, Format::Fp8, 4).is_ok());
        assert_eq!(
            splits(&card, Format::Fp8, 8).expect_err("192 is no multiple of 128"),
            "a width of 1536 does not split over 8 ranks in blocks of 128"
        );
        assert!(splits(&card, Format::Bf16, 8).is_ok());
    }
}
