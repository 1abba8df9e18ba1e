//! What sequences keep in memory between steps: keys and values per token, states per sequence.
//!
//! ```text
//!   upper bound   every layer keeps every token
//!   lower bound   windowed layers keep their window, compressed ones a token in `ratio`
//!   as allocated  vLLM's hybrid manager: layers of one kind in groups of equal size, which
//!                 share one pool of equal pages; a request takes
//!                 Σ over groups ceil(tokens the group keeps / block) pages
//! ```
//!
//! Sources: vLLM's KV cache manager (`kv_cache_utils`), checked on start-up logs: gemma-3-27b
//! holds 36,560 tokens in 19.53 GiB only when its 52 windowed layers are padded to six groups of
//! ten; gemma-4-E2B holds 129.66 requests of 8,192 tokens in 9.92 GiB.

use openmodel_schemas::model_card::{ModelKind, Recurrent};
use openmodel_schemas::quantity::Bytes;

use crate::architecture::{Architecture, product};
use crate::parallel::Parallelism;

/// Tokens of one block of the cache (vLLM's `--block-size` default on CUDA).
pub(crate) const BLOCK: u64 = 16;

/// Layers of one rank that keep the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    layers: u64,
    /// Bytes of one token in one layer.
    per_token: u64,
    /// Tokens it keeps at most; none: all.
    window: Option<u64>,
}

/// How the engine lays the cache out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Whether windowed layers give back what has left their window (vLLM's hybrid manager).
    pub(crate) hybrid: bool,
    /// Bytes of an element of keys and values.
    pub(crate) element: u64,
    /// Whether the accelerator pads heads to 128 and KV heads to the ranks (TPU).
    pub(crate) tpu: bool,
    /// Tokens of one step, which a windowed layer keeps beside its window.
    pub(crate) batched_tokens: u64,
}

/// What the sequences of one rank keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cache {
    kinds: [Option<Kept>; 2],
    /// State of one sequence in one recurrent layer.
    state: u64,
    /// Recurrent layers.
    states: u64,
    /// States of a layer that one sequence keeps: one, and one for each token drafted ahead.
    copies: u64,
    /// What a request keeps once, whatever its length: keys and values of an encoder's output.
    fixed: u64,
    /// Bytes of one token beside that: keys of a sparse indexer in all layers that have one, and
    /// what a draft model keeps.
    beside: u64,
    /// Entries that compressed layers keep of a thousand tokens, mean of all of them; 1000 where
    /// none is compressed.
    entries: u64,
    layout: Layout,
}

impl Cache {
    /// What the sequences of the fullest rank keep.
    pub(crate) fn of(architecture: Architecture, parallelism: Parallelism, layout: Layout) -> Self {
        let c = architecture.config;
        let kinds = architecture.layers();
        let stage = |layers: u64| layers.div_ceil(u64::from(parallelism.pipeline.max(1)));
        let full = Kept {
            layers: stage(kinds.full),
            per_token: full_per_token(architecture, parallelism, layout),
            window: None,
        };
        // A sparse indexer keeps its keys in fp8 with a 32-bit scale.
        let indexer = c.indexer.map_or(0, |indexer| {
            product(&[stage(indexer.layers), indexer.dim.saturating_add(4)])
        });
        let windowed = Kept {
            layers: stage(kinds.windowed),
            per_token: heads_per_token(
                c.kv_heads,
                c.head_dim,
                c.value_head_dim.unwrap_or(c.head_dim),
                parallelism,
                layout,
            ),
            window: c.window,
        };
        let kept = |kept: Kept| (kept.layers > 0 && kept.per_token > 0).then_some(kept);
        if matches!(c.kind, ModelKind::Encoder | ModelKind::Diffusion) {
            return Self::none(layout);
        }
        let fixed = c.encoder.map_or(0, |encoder| {
            product(&[
                2,
                stage(c.layers),
                encoder.positions,
                c.hidden_size / u64::from(parallelism.tensor.max(1)),
                layout.element,
            ])
        });
        Self {
            kinds: [kept(full), kept(windowed)],
            state: c
                .recurrent
                .map_or(0, |state| state_bytes(state, parallelism, 0)),
            states: stage(kinds.recurrent),
            copies: 1,
            fixed,
            beside: indexer,
            entries: entries(architecture),
            layout,
        }
    }

