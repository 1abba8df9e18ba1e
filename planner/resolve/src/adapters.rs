//! Low-rank adapters: the buffers an engine reserves for them at start-up, whatever the adapters
//! touch.
//!
//! ```text
//!   each slot × each linear layer:   A  rank × in     B  out × rank     in the model's 16 bits
//!
//!   split by columns (q, k, v, gate, up)   A whole, B out / ranks
//!   split by rows (output, down)           A in / ranks, B whole
//!   experts                                the same, for each expert of the device
//! ```
//!
//! Source: `create_lora_weights` of vLLM 0.27.1 (`vllm/lora/layers/`), with its default of
//! `fully_sharded_loras = false`. Its embeddings and output head are wrapped in most families, and
//! counted in all; towers for images and sound are not wrapped. Other engines are taken to do the
//! same.

use openmodel_schemas::model_card::{ModelConfig, Recurrent};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::spec::Adapters;

use crate::architecture::{Architecture, product};
use crate::error::{Fault, Field};
use crate::parallel::Parallelism;

/// Ranks a slot can have (`MaxLoRARanks` of vLLM 0.27.1).
const RANKS: [u32; 9] = [1, 8, 16, 32, 64, 128, 256, 320, 512];

/// The rank of the slots that hold adapters of a rank; `None` above the largest, and for none.
pub(crate) fn slot_rank(rank: u32) -> Option<u32> {
    RANKS.into_iter().find(|slot| *slot >= rank && rank > 0)
}

/// What is wrong with adapters, whatever the model.
pub(crate) fn check(adapters: Adapters) -> Result<(), Fault> {
    if slot_rank(adapters.rank).is_some() {
        return Ok(());
    }
    Err(Fault {
        field: Field::Adapters,
        code: "invalid_load",
        summary: "Rank of the adapters cannot be served",
        detail: format!(
            "Adapters of rank {} are asked for: engines reserve ranks from 1 to 512. State the largest rank of your \
             adapters.",
            adapters.rank
        ),
    })
}

/// Bytes on the fullest device.
pub(crate) fn bytes(
    architecture: Architecture,
    adapters: Adapters,
    parallelism: Parallelism,
) -> Bytes {
    let c = architecture.config;
    let kinds = architecture.layers();
    let ranks = u64::from(parallelism.tensor.max(1));
    let layers = |count: u64, width: u64| {
        product(&[
            count.div_ceil(u64::from(parallelism.pipeline.max(1))),
            width,
        ])
    };
    let dense = architecture.dense_layers();
    let (experts, shared) = experts(c, parallelism);
    let expert_layers = architecture.expert_layers();
    let widths = [
        layers(architecture.attention_layers(), attention(c, ranks)),
        layers(kinds.recurrent, recurrent(c, ranks)),
        layers(dense, feed_forward(c, c.intermediate_size, ranks)),
        layers(expert_layers, experts.saturating_add(shared)),
        // The input embeddings and the output head, whole on each device.
        product(&[2, c.vocab_size.saturating_add(c.hidden_size)]),
    ];
    let width = widths.into_iter().fold(0, u64::saturating_add);
    Bytes(product(&[
        u64::from(adapters.count),
        u64::from(slot_rank(adapters.rank).unwrap_or(adapters.rank)),
        width,
        2,
    ]))
}

/// A layer split by columns, with one A for each of its slices: its inputs and outputs.
const fn columns(slices: u64, input: u64, output: u64, ranks: u64) -> u64 {
    slices
        .saturating_mul(input)
        .saturating_add(output.div_ceil(ranks))
}

/// A layer split by rows.
const fn rows(input: u64, output: u64, ranks: u64) -> u64 {
    input.div_ceil(ranks).saturating_add(output)
}

/// Queries, keys and values, and the output.
fn attention(c: &ModelConfig, ranks: u64) -> u64 {
    let h = c.hidden_size;
    if let Some(latent) = &c.latent {
        let query_dim = latent.nope_dim.saturating_add(latent.rope_dim);
        let queries = product(&[c.attention_heads, query_dim]);
        // Down-projections are whole on each device.
        let kv_down = latent.kv_rank.saturating_add(latent.rope_dim);
        let query = match latent.q_rank {
            Some(rank) => columns(1, h, rank, 1).saturating_add(columns(1, rank, queries, ranks)),
            None => columns(1, h, queries, ranks),
        };
        let up = product(&[
            c.attention_heads,
            latent.nope_dim.saturating_add(latent.value_dim),
        ]);
        let output = product(&[c.attention_heads, latent.value_dim]);
        return query
            .saturating_add(columns(1, h, kv_down, 1))
            .saturating_add(columns(1, latent.kv_rank, up, ranks))
            .saturating_add(rows(output, h, ranks));
    }
    let value_dim = c.value_head_dim.unwrap_or(c.head_dim);
    let queries = product(&[c.attention_heads, c.head_dim]);
    let output = product(&[c.attention_heads, value_dim]);
    // A KV head is repeated rather than cut.
    let key_value = product(&[
        c.kv_heads.div_ceil(ranks),
        c.head_dim.saturating_add(value_dim),
    ]);
    columns(3, h, queries, ranks)
        .saturating_add(key_value)
        .saturating_add(rows(output, h, ranks))
}

