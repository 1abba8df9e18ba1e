//! A draft model beside its model: what it adds, where it does not run, and which cannot draft.

use openmodel_schemas::model_card::{ModelCard, ModelConfig};
use openmodel_schemas::quantity::Tokens;
use openmodel_schemas::report::{Placement, RankedShape, Ranking};
use openmodel_schemas::repository::Gating;
use openmodel_schemas::spec::{DraftModel, EndpointSpec, Workload};

use crate::error::{Field, ResolveError};
use crate::placement::place;
use crate::ranking::{Question, rank};
use crate::testing::{self, catalog, llama_1b, llama_8b, llama_70b, load};
use crate::{Observed, resolve};

/// A load with five tokens drafted ahead by a model.
fn drafted(workload: &Workload, draft: &ModelCard) -> Workload {
    Workload {
        draft_tokens: Some(DraftModel::TOKENS),
        draft_model: Some(DraftModel {
            model: draft.id.clone(),
            commit: draft.commit.clone(),
        }),
        ..workload.clone()
    }
}

/// Llama-3.1-8B on one L4, with a draft model or without.
fn on_l4(draft: Option<&ModelCard>) -> Placement {
    let (card, mut spec) = l4();
    if let Some(draft) = draft {
        spec.workload = drafted(&spec.workload, draft);
    }
    place(&spec, &card, draft, catalog()).unwrap_or_else(|error| panic!("{error}"))
}

fn l4() -> (ModelCard, EndpointSpec) {
    let card = llama_8b();
    let mut spec = testing::spec(&card, 4096, 1);
    spec.shape.accelerator = Some("nvidia-l4".to_owned());
    (card, spec)
}

fn changed(mut card: ModelCard, change: impl FnOnce(&mut ModelConfig)) -> ModelCard {
    change(card.config.as_mut().expect("it has one"));
    card
}

#[test]
fn a_draft_model_adds_its_weights_its_cache_and_its_files() {
    let draft = llama_1b();
    let (alone, both) = (on_l4(None), on_l4(Some(&draft)));
    // 1,235,814,400 parameters in 16 bits; rotary tables of 131,072 positions may come with them.
    let weights = both.memory.weights.0 - alone.memory.weights.0;
    assert!(
        (2_471_628_800..2_471_628_800 + (64 << 20)).contains(&weights),
        "{weights}"
    );
    // Keys and values of 8 heads of 64 in 16 layers: 32 KiB a token, for one sequence of 4096.
    assert_eq!(
        both.memory.kv_cache.0 - alone.memory.kv_cache.0,
        4096 * 32 * 1024
    );
    assert!(both.memory.overhead > alone.memory.overhead);
    assert!(both.memory.kv_capacity < alone.memory.kv_capacity);
    // 14.96 GiB of the model's files and 2.30 GiB of the draft's, and 5 GiB of processes.
    let host = both
        .recommendation
        .rejected
        .iter()
        .find(|rejected| rejected.code == "host_memory")
        .expect("16 GiB do not hold the files");
    assert!(
        host.reason.contains("22.26 GiB") && host.reason.contains("17.26 GiB of weight files"),
        "{}",
        host.reason
    );
    // What it gains is not known, so no speed changes.
    assert_eq!(both.performance, alone.performance);
    assert!(
        both.memory
            .basis
            .contains("draft model meta-llama/Llama-3.2-1B-Instruct"),
        "{}",
        both.memory.basis
    );
    assert!(both.memory.basis.contains("gain is not known"));
}

#[test]
fn the_engine_is_told_of_its_draft_model_and_its_commit() {
    let placement = on_l4(Some(&llama_1b()));
    let args = &placement.serving.args;
    let at = args
        .iter()
        .position(|arg| arg == "--speculative-config")
        .expect("it is told");
    let told: serde_json::Value = serde_json::from_str(&args[at + 1]).expect("JSON");
    let expected = serde_json::json!({
        "method": "draft_model",
        "model": "meta-llama/Llama-3.2-1B-Instruct",
        "revision": testing::COMMIT,
        "num_speculative_tokens": 5,
    });
    assert_eq!(told, expected);
}

