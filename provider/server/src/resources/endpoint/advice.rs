//! From a placement to the computed attributes of the plan.

use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::report::{Candidate, Cost, Memory, Placement, Recommendation};
use tfplug::value::{Number, Value};

use super::model::{
    CandidateModel, CostLineModel, CostModel, EndpointModel, EngineModel, MemoryModel,
    RecommendationModel, ShapeModel,
};

/// Sets shape, engine, memory, cost and recommendation.
pub(crate) fn show(placement: &Placement, config: &EndpointModel, planned: &mut EndpointModel) {
    planned.shape = Value::Known(ShapeModel {
        accelerator: placement.shape.accelerator.as_str().into(),
        accelerator_count: Value::Known(placement.shape.accelerator_count.into()),
        cpu: Value::Known(placement.shape.cpu.into()),
        memory_gib: Value::Known(i64::try_from(placement.shape.memory.0 >> 30).unwrap_or(i64::MAX)),
    });
    let engine = config.engine.as_known();
    planned.engine = Value::Known(EngineModel {
        name: placement.serving.engine.as_str().into(),
        image: placement.serving.image.as_str().into(),
        args: engine.map_or(Value::Null, |engine| engine.args.clone()),
        env: engine.map_or(Value::Null, |engine| engine.env.clone()),
    });
    planned.memory = Value::Known(memory(&placement.memory));
    planned.cost = Value::Known(cost(&placement.cost));
    planned.recommendation = Value::Known(recommendation(&placement.recommendation));
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
        monthly_max: amount(cost.monthly_max),
        price_date: cost.price_date.as_str().into(),
        lines: Value::Known(
            cost.lines
                .iter()
                .map(|line| {
                    Value::Known(CostLineModel {
                        item: line.item.as_str().into(),
                        hourly: hourly(line.hourly),
                        source: line.source.as_str().into(),
                    })
                })
                .collect(),
        ),
    }
}

fn recommendation(recommendation: &Recommendation) -> RecommendationModel {
    RecommendationModel {
        chosen: recommendation.chosen.as_str().into(),
        reason: recommendation.reason.as_str().into(),
        runners_up: candidates(&recommendation.runners_up),
        rejected: candidates(&recommendation.rejected),
    }
}

fn candidates(candidates: &[Candidate]) -> Value<Vec<Value<CandidateModel>>> {
    let show = |candidate: &Candidate| {
        Value::Known(CandidateModel {
            shape: candidate.shape.as_str().into(),
            hourly: hourly(candidate.hourly),
            code: candidate.code.as_str().into(),
            reason: candidate.reason.as_str().into(),
        })
    };
    Value::Known(candidates.iter().map(show).collect())
}

/// GiB with two decimals, as the engines' logs show them.
fn gib(bytes: Bytes) -> Value<Number> {
    format!("{:.2}", bytes.as_gib())
        .parse()
        .map_or(Value::Null, Value::Known)
}

/// Four decimals: prices per hour have that many digits that matter.
fn hourly(price: Option<UsdPerHour>) -> Value<String> {
    price.map(|price| money(price.0, 4)).into()
}

fn amount(amount: Option<Usd>) -> Value<String> {
    amount.map(|amount| money(amount.0, 2)).into()
}

fn money(amount: rust_decimal::Decimal, digits: u32) -> String {
    let mut rounded =
        amount.round_dp_with_strategy(digits, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(digits);
    rounded.to_string()
}
