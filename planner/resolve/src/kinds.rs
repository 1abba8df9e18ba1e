//! Every kind of model is placed, and served, as what it is.

use openmodel_schemas::model_card::{ModelCard, ModelConfig, ModelKind, Recurrent};
use openmodel_schemas::report::Placement;
use openmodel_schemas::spec::{EndpointSpec, Surface};

use crate::ranking::{Question, rank};
use crate::testing::{self, catalog, load};
use crate::{Field, place};

fn changed(card: ModelCard, change: impl FnOnce(&mut ModelConfig)) -> ModelCard {
    let mut card = card;
    change(card.config.as_mut().expect("it has one"));
    card
}

fn classed(class: &str) -> ModelCard {
    changed(testing::llama_8b(), |config| {
        class.clone_into(&mut config.architecture);
    })
}

fn placed(card: &ModelCard, change: impl FnOnce(&mut EndpointSpec)) -> Placement {
    let mut spec = testing::spec(card, 4096, 4);
    spec.surface = Surface::Vertex;
    change(&mut spec);
    place(&spec, card, None, catalog()).expect("something holds it")
}

/// The words after a flag of the serving command.
fn told<'a>(placement: &'a Placement, flag: &str) -> Option<&'a str> {
    let args = &placement.serving.args;
    let at = args.iter().position(|word| word == flag)?;
    args.get(at + 1).map(String::as_str)
}

#[test]
fn no_engine_is_claimed_for_a_class_that_none_is_known_to_serve() {
    let card = classed("FooForCausalLM");
    let spec = testing::spec(&card, 4096, 4);
    let error = place(&spec, &card, None, catalog()).expect_err("nobody knows");
    assert_eq!(
        (error.field, error.code),
        (Field::Model, "unknown_architecture")
    );
    for part in [
        r#"architectures = ["FooForCausalLM"]"#,
        "vllm",
        "engine.name",
    ] {
        assert!(error.detail.contains(part), "{}", error.detail);
    }
    // Who names an engine is believed, and told what is not known.
    let placement = placed(&card, |spec| spec.engine.name = Some("vllm".to_owned()));
    let basis = &placement.memory.basis;
    assert!(basis.contains("is not known to serve"), "{basis}");
    let known = placed(&testing::llama_8b(), |_| {});
    assert!(!known.memory.basis.contains("not known to serve"));
}

#[test]
fn a_configuration_without_a_class_is_unknown_too() {
    let card = changed(testing::llama_8b(), |config| {
        config.architecture = String::new();
        config.model_type = "foo".to_owned();
    });
    let spec = testing::spec(&card, 4096, 4);
    let error = place(&spec, &card, None, catalog()).expect_err("nobody knows");
    let part = r#"no architectures, and model_type = "foo""#;
    assert!(error.detail.contains(part), "{}", error.detail);
}

#[test]
fn a_decoder_that_answers_once_pools_and_is_not_timed() {
    let mut card = classed("Qwen3ForCausalLM");
    let many = |spec: &mut EndpointSpec| {
        spec.engine.name = Some("vllm".to_owned());
        spec.workload.max_concurrency = 16;
    };
    let chat = placed(&card, many);
    card.pipeline_tag = Some("feature-extraction".to_owned());
    let vectors = placed(&card, many);
    assert_eq!(told(&vectors, "--runner"), Some("pooling"));
    assert_eq!(told(&chat, "--runner"), None);
    assert!(chat.performance.is_some() && vectors.performance.is_none());
    // Answers take no room in its cache, and nothing is sampled.
    assert!(vectors.memory.kv_cache < chat.memory.kv_cache);
    assert!(vectors.memory.activations <= chat.memory.activations);
    // An engine made for encoders runs it without a cache.
    let tei = placed(&card, |_| {});
    assert_eq!(tei.serving.engine, "tei");
    assert_eq!(tei.memory.kv_cache.0, 0);
    assert!(tei.memory.basis.contains("nothing kept between requests"));
}

/// It says of the weights what it is told: TEI holds 16 bits as float16 on every accelerator.
#[test]
fn the_weights_are_in_the_type_that_the_engine_is_told() {
    let mut card = classed("XLMRobertaModel");
    let config = card.config.as_mut().expect("it has one");
    config.kind = ModelKind::Encoder;
    config.dtype = Some("float32".to_owned());
    config.max_positions = Some(8192);
    let question = Question {
        accelerators: vec!["nvidia-l4".to_owned()],
        ..Question::of(testing::spec(&card, 512, 4).workload)
    };
    let ranking = rank(&card, &question, catalog(), 1).expect("it is ranked");
    let chosen = ranking.chosen.expect("something holds it");
    let told = ranking.serving.expect("it is served").args;
    assert!(
        told.ends_with(&["--dtype".to_owned(), "float16".to_owned()]),
        "{told:?}"
    );
    assert_eq!(
        (chosen.engine.as_str(), chosen.weights.as_str()),
        ("tei", "float16")
    );
}

#[test]
fn a_reranker_is_told_its_two_words() {
    let mut card = classed("Qwen3ForCausalLM");
    card.pipeline_tag = Some("text-ranking".to_owned());
    let placement = placed(&card, |spec| spec.engine.name = Some("vllm".to_owned()));
    let overrides = told(&placement, "--hf-overrides").expect("it has some");
    let overrides: serde_json::Value = serde_json::from_str(overrides).expect("JSON");
    assert_eq!(overrides["classifier_from_token"][1], "yes");
}

