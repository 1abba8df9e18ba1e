//! Some sixty models of the Hub, cut down to the fields that count: what is read of each, and that
//! it comes to the bytes of a token that others found.
//!
//! `from: file` is the `config.json` of the Hub as the package `aiconfigurator` 0.12 carries it;
//! `from: class` was written from memory, with the fields and defaults of the class in `transformers`
//! 5.24: it holds the parser to the family's rules, and is no witness of the file on the Hub.

use std::fmt::Write as _;
use std::sync::LazyLock;

use openmodel_schemas::model_card::{Experts, Recurrent, StoredQuantization};
use serde::Deserialize;

use super::*;

/// A model, and what its configuration says.
#[derive(Debug, Deserialize)]
pub(super) struct Fixture {
    pub(super) model: String,
    /// Bytes of keys and values of a token in 16 bits, over all layers and with no window, by the
    /// published facts.
    kv: Option<u64>,
    pub(super) config: Value,
}

pub(super) fn fixtures() -> &'static [Fixture] {
    static FIXTURES: LazyLock<Vec<Fixture>> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../fixtures.json")).expect("the fixtures")
    });
    &FIXTURES
}

/// Where the published bytes of a token are wrong, or about something else.
const NOT_EXACT: [(&str, &str); 6] = [
    (
        "XiaomiMiMo/MiMo-V2-Flash",
        "windowed layers have twice the KV heads, values are narrower",
    ),
    (
        "deepseek-ai/DeepSeek-V4-Flash",
        "key and value are one, and compressed",
    ),
    (
        "nvidia/DeepSeek-V4-Flash-NVFP4",
        "key and value are one, and compressed",
    ),
    (
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "counts the layers of cross-attention",
    ),
    (
        "google/gemma-3n-E4B-it",
        "counts the layers that share keys and values",
    ),
    ("BAAI/bge-reranker-v2-m3", "is not listed"),
];

