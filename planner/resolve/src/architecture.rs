//! What a model's configuration says of its size: its layers, and its parameters by formula.
//!
//! ```text
//!   ModelConfig ──► checked ──► layers     full · windowed · recurrent · shared · cross
//!                          └──► parameters embedding · head · attention · feed-forward · experts
//! ```
//!
//! What a configuration shows beyond the formulas is said to be unknown, with the field that
//! shows it; it is never guessed. A part that the configuration leaves out (the vocabulary of a
//! shortened one, say) makes the parameters incomplete, which [`Architecture::parameters`] says.

use openmodel_schemas::model_card::{
    LatentAttention, LayerKinds, ModelCard, ModelConfig, ModelKind, Recurrent,
};

use crate::error::{Fault, Field};
use crate::task::answers_once;

/// A configuration whose size the formulas describe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Architecture<'a> {
    pub(crate) config: &'a ModelConfig,
    /// Whether it answers once with a vector or a score, and generates nothing.
    pub(crate) once: bool,
}

/// Parameters by formula, split by how ranks share them and what quantisation does to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ParameterCount {
    /// Input embeddings, in 16 bits; split over the vocabulary.
    pub(crate) embedding: u64,
    /// Output head where it is not tied, in 16 bits; split over the vocabulary.
    pub(crate) head: u64,
    /// Linear layers that tensor parallelism splits: queries, outputs, dense feed-forward
    /// layers, shared experts, recurrent projections.
    pub(crate) linear: u64,
    /// Key and value projections: split, but a KV head is never cut.
    pub(crate) key_value: u64,
    /// Routed experts.
    pub(crate) experts: u64,
    /// Linear layers every rank holds whole: the down-projections of latent attention.
    pub(crate) latent: u64,
    /// Norms and routers, in 16 bits; every rank holds them whole.
    pub(crate) replicated: u64,
    /// Of `linear`, the attention projections: some checkpoints leave them in 16 bits.
    pub(crate) attention: u64,
    /// What the formula does not describe and no quantisation touches: biases, towers.
    pub(crate) plain: u64,
}

impl ParameterCount {
    /// All of them.
    pub(crate) const fn total(self) -> u64 {
        self.in_16_bits()
            .saturating_add(self.linear)
            .saturating_add(self.key_value)
            .saturating_add(self.experts)
            .saturating_add(self.latent)
    }

    /// Those that no quantisation touches.
    pub(crate) const fn in_16_bits(self) -> u64 {
        self.embedding
            .saturating_add(self.head)
            .saturating_add(self.replicated)
            .saturating_add(self.plain)
    }
}

impl<'a> Architecture<'a> {
    /// Read a card's configuration, or say which field is beyond the formulas.
    pub(crate) fn of(card: &'a ModelCard) -> Result<Self, Fault> {
        let Some(config) = &card.config else {
            return Err(unknown(card, "config.json", "the repository has none"));
        };
        if let Some(field) = config.special.first() {
            return Err(unknown(
                card,
                field,
                "this mechanism has no memory formula here yet",
            ));
        }
        let architecture = Self {
            config,
            once: answers_once(card, config),
        };
        if config.kind == ModelKind::Diffusion {
            return Ok(architecture);
        }
        let attends = config.kind != ModelKind::Decoder || architecture.attention_layers() > 0;
        for (field, value, needed) in [
            ("hidden_size", config.hidden_size, true),
            ("num_hidden_layers", config.layers, true),
            ("num_attention_heads", config.attention_heads, attends),
            (
                "num_key_value_heads",
                config.kv_heads,
                attends && config.latent.is_none(),
            ),
            (
                "head_dim",
                config.head_dim,
                attends && config.latent.is_none(),
            ),
        ] {
            if needed && value == 0 {
                return Err(unknown(card, field, "it is missing or zero"));
            }
        }
        if let Some((field, value)) = numbers(config)
            .into_iter()
            .find(|(_, value)| *value > LARGEST)
        {
            return Err(unknown(card, field, &format!("{value} cannot be true")));
        }
        let kinds = architecture.layers();
        let sum = [
            kinds.full,
            kinds.windowed,
            kinds.recurrent,
            kinds.shared,
            kinds.cross,
        ]
        .into_iter()
        .fold(0_u64, u64::saturating_add)
        .saturating_sub(kinds.both);
        if sum > config.layers {
            let why = format!(
                "{} layers are less than the {sum} that its kinds of layers add up to",
                config.layers
            );
            return Err(unknown(card, "num_hidden_layers", &why));
        }
        let whole_groups = config.latent.is_some()
            || config.kv_heads == 0
            || config.attention_heads.is_multiple_of(config.kv_heads);
        if attends && !whole_groups {
            let why = format!(
                "{} does not divide num_attention_heads = {}",
                config.kv_heads, config.attention_heads
            );
            return Err(unknown(card, "num_key_value_heads", &why));
        }
        if kinds.windowed > 0 && config.window.is_none() {
            return Err(unknown(
                card,
                "sliding_window",
                "layers have a window, but its length is missing",
            ));
        }
        if kinds.recurrent > 0 && config.recurrent.is_none() {
            return Err(unknown(
                card,
                "ssm_state_size",
                "layers keep a state, but its size is missing",
            ));
        }
        Ok(architecture)
    }

