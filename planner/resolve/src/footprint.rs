//! Memory a model needs under a load, on one accelerator and on its host.
//!
//! ```text
//!   usable ┬─ engine's share (utilisation) ┬─ weights
//!          │                               ├─ activations   at the largest batch
//!          │                               ├─ overhead      CUDA context, graphs
//!          │                               └─ KV cache      what is left of the share
//!          └─ outside of the share
//!
//!   host   ── weight files (a container's file system is memory) + engine's processes
//! ```
//!
//! **A load fits** when both of these do:
//! 1. one sequence of `context_length` tokens (an engine refuses to start otherwise);
//! 2. `max_concurrency` sequences of `input_tokens + output_tokens`, all at once.
//!
//! The formulas are those of vLLM's start-up profiling; their constants stand in the catalog
//! with their source.

use openmodel_schemas::quantity::{Bytes, Tokens};
use openmodel_schemas::report::Memory;
use openmodel_schemas::shape::{AcceleratorRow, EngineRow, GraphMemoryRow};
use openmodel_schemas::spec::Workload;

use crate::architecture::{Architecture, product};
use crate::weights::Weights;

/// Tokens of one block of the KV cache (vLLM's `--block-size` default on CUDA).
const BLOCK: u64 = 16;

/// What a model needs of one accelerator, and of the host beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Memory an engine can see.
    pub(crate) usable: Bytes,
    /// The engine's share of it.
    pub(crate) share: Bytes,
    /// Weights as loaded.
    pub(crate) weights: Bytes,
    /// Peak activations.
    pub(crate) activations: Bytes,
    /// CUDA context and graphs.
    pub(crate) overhead: Bytes,
    /// KV cache of one token.
    pub(crate) kv_per_token: Bytes,
    /// Tokens the load keeps in the KV cache.
    pub(crate) kv_tokens: u64,
    /// Host memory.
    pub(crate) host: Bytes,
    /// Tokens of one step of the engine.
    pub(crate) batched_tokens: u64,
}

impl Footprint {
    /// The footprint of a model under a load, on one accelerator.
    pub(crate) fn of(
        architecture: Architecture,
        weights: &Weights,
        workload: &Workload,
        engine: &EngineRow,
        accelerator: &AcceleratorRow,
    ) -> Self {
        let constants = &engine.memory;
        let usable = Bytes::from_gib(accelerator.usable_gib);
        let sequences = u64::from(workload.max_concurrency);
        let batched_tokens = batched_tokens(engine, accelerator).max(sequences);
        let loading = permille(weights.loaded, constants.load_overhead_permille);
        let tower = if architecture.config.vision || architecture.config.audio {
            Bytes::from_gib(constants.tower_gib)
        } else {
            Bytes(0)
        };
        Self {
            usable,
            share: permille(usable, constants.utilization_percent * 10),
            weights: weights.loaded + loading,
            activations: activations(
                architecture,
                sequences,
                batched_tokens,
                constants.sampler_bytes_per_logit,
            ) + tower,
            overhead: Bytes::from_gib(constants.runtime_gib)
                + graphs(&constants.graphs, architecture.config.layers, sequences),
            kv_per_token: architecture.kv_per_token(),
            kv_tokens: kv_tokens(workload),
            host: weights.files + Bytes::from_gib(engine.host.runtime_gib),
            batched_tokens,
        }
    }

    /// KV cache the load needs.
    pub(crate) fn kv_cache(&self) -> Bytes {
        self.kv_per_token * self.kv_tokens
    }

    /// Everything but the KV cache.
    fn fixed(&self) -> Bytes {
        self.weights + self.activations + self.overhead
    }

    /// What the engine's share must hold.
    pub(crate) fn needs(&self) -> Bytes {
        self.fixed() + self.kv_cache()
    }

    /// Whether the engine's share holds the load.
    pub(crate) fn fits(&self) -> bool {
        self.needs() <= self.share
    }

    /// Tokens the engine will have room for, in whole blocks.
    pub(crate) fn kv_capacity(&self) -> Tokens {
        let room = self.share.saturating_sub(self.fixed());
        let tokens = room.0 / self.kv_per_token.0.max(1);
        Tokens(tokens - tokens % BLOCK)
    }