#[test]
fn a_model_with_prediction_layers_takes_the_draft_model_alone() {
    let (card, mut spec) = l4();
    let draft = llama_1b();
    spec.workload = drafted(&spec.workload, &draft);
    let plain = place(&spec, &card, Some(&draft), catalog()).expect("it fits");
    let predicts = changed(card, |config| config.mtp_layers = 1);
    let both = place(&spec, &predicts, Some(&draft), catalog()).expect("it fits");
    assert_eq!(both.memory, plain.memory);
}

/// What ranks of a large model with a draft model or without, on one accelerator.
fn ranking(draft: Option<&ModelCard>, accelerator: &str, engine: Option<(&str, &str)>) -> Ranking {
    let mut workload = load(4096, 4);
    if let Some(draft) = draft {
        workload = drafted(&workload, draft);
    }
    let question = Question {
        draft: draft.cloned(),
        accelerators: vec![accelerator.to_owned()],
        engine: engine.map(|(name, _)| name.to_owned()),
        engine_version: engine.map(|(_, version)| version.to_owned()),
        ..Question::of(workload)
    };
    rank(&llama_70b(), &question, catalog(), usize::MAX).unwrap_or_else(|error| panic!("{error}"))
}

fn held(ranking: &Ranking) -> impl Iterator<Item = &RankedShape> {
    ranking.chosen.iter().chain(&ranking.runners_up)
}

#[test]
fn a_draft_model_is_split_over_the_ranks_of_its_model_and_never_staged() {
    let draft = llama_1b();
    let (alone, both) = (
        ranking(None, "nvidia-h100-80gb", None),
        ranking(Some(&draft), "nvidia-h100-80gb", None),
    );
    let mut split = 0;
    for shape in held(&both) {
        assert_eq!(shape.pipeline_parallel, 1);
        let same = |other: &&RankedShape| {
            other.shape == shape.shape && other.tensor_parallel == shape.tensor_parallel
        };
        let Some(other) = held(&alone).find(same) else {
            continue;
        };
        let each = 2_471_628_800 / u64::from(shape.tensor_parallel);
        let added = shape.memory.weights.0 - other.memory.weights.0;
        // Norms and rotary tables lie whole on each rank.
        assert!((each..each + (64 << 20)).contains(&added), "{added}");
        split = split.max(shape.tensor_parallel);
    }
    assert!(split >= 4, "{split}");
}

#[track_caller]
fn rejected(ranking: &Ranking, code: &str, reason: &str) {
    assert!(ranking.chosen.is_none());
    let found = ranking
        .rejected
        .iter()
        .any(|rejected| rejected.code == code && rejected.reason.contains(reason));
    assert!(found, "{:?}", ranking.rejected);
}

#[test]
fn a_draft_model_that_does_not_split_keeps_its_model_off_a_shape() {
    // As many heads as Qwen2.5-0.5B has.
    let draft = changed(llama_1b(), |config| {
        config.attention_heads = 14;
        config.kv_heads = 2;
    });
    // Only eight of 40 GB hold 70 billion parameters with a rank each.
    let reason = "the draft model: 14 attention heads do not split over 8 ranks";
    rejected(
        &ranking(Some(&draft), "nvidia-a100-40gb", None),
        "indivisible",
        reason,
    );
}

#[test]
fn engines_that_take_no_draft_model_are_told_apart() {
    let draft = llama_1b();
    let on = |accelerator, engine| ranking(Some(&draft), accelerator, Some(engine));
    let lacks = "engine_lacks_it";
    let tpu = on("tpu-v6e", ("vllm-tpu", "0.29.0"));
    rejected(
        &tpu,
        lacks,
        "vllm-tpu does not serve draft models at version 0.29.0",
    );
    let old = on("nvidia-h100-80gb", ("vllm", "0.12.0"));
    rejected(
        &old,
        lacks,
        "vllm does not serve draft models at version 0.12.0",
    );
    let other = on("nvidia-h100-80gb", ("sglang", "0.5.19"));
    rejected(&other, lacks, "sglang does not serve drafted tokens");
}

#[track_caller]
fn refused(
    draft: &ModelCard,
    change: impl FnOnce(&mut ModelCard, &mut EndpointSpec),
) -> ResolveError {
    let (mut card, mut spec) = l4();
    spec.workload = drafted(&spec.workload, draft);
    change(&mut card, &mut spec);
    place(&spec, &card, Some(draft), catalog()).expect_err("it cannot draft")
}

