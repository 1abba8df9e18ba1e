//! A mix of machines as the document that a reader sees.

use std::collections::BTreeMap;

use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::report::{PoolMachine, PoolModel, PoolReport, PoolSeat};
use openmodel_schemas::spec::EngineSpec;
use rust_decimal::Decimal;

use super::Place;
use super::stock::{Stock, kind, memory};
use super::ways::{Candidate, Way};
use crate::joint::{Mix, Seat, Takes};
use crate::market::{Catalog, Sale};
use crate::ranking::held_in;
use crate::serving::serving;
use crate::survey::cluster_fee;

/// Everything about a mix.
pub(super) fn report(
    mix: &Mix,
    candidates: &[Candidate],
    stock: &Stock,
    place: &Place,
    catalog: &Catalog,
) -> PoolReport {
    let mix = &with_all_that_is_free(mix, candidates, stock);
    let parts = parts(mix, stock);
    let machines = mix
        .machines
        .iter()
        .filter_map(|(name, count)| {
            let sale = stock.sales.iter().find(|sale| sale.shape.name == *name)?;
            let mut seats: Vec<PoolSeat> = mix
                .seats
                .iter()
                .zip(&parts)
                .filter(|(seat, _)| seat.machine == *name)
                .filter_map(|(seat, part)| shown(seat, *part, sale, candidates))
                .collect();
            seats.sort_by(|a, b| {
                let key = |seat: &PoolSeat| (seat.instance, seat.accelerators.clone());
                key(a).cmp(&key(b))
            });
            Some(machine(sale, *count, seats))
        })
        .collect();
    let models: Vec<PoolModel> = candidates
        .iter()
        .map(|candidate| model(candidate, mix, &parts, stock))
        .collect();
    let hourly = UsdPerHour(mix.hourly);
    let separate_hourly = UsdPerHour(models.iter().map(|model| model.separate_hourly.0).sum());
    let bought: Vec<(&Sale, UsdPerHour, u32)> = mix
        .machines
        .iter()
        .filter_map(|(name, count)| {
            let sale = stock.sales.iter().find(|sale| sale.shape.name == *name)?;
            Some((sale, sale.hourly?, *count))
        })
        .collect();
    let (marginal, taken_off) = catalog.bill(&bought).unzip();
    let (monthly, separate_monthly) = (hourly.per_month(), separate_hourly.per_month());
    PoolReport {
        surface: place.surface,
        region: place.region.to_string(),
        purchase_option: place.option.as_str().to_owned(),
        machines,
        models,
        hourly,
        monthly,
        cluster_monthly: cluster_fee(catalog, place.surface).map(Usd),
        at_least: UsdPerHour(mix.at_least),
        optimal: mix.optimal,
        separate_hourly,
        separate_monthly,
        saving_monthly: Usd(separate_monthly.0 - monthly.0),
        marginal_monthly: marginal.map(UsdPerHour::per_month),
        taken_off: taken_off.unwrap_or_default(),
        left_out: stock.left_out.clone(),
        currency: catalog.document().currency.clone(),
        catalog_date: catalog.date().to_owned(),
    }
}

/// Whoever has a share of an accelerator and no neighbour on it has all of it.
fn with_all_that_is_free(mix: &Mix, candidates: &[Candidate], stock: &Stock) -> Mix {
    let place = |seat: &Seat| {
        (
            seat.machine.clone(),
            seat.instance,
            seat.accelerators.clone(),
        )
    };
    let mut spread = mix.clone();
    for seat in &mut spread.seats {
        let here = mix.seats.iter().filter(|other| place(other) == place(seat));
        let sale = stock
            .sales
            .iter()
            .find(|sale| sale.shape.name == seat.machine);
        let candidate = candidates
            .iter()
            .find(|candidate| candidate.card.id.as_str() == seat.tenant);
        let (Takes::Share(_), 1, Some(sale), Some(candidate)) =
            (seat.takes, here.count(), sale, candidate)
        else {
            continue;
        };
        let host = |takes: Takes| {
            let mut ways = candidate.ways.iter();
            ways.find(|way| way.kind == kind(sale) && way.takes == takes)
                .map(|way| way.host)
        };
        // Neighbours on the machine's other accelerators keep the host memory they count on.
        if host(Takes::Whole(1)).is_some_and(|whole| Some(whole) <= host(seat.takes)) {
            seat.takes = Takes::Whole(1);
        }
    }
    spread
}

