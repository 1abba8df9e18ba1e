//! The machines as rows: what is bought, how it is served, and what a buyer must know.

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::report::RankedShape;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

use super::figures::{cents, money, range};
use super::groups::{Group, added, short};
use crate::page::{FAINT, GOOD, Lean, PLAIN, STRONG, Table, Text, WARN};

/// The columns that go where the terminal is narrow, one list after the other; what they say
/// stands under the row, but for the memory.
const NARROWER: [&[&str]; 7] = [
    &["bar"],
    &["bar", "machine"],
    &["bar", "machine", "memory"],
    &["bar", "machine", "memory", "bought"],
    &["bar", "machine", "memory", "bought", "surface"],
    &["bar", "machine", "memory", "bought", "surface", "region"],
    &[
        "bar",
        "machine",
        "memory",
        "bought",
        "surface",
        "region",
        "accelerator",
    ],
];

/// The rows as a table that fits `width` columns, and the footnotes they point to. `by_token` has
/// the cost of tokens in the place of a month's.
pub(super) fn rows(groups: &[&Group], by_token: bool, width: usize) -> (Table, Vec<String>) {
    let mut footnotes = Vec::new();
    let mut rows = table(groups, by_token, &[], &mut footnotes);
    for hidden in NARROWER {
        if rows.width() <= width {
            break;
        }
        rows = table(groups, by_token, hidden, &mut Vec::new());
    }
    (rows, footnotes)
}

/// The machines, one row each, without the columns that are hidden. Notes for buyers go to
/// `footnotes`.
fn table(groups: &[&Group], by_token: bool, hidden: &[&str], footnotes: &mut Vec<String>) -> Table {
    // With the user's terms a month is what it adds to the bill.
    let terms = groups
        .iter()
        .any(|group| group.best.cost.marginal.is_some());
    let last = match (by_token, terms) {
        (true, _) => "$/M tokens",
        (false, true) => "added $/month",
        (false, false) => "$/month",
    };
    let several = groups.iter().any(|group| group.best.replicas > 1);
    let hour = if several { "$/hour each" } else { "$/hour" };
    let all = [
        ("  #", Lean::Right),
        ("surface", Lean::Left),
        ("machine", Lean::Left),
        ("accelerator", Lean::Left),
        ("region", Lean::Left),
        ("bought", Lean::Left),
        ("memory", Lean::Right),
        (hour, Lean::Right),
        (last, Lean::Right),
    ];
    let shows = |heading: &str| !hidden.contains(&heading);
    let columns = all.iter().copied().filter(|(heading, _)| shows(heading));
    let mut table = Table::new(columns.collect(), 1);
    let decimals = cents(
        groups
            .iter()
            .filter_map(|group| Some(group.best.cost.hourly?.0)),
    );
    for group in groups {
        let best = group.best;
        let first = group.rank == 1;
        let style = if first { STRONG } else { PLAIN };
        let point = if first { "▸ " } else { "" };
        let amount = |amount: Option<Decimal>, decimals| {
            amount.map_or_else(
                || Text::new(WARN, "unknown"),
                |usd| Text::new(style, money(usd, decimals)),
            )
        };
        let surfaces: Vec<&str> = group
            .surfaces
            .iter()
            .map(|surface| surface.as_str())
            .collect();
        let note = best.note.as_ref().map(|note| {
            let known = footnotes.iter().position(|known| known == note);
            known.unwrap_or_else(|| {
                footnotes.push(note.clone());
                footnotes.len() - 1
            })
        });
        let cells = [
            Text::new(GOOD, point).and(style, group.rank),
            Text::new(style, surfaces.join(", ")),
            Text::new(style, machine(best)),
            Text::new(style, accelerator(best)),
            region(group, note.map_or("", mark), style),
            Text::new(style, option(&best.purchase_option)),
            used(best, shows("bar")),
            amount(best.cost.hourly.map(|usd| usd.0), decimals),
            if by_token {
                amount(best.cost.per_million_output_tokens.map(|usd| usd.0), 3)
            } else {
                let month = if terms {
                    added(best)
                } else {
                    best.cost.monthly_expected
                };
                amount(month.map(|usd| usd.0), 2)
            },
        ];
        let named = all.iter().map(|(heading, _)| *heading).zip(cells);
        let (cells, gone): (Vec<_>, Vec<_>) = named.partition(|(heading, _)| shows(heading));
        let mut more = Text::default();
        for (_, cell) in gone.into_iter().filter(|(heading, _)| *heading != "memory") {
            if more.width() > 0 {
                more = more.and(FAINT, " · ");
            }
            more = more.with(cell);
        }
        let cells = cells.into_iter().map(|(_, cell)| cell).collect();
        table.row(cells, more, remarks(best));
    }
    table
}