    /// Nothing: what reads once, and what makes images, keeps nothing between steps.
    pub(crate) const fn none(layout: Layout) -> Self {
        Self {
            kinds: [None, None],
            state: 0,
            states: 0,
            copies: 1,
            fixed: 0,
            beside: 0,
            entries: 1000,
            layout,
        }
    }

    /// The same with so many drafted tokens to check: a recurrent layer keeps a state for each
    /// beside its own, and a longer convolution (vLLM's `MambaSpec` and `mamba_utils`).
    pub(crate) fn checking(
        mut self,
        architecture: Architecture,
        parallelism: Parallelism,
        tokens: u64,
    ) -> Self {
        if let Some(state) = architecture.config.recurrent {
            self.state = state_bytes(state, parallelism, tokens);
            self.copies = tokens.saturating_add(1);
        }
        self
    }

    /// The same with the model's own prediction layers, each of which has full attention and keeps
    /// every token.
    pub(crate) fn predicting(
        mut self,
        architecture: Architecture,
        parallelism: Parallelism,
    ) -> Self {
        let layers = architecture.config.mtp_layers;
        let per_token = full_per_token(architecture, parallelism, self.layout);
        if let Some(full) = &mut self.kinds[0] {
            full.layers = full.layers.saturating_add(layers);
        } else if layers > 0 && per_token > 0 {
            self.kinds[0] = Some(Kept {
                layers,
                per_token,
                window: None,
            });
        }
        self
    }

    /// The same beside that of a draft model, whose layers all keep every token in the same blocks
    /// (`drafting` refuses others).
    pub(crate) fn beside(mut self, draft: &Self) -> Self {
        self.beside = self.beside.saturating_add(draft.per_token().0);
        self
    }

    /// Bytes of one token when every layer keeps it: the upper bound.
    pub(crate) fn per_token(&self) -> Bytes {
        let sum = self.kept().fold(self.beside, |sum, kept| {
            sum.saturating_add(product(&[kept.layers, kept.per_token]))
        });
        Bytes(sum)
    }

    /// Bytes of one token in the layers that keep every token.
    pub(crate) fn full_per_token(&self) -> Bytes {
        let kept = self.kept().filter(|kept| kept.window.is_none());
        Bytes(kept.fold(0_u64, |sum, kept| {
            sum.saturating_add(product(&[kept.layers, kept.per_token]))
        }))
    }

    /// Bytes of the state of one sequence.
    pub(crate) fn per_sequence(&self) -> Bytes {
        Bytes(product(&[self.state, self.states, self.copies]).saturating_add(self.fixed))
    }

    /// Least and most bytes a sequence of so many tokens keeps. They differ where windowed or
    /// compressed layers may or may not give back what they do not need.
    pub(crate) fn bounds(&self, tokens: u64) -> (Bytes, Bytes) {
        let upper = self.per_token() * tokens + self.per_sequence();
        let tokens = tokens.min(1 << 40);
        let lower: u64 = self
            .kept()
            .fold(product(&[self.beside, tokens]), |sum, kept| {
                let held = kept
                    .window
                    .map_or_else(|| tokens * self.entries / 1000, |window| window.min(tokens));
                sum.saturating_add(product(&[kept.layers, kept.per_token, held]))
            });
        (Bytes(lower).min(upper) + self.per_sequence(), upper)
    }

