//! Models, accelerators and setups that the tests share.

use std::sync::LazyLock;

use openmodel_schemas::throughput::{EMBEDDED_THROUGHPUT, ThroughputDocument};

use super::{Arithmetic, Attention, DeviceSpeed, ModelSpeed, Setup};

pub(crate) fn constants() -> &'static ThroughputDocument {
    static CONSTANTS: LazyLock<ThroughputDocument> =
        LazyLock::new(|| serde_json::from_str(EMBEDDED_THROUGHPUT).expect("sound constants"));
    &CONSTANTS
}

pub(crate) const LLAMA_8B: ModelSpeed = ModelSpeed {
    layers: 32.0,
    hidden: 4096.0,
    dense_parameters: 8_030_000_000.0,
    expert_parameters: 0.0,
    experts: 0.0,
    experts_per_token: 0.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 131_072.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 131_072.0,
    state_bytes: 0.0,
};
pub(crate) const LLAMA_70B: ModelSpeed = ModelSpeed {
    layers: 80.0,
    hidden: 8192.0,
    dense_parameters: 70_554_000_000.0,
    expert_parameters: 0.0,
    experts: 0.0,
    experts_per_token: 0.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 327_680.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 655_360.0,
    state_bytes: 0.0,
};
pub(crate) const QWEN3_32B: ModelSpeed = ModelSpeed {
    layers: 64.0,
    hidden: 5120.0,
    dense_parameters: 32_762_000_000.0,
    expert_parameters: 0.0,
    experts: 0.0,
    experts_per_token: 0.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 262_144.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 524_288.0,
    state_bytes: 0.0,
};
pub(crate) const QWEN3_235B: ModelSpeed = ModelSpeed {
    layers: 94.0,
    hidden: 4096.0,
    dense_parameters: 8_007_000_000.0,
    expert_parameters: 227_083_000_000.0,
    experts: 128.0,
    experts_per_token: 8.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 192_512.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 4.0,
    attention_width: 770_048.0,
    state_bytes: 0.0,
};
pub(crate) const MINIMAX_M2: ModelSpeed = ModelSpeed {
    layers: 62.0,
    hidden: 3072.0,
    dense_parameters: 2_903_000_000.0,
    expert_parameters: 227_097_000_000.0,
    experts: 256.0,
    experts_per_token: 8.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 253_952.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 380_928.0,
    state_bytes: 0.0,
};
pub(crate) const GPT_OSS_120B: ModelSpeed = ModelSpeed {
    layers: 36.0,
    hidden: 2880.0,
    dense_parameters: 1_527_000_000.0,
    expert_parameters: 115_303_000_000.0,
    experts: 128.0,
    experts_per_token: 4.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 36_864.0,
    window_kv_bytes_per_token: 36_864.0,
    window_tokens: 128.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 73_728.0,
    state_bytes: 0.0,
};
pub(crate) const DEEPSEEK_V3: ModelSpeed = ModelSpeed {
    layers: 61.0,
    hidden: 7168.0,
    dense_parameters: 16_548_000_000.0,
    expert_parameters: 654_452_000_000.0,
    experts: 256.0,
    experts_per_token: 8.0,
    attention: Attention::Latent,
    kv_bytes_per_token: 70_272.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 128.0,
    attention_width: 1_499_136.0,
    state_bytes: 0.0,
};
pub(crate) const GLM_5: ModelSpeed = ModelSpeed {
    layers: 78.0,
    hidden: 6144.0,
    dense_parameters: 17_290_000_000.0,
    expert_parameters: 726_710_000_000.0,
    experts: 256.0,
    experts_per_token: 8.0,
    attention: Attention::Latent,
    kv_bytes_per_token: 89_856.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 2048.0,
    kv_heads: 64.0,
    attention_width: 1_277_952.0,
    state_bytes: 0.0,
};
pub(crate) const QWEN35_397B: ModelSpeed = ModelSpeed {
    layers: 60.0,
    hidden: 4096.0,
    dense_parameters: 9_430_000_000.0,
    expert_parameters: 387_570_000_000.0,
    experts: 512.0,
    experts_per_token: 10.0,
    attention: Attention::Hybrid,
    kv_bytes_per_token: 30_720.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 2.0,
    attention_width: 122_880.0,
    state_bytes: 188_743_680.0,
};
pub(crate) const L4: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-l4",
    compute_capability: 8.9,
    bandwidth_gb_s: 300.0,
    bf16_tflops: 121.0,
    fp8_tflops: 242.0,
    fp4_tflops: 0.0,
    link_gb_s: 32.0,
};
pub(crate) const H100: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-h100-80gb",
    compute_capability: 9.0,
    bandwidth_gb_s: 3350.0,
    bf16_tflops: 989.0,
    fp8_tflops: 1979.0,
    fp4_tflops: 0.0,
    link_gb_s: 450.0,
};
pub(crate) const H200: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-h200-141gb",
    compute_capability: 9.0,
    bandwidth_gb_s: 4800.0,
    bf16_tflops: 989.0,
    fp8_tflops: 1979.0,
    fp4_tflops: 0.0,
    link_gb_s: 450.0,
};
pub(crate) const B200: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-b200",
    compute_capability: 10.0,
    bandwidth_gb_s: 7700.0,
    bf16_tflops: 2250.0,
    fp8_tflops: 4500.0,
    fp4_tflops: 9000.0,
    link_gb_s: 900.0,
};
pub(crate) const GB200: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-gb200",
    compute_capability: 10.0,
    bandwidth_gb_s: 8000.0,
    bf16_tflops: 2500.0,
    fp8_tflops: 5000.0,
    fp4_tflops: 10_000.0,
    link_gb_s: 900.0,
};
pub(crate) const GB300: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-gb300",
    compute_capability: 10.3,
    bandwidth_gb_s: 8000.0,
    bf16_tflops: 2500.0,
    fp8_tflops: 5000.0,
    fp4_tflops: 15_000.0,
    link_gb_s: 900.0,
};