/// The mark of a footnote.
pub(super) fn mark(index: usize) -> &'static str {
    const MARKS: [&str; 9] = ["¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];
    MARKS.get(index).unwrap_or(&"⁺")
}

/// What is said under a row: how it is served, and how fast it is.
fn remarks(best: &RankedShape) -> Vec<Text> {
    let mut served = format!("{} · {} · {}", best.engine, spread(best), weights(best));
    if best.kv_cache_bits == 8 {
        served += " · fp8 cache";
    }
    let mut remarks = vec![Text::new(FAINT, served)];
    if best.replicas > 1 {
        remarks.push(Text::plain(format!("{} replicas", best.replicas)));
    }
    if let Some(speed) = &best.performance {
        let figures = [
            format!("{} tok/s", range(speed.output_tokens_per_second)),
            format!("TPOT {} ms", range(speed.tpot_ms)),
            format!("TTFT {} ms", range(speed.ttft_ms)),
        ];
        remarks.extend(figures.into_iter().map(Text::plain));
        remarks.push(Text::new(FAINT, &speed.basis));
    }
    remarks
}

/// The format of the weights, as closely as it is known.
pub(super) fn weights(best: &RankedShape) -> &str {
    match best.quantization.as_deref() {
        // `gguf` says less than what it is made with.
        Some(made) if best.weights == "gguf" => made,
        _ => &best.weights,
    }
}

/// The machine by the surface's name; where it has none, what the host has.
pub(super) fn machine(best: &RankedShape) -> String {
    match (best.surface, &best.machine_type) {
        (Surface::CloudRun, _) => {
            format!("{} vCPU, {:.0} GiB", best.cpu, best.host_memory.as_gib())
        }
        // A slice is more than its machines.
        (_, Some(machine)) => match best.shape.split_once('/') {
            Some((_, topology)) => format!("{machine} {topology}"),
            None => machine.clone(),
        },
        (_, None) => "managed".to_owned(),
    }
}

/// `l4 x2`, `rtx-pro-6000 x1/4`.
pub(super) fn accelerator(best: &RankedShape) -> String {
    let name = short(&best.accelerator);
    match best.accelerator_eighths {
        8 => format!("{name} x{}", best.accelerator_count),
        4 => format!("{name} x1/2"),
        2 => format!("{name} x1/4"),
        eighths => format!("{name} x{eighths}/8"),
    }
}

/// Where it is, with the mark of a footnote.
fn region(group: &Group, mark: &str, style: anstyle::Style) -> Text {
    let best = group.best;
    let Some(region) = &best.region else {
        return Text::new(WARN, "not listed").and(WARN, mark);
    };
    let mut text = Text::new(style, region);
    if !best.confirmed {
        text = text.and(WARN, "?");
    }
    text = text.and(WARN, mark);
    if group.others > 0 {
        text = text.and(FAINT, format!(" +{}", group.others));
    }
    text
}

/// The share of a device's memory in use.
fn used(best: &RankedShape, bar: bool) -> Text {
    const CELLS: usize = 8;
    let memory = &best.memory;
    let usable = memory.usable.as_gib();
    if usable <= 0.0 {
        return Text::default();
    }
    let share = (1.0 - memory.headroom.as_gib() / usable).clamp(0.0, 1.0);
    let percent = Text::plain(format!("{:.0} %", share * 100.0));
    if !bar {
        return percent;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of eight cells"
    )]
    let full = (share * CELLS as f64).round() as usize;
    let style = if share > 0.85 { WARN } else { GOOD };
    Text::new(style, "█".repeat(full))
        .and(FAINT, "░".repeat(CELLS - full.min(CELLS)))
        .and(PLAIN, format!(" {:>3.0} %", share * 100.0))
}

/// How the model lies on the devices: `TP 8`, `TP 8 PP 2`, `TP 1 DP 8 EP`.
pub(super) fn spread(best: &RankedShape) -> String {
    let mut words = vec![format!("TP {}", best.tensor_parallel)];
    if best.pipeline_parallel > 1 {
        words.push(format!("PP {}", best.pipeline_parallel));
    }
    if best.data_parallel > 1 {
        words.push(format!("DP {}", best.data_parallel));
    }
    if best.expert_parallel {
        words.push("EP".to_owned());
    }
    words.join(" ")
}

/// A way to buy in words.
pub(super) fn option(word: &str) -> &'static str {
    let option = PurchaseOption::ALL
        .into_iter()
        .find(|option| option.as_str() == word);
    match option {
        Some(PurchaseOption::OnDemand) => "on demand",
        Some(PurchaseOption::Spot) => "spot",
        Some(PurchaseOption::FlexStart) => "flex-start",
        Some(PurchaseOption::Calendar) => "calendar",
        Some(PurchaseOption::Commitment1y) => "1 year",
        Some(PurchaseOption::Commitment3y) => "3 years",
        None => "",
    }
}