/// What each seat costs: its machine's price, by what it takes of the accelerators in use. The
/// first seat of a machine has what rounding leaves, so that the sum is the price.
fn parts(mix: &Mix, stock: &Stock) -> Vec<Decimal> {
    let mut machines: BTreeMap<(&str, u32), Vec<usize>> = BTreeMap::new();
    for (index, seat) in mix.seats.iter().enumerate() {
        machines
            .entry((&seat.machine, seat.instance))
            .or_default()
            .push(index);
    }
    let mut parts = vec![Decimal::ZERO; mix.seats.len()];
    for ((name, _), seats) in machines {
        let sale = stock.sales.iter().find(|sale| sale.shape.name == name);
        let price = sale.and_then(|sale| sale.hourly).unwrap_or_default().0;
        let taken: Decimal = seats.iter().map(|&seat| size(mix.seats[seat].takes)).sum();
        let mut left = price;
        for &seat in seats.iter().skip(1) {
            let part = price * size(mix.seats[seat].takes);
            parts[seat] = part.checked_div(taken).unwrap_or_default().round_dp(6);
            left -= parts[seat];
        }
        if let Some(&first) = seats.first() {
            parts[first] = left;
        }
    }
    parts
}

/// In hundredths of an accelerator.
fn size(takes: Takes) -> Decimal {
    match takes {
        Takes::Whole(count) => Decimal::from(count) * Decimal::ONE_HUNDRED,
        Takes::Share(percent) => Decimal::from(percent),
    }
}

fn machine(sale: &Sale, count: u32, seats: Vec<PoolSeat>) -> PoolMachine {
    PoolMachine {
        shape: sale.shape.name.clone(),
        machine_type: sale.shape.machine_type.clone(),
        accelerator: sale.accelerator.name.clone(),
        accelerator_count: sale.shape.count,
        accelerator_eighths: sale.shape.eighths,
        cpu: sale.shape.cpu,
        host_memory: memory(sale),
        count,
        hourly: sale.hourly.unwrap_or_default(),
        note: sale.note().map(str::to_owned),
        seats,
    }
}

fn shown(seat: &Seat, part: Decimal, sale: &Sale, candidates: &[Candidate]) -> Option<PoolSeat> {
    let candidate = candidates
        .iter()
        .find(|candidate| candidate.card.id.as_str() == seat.tenant)?;
    let kind = kind(sale);
    let way = candidate
        .ways
        .iter()
        .find(|way| way.kind == kind && way.takes == seat.takes)?;
    let Way {
        accelerator, fit, ..
    } = way;
    let (spread, footprint) = (fit.parallelism, &fit.footprint);
    let variant = &candidate.need.variants[fit.variant];
    // A card that was not read from the Hub has a stand-in for its commit.
    let commit = Some(&candidate.card.commit)
        .filter(|commit| commit.as_str().contains(|digit| digit != '0'));
    Some(PoolSeat {
        instance: seat.instance,
        accelerators: seat.accelerators.clone(),
        share_percent: match seat.takes {
            Takes::Share(percent) => Some(percent),
            Takes::Whole(_) => None,
        },
        model: seat.tenant.clone(),
        replica: seat.replica,
        hourly: UsdPerHour(part),
        host_memory: way.host,
        weights: held_in(variant.weights.format, accelerator, fit.engine).to_owned(),
        quantization: variant
            .quantization
            .map(|quantization| quantization.as_str().to_owned()),
        engine: fit.engine.name.clone(),
        engine_version: candidate.need.version(fit.engine).to_owned(),
        tensor_parallel: spread.tensor,
        pipeline_parallel: spread.pipeline,
        data_parallel: spread.data,
        expert_parallel: spread.expert,
        max_model_len: footprint.context,
        max_num_seqs: footprint.sequences,
        memory_utilization: footprint.utilization,
        serving: serving(
            &candidate.need,
            fit,
            accelerator,
            commit,
            &EngineSpec::default(),
            None,
        )
        .ok(),
    })
}

fn model(candidate: &Candidate, mix: &Mix, parts: &[Decimal], stock: &Stock) -> PoolModel {
    let name = candidate.card.id.to_string();
    let own = mix.seats.iter().zip(parts);
    let hourly = own
        .filter(|(seat, _)| seat.tenant == name)
        .map(|(_, part)| *part)
        .sum();
    let separate = stock
        .sales
        .iter()
        .filter(|sale| candidate.ways.iter().any(|way| holds(sale, way)))
        .filter_map(|sale| Some((sale.hourly?, sale)))
        .min_by_key(|(hourly, _)| *hourly);
    PoolModel {
        model: name,
        replicas: candidate.replicas,
        hourly: UsdPerHour(hourly),
        separate_shape: separate.map(|(_, sale)| sale.shape.name.clone()),
        separate_hourly: separate
            .map(|(hourly, _)| hourly * candidate.replicas)
            .unwrap_or_default(),
        rejected: candidate.rejected.clone(),
    }
}

/// Whether a machine holds one replica in this way.
fn holds(sale: &Sale, way: &Way) -> bool {
    let count = match way.takes {
        Takes::Whole(count) => count,
        Takes::Share(_) => 1,
    };
    way.kind == kind(sale) && count <= sale.shape.count && way.host <= memory(sale)
}