/// Gate and up in two slices (or one), and down.
fn feed_forward(c: &ModelConfig, width: u64, ranks: u64) -> u64 {
    let slices = if c.plain_feed_forward { 1 } else { 2 };
    columns(slices, c.hidden_size, width.saturating_mul(slices), ranks).saturating_add(rows(
        width,
        c.hidden_size,
        ranks,
    ))
}

/// The routed experts of one layer on a device, whole or cut, and the shared ones.
fn experts(c: &ModelConfig, parallelism: Parallelism) -> (u64, u64) {
    let Some(e) = &c.experts else {
        return (0, 0);
    };
    let ranks = u64::from(parallelism.tensor.max(1));
    let (own, cut) = if parallelism.expert {
        let devices = u64::from(parallelism.expert_ranks().max(1));
        (e.count.div_ceil(devices), 1)
    } else {
        (e.count, ranks)
    };
    let shared = if e.shared_intermediate_size > 0 {
        e.shared_intermediate_size
    } else {
        product(&[e.shared, e.intermediate_size])
    };
    let shared = if shared > 0 {
        feed_forward(c, shared, ranks)
    } else {
        0
    };
    (
        product(&[own, feed_forward(c, e.intermediate_size, cut)]),
        shared,
    )
}

/// The projections into and out of a recurrent layer.
fn recurrent(c: &ModelConfig, ranks: u64) -> u64 {
    let h = c.hidden_size;
    let (slices, input, output) = match c.recurrent {
        None => return 0,
        Some(Recurrent::Mamba1 { inner, .. }) => (1, product(&[2, inner]), inner),
        Some(Recurrent::Mamba2 {
            heads,
            head_dim,
            groups,
            state,
            ..
        }) => {
            let inner = product(&[heads, head_dim]);
            let mixed = product(&[2, inner]).saturating_add(product(&[2, groups, state]));
            (1, mixed.saturating_add(heads), inner)
        }
        Some(Recurrent::DeltaNet {
            key_heads,
            value_heads,
            key_dim,
            value_dim,
            ..
        }) => {
            let values = product(&[value_heads, value_dim]);
            let mixed = product(&[2, key_heads, key_dim]).saturating_add(product(&[2, values]));
            // The two gates of a head are a projection of their own.
            (2, mixed.saturating_add(product(&[2, value_heads])), values)
        }
    };
    columns(slices, h, input, ranks).saturating_add(rows(output, h, ranks))
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::ModelCard;

    use super::*;
    use crate::testing;

    const EIGHT_OF_16: Adapters = Adapters { count: 8, rank: 16 };

    fn of(card: &ModelCard, parallelism: Parallelism) -> u64 {
        let architecture = Architecture::of(card).expect("known");
        bytes(architecture, EIGHT_OF_16, parallelism).0
    }

    #[test]
    fn a_dense_model_has_each_linear_layer_at_the_full_rank() {
        // Llama-3.1-8B, a layer: q, k, v (3·4096 in, 4096 + 2·1024 out), o (4096 and 4096),
        // gate and up (2·4096 in, 2·14336 out), down (14336 in, 4096 out).
        let layer = 3 * 4096 + 6144 + 2 * 4096 + 2 * 4096 + 2 * 14_336 + 14_336 + 4096;
        let ends = 2 * (128_256 + 4096);
        let expected = 8 * 16 * 2 * (32 * layer + ends);
        assert_eq!(of(&testing::llama_8b(), Parallelism::ONE), expected);
    }

    #[test]
    fn a_slot_has_one_of_the_ranks_that_engines_reserve() {
        let slots = [0, 1, 2, 16, 24, 512, 513].map(slot_rank);
        let expected = [None, Some(1), Some(8), Some(16), Some(32), Some(512), None];
        assert_eq!(slots, expected);
    }

    #[test]
    fn ranks_share_one_side_of_each_layer_only() {
        // On four ranks the A of columns and the B of rows stay whole.
        let layer =
            3 * 4096 + 6144 / 4 + 4096 / 4 + 4096 + 2 * 4096 + 2 * 14_336 / 4 + 14_336 / 4 + 4096;
        let ends = 2 * (128_256 + 4096);
        let expected = 8 * 16 * 2 * (32 * layer + ends);
        assert_eq!(of(&testing::llama_8b(), Parallelism::tensor(4)), expected);
    }

    #[test]
    fn every_expert_has_its_own() {
        // Qwen3-30B-A3B: 128 experts of 768 in 48 layers, 32 heads and 4 KV heads of 128.
        let attention = 3 * 2048 + 4096 + 1024 + 4096 + 2048;
        let expert = 2 * 2048 + 2 * 768 + 768 + 2048;
        let ends = 2 * (151_936 + 2048);
        let expected = 8 * 16 * 2 * (48 * (attention + 128 * expert) + ends);
        let card = testing::qwen3_30b_moe();
        assert_eq!(of(&card, Parallelism::ONE), expected);
        let whole = Parallelism {
            expert: true,
            ..Parallelism::tensor(4)
        };
        let by_experts = 48 * (32 * expert);
        let shared = 48 * (3 * 2048 + (4096 + 1024) / 4 + 4096 / 4 + 2048) + ends;
        assert_eq!(of(&card, whole), 8 * 16 * 2 * (by_experts + shared));
    }
}