    /// Its class, by the field that states it: `architectures = ["FooForCausalLM"]`.
    pub(crate) fn stated_class(self) -> String {
        let c = self.config;
        let field = if c.kind == ModelKind::Diffusion {
            "_class_name"
        } else {
            "architectures"
        };
        match (c.architecture.as_str(), c.model_type.as_str()) {
            ("", "") => format!("no {field}"),
            ("", family) => format!("no {field}, and model_type = {family:?}"),
            (class, _) if c.kind == ModelKind::Diffusion => format!("{field} = {class:?}"),
            (class, _) => format!("{field} = [{class:?}]"),
        }
    }

    /// What it needs an engine to serve: a decoder that answers once is served as an encoder.
    pub(crate) const fn role(self) -> ModelKind {
        if self.once {
            ModelKind::Encoder
        } else {
            self.config.kind
        }
    }

    /// What the layers are; a configuration that does not say has full attention in each.
    pub(crate) fn layers(self) -> LayerKinds {
        let stated = self.config.layer_kinds;
        if stated == LayerKinds::default() {
            LayerKinds {
                full: self.config.layers,
                ..stated
            }
        } else {
            stated
        }
    }

    /// Layers with attention of any kind.
    pub(crate) fn attention_layers(self) -> u64 {
        let kinds = self.layers();
        kinds
            .full
            .saturating_add(kinds.windowed)
            .saturating_add(kinds.shared)
            .saturating_add(kinds.cross)
    }

