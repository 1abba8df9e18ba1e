//! From a placement to the computed attributes of the plan.

use openmodel_schemas::report::{
    Candidate, Cost, CostLine, LoadTime, Memory, Placement, Recommendation, Shape,
};
use tfplug::value::Value;

use super::frozen::Frozen;
use super::model::{
    CostModel, EndpointModel, EngineModel, LoadTimeModel, MarginalModel, MemoryModel,
    RecommendationModel, ShapeModel, StringMap,
};
use crate::show::{amount, cold_start, cost_line, gib, hourly, per_million, performance, seconds};

/// Sets what a placement says beside its container: memory, speed, cost and recommendation.
pub(crate) fn show(placement: &Placement, planned: &mut EndpointModel) {
    planned.memory = Value::Known(memory(&placement.memory));
    planned.performance = performance(placement.performance.as_ref());
    planned.load_time = Value::Known(load_time(&placement.load_time));
    planned.cost = Value::Known(cost(&placement.cost));
    planned.recommendation = Value::Known(recommendation(&placement.recommendation));
}

/// Sets shape, loader and engine; what the configuration adds to the engine stays.
pub(crate) fn show_container(frozen: &Frozen, config: &EndpointModel, planned: &mut EndpointModel) {
    let serving = &frozen.serving;
    planned.shape = Value::Known(shape(&frozen.shape));
    let loader = frozen.loading.as_ref().map(|loading| loading.loader);
    planned.loader = Value::from(loader.map(|loader| loader.as_str().to_owned()));
    let engine = config.engine.as_known();
    planned.engine = Value::Known(EngineModel {
        name: serving.engine.as_str().into(),
        image: serving.image.as_str().into(),
        args: engine.map_or(Value::Null, |engine| engine.args.clone()),
        env: engine.map_or(Value::Null, |engine| engine.env.clone()),
    });
}

/// A shape as the attribute shows it.
pub(crate) fn shape(shape: &Shape) -> ShapeModel {
    ShapeModel {
        accelerator: shape.accelerator.as_str().into(),
        accelerator_count: Value::Known(shape.accelerator_count.into()),
        cpu: Value::Known(shape.cpu.into()),
        memory_gib: Value::Known(i64::try_from(shape.memory.0 >> 30).unwrap_or(i64::MAX)),
    }
}

fn load_time(time: &LoadTime) -> LoadTimeModel {
    LoadTimeModel {
        hub: Value::Known(seconds(time.hub)),
        fuse: time.fuse.map(seconds).into(),
        streamer: time.streamer.map(seconds).into(),
        reason: time.reason.as_str().into(),
        basis: time.basis.as_str().into(),
    }
}

fn memory(memory: &Memory) -> MemoryModel {
    MemoryModel {
        usable_gib: gib(memory.usable),
        weights_gib: gib(memory.weights),
        kv_cache_gib: gib(memory.kv_cache),
        activations_gib: gib(memory.activations),
        overhead_gib: gib(memory.overhead),
        headroom_gib: gib(memory.headroom),
        kv_capacity_tokens: Value::Known(i64::try_from(memory.kv_capacity.0).unwrap_or(i64::MAX)),
        basis: memory.basis.as_str().into(),
    }
}

fn cost(cost: &Cost) -> CostModel {
    CostModel {
        currency: cost.currency.as_str().into(),
        hourly: hourly(cost.hourly),
        monthly_min: amount(cost.monthly_min),
        monthly_expected: amount(cost.monthly_expected),
        monthly_max: amount(cost.monthly_max),
        per_million_output_tokens: per_million(cost.per_million_output_tokens),
        per_million_input_tokens: per_million(cost.per_million_input_tokens),
        price_date: cost.price_date.as_str().into(),
        lines: lines(&cost.lines),
        marginal: cost
            .marginal
            .as_ref()
            .map(|marginal| MarginalModel {
                monthly_min: amount(marginal.monthly_min),
                monthly_expected: amount(marginal.monthly_expected),
                monthly_max: amount(marginal.monthly_max),
                lines: lines(&marginal.lines),
            })
            .into(),
        cold_start: cost.cold_start.as_ref().map(cold_start).into(),
    }
}

fn lines(lines: &[CostLine]) -> Value<Vec<Value<String>>> {
    let shown = lines.iter().map(|line| Value::Known(cost_line(line)));
    Value::Known(shown.collect())
}

fn recommendation(recommendation: &Recommendation) -> RecommendationModel {
    RecommendationModel {
        chosen: recommendation.chosen.as_str().into(),
        reason: recommendation.reason.as_str().into(),
        runners_up: candidates(&recommendation.runners_up),
        rejected: candidates(&recommendation.rejected),
    }
}

/// Shape to `code: reason, $1.0465/h`.
fn candidates(candidates: &[Candidate]) -> Value<StringMap> {
    let show = |candidate: &Candidate| {
        let price = candidate
            .hourly
            .map_or_else(String::new, |price| format!(" ({price})"));
        (
            candidate.shape.clone(),
            Value::Known(format!("{}: {}{price}", candidate.code, candidate.reason)),
        )
    };
    Value::Known(candidates.iter().map(show).collect())
}