pub(crate) const fn dense_setup(engine: &str, tensor: u32, arithmetic: Arithmetic) -> Setup<'_> {
    let bytes = match arithmetic {
        Arithmetic::Bf16 => 2.0,
        Arithmetic::Fp8 => 1.0,
        Arithmetic::Fp4 => 0.5625,
    };
    Setup {
        engine,
        tensor,
        pipeline: 1,
        data: 1,
        expert: 1,
        dense_bytes_per_parameter: bytes,
        expert_bytes_per_parameter: bytes,
        arithmetic,
    }
}

pub(crate) const fn moe_setup(engine: &str, tensor: u32, expert: u32, bytes: f64) -> Setup<'_> {
    let narrow = bytes < 1.0;
    Setup {
        engine,
        tensor,
        pipeline: 1,
        data: 1,
        expert,
        dense_bytes_per_parameter: if narrow { 2.0 } else { bytes },
        expert_bytes_per_parameter: bytes,
        arithmetic: if narrow {
            Arithmetic::Bf16
        } else {
            Arithmetic::Fp8
        },
    }
}

/// One case of each family, measured and not.
pub(crate) const CASES: [(&ModelSpeed, DeviceSpeed<'static>, Setup<'static>); 6] = [
    (&LLAMA_70B, H100, dense_setup("vllm", 4, Arithmetic::Fp8)),
    (&LLAMA_8B, L4, dense_setup("vllm", 2, Arithmetic::Bf16)),
    (&DEEPSEEK_V3, H200, moe_setup("sglang", 8, 8, 1.0)),
    (&GLM_5, B200, moe_setup("sglang", 8, 1, 1.0)),
    (&GPT_OSS_120B, H100, moe_setup("vllm", 1, 1, 0.53)),
    (&QWEN35_397B, GB300, moe_setup("sglang", 4, 4, 1.0)),
];