    /// Parameters of decoder layers, by the usual formula
    /// `V·H·(1|2) + L·(H·d·(q+2·kv) + q·d·H + 3·H·I + 2·H)`, with its variants for latent
    /// attention, recurrent layers and experts. `None` where the configuration leaves a size
    /// out that the formula needs.
    pub(crate) fn parameters(self) -> Option<ParameterCount> {
        let c = self.config;
        let dense_needed = c
            .experts
            .as_ref()
            .is_none_or(|experts| experts.dense_layers > 0);
        let incomplete = c.kind == ModelKind::Diffusion
            || c.vocab_size == 0
            || (dense_needed && c.intermediate_size == 0 && c.kind != ModelKind::EncoderDecoder);
        // A stated state-space model has no feed-forward layers of its own.
        let stateful =
            matches!(c.recurrent, Some(Recurrent::Mamba1 { .. })) && self.attention_layers() == 0;
        if incomplete && !(stateful && c.vocab_size > 0) {
            return None;
        }
        let kinds = self.layers();
        let (attention, key_value, latent) = self.attention_parameters();
        let recurrent = product(&[kinds.recurrent, recurrent_parameters(c)]);
        let matrices = if c.plain_feed_forward { 2 } else { 3 };
        let (dense_layers, expert_layers) = (self.dense_layers(), self.expert_layers());
        let dense = if stateful {
            0
        } else if let (Some(total), None) = (c.intermediate_total, &c.experts) {
            product(&[matrices, c.hidden_size, total])
        } else {
            product(&[matrices, c.hidden_size, c.intermediate_size, dense_layers])
        };
        let (experts, shared, routers) = c.experts.as_ref().map_or((0, 0, 0), |experts| {
            let width = experts.latent_size.unwrap_or(c.hidden_size);
            let one = product(&[matrices, width, experts.intermediate_size]);
            // Experts of another width than the model's are reached by a projection each way.
            let projections = experts
                .latent_size
                .map_or(0, |latent| product(&[2, c.hidden_size, latent]));
            let shared = if experts.shared_intermediate_size > 0 {
                experts.shared_intermediate_size
            } else {
                experts.intermediate_size.saturating_mul(experts.shared)
            };
            let shared = product(&[matrices, c.hidden_size, shared]).saturating_add(projections);
            (
                product(&[one, experts.count, expert_layers]),
                product(&[shared, expert_layers]),
                product(&[c.hidden_size, experts.count, expert_layers]),
            )
        });
        let embedding = product(&[c.vocab_size, c.hidden_size]);
        let head = if c.tied_embeddings || c.kind != ModelKind::Decoder {
            0
        } else {
            embedding
        };
        let embedding = embedding.saturating_add(c.per_layer_embeddings);
        let encoder = c.encoder.map_or(0, |encoder| {
            // Self-attention of four square matrices and the feed-forward layer; the decoder
            // attends to it with four more.
            let square = product(&[4, c.hidden_size, c.hidden_size]);
            let layer =
                square.saturating_add(product(&[matrices, c.hidden_size, c.intermediate_size]));
            product(&[encoder.layers, layer]).saturating_add(product(&[c.layers, square]))
        });
        Some(ParameterCount {
            embedding,
            head,
            attention,
            linear: attention
                .saturating_add(recurrent)
                .saturating_add(dense)
                .saturating_add(shared)
                .saturating_add(encoder),
            key_value,
            experts,
            latent,
            replicated: routers.saturating_add(product(&[2, c.hidden_size, c.layers])),
            plain: 0,
        })
    }

    /// Parameters that one token is multiplied with: all but the experts it is not routed to
    /// and the embeddings it does not look up.
    pub(crate) fn active_parameters(self) -> Option<u64> {
        let count = self.parameters()?;
        let routed = self.config.experts.as_ref().map_or(0, |experts| {
            product(&[count.experts / experts.count.max(1), experts.per_token])
        });
        // The output head is multiplied with, tied or not.
        let head = product(&[self.config.vocab_size, self.config.hidden_size]);
        Some(
            count
                .linear
                .saturating_add(count.key_value)
                .saturating_add(count.latent)
                .saturating_add(count.replicated)
                .saturating_add(head)
                .saturating_add(routed),
        )
    }

    /// Layers with a dense feed-forward part.
    pub(crate) fn dense_layers(self) -> u64 {
        let all = self.feed_forward_layers();
        match &self.config.experts {
            None => all,
            Some(experts) if experts.beside_dense => experts
                .dense_layers
                .min(all)
                .saturating_add(self.expert_layers()),
            Some(experts) => experts.dense_layers.min(all),
        }
    }

    /// Layers with routed experts.
    pub(crate) fn expert_layers(self) -> u64 {
        let Some(experts) = &self.config.experts else {
            return 0;
        };
        let all = self.feed_forward_layers();
        let others = all - experts.dense_layers.min(all);
        if experts.layers > 0 {
            experts.layers.min(others)
        } else {
            others
        }
    }

    /// Layers with a feed-forward part: all of them, or where the kinds of layers leave some
    /// out, just those (Nemotron-H has layers of one kind each).
    fn feed_forward_layers(self) -> u64 {
        let kinds = self.layers();
        let mixers = self
            .attention_layers()
            .saturating_add(kinds.recurrent)
            .saturating_sub(kinds.both);
        let rest = self.config.layers.saturating_sub(mixers);
        if rest > 0 { rest } else { self.config.layers }
    }

