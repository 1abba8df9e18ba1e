//! Formats of weights: bytes of one weight, and the hardware that can multiply them.
//!
//! Only linear layers are held in these formats. Embeddings, the output head, norms and routers
//! stay in 16 bits.

use openmodel_schemas::model_card::StoredQuantization;
use openmodel_schemas::spec::Quantization;

/// How one weight of a linear layer is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Format {
    Fp32,
    Bf16,
    Fp16,
    /// With one scale for a block of weights, or for a tensor.
    Fp8,
    Int8,
    /// Weights that share a 16-bit scale and a 4-bit zero point.
    Int4 {
        group: u64,
    },
    Mxfp4,
    Nvfp4,
    Bnb4,
    Bnb8,
    /// llama.cpp's block formats, by bits of a weight.
    Gguf {
        bits: f64,
    },
}

/// What the matrix units compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compute {
    Bf16,
    Fp8,
    Fp4,
    Int8,
}

impl Format {
    /// Bytes of one weight with its share of the scales.
    ///
    /// Sources: fp8 128×128 blocks with an fp32 scale; AWQ and GPTQ groups of 128 (4 + 16/128 +
    /// 4/128 bits, which gives Qwen3-8B-AWQ's 6,098,853,560 bytes); OCP microscaling (4 + 8/32
    /// bits); NVFP4 (4 + 8/16 bits); bitsandbytes fitted on Phi-4's start-up log (8.63 GiB);
    /// llama.cpp's published bits per weight.
    pub(crate) fn bytes_per_weight(self) -> f64 {
        match self {
            Self::Fp32 => 4.0,
            Self::Bf16 | Self::Fp16 => 2.0,
            Self::Fp8 => 1.0 + 4.0 / (128.0 * 128.0),
            Self::Int8 | Self::Bnb8 => 1.0,
            #[expect(clippy::cast_precision_loss, reason = "a group has at most thousands")]
            Self::Int4 { group } => (4.0 + 20.0 / group.max(1) as f64) / 8.0,
            Self::Mxfp4 => 0.531_25,
            Self::Nvfp4 => 0.5625,
            Self::Bnb4 => 0.529,
            Self::Gguf { bits } => bits / 8.0,
        }
    }

    /// Least NVIDIA compute capability, without its dot, whose kernels multiply it, by vLLM's
    /// `get_min_capability`; below 8.0 there is no bf16, which an engine serves as fp16.
    pub(crate) const fn min_compute_capability(self) -> u32 {
        match self {
            Self::Fp32 | Self::Bf16 | Self::Fp16 | Self::Gguf { .. } | Self::Bnb4 | Self::Bnb8 => {
                70
            }
            Self::Int4 { .. } | Self::Fp8 | Self::Int8 => 75,
            Self::Mxfp4 | Self::Nvfp4 => 80,
        }
    }

    /// What an accelerator computes with, given that it has such units; without them weights are
    /// widened to 16 bits in registers.
    pub(crate) const fn compute(self) -> Compute {
        match self {
            Self::Fp8 => Compute::Fp8,
            Self::Nvfp4 | Self::Mxfp4 => Compute::Fp4,
            Self::Int8 => Compute::Int8,
            _ => Compute::Bf16,
        }
    }

    /// Whether it is one of llama.cpp's.
    pub(crate) const fn is_gguf(self) -> bool {
        matches!(self, Self::Gguf { .. })
    }

    /// The word that is shown.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::Fp16 => "float16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Int4 { .. } => "int4",
            Self::Mxfp4 => "mxfp4",
            Self::Nvfp4 => "nvfp4",
            Self::Bnb4 => "bitsandbytes",
            Self::Bnb8 => "bitsandbytes-8bit",
            Self::Gguf { .. } => "gguf",
        }
    }

    /// The format a request names.
    pub(crate) const fn of_request(quantization: Quantization) -> Self {
        match quantization {
            Quantization::Fp8 => Self::Fp8,
            Quantization::Int8 => Self::Int8,
            Quantization::Awq | Quantization::Gptq => Self::Int4 { group: 128 },
            Quantization::Mxfp4 => Self::Mxfp4,
            Quantization::Nvfp4 => Self::Nvfp4,
            Quantization::Bnb4 => Self::Bnb4,
            Quantization::Bnb8 => Self::Bnb8,
            Quantization::GgufQ8_0 => Self::Gguf { bits: 8.5 },
            Quantization::GgufQ6K => Self::Gguf { bits: 6.56 },
            Quantization::GgufQ5KM => Self::Gguf { bits: 5.69 },
            Quantization::GgufQ4KM => Self::Gguf { bits: 4.85 },
            Quantization::GgufIq4Xs => Self::Gguf { bits: 4.25 },
            Quantization::GgufQ3KM => Self::Gguf { bits: 3.91 },
            Quantization::GgufQ2K => Self::Gguf { bits: 2.63 },
        }
    }

    /// The format of experts that are stored in other bits than the rest: 4-bit floats in blocks.
    pub(crate) const fn of_expert_bits(bits: u64) -> Option<Self> {
        match bits {
            4 => Some(Self::Mxfp4),
            8 => Some(Self::Fp8),
            16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The format a checkpoint is stored in; `None` where its method is not known.
    pub(crate) fn of_checkpoint(stored: &StoredQuantization) -> Option<Self> {
        let group = stored.group_size.unwrap_or(128);
        let by_bits = |bits: u64, float: bool| match (bits, float) {
            (8, true) => Some(Self::Fp8),
            (8, false) => Some(Self::Int8),
            (4, true) if group == 32 => Some(Self::Mxfp4),
            (4, true) => Some(Self::Nvfp4),
            (4, false) => Some(Self::Int4 { group }),
            _ => None,
        };
        match stored.method.as_str() {
            "fp8" | "fbgemm_fp8" | "modelopt_fp8" => Some(Self::Fp8),
            "mxfp4" => Some(Self::Mxfp4),
            "nvfp4" | "modelopt_fp4" => Some(Self::Nvfp4),
            "awq" | "gptq" | "auto-round" | "awq_marlin" | "gptq_marlin" => {
                by_bits(stored.bits.unwrap_or(4), false)
            }
            "bitsandbytes" if stored.bits == Some(8) => Some(Self::Bnb8),
            "bitsandbytes" => Some(Self::Bnb4),
            "modelopt" => by_bits(stored.bits.unwrap_or(4), stored.float.unwrap_or(true)),
            "compressed-tensors" => by_bits(stored.bits?, stored.float.unwrap_or(false)),
            "gguf" => Some(Self::Gguf {
                bits: match stored.bits {
                    Some(8) => 8.5,
                    Some(6) => 6.56,
                    Some(5) => 5.69,
                    Some(3) => 3.91,
                    Some(2) => 2.63,
                    _ => 4.85,
                },
            }),
            _ => None,
        }
    }
}
