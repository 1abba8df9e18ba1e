//! The tensors of a checkpoint, computed from its `config.json`.
//!
//! Names, shapes and types are those of the published checkpoints, so parameter counts and bytes
//! come out exact: 8,030,261,248 for Llama-3.1-8B, 13,761,264,768 bytes for gpt-oss-20b.

use serde_json::Value;

/// One tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// As in a safetensors header: `BF16`, `U8`.
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<u64>,
}

impl Tensor {
    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.elements() * if self.dtype == "U8" { 1 } else { 2 }
    }

    /// Parameters as the Hub counts them: a byte of MXFP4 blocks holds two.
    pub(crate) fn parameters(&self) -> u64 {
        self.elements() * if self.name.ends_with("_blocks") { 2 } else { 1 }
    }
}

/// All tensors of the checkpoint of this configuration, in the order of the model.
/// Nothing for a `model_type` whose layout is not known here.
pub(crate) fn of(config: &Value) -> Vec<Tensor> {
    let kind = config["model_type"].as_str().unwrap_or_default();
    let text = config.get("text_config").unwrap_or(config);
    let mut list = List {
        tensors: Vec::new(),
        config: text,
        prefix: "",
    };
    match kind {
        "llama" | "mistral" | "qwen2" | "qwen3" | "qwen3_moe" | "mixtral" | "phi3" | "gemma2"
        | "gemma3_text" | "gpt_oss" => list.model(kind),
        "gemma3" => {
            list.prefix = "language_model.";
            list.model("gemma3_text");
            list.prefix = "";
            list.gemma3_vision(&config["vision_config"]);
        }
        _ => {}
    }
    list.tensors
}

struct List<'a> {
    tensors: Vec<Tensor>,
    config: &'a Value,
    prefix: &'static str,
}

