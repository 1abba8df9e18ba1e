//! The container that serves a model: image, arguments and environment.

use std::collections::BTreeMap;

use openmodel_schemas::catalog::AcceleratorRow;
use openmodel_schemas::engine::{EngineRow, FlagsRow};
use openmodel_schemas::name::CommitSha;
use openmodel_schemas::report::Serving;
use openmodel_schemas::spec::{EngineSpec, Quantization};

use crate::adapters::slot_rank;
use crate::engines;
use crate::error::{Fault, Field};
use crate::fit::Fit;
use crate::format::Format;
use crate::gguf;
use crate::loader::Source;
use crate::need::Need;
use crate::task::ranks_by_words;

/// What an engine is started with. The user's arguments follow ours, and the last one counts; the
/// user's environment wins over ours.
pub(crate) fn serving(
    need: &Need,
    fit: &Fit,
    accelerator: &AcceleratorRow,
    commit: Option<&CommitSha>,
    user: &EngineSpec,
    source: Option<Source<'_>>,
) -> Result<Serving, Fault> {
    let engine = fit.engine;
    let version = need.version(engine);
    let image = match &user.image {
        Some(image) => image.clone(),
        None => image(engine, version, &accelerator.name)?,
    };
    let mut args = engine.arguments.clone();
    args.extend(arguments(need, fit, accelerator, commit, source));
    let generated_args = args.len();
    args.extend(user.args.iter().cloned());
    let mut env = engine.env.clone();
    env.extend(values(
        &engine.variables,
        need,
        fit,
        accelerator,
        commit,
        source,
    ));
    if let Some(source) = source {
        env.extend(source.env(engine));
    }
    env.extend(user.env.clone());
    Ok(Serving {
        engine: engine.name.clone(),
        engine_version: version.to_owned(),
        image,
        command: engine.command.clone(),
        args,
        generated_args,
        env,
        port: engine.port,
        health_path: engine.health_path.clone(),
        volumes: source.map_or_else(Vec::new, |source| source.volumes(need.files(fit.variant))),
    })
}

/// Our arguments, in the engine's words; what it has no word for is left out. A word that ends in
/// `=` takes its value in the same word.
fn arguments(
    need: &Need,
    fit: &Fit,
    accelerator: &AcceleratorRow,
    commit: Option<&CommitSha>,
    source: Option<Source<'_>>,
) -> Vec<String> {
    let mut args = Vec::new();
    for (flag, value) in values(&fit.engine.flags, need, fit, accelerator, commit, source) {
        if flag.ends_with('=') {
            args.push(format!("{flag}{value}"));
        } else {
            args.extend([flag, value]);
        }
    }
    if fit.parallelism.expert {
        args.extend(fit.engine.flags.expert.clone());
    }
    if need.workload.adapters.is_some() {
        args.extend(fit.engine.flags.adapters.clone());
    }
    if let Some(source) = source {
        args.extend(source.arguments(fit.engine).iter().cloned());
    }
    args
}

