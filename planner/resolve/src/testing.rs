//! Model cards, workloads and endpoints that the tests share. Facts of the Hub, not opinions.

use openmodel_schemas::model_card::{
    Experts, LayerKinds, ModelCard, ModelConfig, WeightBasis, WeightBytes,
};
use openmodel_schemas::quantity::{Bytes, Parameters, Tokens};
use openmodel_schemas::spec::{
    Access, Budget, EndpointSpec, EngineSpec, Goals, Scaling, ShapeRequest, Surface, TokenSource,
    Workload,
};

use std::sync::LazyLock;

use crate::Catalog;

pub(crate) const COMMIT: &str = "0e9e39f249a16976918f6564b8830bc894c89659";

/// A catalog that stays: new prices in the embedded one move no test.
pub(crate) fn catalog() -> &'static Catalog {
    static FIXTURE: LazyLock<Catalog> = LazyLock::new(|| {
        let text = include_bytes!("../fixtures/catalog-2026-11-20.json");
        Catalog::parse(text).expect("the fixture is sound")
    });
    &FIXTURE
}

/// A load with typical requests of 512 tokens in and 256 out.
pub(crate) fn load(context_length: u64, max_concurrency: u32) -> Workload {
    Workload {
        context_length: Tokens(context_length),
        max_concurrency,
        input_tokens: Tokens(512),
        output_tokens: Tokens(256),
        requests_per_second: None,
        starts_per_month: None,
        extend_context: false,
        adapters: None,
        draft_tokens: None,
        draft_model: None,
        goals: Goals::default(),
    }
}

pub(crate) fn spec(card: &ModelCard, context_length: u64, max_concurrency: u32) -> EndpointSpec {
    EndpointSpec {
        project: "acme-ml".parse().expect("a project"),
        region: "us-central1".parse().expect("a region"),
        name: "chat".parse().expect("a name"),
        model: card.id.clone(),
        commit: card.commit.clone(),
        surface: Surface::CloudRun,
        workload: load(context_length, max_concurrency),
        quantization: None,
        shape: ShapeRequest::default(),
        engine: EngineSpec::default(),
        scaling: Scaling {
            min_replicas: 0,
            max_replicas: 1,
        },
        access: Access::default(),
        budget: Budget::default(),
        objective: None,
        token: TokenSource::None,
        cache: None,
        labels: [("team".to_owned(), "search".to_owned())].into(),
    }
}

pub(crate) fn llama_8b() -> ModelCard {
    card(
        "meta-llama/Llama-3.1-8B-Instruct",
        8_030_261_248,
        config(
            "LlamaForCausalLM",
            [4096, 32, 32, 8, 128, 14336, 128_256, 131_072],
        ),
    )
}

pub(crate) fn llama_1b() -> ModelCard {
    let config = ModelConfig {
        tied_embeddings: true,
        ..config(
            "LlamaForCausalLM",
            [2048, 16, 32, 8, 64, 8192, 128_256, 131_072],
        )
    };
    card("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400, config)
}

pub(crate) fn llama_70b() -> ModelCard {
    card(
        "meta-llama/Llama-3.3-70B-Instruct",
        70_553_706_496,
        config(
            "LlamaForCausalLM",
            [8192, 80, 64, 8, 128, 28672, 128_256, 131_072],
        ),
    )
}

pub(crate) fn gemma_9b() -> ModelCard {
    let config = ModelConfig {
        tied_embeddings: true,
        window: Some(4096),
        layer_kinds: LayerKinds {
            full: 21,
            windowed: 21,
            ..LayerKinds::default()
        },
        ..config(
            "Gemma2ForCausalLM",
            [3584, 42, 16, 8, 256, 14336, 256_000, 8192],
        )
    };
    card("google/gemma-2-9b-it", 9_241_705_984, config)
}

pub(crate) fn qwen_7b() -> ModelCard {
    card(
        "Qwen/Qwen2.5-7B-Instruct",
        7_615_616_512,
        config(
            "Qwen2ForCausalLM",
            [3584, 28, 28, 4, 128, 18944, 152_064, 32_768],
        ),
    )
}

pub(crate) fn qwen3_30b_moe() -> ModelCard {
    let config = ModelConfig {
        experts: Some(Experts {
            count: 128,
            per_token: 8,
            intermediate_size: 768,
            shared: 0,
            dense_layers: 0,
            ..Experts::default()
        }),
        ..config(
            "Qwen3MoeForCausalLM",
            [2048, 48, 32, 4, 128, 6144, 151_936, 40_960],
        )
    };
    card("Qwen/Qwen3-30B-A3B", 30_532_122_624, config)
}

fn config(architecture: &str, numbers: [u64; 8]) -> ModelConfig {
    let [
        hidden_size,
        layers,
        attention_heads,
        kv_heads,
        head_dim,
        intermediate_size,
        vocab_size,
        positions,
    ] = numbers;
    ModelConfig {
        architecture: architecture.to_owned(),
        hidden_size,
        layers,
        attention_heads,
        kv_heads,
        head_dim,
        intermediate_size,
        vocab_size,
        max_positions: Some(positions),
        dtype: Some("bfloat16".to_owned()),
        ..ModelConfig::default()
    }
}

fn card(id: &str, parameters: u64, config: ModelConfig) -> ModelCard {
    ModelCard {
        id: id.parse().expect("an id"),
        commit: COMMIT.parse().expect("a commit"),
        config: Some(config),
        parameters: Some(Parameters(parameters)),
        active_parameters: None,
        parameters_by_dtype: [("BF16".to_owned(), parameters)].into(),
        weights: Some(WeightBytes {
            bytes: Bytes(parameters * 2),
            basis: WeightBasis::SafetensorsIndex,
        }),
        files: Vec::new(),
        licence: Some("apache-2.0".to_owned()),
        gating: openmodel_schemas::repository::Gating::None,
        private: false,
        library: Some("transformers".to_owned()),
        pipeline_tag: Some("text-generation".to_owned()),
    }
}