    /// Bytes a sequence of so many tokens takes of the engine's pool.
    pub(crate) fn request(&self, tokens: u64) -> Bytes {
        let blocks = |tokens: u64, block: u64| tokens.div_ceil(block.max(1));
        let mut kept = self.kept();
        let (first, second) = (kept.next(), kept.next());
        drop(kept);
        let beside = product(&[self.beside, blocks(tokens, BLOCK), BLOCK]);
        let alone = |only: Kept| {
            product(&[only.layers, only.per_token, blocks(tokens, BLOCK), BLOCK])
                .saturating_add(beside)
        };
        let attention = match (first, second) {
            (Some(full), Some(windowed)) if self.layout.hybrid => {
                return Bytes(
                    self.hybrid(full, windowed, tokens)
                        .saturating_add(self.fixed),
                );
            }
            (Some(only), None) if only.window.is_some() && self.layout.hybrid => product(&[
                only.layers,
                only.per_token,
                self.windowed_blocks(only, tokens, BLOCK),
                BLOCK,
            ]),
            (Some(full), Some(windowed)) => alone(full)
                .saturating_add(alone(windowed))
                .saturating_sub(beside),
            (Some(only), None) | (None, Some(only)) => {
                if self.states > 0 {
                    return Bytes(self.beside_states(only, tokens).saturating_add(self.fixed));
                }
                alone(only)
            }
            (None, None) => 0,
        };
        Bytes(attention) + self.per_sequence()
    }

    /// Tokens that fit into so many bytes, in requests of so many tokens each, as vLLM counts
    /// them: requests × tokens of a request.
    pub(crate) fn capacity(&self, room: Bytes, tokens: u64) -> u64 {
        let request = self.request(tokens).0;
        if request == 0 {
            return 0;
        }
        let all = u128::from(room.0) * u128::from(tokens) / u128::from(request);
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        all - all % BLOCK
    }

    fn kept(&self) -> impl Iterator<Item = Kept> + use<> {
        self.kinds.into_iter().flatten()
    }

    /// vLLM's hybrid manager: groups as large as the rarer kind (or all in one where both are
    /// about as many), pages as large as the larger kind's.
    fn hybrid(&self, full: Kept, windowed: Kept, tokens: u64) -> u64 {
        let (few, many) = (
            full.layers.min(windowed.layers),
            full.layers.max(windowed.layers),
        );
        let size = if many.saturating_mul(4) < few.saturating_mul(5) {
            many
        } else {
            few
        };
        let page = full.per_token.max(windowed.per_token).saturating_mul(BLOCK);
        let block_of = |kept: Kept| page / kept.per_token.max(1);
        let full_pages = product(&[
            full.layers.div_ceil(size),
            tokens.div_ceil(block_of(full).max(1)),
        ]);
        let windowed_pages = product(&[
            windowed.layers.div_ceil(size),
            self.windowed_blocks(windowed, tokens, block_of(windowed)),
        ]);
        product(&[full_pages.saturating_add(windowed_pages), size, page])
    }

    /// Blocks a windowed layer keeps: its window and one step, and the block they began in.
    fn windowed_blocks(&self, kept: Kept, tokens: u64, block: u64) -> u64 {
        let window = kept.window.unwrap_or(tokens);
        let held = window
            .saturating_sub(1)
            .saturating_add(self.layout.batched_tokens)
            .min(tokens);
        held.div_ceil(block.max(1)).saturating_add(1)
    }

    /// Attention beside recurrent layers: a state takes one page, so the attention block is made
    /// long enough that its page is no smaller.
    fn beside_states(&self, attention: Kept, tokens: u64) -> u64 {
        let least = self.state.div_ceil(attention.per_token.max(1));
        let block = least.max(BLOCK).next_multiple_of(BLOCK);
        let page = product(&[attention.per_token, block]);
        let size = attention.layers.min(self.states).max(1);
        let pages = product(&[attention.layers.div_ceil(size), tokens.div_ceil(block)])
            .saturating_add(product(&[self.states.div_ceil(size), self.copies]));
        product(&[pages, size, page])
    }
}

/// Bytes of one token in one layer with full attention.
fn full_per_token(architecture: Architecture, parallelism: Parallelism, layout: Layout) -> u64 {
    let c = architecture.config;
    if let Some(latent) = &c.latent {
        // One compressed vector for all heads, whole on every rank; values are not stored.
        let width = latent.kv_rank.saturating_add(latent.rope_dim);
        let width = if layout.tpu {
            width.next_multiple_of(128)
        } else {
            width
        };
        return product(&[width, layout.element]);
    }
    let head_dim = c.global_head_dim.unwrap_or(c.head_dim);
    let value_dim = match (c.global_head_dim, c.value_head_dim) {
        (None, Some(value)) => value,
        _ => head_dim,
    };
    // Key and value that are one tensor are kept once where the cache is compressed; elsewhere
    // engines keep both.
    if c.shared_key_value && !c.compress_ratios.is_empty() {
        return product(&[c.kv_heads, head_dim, layout.element]);
    }
    let heads = match (c.kv_heads_total, c.global_kv_heads) {
        // The mean of layers that differ, rounded up.
        (Some(total), _) => total.div_ceil(architecture.layers().full.max(1)),
        (None, global) => global.unwrap_or(c.kv_heads),
    };
    heads_per_token(heads, head_dim, value_dim, parallelism, layout)
}

