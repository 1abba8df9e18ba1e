//! A pool as a page: the machines, who sits where, what it costs, and what did not fit.

use std::collections::BTreeMap;

use openmodel_schemas::report::{PoolMachine, PoolModel, PoolReport, PoolSeat, RejectedShape};
use openmodel_schemas::spec::Workload;
use rust_decimal::Decimal;

use super::arguments::Recommend;
use super::figures::{cents, hourly, money, monthly, whole};
use super::groups::short;
use super::page::load;
use super::rows::option;
use crate::page::{FAINT, GOOD, Lean, NAME, PLAIN, Page, STRONG, Table, Text, WARN};

/// Rejected shapes that are named where not all are asked for.
const NAMED: usize = 8;

/// The page, `width` columns wide; `images` are the models that make them, whose requests have no
/// length in tokens.
pub(super) fn page(
    asked: &Recommend,
    workload: Option<&Workload>,
    report: &PoolReport,
    images: &[&str],
    width: usize,
) -> String {
    let mut page = Page::new(width);
    heading(&mut page, report);
    if let Some(workload) = workload {
        page.entry(
            "Load",
            &load(workload, asked, images.len() == report.models.len()),
        );
    }
    page.gap();
    page.table(&machines(report, width));
    notes(&mut page, report);
    page.gap();
    seats(&mut page, report, images);
    page.gap();
    costs(&mut page, report);
    rejected(&mut page, report, asked.all);
    page.finish()
}

fn heading(page: &mut Page, report: &PoolReport) {
    let replicas: u32 = report.models.iter().map(|model| model.replicas).sum();
    let what = format!(
        "{} of {} on {} in {}, {}",
        count(replicas as usize, "replica"),
        count(report.models.len(), "model"),
        report.surface.as_str(),
        report.region,
        option(&report.purchase_option),
    );
    let catalog = format!(
        " · catalog of {}, list prices in {}",
        report.catalog_date, report.currency
    );
    page.entry("Pool", &Text::new(STRONG, what).and(FAINT, catalog));
}

/// A machine type a row.
fn machines(report: &PoolReport, width: usize) -> Table {
    let decimals = cents(report.machines.iter().map(|machine| machine.hourly.0));
    let rows = |accelerator: bool, months: bool| {
        let mut columns = vec![("count", Lean::Right), ("machine", Lean::Left)];
        if accelerator {
            columns.push(("accelerator", Lean::Left));
        }
        columns.push(("$/hour", Lean::Right));
        if months {
            columns.push(("$/month", Lean::Right));
        }
        let mut table = Table::new(columns, 1);
        for machine in &report.machines {
            let all = machine.hourly * machine.count;
            let mut cells = vec![Text::plain(machine.count), Text::new(GOOD, &machine.shape)];
            let mut below = Text::plain(accelerators(machine));
            if accelerator {
                cells.push(std::mem::take(&mut below));
            }
            cells.push(Text::plain(money(all.0, decimals)));
            if months {
                cells.push(Text::plain(money(all.per_month().0, 2)));
            }
            table.row(cells, below, Vec::new());
        }
        table
    };
    let fits = |table: &Table| table.width() <= width;
    let wide = [rows(true, true), rows(true, false)].into_iter().find(fits);
    wide.unwrap_or_else(|| rows(false, false))
}

fn notes(page: &mut Page, report: &PoolReport) {
    for machine in &report.machines {
        if let Some(note) = &machine.note {
            page.entry("", &Text::new(FAINT, format!("{}: {note}", machine.shape)));
        }
    }
}

/// Who sits where, machine after machine.
fn seats(page: &mut Page, report: &PoolReport, images: &[&str]) {
    let mut label = "Seats";
    for machine in &report.machines {
        for instance in 0..machine.count {
            let mut name = Text::new(GOOD, &machine.shape);
            if machine.count > 1 {
                name = name.and(FAINT, format!(" {} of {}", instance + 1, machine.count));
            }
            page.entry(label, &name);
            label = "";
            for seat in machine
                .seats
                .iter()
                .filter(|seat| seat.instance == instance)
            {
                page.under(2, &sits(seat, machine, report, images));
            }
        }
    }
    let shared = report
        .machines
        .iter()
        .flat_map(|machine| &machine.seats)
        .any(|seat| seat.share_percent.is_some());
    if shared {
        let words = "A share is of memory, which the engine keeps to; the speed beside others is not known.";
        page.entry("", &Text::new(FAINT, words));
    }
}

fn sits(seat: &PoolSeat, machine: &PoolMachine, report: &PoolReport, images: &[&str]) -> Text {
    let name = short(&machine.accelerator);
    let takes = match (seat.share_percent, seat.accelerators.as_slice()) {
        (Some(percent), [one, ..]) => format!("{percent:>3} % of {name} #{one}"),
        (_, [one]) => format!("all of {name} #{one}"),
        (_, [first, .., last]) => format!("all of {name} #{first} to #{last}"),
        (_, []) => String::new(),
    };
    let replicas = report
        .models
        .iter()
        .find(|model| model.model == seat.model)
        .map_or(1, |model| model.replicas);
    let mut text = Text::plain(format!("{takes}  ")).and(STRONG, &seat.model);
    if replicas > 1 {
        text = text.and(FAINT, format!(" {} of {replicas}", seat.replica + 1));
    }
    let mut how = vec![seat.engine.clone()];
    let spread = [
        ("TP", seat.tensor_parallel),
        ("PP", seat.pipeline_parallel),
        ("DP", seat.data_parallel),
    ];
    for (word, ranks) in spread.into_iter().filter(|(_, ranks)| *ranks > 1) {
        how.push(format!("{word} {ranks}"));
    }
    how.push(seat.weights.clone());
    if !images.contains(&seat.model.as_str()) {
        how.push(format!("{} tokens", whole(seat.max_model_len)));
    }
    if seat.share_percent.is_some() {
        how.push(format!("memory share {:.2}", seat.memory_utilization));
    }
    how.push(format!("{}/h", hourly(seat.hourly)));
    text.and(FAINT, format!("  {}", how.join(" · ")))
}