#[test]
fn flash_attention_decides_where_a_large_embedder_runs() {
    let mut card = classed("MistralModel");
    card.parameters = None;
    let question = Question {
        engine: Some("tei".to_owned()),
        accelerators: vec!["nvidia-t4".to_owned()],
        quantizations: vec![None],
        ..Question::of(load(4096, 4))
    };
    let ranking = rank(&card, &question, catalog(), 0).expect("a ranking");
    assert!(ranking.chosen.is_none());
    let reason = &ranking.rejected[0].reason;
    assert!(reason.contains("MistralModel on nvidia-t4"), "{reason}");
}

#[test]
fn a_cache_format_is_refused_where_nothing_is_cached() {
    for kind in [ModelKind::Encoder, ModelKind::Diffusion] {
        let card = changed(classed("BertModel"), |config| {
            config.kind = kind;
            if kind == ModelKind::Diffusion {
                config.architecture = "FluxPipeline".to_owned();
            }
        });
        let question = Question {
            kv_bits: Some(8),
            ..Question::of(load(1024, 4))
        };
        let error = rank(&card, &question, catalog(), 0).expect_err("no cache");
        assert_eq!(error.code, "no_kv_cache");
    }
}

#[test]
fn a_pipeline_runs_only_where_its_server_has_an_image() {
    let card = changed(testing::llama_8b(), |config| {
        config.kind = ModelKind::Diffusion;
        config.architecture = "FluxPipeline".to_owned();
    });
    let question = Question::of(load(1024, 1));
    let ranking = rank(&card, &question, catalog(), 0).expect("a ranking");
    let chosen = ranking.chosen.expect("some machine");
    assert!(ranking.serving.is_some(), "{}", chosen.accelerator);
    assert_eq!(chosen.memory.kv_cache.0, 0);
    assert!(chosen.memory.basis.contains("one image of 1,024"));
    for (accelerator, reason) in [
        ("nvidia-rtx-pro-6000", "no image of it is known there"),
        ("nvidia-b200", "no image of it is known there"),
        ("tpu-v6e", "models on TPUs"),
    ] {
        let question = Question {
            accelerators: vec![accelerator.to_owned()],
            ..question.clone()
        };
        let ranking = rank(&card, &question, catalog(), 0).expect("a ranking");
        assert!(ranking.chosen.is_none(), "{accelerator}");
        let rejected = &ranking.rejected[0];
        assert_eq!(rejected.code, "engine_lacks_it", "{accelerator}");
        assert!(rejected.reason.contains(reason), "{}", rejected.reason);
    }
    // Whoever brings an image needs none of ours.
    let own = placed(&card, |spec| {
        spec.engine.image = Some("registry.acme.com/diffusers:1".to_owned());
        spec.shape.accelerator = Some("nvidia-rtx-pro-6000".to_owned());
    });
    assert_eq!(own.serving.image, "registry.acme.com/diffusers:1");
}

#[test]
fn what_has_no_float16_needs_bfloat16() {
    let card = changed(testing::gemma_9b(), |config| {
        config.architecture = "Gemma2ForCausalLM".to_owned();
        config.hidden_size = 256;
        config.intermediate_size = 512;
    });
    let question = Question {
        engine: Some("vllm".to_owned()),
        accelerators: vec!["nvidia-t4".to_owned()],
        ..Question::of(load(1024, 1))
    };
    let ranking = rank(&card, &question, catalog(), 0).expect("a ranking");
    assert!(ranking.chosen.is_none());
    let reason = &ranking.rejected[0].reason;
    assert!(reason.contains("Gemma2ForCausalLM in float16"), "{reason}");
}

#[test]
fn drafting_costs_layers_caches_and_states() {
    let card = changed(testing::qwen_7b(), |config| {
        config.architecture = "Qwen3_5ForConditionalGeneration".to_owned();
        config.mtp_layers = 1;
        config.layer_kinds.full = 7;
        config.layer_kinds.recurrent = 21;
        config.recurrent = Some(Recurrent::DeltaNet {
            key_heads: 16,
            value_heads: 32,
            key_dim: 128,
            value_dim: 128,
            conv: 4,
            state_bytes: 2,
        });
    });
    let on = |tokens: Option<u32>| {
        let placement = placed(&card, |spec| {
            spec.workload.draft_tokens = tokens;
            spec.shape.accelerator = Some("nvidia-l4".to_owned());
            spec.shape.accelerator_count = Some(1);
            spec.workload.max_concurrency = 1;
        });
        (placement.memory.weights.0, placement.memory.kv_cache.0)
    };
    let ((plain, cache), (weights, drafting)) = (on(None), on(Some(3)));
    // One layer of 3584: queries with their gate and outputs, keys and values, three matrices of 18,944, two
    // norms, and the projection of two hidden states.
    let layer = 3 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18_944 + 2 * 3584 + 2 * 3584 * 3584;
    assert_eq!(weights - plain, 2 * layer);
    // Four states of each recurrent layer, where one was: most of the cache of a short sequence.
    assert!(drafting > 2 * cache, "{drafting} and {cache}");
}