#[test]
fn what_is_read_of_each_model() {
    let mut wrong = String::new();
    for (place, fixture) in fixtures().iter().enumerate() {
        let found = match parse_config(&fixture.config) {
            Ok(config) => summary(&config),
            Err(error) => format!("error: {error}"),
        };
        let row = (fixture.model.as_str(), found.as_str());
        if FACTS.get(place) != Some(&row) {
            writeln!(wrong, "    {row:?},").expect("a text");
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{wrong}");
    assert_eq!(fixtures().len(), FACTS.len());
}

#[test]
fn the_bytes_of_a_token_are_those_that_others_found() {
    let mut checked = 0;
    for fixture in fixtures() {
        let config = parse_config(&fixture.config).expect("a model");
        if NOT_EXACT.iter().any(|(model, _)| *model == fixture.model) {
            continue;
        }
        if let Some(expected) = fixture.kv {
            assert_eq!(bytes_per_token(&config), expected, "{}", fixture.model);
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

/// Keys and values of a token in 16 bits, written without the parser's help.
pub(super) fn bytes_per_token(config: &ModelConfig) -> u64 {
    let kinds = config.layer_kinds;
    if config.kind == ModelKind::Encoder {
        return 0;
    }
    if let Some(latent) = &config.latent {
        return 2 * kinds.full * (latent.kv_rank + latent.rope_dim);
    }
    let value = config.value_head_dim;
    let windowed = config.kv_heads * (config.head_dim + value.unwrap_or(config.head_dim));
    let global_dim = config.global_head_dim.unwrap_or(config.head_dim);
    let global = config.global_kv_heads.unwrap_or(config.kv_heads)
        * (global_dim + value.unwrap_or(global_dim));
    2 * (kinds.windowed * windowed + kinds.full * global)
}

/// What counts, in a line.
fn summary(config: &ModelConfig) -> String {
    let kinds = config.layer_kinds;
    let mut parts = Vec::new();
    for (count, word) in [
        (kinds.full, "full"),
        (kinds.windowed, "windowed"),
        (kinds.recurrent, "recurrent"),
        (kinds.shared, "shared"),
        (kinds.cross, "cross"),
        (kinds.both, "both"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.push(format!("of {}", config.layers));
    if config.kind != ModelKind::Decoder {
        parts.insert(0, format!("{:?}:", config.kind));
    }
    let mut text = parts.join(" ");
    let mut add = |part: String| {
        text.push_str("; ");
        text.push_str(&part);
    };
    if let Some(window) = config.window {
        add(format!("window {window}"));
    }
    if let Some(latent) = &config.latent {
        let q = latent
            .q_rank
            .map_or("-".to_owned(), |rank| rank.to_string());
        add(format!(
            "latent {}+{} q {q} v {}",
            latent.kv_rank, latent.rope_dim, latent.value_dim
        ));
    } else if config.attention_heads > 0 {
        let differing = [
            config
                .global_kv_heads
                .map(|heads| format!(" global {heads}")),
            config.global_head_dim.map(|dim| format!(" global x{dim}")),
            config.value_head_dim.map(|dim| format!(" v {dim}")),
            config.shared_key_value.then(|| " k=v".to_owned()),
        ];
        let differing: String = differing.into_iter().flatten().collect();
        add(format!(
            "{}/{}x{}{differing}",
            config.attention_heads, config.kv_heads, config.head_dim
        ));
    }
    if let Some(indexer) = &config.indexer {
        add(format!("indexer {}x{}", indexer.layers, indexer.dim));
    }
    if let Some(recurrent) = config.recurrent {
        add(state(recurrent));
    }
    if let Some(encoder) = config.encoder {
        add(format!(
            "encoder {} to {}",
            encoder.layers, encoder.positions
        ));
    }
    let plain = if config.plain_feed_forward {
        " plain"
    } else {
        ""
    };
    let total = config
        .intermediate_total
        .map_or(String::new(), |total| format!(" sum {total}"));
    add(format!("ff {}{total}{plain}", config.intermediate_size));
    if let Some(experts) = &config.experts {
        add(mixture(experts));
    }
    if let Some(quantization) = &config.quantization {
        add(storage(quantization));
    }
    if let Some(rope) = &config.rope_scaling {
        let factor = rope
            .factor
            .map_or(String::new(), |factor| format!(" {factor}"));
        let original = rope
            .original_positions
            .map_or(String::new(), |from| format!(" of {from}"));
        add(format!("{}{factor}{original}", rope.kind));
    }
    if config.mtp_layers > 0 {
        add(format!("mtp {}", config.mtp_layers));
    }
    if config.per_layer_embeddings > 0 {
        add(format!("per layer {}", config.per_layer_embeddings));
    }
    for (is, word) in [
        (config.tied_embeddings, "tied"),
        (config.vision, "vision"),
        (config.audio, "audio"),
    ] {
        if is {
            add(word.to_owned());
        }
    }
    if !config.special.is_empty() {
        add(format!("special {}", config.special.join(" ")));
    }
    text
}

fn state(recurrent: Recurrent) -> String {
    match recurrent {
        Recurrent::Mamba1 {
            inner,
            state,
            conv,
            state_bytes,
        } => format!("mamba1 {inner}x{state} conv {conv} b{state_bytes}"),
        Recurrent::Mamba2 {
            heads,
            head_dim,
            groups,
            state,
            conv,
            state_bytes,
        } => {
            format!("mamba2 {heads}x{head_dim}x{state} groups {groups} conv {conv} b{state_bytes}")
        }
        Recurrent::DeltaNet {
            key_heads,
            value_heads,
            key_dim,
            value_dim,
            conv,
            state_bytes,
        } => format!(
            "delta {key_heads}x{key_dim} {value_heads}x{value_dim} conv {conv} b{state_bytes}"
        ),
    }
}

fn mixture(experts: &Experts) -> String {
    let mut text = format!(
        "experts {}/{}x{} in {} dense {}",
        experts.per_token,
        experts.count,
        experts.intermediate_size,
        experts.layers,
        experts.dense_layers
    );
    if experts.shared > 0 {
        let _ = write!(
            text,
            " shared {}={}",
            experts.shared, experts.shared_intermediate_size
        );
    }
    if let Some(latent) = experts.latent_size {
        let _ = write!(text, " latent {latent}");
    }
    if experts.beside_dense {
        text.push_str(" beside dense");
    }
    text
}

fn storage(stored: &StoredQuantization) -> String {
    let number = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let mut text = format!("{} {}", stored.method, number(stored.bits));
    if stored.float == Some(true) {
        text.push_str(" float");
    }
    for (value, word) in [
        (stored.group_size, "group"),
        (stored.expert_bits, "experts"),
        (stored.kv_bits, "kv"),
    ] {
        if value.is_some() {
            let _ = write!(text, " {word} {}", number(value));
        }
    }
    if stored.experts_only {
        text.push_str(" experts only");
    }
    if stored.attention_kept {
        text.push_str(" attention kept");
    }
    text
}

const FACTS: &[(&str, &str)] = &[
    ("Qwen/Qwen3-8B", "36 full of 36; 32/8x128; ff 12288"),
    (
        "Qwen/Qwen3-235B-A22B-FP8",
        "94 full of 94; 64/4x128; ff 12288; experts 8/128x1536 in 94 dense 0; fp8 8 float group 16384",
    ),
    (
        "Qwen/Qwen3-32B-FP8-Static-PerTensor",
        "64 full of 64; 64/8x128; ff 25600; modelopt 8 float kv 8",
    ),
    (
        "Qwen/Qwen3-VL-30B-A3B-Instruct",
        "48 full of 48; 32/4x128; ff 6144; experts 8/128x768 in 48 dense 0; vision",
    ),
    (
        "Qwen/Qwen3.5-27B",
        "16 full 48 recurrent of 64; 24/4x256; delta 16x128 48x128 conv 4 b4; ff 17408; mtp 1; vision",
    ),
    (
        "Qwen/Qwen3.5-397B-A17B",
        "15 full 45 recurrent of 60; 32/2x256; delta 16x128 64x128 conv 4 b4; ff 0; experts 10/512x1024 in 60 dense 0 shared 1=1024; mtp 1; vision",
    ),
    (
        "nvidia/Qwen3.6-35B-A3B-NVFP4",
        "10 full 30 recurrent of 40; 16/2x256; delta 16x128 32x128 conv 4 b4; ff 0; experts 8/256x512 in 40 dense 0 shared 1=512; modelopt 8 float experts 4; mtp 1; vision",
    ),
    (
        "meta-llama/Meta-Llama-3.1-8B",
        "32 full of 32; 32/8x128; ff 14336; llama3 8 of 8192",
    ),
    (
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        "12 full 36 windowed of 48; window 8192; 40/8x128; ff 16384; experts 1/16x8192 in 48 dense 0 shared 1=8192; llama3 16 of 8192",
    ),
    (
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
        "12 full 36 windowed of 48; window 8192; 40/8x128; ff 16384; experts 1/128x8192 in 24 dense 24 shared 1=8192",
    ),
    (
        "mistralai/Mixtral-8x7B-v0.1",
        "32 full of 32; 32/8x128; ff 14336; experts 2/8x14336 in 32 dense 0",
    ),
    (
        "MiniMaxAI/MiniMax-M2.5",
        "62 full of 62; 48/8x128; ff 1536; experts 8/256x1536 in 62 dense 0; fp8 8 float group 16384; mtp 3",
    ),
    (
        "MiniMaxAI/MiniMax-M3",
        "60 full of 60; 64/4x128; indexer 57x128; ff 12288; experts 4/128x3072 in 57 dense 3 shared 1=3072; mtp 1",
    ),
    (
        "XiaomiMiMo/MiMo-7B-Base",
        "36 full of 36; 32/8x128; ff 11008; mtp 1",
    ),
    (
        "XiaomiMiMo/MiMo-V2-Flash",
        "9 full 39 windowed of 48; window 128; 64/8x192 global 4 v 128; ff 16384; experts 8/256x2048 in 47 dense 1; fp8 8 float group 16384",
    ),
    (
        "deepseek-ai/DeepSeek-R1",
        "61 full of 61; latent 512+64 q 1536 v 128; ff 18432; experts 8/256x2048 in 58 dense 3 shared 1=2048; fp8 8 float group 16384; yarn 40 of 4096; mtp 1",
    ),
    (
        "deepseek-ai/DeepSeek-V3.2",
        "61 full of 61; latent 512+64 q 1536 v 128; indexer 61x128; ff 18432; experts 8/256x2048 in 58 dense 3 shared 1=2048; fp8 8 float group 16384; yarn 40 of 4096; mtp 1",
    ),
    (
        "deepseek-ai/DeepSeek-V4-Flash",
        "41 full 2 windowed of 43; window 128; 64/1x512 k=v; indexer 21x128; ff 0; experts 6/256x2048 in 43 dense 0 shared 1=2048; fp8 8 float group 16384 experts 4; yarn 16 of 65536; mtp 1",
    ),
    (
        "nvidia/DeepSeek-V4-Flash-NVFP4",
        "41 full 2 windowed of 43; window 128; 64/1x512 k=v; indexer 21x128; ff 0; experts 6/256x2048 in 43 dense 0 shared 1=2048; fp8 8 float group 16 experts 4 attention kept; yarn 16 of 65536; mtp 1",
    ),
    (
        "moonshotai/Kimi-K2-Instruct",
        "61 full of 61; latent 512+64 q 1536 v 128; ff 18432; experts 8/384x2048 in 60 dense 1 shared 1=2048; fp8 8 float group 16384; yarn 32 of 4096",
    ),
    (
        "moonshotai/Kimi-K2.5",
        "61 full of 61; latent 512+64 q 1536 v 128; ff 18432; experts 8/384x2048 in 60 dense 1 shared 1=2048; compressed-tensors 4 group 32 experts only attention kept; yarn 64 of 4096; vision",
    ),
    (
        "moonshotai/Kimi-K3",
        "24 full 69 recurrent of 93; latent 512+64 q 1536 v 128; delta 96x128 96x128 conv 4 b4; ff 33792; experts 16/896x3072 in 92 dense 1 shared 2=6144 latent 3584; compressed-tensors 4 float group 32 experts only attention kept; vision",
    ),
    (
        "zai-org/GLM-5",
        "78 full of 78; latent 512+64 q 2048 v 256; indexer 78x128; ff 12288; experts 8/256x2048 in 75 dense 3 shared 1=2048; mtp 1",
    ),
    (
        "zai-org/GLM-5.2",
        "78 full of 78; latent 512+64 q 2048 v 256; indexer 21x128; ff 12288; experts 8/256x2048 in 75 dense 3 shared 1=2048; mtp 1",
    ),
    (
        "google/gemma-4-26B-A4B",
        "5 full 25 windowed of 30; window 1024; 16/8x256 global 2 global x512 k=v; ff 2112; experts 8/128x704 in 30 dense 0 beside dense; tied; vision",
    ),
    (
        "nvidia/Gemma-4-31B-IT-NVFP4",
        "10 full 50 windowed of 60; window 1024; 32/16x256 global 4 global x512 k=v; ff 21504; modelopt 4 float group 16 kv 8 attention kept; tied; vision",
    ),
    (
        "openai/gpt-oss-20b",
        "12 full 12 windowed of 24; window 128; 64/8x64; ff 2880; experts 4/32x2880 in 24 dense 0; mxfp4 4 float group 32 experts only attention kept; yarn 32 of 4096",
    ),
    (
        "openai/gpt-oss-120b",
        "18 full 18 windowed of 36; window 128; 64/8x64; ff 2880; experts 4/128x2880 in 36 dense 0; mxfp4 4 float group 32 experts only attention kept; yarn 32 of 4096",
    ),
    (
        "stepfun-ai/Step-3.7-Flash",
        "12 full 33 windowed of 45; window 512; 64/8x128; ff 11264; experts 8/288x1280 in 42 dense 3 shared 1=1280; mtp 3",
    ),
    (
        "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
        "49 full of 80; 64/8x128; ff 28672 sum 1642496; llama3 8 of 8192",
    ),
    (
        "nvidia/Nemotron-H-56B-Base-8K",
        "10 full 54 recurrent of 118; 64/8x128; mamba2 256x64x256 groups 8 conv 4 b2; ff 32768 plain",
    ),
    (
        "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
        "6 full 23 recurrent of 52; 32/2x128; mamba2 64x64x128 groups 8 conv 4 b4; ff 1856 plain; experts 6/128x1856 in 23 dense 0 shared 1=3712",
    ),
    (
        "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8",
        "8 full 40 recurrent of 88; 32/2x128; mamba2 128x64x128 groups 8 conv 4 b4; ff 2688 plain; experts 22/512x2688 in 40 dense 0 shared 1=5376 latent 1024; mtp 1",
    ),
    (
        "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16",
        "12 full 48 recurrent of 108; 64/2x128; mamba2 256x64x128 groups 8 conv 4 b4; ff 5120 plain; experts 22/512x5120 in 48 dense 0 shared 1=10240 latent 2048; mtp 1",
    ),
    (
        "ai21labs/AI21-Jamba-1.5-Mini",
        "4 full 28 recurrent of 32; 32/8x128; mamba1 8192x16 conv 4 b2; ff 14336; experts 2/16x14336 in 16 dense 16",
    ),
    (
        "BAAI/bge-large-en-v1.5",
        "Encoder: 24 full of 24; 16/16x64; ff 4096 plain; tied",
    ),
    (
        "BAAI/bge-reranker-v2-m3",
        "Encoder: 24 full of 24; 16/16x64; ff 4096 plain; tied",
    ),
    (
        "Alibaba-NLP/gte-Qwen2-7B-instruct",
        "28 full of 28; 28/4x128; ff 18944",
    ),
    (
        "answerdotai/ModernBERT-base",
        "Encoder: 8 full 14 windowed of 22; window 128; 12/12x64; ff 1152; tied",
    ),
    (
        "nomic-ai/nomic-embed-text-v1.5",
        "Encoder: 12 full of 12; 12/12x64; ff 3072; tied",
    ),
    (
        "google/embeddinggemma-300m",
        "Encoder: 4 full 20 windowed of 24; window 512; 3/1x256; ff 1152; tied",
    ),
    (
        "openai/whisper-large-v3",
        "EncoderDecoder: 32 full of 32; 20/20x64; encoder 32 to 1500; ff 5120 plain; tied; audio",
    ),
    (
        "google/flan-t5-large",
        "EncoderDecoder: 24 full of 24; 16/16x64; encoder 24 to 512; ff 2816",
    ),
    (
        "google/gemma-2-9b-it",
        "21 full 21 windowed of 42; window 4096; 16/8x256; ff 14336; tied",
    ),
    (
        "google/gemma-3-27b-it",
        "10 full 52 windowed of 62; window 1024; 32/16x128; ff 21504; linear 8; tied; vision",
    ),
    (
        "google/gemma-3n-E4B-it",
        "4 full 16 windowed 15 shared of 35; window 512; 8/2x256; ff 16384; per layer 2348810240; tied; vision; audio",
    ),
    (
        "google/gemma-4-E2B-it",
        "3 full 12 windowed 20 shared of 35; window 512; 8/1x256 global x512; ff 6144 sum 337920; per layer 2348810240; tied; vision; audio",
    ),
    (
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "32 full 8 cross of 40; 32/8x128; ff 14336; llama3 8 of 8192; vision",
    ),
    (
        "Qwen/Qwen3-Next-80B-A3B-Instruct",
        "12 full 36 recurrent of 48; 16/2x256; delta 16x128 32x128 conv 4 b2; ff 5120; experts 10/512x512 in 48 dense 0 shared 1=512",
    ),
    (
        "Qwen/Qwen1.5-MoE-A2.7B",
        "24 full of 24; 16/16x128; ff 5632; experts 4/60x1408 in 24 dense 0 shared 4=5632",
    ),
    (
        "ibm-granite/granite-4.0-h-small",
        "4 full 36 recurrent of 40; 32/8x128; mamba2 128x64x128 groups 1 conv 4 b2; ff 768; experts 10/72x768 in 40 dense 0 shared 2=1536; tied",
    ),
    (
        "tiiuae/Falcon-H1-7B-Instruct",
        "44 full 44 recurrent 44 both of 44; 12/2x128; mamba2 24x128x256 groups 1 conv 4 b2; ff 12288",
    ),
    (
        "LiquidAI/LFM2-1.2B",
        "6 full 10 recurrent of 16; 32/8x64; mamba1 2048x0 conv 3 b2; ff 8192; tied",
    ),
    (
        "Zyphra/Zamba2-2.7B",
        "9 full 54 recurrent 9 both of 54; 32/32x160; mamba2 80x64x64 groups 1 conv 4 b2; ff 10240; tied",
    ),
    (
        "state-spaces/mamba-2.8b-hf",
        "64 recurrent of 64; mamba1 5120x16 conv 4 b2; ff 5120; tied",
    ),
    (
        "mistralai/Mamba-Codestral-7B-v0.1",
        "64 recurrent of 64; mamba2 128x64x128 groups 8 conv 4 b2; ff 0",
    ),
    (
        "deepseek-ai/DeepSeek-V2-Lite-Chat",
        "27 full of 27; latent 512+64 q - v 128; ff 10944; experts 6/64x1408 in 26 dense 1 shared 2=2816; yarn 40 of 4096",
    ),
    (
        "CohereLabs/c4ai-command-r7b-12-2024",
        "8 full 24 windowed of 32; window 4096; 32/8x128; ff 14336; tied",
    ),
    (
        "tiiuae/falcon-7b-instruct",
        "32 full of 32; 71/1x64; ff 18176 plain; tied",
    ),
    (
        "tiiuae/falcon-40b-instruct",
        "60 full of 60; 128/8x64; ff 32768 plain; tied",
    ),
    ("microsoft/phi-2", "32 full of 32; 32/32x80; ff 10240 plain"),
    (
        "microsoft/Phi-3.5-mini-instruct",
        "32 full of 32; 32/32x96; ff 8192; longrope of 4096",
    ),
    (
        "Qwen/Qwen2.5-7B-Instruct",
        "28 full of 28; 28/4x128; ff 18944",
    ),
];