/// Keys and values of the KV heads of one rank; a head is repeated rather than cut.
fn heads_per_token(
    heads: u64,
    key_dim: u64,
    value_dim: u64,
    parallelism: Parallelism,
    layout: Layout,
) -> u64 {
    let own = heads.div_ceil(u64::from(parallelism.tensor.max(1)));
    // TPU kernels pad a head to 128 lanes (64 has a packed kernel of its own); the two sides of
    // vLLM's tensor have one width on GPUs, the key's.
    let pad = |dim: u64| {
        if layout.tpu && dim > 64 {
            dim.next_multiple_of(128)
        } else {
            dim
        }
    };
    let width = if layout.tpu {
        pad(key_dim).max(pad(value_dim)).saturating_mul(2)
    } else {
        key_dim.saturating_add(value_dim)
    };
    product(&[own, width, layout.element])
}

/// State of one sequence in one recurrent layer of a rank: convolution, longer by the tokens that
/// are drafted ahead, and state matrix.
fn state_bytes(state: Recurrent, parallelism: Parallelism, drafted: u64) -> u64 {
    const CONV_ELEMENT: u64 = 2;
    let ranks = u64::from(parallelism.tensor.max(1));
    // A layer without a convolution has none to lengthen.
    let longer = |conv: u64| match conv {
        0 => 0,
        conv => conv.saturating_sub(1).saturating_add(drafted),
    };
    match state {
        Recurrent::Mamba1 {
            inner,
            state,
            conv,
            state_bytes,
        } => {
            let own = inner.div_ceil(ranks);
            product(&[own, longer(conv), CONV_ELEMENT]).saturating_add(product(&[
                own,
                state,
                state_bytes,
            ]))
        }
        Recurrent::Mamba2 {
            heads,
            head_dim,
            groups,
            state,
            conv,
            state_bytes,
        } => {
            let channels = product(&[heads, head_dim]).saturating_add(product(&[2, groups, state]));
            product(&[channels.div_ceil(ranks), longer(conv), CONV_ELEMENT]).saturating_add(
                product(&[heads.div_ceil(ranks), head_dim, state, state_bytes]),
            )
        }
        Recurrent::DeltaNet {
            key_heads,
            value_heads,
            key_dim,
            value_dim,
            conv,
            state_bytes,
        } => {
            let channels = product(&[2, key_heads, key_dim])
                .saturating_add(product(&[value_heads, value_dim]));
            product(&[channels.div_ceil(ranks), longer(conv), CONV_ELEMENT]).saturating_add(
                product(&[value_heads.div_ceil(ranks), value_dim, key_dim, state_bytes]),
            )
        }
    }
}