#[test]
fn what_cannot_draft_is_refused_with_the_reason() {
    let with = |change: fn(&mut ModelConfig)| changed(llama_1b(), change);
    let cases = [
        (
            with(|config| config.vocab_size = 151_936),
            "other_vocabulary",
            "151936 tokens, and the model has a vocabulary of 128256",
        ),
        (
            with(|config| config.vocab_size = 0),
            "other_vocabulary",
            "does not state",
        ),
        (llama_70b(), "draft_too_large", "70.55B"),
        (llama_8b(), "same_model", "the same model"),
        (
            with(|config| config.max_positions = Some(2048)),
            "draft_context_too_short",
            "at most 2048 tokens",
        ),
        (
            with(|config| config.vision = true),
            "draft_unsupported",
            "more than text",
        ),
        (
            with(|config| config.layer_kinds.full = 8),
            "draft_unsupported",
            "do not keep every token",
        ),
    ];
    for (draft, code, words) in cases {
        let error = refused(&draft, |_, _| {});
        assert_eq!(
            (error.field, error.code),
            (Field::DraftModel, code),
            "{error}"
        );
        assert!(error.detail.contains(words), "{words}: {error}");
    }
    let mut pools = llama_1b();
    pools.pipeline_tag = Some("feature-extraction".to_owned());
    let error = refused(&pools, |_, _| {});
    assert!(error.detail.contains("token after token"), "{error}");
    let error = refused(&llama_1b(), |card, _| {
        card.config.as_mut().expect("it has one").audio = true;
    });
    assert!(
        error.detail.contains("Llama-3.1-8B-Instruct reads more"),
        "{error}"
    );
}

#[test]
fn a_draft_model_needs_its_number_of_tokens_its_facts_and_its_token() {
    let draft = llama_1b();
    let error = refused(&draft, |_, spec| spec.workload.draft_tokens = None);
    assert_eq!(
        (error.field, error.code),
        (Field::DraftTokens, "invalid_load")
    );
    let error = refused(&draft, |_, spec| spec.workload.draft_tokens = Some(17));
    assert!(error.detail.contains("draft_tokens = 17"), "{error}");
    let other = ModelCard {
        commit: "1".repeat(40).parse().expect("a commit"),
        ..draft.clone()
    };
    let error = refused(&other, |_, spec| {
        spec.workload
            .draft_model
            .as_mut()
            .expect("it is named")
            .commit = draft.commit.clone();
    });
    assert_eq!(
        (error.field, error.code),
        (Field::DraftModel, "unknown_model")
    );
    let gated = ModelCard {
        gating: Gating::Manual,
        ..draft
    };
    let error = refused(&gated, |_, _| {});
    assert_eq!(error.field, Field::Token);
    assert!(
        error.detail.contains("Llama-3.2-1B-Instruct is gated"),
        "{error}"
    );
}

#[test]
fn what_was_observed_holds_the_facts_of_the_draft_model_too() {
    let (card, mut spec) = l4();
    let draft = llama_1b();
    spec.workload = drafted(&spec.workload, &draft);
    let seen = |cards: &[&ModelCard]| Observed {
        cards: cards
            .iter()
            .map(|card| ((card.id.clone(), card.commit.clone()), (*card).clone()))
            .collect(),
    };
    let specs = [spec];
    let both = resolve(&specs, &seen(&[&card, &draft]), catalog()).expect("it fits");
    assert_eq!(both.placements, [on_l4(Some(&draft))]);
    let errors = resolve(&specs, &seen(&[&card]), catalog()).expect_err("one was not read");
    assert_eq!(
        (errors[0].field, errors[0].code),
        (Field::DraftModel, "unknown_model")
    );
}

#[test]
fn where_the_draft_model_is_too_much_leaving_it_out_is_a_way_on() {
    let error = refused(&llama_1b(), |_, spec| {
        spec.shape.accelerator = None;
        spec.region = "us-east4".parse().expect("a region that has L4 alone");
        spec.workload.context_length = Tokens(24_576);
    });
    assert!(
        error.detail.contains("Without draft_model it fits"),
        "{error}"
    );
}