/// The words an engine has, with our values.
fn values(
    flags: &FlagsRow,
    need: &Need,
    fit: &Fit,
    accelerator: &AcceleratorRow,
    commit: Option<&CommitSha>,
    source: Option<Source<'_>>,
) -> Vec<(String, String)> {
    let footprint = &fit.footprint;
    let spread = fit.parallelism;
    let variant = &need.variants[fit.variant];
    let words = &fit.engine.words;
    let word = |words: &BTreeMap<String, String>, ours: &str| {
        words.get(ours).cloned().unwrap_or_else(|| ours.to_owned())
    };
    let several = |ranks: u32| (ranks > 1).then(|| ranks.to_string());
    let context = if fit.engine.context_of_all {
        footprint.context.saturating_mul(footprint.sequences)
    } else {
        footprint.context
    };
    let config = need.architecture.config;
    // Accelerators before Ampere have no bf16; checkpoints in 32 bits are held in 16.
    let dtype = match variant.weights.format {
        Format::Bf16 if lacks_bf16(accelerator) => Some("float16"),
        Format::Bf16 if config.dtype.as_deref() == Some("float32") => Some("bfloat16"),
        _ => None,
    };
    let made = variant.quantization.filter(|asked| {
        config.quantization.is_none() && fit.engine.makes.iter().any(|made| made == asked.as_str())
    });
    // A format that no engine makes while loading is that of another repository, whose name we do
    // not know: started with this one, the engine would load 16 bits.
    let elsewhere = variant
        .quantization
        .filter(|_| made.is_none() && config.quantization.is_none());
    let here = elsewhere.filter(|asked| gguf::served(need.card, Some(*asked)).is_some());
    let on_hub = match (elsewhere, here.and_then(Quantization::gguf)) {
        // One of several models of a repository, as llama.cpp names it: `-hf org/name:Q4_K_M`.
        (_, Some(label)) => format!("{}:{label}", need.card.id),
        (Some(format), None) => format!("<repository of {} in {}>", need.card.id, format.as_str()),
        (None, None) => need.card.id.to_string(),
    };
    // A path is said by its own word, where there is one; and what lies at it is of one commit.
    let at = source.map(|source| source.model(need, fit));
    let (model, model_path) = match at {
        Some(path) if flags.model_path.is_some() => (None, Some(path)),
        Some(path) => (Some(path), None),
        None => (Some(on_hub), None),
    };
    let commit = commit.filter(|_| elsewhere.is_none() && source.is_none());
    let adapters = need.workload.adapters;
    let stretch = config
        .max_positions
        .filter(|native| need.workload.context_length.0 > *native);
    let all = [
        (&flags.model, model),
        (&flags.model_path, model_path),
        (&flags.revision, commit.map(ToString::to_string)),
        (&flags.served_name, Some(need.card.id.to_string())),
        (&flags.port, Some(fit.engine.port.to_string())),
        (&flags.context_length, Some(context.to_string())),
        (&flags.sequences, Some(footprint.sequences.to_string())),
        (
            &flags.batched_tokens,
            Some(footprint.batched_tokens.to_string()),
        ),
        (&flags.utilization, Some(fraction(footprint.utilization))),
        (&flags.tensor, several(spread.tensor)),
        (&flags.pipeline, several(spread.pipeline)),
        (&flags.data, several(spread.data)),
        (
            &flags.expert_ranks,
            spread.expert.then(|| spread.expert_ranks().to_string()),
        ),
        (
            &flags.runner,
            need.architecture.once.then(|| "pooling".to_owned()),
        ),
        (&flags.dtype, dtype.map(|dtype| word(&words.dtype, dtype))),
        (
            &flags.max_adapters,
            adapters.map(|adapters| adapters.count.to_string()),
        ),
        (
            &flags.adapter_rank,
            adapters.map(|adapters| {
                let rank = slot_rank(adapters.rank).unwrap_or(adapters.rank);
                rank.to_string()
            }),
        ),
        (&flags.speculation, speculation(need)),
        (&flags.overrides, overrides(need, stretch)),
        (
            &flags.quantization,
            made.map(|made| word(&words.quantization, made.as_str())),
        ),
        (
            &flags.kv_dtype,
            (need.kv_element == 1 && fit.footprint.keeps()).then(|| word(&words.kv_dtype, "fp8")),
        ),
    ];
    all.into_iter()
        .filter_map(|(flag, value)| Some((flag.clone()?, value?)))
        .collect()
}

/// Whether bf16 must be held as fp16.
pub(crate) fn lacks_bf16(accelerator: &AcceleratorRow) -> bool {
    accelerator
        .compute_capability
        .is_some_and(|capability| capability < 80)
}

/// Drafting ahead, as vLLM reads it.
fn speculation(need: &Need) -> Option<String> {
    let tokens = need.workload.draft_tokens?;
    let Some(draft) = need.draft else {
        return Some(format!(
            r#"{{"method":"mtp","num_speculative_tokens":{tokens}}}"#
        ));
    };
    let card = draft.card;
    let revision = if card.commit.is_null() {
        String::new()
    } else {
        format!(r#""revision":"{}","#, card.commit)
    };
    Some(format!(
        r#"{{"method":"draft_model","model":"{}",{revision}"num_speculative_tokens":{tokens}}}"#,
        card.id
    ))
}

/// Changes of the model's configuration, as one JSON object: positions stretched beyond the
/// `native` ones, and the head of a model that ranks by words.
fn overrides(need: &Need, native: Option<u64>) -> Option<String> {
    let stretched = native.map(|native| stretched(native, need.workload.context_length.0));
    // Qwen3-Reranker as vLLM reads it: the odds of two words (model_executor/models/adapters.py).
    let ranks = ranks_by_words(need.card, need.architecture.config).then(|| {
        r#""architectures":["Qwen3ForSequenceClassification"],"classifier_from_token":["no","yes"],"is_original_qwen3_reranker":true"#.to_owned()
    });
    let members: Vec<String> = [ranks, stretched].into_iter().flatten().collect();
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

/// A configuration whose positions are stretched by `YaRN` to a longer context.
fn stretched(native: u64, context: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a ratio to two digits")]
    let factor = (context as f64 / native.max(1) as f64 * 100.0).ceil() / 100.0;
    format!(
        r#""rope_scaling":{{"rope_type":"yarn","factor":{factor},"original_max_position_embeddings":{native}}}"#
    )
}

/// A fraction with two digits: `0.92`.
fn fraction(share: f64) -> String {
    format!("{share:.2}")
}

fn image(engine: &EngineRow, version: &str, accelerator: &str) -> Result<String, Fault> {
    // An image is of one version.
    let image = engines::image(engine, accelerator).filter(|_| version == engine.version);
    image.map(str::to_owned).ok_or_else(|| Fault {
        field: Field::Engine,
        code: "no_image",
        summary: "No image of the engine for this accelerator",
        detail: format!(
            "The catalog has no image of {} {version} for {accelerator}. Set engine.image to one whose CUDA \
             version the driver runs.",
            engine.name
        ),
    })
}