impl List<'_> {
    /// A number of the configuration, or the default of its configuration class.
    fn size(&self, name: &str) -> u64 {
        let gemma3 = self.config["model_type"] == "gemma3_text";
        self.config[name].as_u64().unwrap_or_else(|| match name {
            // `Gemma3TextConfig`; the published gemma-3 configurations leave these out.
            "vocab_size" if gemma3 => 262_208,
            "num_attention_heads" if gemma3 => 8,
            "num_key_value_heads" if gemma3 => 4,
            "head_dim" if gemma3 => 256,
            "head_dim" => self.size("hidden_size") / self.size("num_attention_heads").max(1),
            _ => 0,
        })
    }

    fn add(&mut self, name: &str, shape: &[u64]) {
        self.typed(name, "BF16", shape);
    }

    fn typed(&mut self, name: &str, dtype: &'static str, shape: &[u64]) {
        let name = format!("{}{name}", self.prefix);
        self.tensors.push(Tensor {
            name,
            dtype,
            shape: shape.to_vec(),
        });
    }

    /// A linear layer with a bias.
    fn biased(&mut self, name: &str, out: u64, input: u64) {
        self.add(&format!("{name}.weight"), &[out, input]);
        self.add(&format!("{name}.bias"), &[out]);
    }

    fn model(&mut self, kind: &str) {
        let (hidden, vocab) = (self.size("hidden_size"), self.size("vocab_size"));
        self.add("model.embed_tokens.weight", &[vocab, hidden]);
        for layer in 0..self.size("num_hidden_layers") {
            let at = format!("model.layers.{layer}");
            self.attention(kind, &at);
            self.feed_forward(kind, &at);
            self.norms(kind, &at);
        }
        self.add("model.norm.weight", &[hidden]);
        // Gemma ties its embeddings by default and does not say so in its configuration.
        let tied = self.config["tie_word_embeddings"]
            .as_bool()
            .unwrap_or(kind.starts_with("gemma"));
        if !tied {
            self.add("lm_head.weight", &[vocab, hidden]);
        }
    }

    fn attention(&mut self, kind: &str, layer: &str) {
        let (hidden, head) = (self.size("hidden_size"), self.size("head_dim"));
        let heads = self.size("num_attention_heads") * head;
        let shared = self.size("num_key_value_heads") * head;
        let at = format!("{layer}.self_attn");
        if kind == "phi3" {
            self.add(
                &format!("{at}.qkv_proj.weight"),
                &[heads + 2 * shared, hidden],
            );
            self.add(&format!("{at}.o_proj.weight"), &[hidden, heads]);
            return;
        }
        for (name, out) in [("q_proj", heads), ("k_proj", shared), ("v_proj", shared)] {
            self.add(&format!("{at}.{name}.weight"), &[out, hidden]);
            if matches!(kind, "qwen2" | "gpt_oss") {
                self.add(&format!("{at}.{name}.bias"), &[out]);
            }
        }
        self.add(&format!("{at}.o_proj.weight"), &[hidden, heads]);
        match kind {
            "gpt_oss" => {
                self.add(&format!("{at}.o_proj.bias"), &[hidden]);
                self.add(&format!("{at}.sinks"), &[heads / head.max(1)]);
            }
            "qwen3" | "qwen3_moe" | "gemma3_text" => {
                self.add(&format!("{at}.q_norm.weight"), &[head]);
                self.add(&format!("{at}.k_norm.weight"), &[head]);
            }
            _ => {}
        }
    }

    fn feed_forward(&mut self, kind: &str, layer: &str) {
        let (hidden, inner) = (self.size("hidden_size"), self.size("intermediate_size"));
        match kind {
            "phi3" => {
                self.add(
                    &format!("{layer}.mlp.gate_up_proj.weight"),
                    &[2 * inner, hidden],
                );
                self.add(&format!("{layer}.mlp.down_proj.weight"), &[hidden, inner]);
            }
            "mixtral" => {
                let experts = self.size("num_local_experts");
                let at = format!("{layer}.block_sparse_moe");
                self.add(&format!("{at}.gate.weight"), &[experts, hidden]);
                for expert in 0..experts {
                    self.add(
                        &format!("{at}.experts.{expert}.w1.weight"),
                        &[inner, hidden],
                    );
                    self.add(
                        &format!("{at}.experts.{expert}.w2.weight"),
                        &[hidden, inner],
                    );
                    self.add(
                        &format!("{at}.experts.{expert}.w3.weight"),
                        &[inner, hidden],
                    );
                }
            }
            "qwen3_moe" => {
                let (experts, inner) =
                    (self.size("num_experts"), self.size("moe_intermediate_size"));
                self.add(&format!("{layer}.mlp.gate.weight"), &[experts, hidden]);
                for expert in 0..experts {
                    self.gated(&format!("{layer}.mlp.experts.{expert}"), hidden, inner);
                }
            }
            "gpt_oss" => self.mxfp4_experts(&format!("{layer}.mlp"), hidden, inner),
            _ => self.gated(&format!("{layer}.mlp"), hidden, inner),
        }
    }

    fn gated(&mut self, at: &str, hidden: u64, inner: u64) {
        self.add(&format!("{at}.gate_proj.weight"), &[inner, hidden]);
        self.add(&format!("{at}.up_proj.weight"), &[inner, hidden]);
        self.add(&format!("{at}.down_proj.weight"), &[hidden, inner]);
    }

    /// MXFP4: blocks of 32 values in 16 bytes, one scale byte each.
    fn mxfp4_experts(&mut self, at: &str, hidden: u64, inner: u64) {
        let experts = self.size("num_local_experts");
        for (name, out, input) in [
            ("gate_up_proj", 2 * inner, hidden),
            ("down_proj", hidden, inner),
        ] {
            let at = format!("{at}.experts.{name}");
            self.typed(
                &format!("{at}_blocks"),
                "U8",
                &[experts, out, input / 32, 16],
            );
            self.typed(&format!("{at}_scales"), "U8", &[experts, out, input / 32]);
            self.add(&format!("{at}_bias"), &[experts, out]);
        }
        self.biased(&format!("{at}.router"), experts, hidden);
    }

    fn norms(&mut self, kind: &str, layer: &str) {
        let hidden = self.size("hidden_size");
        let mut names = vec!["input_layernorm", "post_attention_layernorm"];
        if kind.starts_with("gemma") {
            names.extend(["pre_feedforward_layernorm", "post_feedforward_layernorm"]);
        }
        for name in names {
            self.add(&format!("{layer}.{name}.weight"), &[hidden]);
        }
    }

    /// The `SigLIP` tower of gemma-3 and the projection into its text model.
    fn gemma3_vision(&mut self, vision: &Value) {
        let size = |name: &str| vision[name].as_u64().unwrap_or(0);
        let (hidden, inner, patch) = (
            size("hidden_size"),
            size("intermediate_size"),
            size("patch_size"),
        );
        let side = size("image_size") / patch.max(1);
        self.add(
            "multi_modal_projector.mm_input_projection_weight",
            &[hidden, self.size("hidden_size")],
        );
        self.add("multi_modal_projector.mm_soft_emb_norm.weight", &[hidden]);
        let tower = "vision_tower.vision_model";
        self.add(
            &format!("{tower}.embeddings.patch_embedding.weight"),
            &[hidden, 3, patch, patch],
        );
        self.add(
            &format!("{tower}.embeddings.patch_embedding.bias"),
            &[hidden],
        );
        self.add(
            &format!("{tower}.embeddings.position_embedding.weight"),
            &[side * side, hidden],
        );
        for layer in 0..size("num_hidden_layers") {
            let at = format!("{tower}.encoder.layers.{layer}");
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                self.biased(&format!("{at}.self_attn.{name}"), hidden, hidden);
            }
            self.biased(&format!("{at}.mlp.fc1"), inner, hidden);
            self.biased(&format!("{at}.mlp.fc2"), hidden, inner);
            for norm in ["layer_norm1", "layer_norm2"] {
                self.add(&format!("{at}.{norm}.weight"), &[hidden]);
                self.add(&format!("{at}.{norm}.bias"), &[hidden]);
            }
        }
        self.add(&format!("{tower}.post_layernorm.weight"), &[hidden]);
        self.add(&format!("{tower}.post_layernorm.bias"), &[hidden]);
    }
}