    /// Query and output projections, key and value projections, replicated down-projections.
    fn attention_parameters(self) -> (u64, u64, u64) {
        let c = self.config;
        let kinds = self.layers();
        if let Some(latent) = &c.latent {
            let (split, whole) = latent_parameters(c, latent);
            let layers = self.attention_layers();
            return (product(&[layers, split]), 0, product(&[layers, whole]));
        }
        let gate = if has_output_gate(&c.architecture) {
            2
        } else {
            1
        };
        let per_layer = |head_dim: u64, kv_heads: u64| {
            let value_dim = c.value_head_dim.unwrap_or(head_dim);
            let query = product(&[c.hidden_size, c.attention_heads, head_dim, gate]);
            let output = product(&[c.attention_heads, value_dim, c.hidden_size]);
            let key_value = product(&[c.hidden_size, kv_heads, head_dim.saturating_add(value_dim)]);
            (query.saturating_add(output), key_value)
        };
        let (local, local_kv) = per_layer(c.head_dim, c.kv_heads);
        let (global, global_kv) = per_layer(
            c.global_head_dim.unwrap_or(c.head_dim),
            c.global_kv_heads.unwrap_or(c.kv_heads),
        );
        let local_layers = kinds
            .windowed
            .saturating_add(kinds.shared)
            .saturating_add(kinds.cross);
        let key_value = match c.kv_heads_total {
            Some(heads) => {
                let value_dim = c.value_head_dim.unwrap_or(c.head_dim);
                product(&[c.hidden_size, heads, c.head_dim.saturating_add(value_dim)])
            }
            None => {
                product(&[kinds.full, global_kv]).saturating_add(product(&[local_layers, local_kv]))
            }
        };
        (
            product(&[kinds.full, global]).saturating_add(product(&[local_layers, local])),
            key_value,
            0,
        )
    }
}

/// Larger than any dimension of any model; keeps later arithmetic far from nonsense.
const LARGEST: u64 = 1 << 32;

/// Every number of a configuration that is multiplied later, by the field that states it.
fn numbers(c: &ModelConfig) -> Vec<(&'static str, u64)> {
    let mut all = vec![
        ("hidden_size", c.hidden_size),
        ("num_hidden_layers", c.layers),
        ("num_attention_heads", c.attention_heads),
        ("num_key_value_heads", c.kv_heads),
        ("head_dim", c.head_dim),
        ("intermediate_size", c.intermediate_size),
        ("vocab_size", c.vocab_size),
        ("max_position_embeddings", c.max_positions.unwrap_or(0)),
        ("sliding_window", c.window.unwrap_or(0)),
        ("num_global_key_value_heads", c.global_kv_heads.unwrap_or(0)),
        ("global_head_dim", c.global_head_dim.unwrap_or(0)),
        ("v_head_dim", c.value_head_dim.unwrap_or(0)),
        ("num_nextn_predict_layers", c.mtp_layers),
        ("block_configs", c.kv_heads_total.unwrap_or(0)),
        ("index_head_dim", c.indexer.map_or(0, |indexer| indexer.dim)),
    ];
    if let Some(e) = &c.experts {
        all.extend([
            ("num_experts", e.count),
            ("num_experts_per_tok", e.per_token),
            ("moe_intermediate_size", e.intermediate_size),
            ("n_shared_experts", e.shared),
            ("first_k_dense_replace", e.dense_layers),
            ("moe_latent_size", e.latent_size.unwrap_or(0)),
            (
                "shared_expert_intermediate_size",
                e.shared_intermediate_size,
            ),
        ]);
    }
    if let Some(latent) = &c.latent {
        all.extend([
            ("kv_lora_rank", latent.kv_rank),
            ("q_lora_rank", latent.q_rank.unwrap_or(0)),
            ("qk_rope_head_dim", latent.rope_dim),
            ("qk_nope_head_dim", latent.nope_dim),
            ("v_head_dim", latent.value_dim),
        ]);
    }
    if let Some(encoder) = &c.encoder {
        all.extend([
            ("encoder_layers", encoder.layers),
            ("max_source_positions", encoder.positions),
        ]);
    }
    all
}