fn costs(page: &mut Page, report: &PoolReport) {
    let mut cost = Text::plain(format!(
        "{} an hour · {} a month",
        hourly(report.hourly),
        monthly(report.monthly)
    ));
    if let Some(cluster) = report.cluster_monthly {
        cost = cost.and(FAINT, format!(", and {} for the cluster", monthly(cluster)));
    }
    page.entry("Cost", &cost);
    if let Some(month) = report.marginal_monthly {
        let mut text = Text::plain(format!("{} a month", monthly(month)));
        if let Some(cluster) = report.cluster_monthly {
            text = text.and(
                FAINT,
                format!(", and {} for the cluster,", monthly(cluster)),
            );
        }
        let words = " to the bill, by your terms; the machines are chosen by their list prices";
        page.entry("Added", &text.and(FAINT, words));
        for line in &report.taken_off {
            let amount = line
                .hourly
                .map_or_else(String::new, |usd| format!("{}/h", hourly(usd)));
            let text = Text::new(GOOD, amount).and(PLAIN, format!("  {}", line.item));
            page.under(2, &text);
        }
    }
    let apart = format!(
        "{} a month, with the cheapest machine for each replica alone",
        monthly(report.separate_monthly)
    );
    let saving = if report.saving_monthly.0 > Decimal::ZERO {
        let part = percent(report.saving_monthly.0, report.separate_monthly.0, 0);
        let saved = format!("{} a month, {part} %", monthly(report.saving_monthly));
        Text::new(GOOD, saved).and(PLAIN, format!(" of {apart}"))
    } else {
        Text::plain(format!("none: it would be {apart}"))
    };
    page.entry("Saving", &saving);
    for model in &report.models {
        page.under(2, &alone(model));
    }
    let proof = if report.optimal {
        Text::plain("no pool of these machines costs less: proven")
    } else {
        let gap = report.hourly.0 - report.at_least.0;
        let part = percent(gap, report.hourly.0, 2);
        let words = format!(
            "none was found that costs less; it is proven that none costs under {} an hour, {part} % less",
            hourly(report.at_least)
        );
        Text::new(WARN, words)
    };
    page.entry("Proof", &proof);
}

/// What a model costs in the pool and would alone.
fn alone(model: &PoolModel) -> Text {
    let times = match model.replicas {
        1 => String::new(),
        replicas => format!("{replicas} x "),
    };
    let shape = model.separate_shape.as_deref().unwrap_or("nothing");
    Text::plain(format!("{}/h", hourly(model.hourly)))
        .and(PLAIN, format!("  {}  ", model.model))
        .and(
            FAINT,
            format!("{}/h on {times}{shape}", hourly(model.separate_hourly)),
        )
}

/// What does not hold a model, and what was not looked at.
fn rejected(page: &mut Page, report: &PoolReport, each: bool) {
    let models = report
        .models
        .iter()
        .map(|model| (model.model.as_str(), &model.rejected));
    let all: Vec<(&str, &Vec<RejectedShape>)> = models
        .chain([("not looked at", &report.left_out)])
        .filter(|(_, rejected)| !rejected.is_empty())
        .collect();
    if all.is_empty() {
        return;
    }
    page.gap();
    let hint = if each { "" } else { " (--all lists each)" };
    page.entry(
        "Rejected",
        &Text::plain("what holds no replica").and(FAINT, hint),
    );
    for (name, shapes) in all {
        page.under(0, &Text::new(STRONG, name));
        if each {
            for shape in shapes {
                let line = Text::new(NAME, format!("{} ", shape.code));
                page.under(
                    2,
                    &line.and(PLAIN, format!("{}: {}", shape.shape, shape.reason)),
                );
            }
            continue;
        }
        let mut codes: BTreeMap<&str, Vec<&RejectedShape>> = BTreeMap::new();
        for shape in shapes {
            codes.entry(&shape.code).or_default().push(shape);
        }
        for (code, shapes) in codes {
            let names = shapes.iter().map(|shape| short(&shape.shape));
            let mut names: Vec<String> = names.take(NAMED).map(str::to_owned).collect();
            if shapes.len() > NAMED {
                names.push(format!("and {} more", shapes.len() - NAMED));
            }
            let line = Text::new(NAME, code).and(FAINT, format!(" {}  ", shapes.len()));
            page.under(2, &line.and(PLAIN, names.join(", ")));
            // The one that lacks least.
            let lacks = |shape: &&&RejectedShape| Some(shape.needs? - shape.has?);
            let closest = shapes.iter().filter(|shape| lacks(shape).is_some());
            if let Some(shape) = closest.min_by_key(lacks).or(shapes.first()) {
                let example = format!("{}: {}", shape.shape, shape.reason);
                page.under(4, &Text::new(FAINT, example));
            }
        }
    }
}

fn accelerators(machine: &PoolMachine) -> String {
    let name = short(&machine.accelerator);
    match machine.accelerator_eighths {
        8 => format!("{name} x{}", machine.accelerator_count),
        4 => format!("{name} x1/2"),
        2 => format!("{name} x1/4"),
        eighths => format!("{name} x{eighths}/8"),
    }
}

/// `1 model`, `2 models`.
fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

fn percent(part: Decimal, of: Decimal, decimals: u32) -> String {
    let part = (part * Decimal::ONE_HUNDRED)
        .checked_div(of)
        .unwrap_or_default();
    money(part, decimals)
}
