//! From a ranking to the attributes of `data.openmodel_shapes`.

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::report::{RankedShape, Ranking, RejectedShape, Serving};
use tfplug::value::Value;

use super::model::{ShapeModel, ShapesModel, Texts};
use crate::show::{
    PerformanceModel, amount, cold_start, gib, hourly, number, per_million, performance,
};

/// The configuration with its answer.
pub(crate) fn show(config: ShapesModel, card: &ModelCard, ranking: Ranking) -> ShapesModel {
    let read = card.commit.as_str().contains(|digit| digit != '0');
    let id = if read {
        format!("{}@{}", card.id, card.commit)
    } else {
        card.id.to_string()
    };
    let Ranking {
        chosen,
        reason,
        serving,
        runners_up,
        rejected,
        currency,
        catalog_date,
        ..
    } = ranking;
    let chosen = chosen.as_ref().map(shape);
    ShapesModel {
        id: Value::Known(id),
        resolved_revision: read.then(|| card.commit.to_string()).into(),
        shapes: Value::Known(
            chosen
                .iter()
                .cloned()
                .chain(runners_up.iter().map(shape))
                .map(Value::Known)
                .collect(),
        ),
        chosen: chosen.into(),
        rejected: Value::Known(rejected.iter().map(rejection).collect()),
        reason: Value::Known(reason),
        image: serving.as_ref().map(|serving| serving.image.clone()).into(),
        args: serving.as_ref().map(args).unwrap_or_default(),
        currency: Value::Known(currency),
        price_date: Value::Known(catalog_date),
        ..config
    }
}

fn args(serving: &Serving) -> Texts {
    let words = serving.command.iter().chain(&serving.args);
    Value::Known(words.map(|word| Value::from(word.as_str())).collect())
}

/// `cloud_run nvidia-l4 x1` to `too_small: needs …`.
fn rejection(rejected: &RejectedShape) -> (String, Value<String>) {
    let RejectedShape {
        surface,
        shape,
        code,
        reason,
        ..
    } = rejected;
    (
        format!("{} {shape}", surface.as_str()),
        Value::Known(format!("{code}: {reason}")),
    )
}

fn shape(ranked: &RankedShape) -> ShapeModel {
    let memory = &ranked.memory;
    let speed: PerformanceModel = performance(ranked.performance.as_ref())
        .into_known()
        .unwrap_or_default();
    ShapeModel {
        surface: ranked.surface.as_str().into(),
        shape: ranked.shape.as_str().into(),
        machine_type: ranked.machine_type.clone().into(),
        accelerator: ranked.accelerator.as_str().into(),
        accelerator_count: Value::Known(ranked.accelerator_count.into()),
        accelerator_part: part(ranked.accelerator_eighths).map(str::to_owned).into(),
        cpu: Value::Known(ranked.cpu.into()),
        memory_gib: number(Some(ranked.host_memory.0 >> 30)),
        region: ranked.region.clone().into(),
        region_confirmed: Value::Known(ranked.confirmed),
        purchase_option: ranked.purchase_option.as_str().into(),
        note: ranked.note.clone().into(),
        replicas: Value::Known(ranked.replicas.into()),
        engine: ranked.engine.as_str().into(),
        engine_version: ranked.engine_version.as_str().into(),
        weights_format: ranked.weights.as_str().into(),
        quantization: ranked.quantization.clone().into(),
        tensor_parallel: Value::Known(ranked.tensor_parallel.into()),
        pipeline_parallel: Value::Known(ranked.pipeline_parallel.into()),
        data_parallel: Value::Known(ranked.data_parallel.into()),
        expert_parallel: Value::Known(ranked.expert_parallel),
        max_model_len: number(Some(ranked.max_model_len)),
        max_num_seqs: number(Some(ranked.max_num_seqs)),
        max_num_batched_tokens: number(Some(ranked.max_num_batched_tokens)),
        kv_cache_bits: number(Some(ranked.kv_cache_bits)),
        memory_utilization: Value::Known(format!("{:.2}", ranked.memory_utilization)),
        usable_gib: gib(memory.usable),
        weights_gib: gib(memory.weights),
        kv_cache_gib: gib(memory.kv_cache),
        activations_gib: gib(memory.activations),
        overhead_gib: gib(memory.overhead),
        headroom_gib: gib(memory.headroom),
        kv_capacity_tokens: number(Some(memory.kv_capacity.0)),
        ttft_ms: speed.ttft_ms,
        ttft_ms_range: speed.ttft_ms_range,
        tpot_ms: speed.tpot_ms,
        tpot_ms_range: speed.tpot_ms_range,
        output_tokens_per_second: speed.output_tokens_per_second,
        requests_per_second: speed.requests_per_second,
        performance_basis: speed.basis,
        hourly: hourly(ranked.cost.hourly),
        monthly_expected: amount(ranked.cost.monthly_expected),
        marginal_monthly_expected: amount(
            ranked
                .cost
                .marginal
                .as_ref()
                .and_then(|marginal| marginal.monthly_expected),
        ),
        cold_start: ranked.cost.cold_start.as_ref().map(cold_start).into(),
        per_million_output_tokens: per_million(ranked.cost.per_million_output_tokens),
        per_million_input_tokens: per_million(ranked.cost.per_million_input_tokens),
        price_confidence: ranked.price_confidence.clone().into(),
        code: ranked.code.as_str().into(),
        reason: Some(ranked.why.clone())
            .filter(|why| !why.is_empty())
            .into(),
    }
}

fn part(eighths: u32) -> Option<&'static str> {
    match eighths {
        1 => Some("1/8"),
        2 => Some("1/4"),
        4 => Some("1/2"),
        _ => None,
    }
}
