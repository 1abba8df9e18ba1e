//! What can still be against a shape whose accelerators hold the need: the parts the user fixes,
//! the host, the limits of cost.

use openmodel_schemas::catalog::ShapeRow;
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::spec::{Budget, Surface};

use super::Scope;
use super::score::{Month, dollars, pico};
use crate::fit::Fit;
use crate::need::Need;
use crate::reason::Reason;

/// The part of a shape that the user fixes and this one has not.
pub(super) fn mismatch(scope: &Scope, surface: Surface, shape: &ShapeRow) -> Option<Reason> {
    let fixed = scope.fixed;
    if let Some(asked) = fixed
        .accelerator_count
        .filter(|count| *count != shape.count)
    {
        let mut sold: Vec<u32> = scope
            .catalog
            .sales_on(surface)
            .filter(|sale| sale.shape.accelerator == shape.accelerator)
            .map(|sale| sale.shape.count)
            .collect();
        sold.sort_unstable();
        sold.dedup();
        // Another machine with this accelerator has the number: this one is just not meant.
        return Some(Reason::CountUnsupported { asked, sold });
    }
    if let Some(asked) = fixed.cpu.filter(|cpu| *cpu != shape.cpu) {
        return Some(Reason::CpuUnsupported {
            asked,
            sold: vec![shape.cpu],
        });
    }
    let least = shape.min_memory_gib.unwrap_or(shape.memory_gib);
    let range = Bytes::gib(least.into())..=Bytes::gib(shape.memory_gib.into());
    fixed
        .memory
        .filter(|memory| !range.contains(memory))
        .map(|asked| Reason::MemoryUnsupported {
            asked,
            sold: vec![(shape.cpu, least, shape.memory_gib)],
        })
}

/// Whether the host holds the engine's processes; and on Cloud Run, whose file system is memory,
/// the files of the weights too.
pub(super) fn host(
    need: &Need,
    surface: Surface,
    shape: &ShapeRow,
    memory: Bytes,
    fit: &Fit,
) -> Result<(), Reason> {
    let files = need.files(fit.variant);
    let needs = if surface == Surface::CloudRun {
        fit.footprint.host
    } else {
        fit.footprint.host.saturating_sub(files)
    };
    // Hugging Face says nothing of the memory of its hosts beyond what the instance is made for.
    let has = if surface == Surface::HuggingFace {
        memory.max(needs)
    } else {
        memory * u64::from(shape.hosts.max(1))
    };
    if needs <= has {
        return Ok(());
    }
    Err(Reason::HostMemory { needs, files, has })
}

/// Limits of cost hold for the most replicas, gross of credits and discounts. Starts and what is
/// paid whatever runs count too.
pub(super) fn within(
    budget: &Budget,
    hourly: Option<UsdPerHour>,
    replicas: u32,
    month: Month,
    region: Option<&Region>,
) -> Result<(), Reason> {
    if budget.max_hourly_cost.is_none() && budget.max_monthly_cost.is_none() {
        return Ok(());
    }
    let Some(hourly) = hourly else {
        return Err(Reason::Unpriced {
            region: region.cloned(),
        });
    };
    let all = hourly * replicas;
    if let Some(most) = budget
        .max_hourly_cost
        .filter(|most| all.0.round_dp(4) > *most)
    {
        return Err(Reason::OverHourly {
            costs: all,
            most: UsdPerHour(most),
        });
    }
    let month = Usd(dollars(month.of(pico(all.0))));
    if let Some(most) = budget
        .max_monthly_cost
        .filter(|most| month.0.round_dp(2) > *most)
    {
        return Err(Reason::OverMonthly {
            costs: month,
            most: Usd(most),
        });
    }
    Ok(())
}