    /// The figures as they are shown, for a load that fits.
    pub(crate) fn memory(&self, basis: String) -> Memory {
        Memory {
            usable: self.usable,
            weights: self.weights,
            kv_cache: self.kv_cache(),
            activations: self.activations,
            overhead: self.overhead,
            headroom: self.usable.saturating_sub(self.needs()),
            kv_capacity: self.kv_capacity(),
            basis,
        }
    }

    /// The parts of the need in words.
    pub(crate) fn parts(&self) -> String {
        format!(
            "weights {}, KV cache {}, activations {}, overhead {}",
            self.weights,
            self.kv_cache(),
            self.activations,
            self.overhead
        )
    }
}

/// Tokens of one step of the engine on this accelerator.
fn batched_tokens(engine: &EngineRow, accelerator: &AcceleratorRow) -> u64 {
    let mut rows = engine.memory.batched_tokens.iter();
    rows.rfind(|row| row.from_gib <= accelerator.usable_gib)
        .map_or(1, |row| row.tokens)
}

/// Tokens in the KV cache: the longer of the two rules above, in whole blocks.
fn kv_tokens(workload: &Workload) -> u64 {
    let blocks = |tokens: u64| tokens.div_ceil(BLOCK).saturating_mul(BLOCK);
    let typical = workload
        .input_tokens
        .0
        .saturating_add(workload.output_tokens.0);
    blocks(workload.context_length.0)
        .max(blocks(typical).saturating_mul(u64::from(workload.max_concurrency)))
}

/// Peak activations: the larger of the sampler's warm-up with one step of hidden states, which
/// rules with many sequences (`c·S·V + 3·B·H·2 (+ 1.1·B·k·(max(2·Iₑ, H) + Iₑ)·2)`, fitted), and
/// of one feed-forward layer in a step, which rules with few (`B·(2·H + 3·I)·2`; it gives 0.20 GiB
/// for Llama-3.1-8B where 0.22 was measured on a 22 GiB card).
fn activations(architecture: Architecture, sequences: u64, batched: u64, per_logit: u32) -> Bytes {
    let c = architecture.config;
    let sampler = product(&[u64::from(per_logit), sequences, c.vocab_size]);
    let hidden = product(&[3, batched, c.hidden_size, 2]);
    let step = match &c.experts {
        None => 0,
        Some(e) => {
            let row = e
                .intermediate_size
                .saturating_mul(2)
                .max(c.hidden_size)
                .saturating_add(e.intermediate_size);
            (product(&[batched, e.per_token, row, 2]) / 10).saturating_mul(11)
        }
    };
    let dense = if c.experts.is_none() {
        let row = c
            .hidden_size
            .saturating_mul(2)
            .saturating_add(c.intermediate_size.saturating_mul(3));
        product(&[batched, row, 2])
    } else {
        0
    };
    Bytes(
        sampler
            .saturating_add(hidden)
            .saturating_add(step)
            .max(dense),
    )
}

/// Captured CUDA graphs: the measured figure, scaled by how many batch sizes are captured.
fn graphs(constants: &GraphMemoryRow, layers: u64, sequences: u64) -> Bytes {
    let floor = Bytes::from_gib(constants.floor_gib);
    let all =
        Bytes::from_gib(constants.base_gib) + Bytes::from_gib(constants.per_layer_gib) * layers;
    let above = all.saturating_sub(floor);
    floor
        + Bytes(
            above.0.saturating_mul(captured_sizes(sequences))
                / u64::from(constants.measured_sizes.max(1)),
        )
}

/// How many batch sizes vLLM captures: 1, 2, 4, multiples of 8 below 256 and of 16 from there,
/// up to twice `max_num_seqs` and at most 512.
fn captured_sizes(sequences: u64) -> u64 {
    let most = sequences.saturating_mul(2).min(512);
    let small = [1, 2, 4].iter().filter(|size| **size <= most).count() as u64;
    let eights = most.min(255) / 8;
    let sixteens = if most >= 256 {
        (most - 256) / 16 + 1
    } else {
        0
    };
    small + eights + sixteens
}