/// Families whose attention gates its output with a second query projection.
fn has_output_gate(architecture: &str) -> bool {
    ["Qwen3Next", "Qwen3_5"]
        .iter()
        .any(|family| architecture.starts_with(family))
}

/// Split and whole parameters of one layer of latent attention:
/// `H·q_rank + q_rank·n·(nope+rope) | H·n·(nope+rope)`, `H·(kv_rank+rope)`,
/// `kv_rank·n·(nope+v) + n·v·H`.
fn latent_parameters(c: &ModelConfig, latent: &LatentAttention) -> (u64, u64) {
    let heads = c.attention_heads;
    let query_dim = latent.nope_dim.saturating_add(latent.rope_dim);
    let (query_down, query) = match latent.q_rank {
        Some(rank) => (
            product(&[c.hidden_size, rank]),
            product(&[rank, heads, query_dim]),
        ),
        None => (0, product(&[c.hidden_size, heads, query_dim])),
    };
    let kv_down = product(&[
        c.hidden_size,
        latent.kv_rank.saturating_add(latent.rope_dim),
    ]);
    let kv_up = product(&[
        latent.kv_rank,
        heads,
        latent.nope_dim.saturating_add(latent.value_dim),
    ]);
    let output = product(&[heads, latent.value_dim, c.hidden_size]);
    (
        query.saturating_add(kv_up).saturating_add(output),
        query_down.saturating_add(kv_down),
    )
}

/// Parameters of one recurrent layer's projections and convolution.
fn recurrent_parameters(c: &ModelConfig) -> u64 {
    let h = c.hidden_size;
    match c.recurrent {
        None => 0,
        Some(Recurrent::Mamba1 {
            inner, state, conv, ..
        }) => {
            let rank = h.div_ceil(16);
            product(&[h, inner, 3])
                .saturating_add(product(&[inner, rank.saturating_add(product(&[2, state]))]))
                .saturating_add(product(&[rank, inner]))
                .saturating_add(product(&[inner, state.saturating_add(conv)]))
        }
        Some(Recurrent::Mamba2 {
            heads,
            head_dim,
            groups,
            state,
            conv,
            ..
        }) => {
            let inner = product(&[heads, head_dim]);
            let mixed = inner.saturating_add(product(&[2, groups, state]));
            product(&[h, inner.saturating_add(mixed).saturating_add(heads)])
                .saturating_add(product(&[mixed, conv]))
                .saturating_add(product(&[inner, h]))
        }
        Some(Recurrent::DeltaNet {
            key_heads,
            value_heads,
            key_dim,
            value_dim,
            conv,
            ..
        }) => {
            let keys = product(&[key_heads, key_dim]);
            let values = product(&[value_heads, value_dim]);
            let mixed = keys.saturating_mul(2).saturating_add(values);
            let columns = mixed
                .saturating_add(values)
                .saturating_add(value_heads.saturating_mul(2));
            product(&[h, columns])
                .saturating_add(product(&[mixed, conv]))
                .saturating_add(product(&[values, h]))
        }
    }
}

/// A product that stops at the largest number: nonsense in a configuration must not panic.
pub(crate) fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |product, factor| product.saturating_mul(*factor))
}

fn unknown(card: &ModelCard, field: &str, why: &str) -> Fault {
    Fault {
        field: Field::Model,
        code: "unknown_architecture",
        summary: "Memory need of the model is unknown",
        detail: format!(
            "The memory that {} needs cannot be computed: {field}: {why}. Choose a model whose \
             configuration states it, or set the shape of a machine that is known to hold it.",
            card.id
        ),
    }
}

#[cfg(test)]
mod tests;