/// Entries that layers keep of a thousand tokens, where they compress them: one for each `ratio`.
fn entries(architecture: Architecture) -> u64 {
    let ratios = &architecture.config.compress_ratios;
    let kept: Vec<u64> = ratios
        .iter()
        .filter(|ratio| **ratio > 0)
        .map(|ratio| 1000 / ratio)
        .collect();
    if kept.is_empty() {
        return 1000;
    }
    (kept.iter().sum::<u64>() / kept.len() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::{
        Indexer, LatentAttention, LayerKinds, ModelCard, ModelConfig,
    };

    use super::*;
    use crate::testing;

    fn cache(config: ModelConfig, tensor: u32, element: u64) -> Cache {
        let card = ModelCard {
            config: Some(config),
            ..testing::llama_8b()
        };
        let architecture = Architecture::of(&card).expect("known");
        let layout = Layout {
            hybrid: true,
            element,
            tpu: false,
            batched_tokens: 8192,
        };
        Cache::of(architecture, Parallelism::tensor(tensor), layout)
    }

    fn config(card: ModelCard) -> ModelConfig {
        card.config.expect("it has one")
    }

    #[test]
    fn bytes_of_a_token_are_exact() {
        let bytes = |card: ModelCard| cache(config(card), 1, 2).per_token().0;
        assert_eq!(bytes(testing::llama_8b()), 131_072);
        assert_eq!(bytes(testing::llama_70b()), 327_680);
        assert_eq!(bytes(testing::gemma_9b()), 344_064);
        assert_eq!(bytes(testing::qwen_7b()), 57_344);
        assert_eq!(bytes(testing::qwen3_30b_moe()), 98_304);
    }

    #[test]
    fn kv_heads_are_split_and_then_repeated() {
        let bytes = |tensor| cache(config(testing::qwen_7b()), tensor, 2).per_token().0;
        assert_eq!([1, 2, 4, 8].map(bytes), [57_344, 28_672, 14_336, 14_336]);
        let fp8 = cache(config(testing::llama_8b()), 1, 1).per_token().0;
        assert_eq!(fp8, 65_536, "one byte an element");
    }

    #[test]
    fn a_compressed_vector_is_whole_on_every_rank() {
        // DeepSeek V3: 61 layers × (512 + 64) × 2 bytes; V3.2 adds 128 fp8 and a scale.
        let latent = |indexer| ModelConfig {
            layers: 61,
            latent: Some(LatentAttention {
                kv_rank: 512,
                q_rank: Some(1536),
                rope_dim: 64,
                nope_dim: 128,
                value_dim: 128,
            }),
            indexer,
            ..config(testing::llama_8b())
        };
        let indexer = Indexer {
            dim: 128,
            layers: 61,
            topk: Some(2048),
        };
        assert_eq!(cache(latent(None), 1, 2).per_token().0, 70_272);
        assert_eq!(cache(latent(None), 8, 2).per_token().0, 70_272);
        assert_eq!(
            cache(latent(Some(indexer)), 8, 2).per_token().0,
            70_272 + 61 * 132
        );
    }

    #[test]
    fn windowed_layers_are_grouped_as_the_engine_groups_them() {
        // gemma-3-27b: 10 layers with full attention and 52 windowed ones, which vLLM pads to six
        // groups of ten; its log says 36,560 tokens in 19.53 GiB at a context of 8,192.
        let gemma = ModelConfig {
            layers: 62,
            kv_heads: 16,
            head_dim: 128,
            attention_heads: 32,
            layer_kinds: LayerKinds {
                full: 10,
                windowed: 52,
                ..LayerKinds::default()
            },
            window: Some(1024),
            ..config(testing::llama_8b())
        };
        let cache = cache(gemma, 1, 2);
        let tokens = cache.capacity(Bytes::from_gib(19.53), 8192);
        assert!(tokens.abs_diff(36_560) < 100, "{tokens}");
        let (least, most) = cache.bounds(8192);
        assert!(least < most, "{least} {most}");
        assert_eq!(most, cache.per_token() * 8192);
    }

    #[test]
    fn a_state_is_kept_per_sequence_and_not_per_token() {
        // Qwen3-Next: 36 gated delta nets, 12 layers with attention.
        let hybrid = ModelConfig {
            layers: 48,
            kv_heads: 2,
            head_dim: 256,
            attention_heads: 16,
            layer_kinds: LayerKinds {
                full: 12,
                recurrent: 36,
                ..LayerKinds::default()
            },
            recurrent: Some(Recurrent::DeltaNet {
                key_heads: 16,
                value_heads: 32,
                key_dim: 128,
                value_dim: 128,
                conv: 4,
                state_bytes: 4,
            }),
            ..config(testing::llama_8b())
        };
        let cache = cache(hybrid, 1, 2);
        assert_eq!(cache.per_token().0, 24_576);
        // (2·16·128 + 32·128) · 3 · 2 + 32·128·128·4 bytes in each of 36 layers.
        assert_eq!(cache.per_sequence().0, 36 * (8192 * 3 * 2 + 2_097_152));
        let one = cache.request(16);
        assert!(cache.request(32_768) > one && one >= cache.per_sequence());
    }
}