fn permille(bytes: Bytes, permille: u32) -> Bytes {
    let part = u128::from(bytes.0) * u128::from(permille) / 1000;
    Bytes(u64::try_from(part).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::ModelCard;
    use openmodel_schemas::spec::Quantization;

    use super::*;
    use crate::testing;
    use crate::weights::weights;

    /// Rows of vLLM 0.19 start-up logs on one H100 (79.19 GiB, utilisation 0.95, 1024
    /// sequences, 8192 batched tokens), from llm-d-incubation/llm-d-planner PR#205:
    /// weights, activations, CUDA graphs, KV cache (GiB), KV tokens.
    const MEASURED: &[(&str, Option<Quantization>, [f64; 4], u64)] = &[
        ("llama_8b", None, [14.99, 1.89, 0.91, 58.11], 476_016),
        (
            "llama_8b",
            Some(Quantization::Fp8),
            [8.49, 1.89, 0.87, 64.61],
            529_248,
        ),
        ("gemma_9b", None, [17.22, 3.65, 1.09, 54.12], 168_880),
        ("qwen_7b", None, [14.25, 2.21, 0.87, 58.53], 1_096_000),
        ("qwen3_30b_moe", None, [56.88, 2.68, 1.41, 15.41], 168_288),
    ];

    fn card(name: &str) -> ModelCard {
        match name {
            "llama_8b" => testing::llama_8b(),
            "gemma_9b" => testing::gemma_9b(),
            "qwen_7b" => testing::qwen_7b(),
            _ => testing::qwen3_30b_moe(),
        }
    }

    #[test]
    fn the_formulas_meet_the_measurements() {
        let mut engine = testing::engine().clone();
        engine.memory.utilization_percent = 95;
        let h100 = AcceleratorRow {
            name: "nvidia-h100".to_owned(),
            nominal_gib: 80.0,
            usable_gib: 79.19,
            compute_capability: 90,
            source: "engine-logs".to_owned(),
        };
        let load = Workload {
            max_concurrency: 1024,
            ..testing::load(8192, 1024)
        };
        for (name, quantization, [weights_gib, activations, graphs, kv], tokens) in MEASURED {
            let card = card(name);
            let architecture = Architecture::of(&card).expect("known");
            let weights = weights(&card, architecture, *quantization, &engine).expect("known");
            let got = Footprint::of(architecture, &weights, &load, &engine, &h100);
            let near = |what: &str, got: f64, measured: f64, within: f64| {
                assert!(
                    (got - measured).abs() <= within,
                    "{name} {what}: {got:.2}, measured {measured}"
                );
            };
            near(
                "weights",
                got.weights.as_gib(),
                *weights_gib,
                weights_gib * 0.01,
            );
            near("activations", got.activations.as_gib(), *activations, 0.2);
            near("overhead", got.overhead.as_gib(), 0.25 + graphs, 0.3);
            // The logged KV cache of 0.19 leaves graphs outside of the engine's share.
            let capacity = got.kv_capacity().0 + graphs_tokens(&got);
            #[expect(clippy::cast_precision_loss, reason = "compared to 3 %")]
            near(
                "KV tokens",
                capacity as f64,
                *tokens as f64,
                *tokens as f64 * 0.03,
            );
            near(
                "KV cache",
                (got.kv_per_token * capacity).as_gib(),
                *kv,
                kv * 0.03,
            );
        }
    }

    /// Tokens that fit where this version puts its CUDA graphs.
    fn graphs_tokens(footprint: &Footprint) -> u64 {
        footprint.overhead.saturating_sub(Bytes::from_gib(0.25)).0 / footprint.kv_per_token.0
    }

    #[test]
    fn both_rules_of_a_fit_count() {
        let tokens = |context, concurrency| kv_tokens(&testing::load(context, concurrency));
        assert_eq!(tokens(8192, 1), 8192, "one long sequence");
        assert_eq!(tokens(1000, 1), 1008, "in whole blocks");
        assert_eq!(tokens(8192, 64), 64 * 768, "many typical ones");
    }

    #[test]
    fn captured_sizes_are_vllms() {
        assert_eq!(
            [1, 8, 64, 128, 256, 1024].map(captured_sizes),
            [2, 5, 19, 35, 51, 51]
        );
    }
}
