//! The first of a ranking in full: why it is, what it costs and holds, and how to serve it.

use openmodel_schemas::report::{ColdStart, RankedShape, Ranking, Serving};
use openmodel_schemas::spec::Workload;

use super::figures::{hourly, middle, money, monthly, per_million, range, whole};
use super::names::takes_share;
use super::rows::{accelerator, machine, option, spread, weights};
use crate::page::{FAINT, GOOD, NAME, PLAIN, Page, Text, WARN};

/// From here on nobody has them without asking first: Cloud Run's limit of instances of a service
/// (its quotas page), above Vertex's and Compute Engine's default quotas.
const MANY_REPLICAS: u32 = 1000;

/// Everything about the choice.
pub(super) fn section(
    page: &mut Page,
    best: &RankedShape,
    ranking: &Ranking,
    load: &Workload,
    images: bool,
) {
    page.entry(
        "Chosen",
        &Text::new(GOOD, line(best)).and(PLAIN, format!(". {}", ranking.reason)),
    );
    page.entry("Cost", &cost(best, load));
    for line in &best.cost.lines {
        let amount = line.hourly.map_or_else(
            || Text::new(WARN, "unknown"),
            |usd| Text::plain(format!("{}/h", hourly(usd))),
        );
        page.under(
            2,
            &amount
                .and(PLAIN, format!("  {}  ", line.item))
                .and(FAINT, &line.source),
        );
    }
    added_to_the_bill(page, best);
    if let Some(start) = &best.cost.cold_start {
        page.entry("Start", &cold_start(start));
    }
    if best.replicas >= MANY_REPLICAS {
        let text = format!(
            "The load needs {} replicas: whether so many are to be had is not known. More --concurrency, \
             or a faster accelerator, lets each serve more.",
            whole(best.replicas.into())
        );
        page.entry("Replicas", &Text::new(WARN, text));
    }
    page.entry("Memory", &memory(best));
    if let Some(speed) = &best.performance {
        let text = format!(
            "{} tok/s ({}) · {} requests/s · TPOT {} ms ({}) · TTFT {} ms ({})",
            middle(speed.output_tokens_per_second),
            range(speed.output_tokens_per_second),
            middle(speed.requests_per_second),
            middle(speed.tpot_ms),
            range(speed.tpot_ms),
            middle(speed.ttft_ms),
            range(speed.ttft_ms),
        );
        let basis = format!(", of one replica; {}", speed.basis);
        page.entry("Speed", &Text::plain(text).and(FAINT, basis));
    } else {
        page.entry("Speed", &Text::new(WARN, "unknown: there is no estimate"));
    }
    page.entry("Settings", &Text::plain(settings(best, images)));
    match &ranking.serving {
        Some(served) => serving(page, served),
        None => page.entry(
            "Serve",
            &Text::new(
                WARN,
                format!(
                    "no image of {} {} is known for {}",
                    best.engine, best.engine_version, best.accelerator
                ),
            ),
        ),
    }
}

/// Which it is, in one line.
pub(super) fn line(best: &RankedShape) -> String {
    let machine = match best.machine_type {
        Some(_) => format!("{} with {}", machine(best), accelerator(best)),
        None => accelerator(best),
    };
    let region = best.region.as_deref().unwrap_or("no listed region");
    format!(
        "{machine} on {} in {region}, {}",
        best.surface.as_str(),
        option(&best.purchase_option)
    )
}

fn cost(best: &RankedShape, load: &Workload) -> Text {
    let cost = &best.cost;
    let Some(hour) = cost.hourly else {
        return Text::new(WARN, "unknown: the catalog has no price for it");
    };
    let each = if best.replicas > 1 { " each" } else { "" };
    let mut words = vec![format!("{} an hour{each}", hourly(hour))];
    if let Some(month) = cost.monthly_expected {
        let replicas = match best.replicas {
            1 => String::new(),
            replicas => format!(" for {replicas} replicas"),
        };
        let starts = match load.starts_per_month {
            None | Some(0) => "",
            Some(_) => " and starts",
        };
        words.push(format!(
            "{} a month{replicas} with storage{starts}",
            monthly(month)
        ));
    }
    if let Some(usd) = cost.per_million_output_tokens {
        words.push(format!(
            "{} a million tokens out, when busy",
            per_million(usd)
        ));
    }
    let date = format!(" · prices of {}, before discounts", cost.price_date);
    Text::plain(words.join(" · ")).and(FAINT, date)
}

/// What the user's terms leave of the cost, and which of them took off what.
fn added_to_the_bill(page: &mut Page, best: &RankedShape) {
    let Some(marginal) = &best.cost.marginal else {
        return;
    };
    let Some(month) = marginal.monthly_expected else {
        return;
    };
    let replicas = match best.replicas {
        1 => String::new(),
        replicas => format!(" for {replicas} replicas"),
    };
    let text = Text::plain(format!("{} a month{replicas}", monthly(month)));
    let none = if marginal.lines.is_empty() {
        ": none of your terms takes anything off"
    } else {
        ""
    };
    page.entry(
        "Added",
        &text.and(FAINT, format!(" to the bill, by your terms{none}")),
    );
    for line in &marginal.lines {
        let amount = line
            .hourly
            .map_or_else(String::new, |usd| format!("{}/h", hourly(usd)));
        page.under(
            2,
            &Text::new(GOOD, amount)
                .and(PLAIN, format!("  {}  ", line.item))
                .and(FAINT, &line.source),
        );
    }
}

/// How long a replica takes to start, and what it costs.
fn cold_start(start: &ColdStart) -> Text {
    let cost = start
        .usd
        .map_or_else(String::new, |usd| format!(", ${} each", money(usd.0, 4)));
    Text::plain(format!("{} s{cost}", range(start.seconds)))
        .and(FAINT, format!("; {}", start.basis))
}

fn memory(best: &RankedShape) -> Text {
    let memory = &best.memory;
    let devices = if best.accelerator_count > 1 {
        " on the fullest device"
    } else {
        ""
    };
    // A model that keeps nothing of a sequence has no cache to speak of.
    let (cache, room) = if memory.kv_capacity.0 > 0 {
        let tokens = whole(memory.kv_capacity.0);
        (
            format!(" + {} KV cache", memory.kv_cache),
            format!("; the cache has room for {tokens} tokens"),
        )
    } else {
        (String::new(), String::new())
    };
    Text::plain(format!(
        "{} weights{cache} + {} activations + {} overhead, {} free of {}{devices}{room}",
        memory.weights, memory.activations, memory.overhead, memory.headroom, memory.usable,
    ))
}

fn settings(best: &RankedShape, images: bool) -> String {
    let mut words = vec![
        format!("{} {}", best.engine, best.engine_version),
        spread(best),
        format!("weights {}", weights(best)),
    ];
    if best.memory.kv_capacity.0 > 0 {
        words.push(format!("KV cache {} bit", best.kv_cache_bits));
    }
    if !images {
        words.extend([
            format!("max_model_len {}", best.max_model_len),
            format!("max_num_seqs {}", best.max_num_seqs),
            format!("max_num_batched_tokens {}", best.max_num_batched_tokens),
        ]);
    }
    if takes_share(&best.engine) {
        words.push(format!("memory share {:.2}", best.memory_utilization));
    }
    if best.replicas > 1 {
        words.push(format!("{} replicas", best.replicas));
    }
    words.join(" · ")
}

/// The container, in words to copy.
fn serving(page: &mut Page, serving: &Serving) {
    page.entry("Serve", &Text::new(NAME, &serving.image));
    if !serving.command.is_empty() {
        page.under(2, &Text::plain(serving.command.join(" ")));
    }
    let mut args = serving.args.iter().peekable();
    while let Some(arg) = args.next() {
        // A flag and its value stand on one line.
        let value = args.next_if(|next| arg.starts_with('-') && !next.starts_with('-'));
        let line = value.map_or_else(|| arg.clone(), |value| format!("{arg} {}", quoted(value)));
        page.under(2, &Text::plain(line));
    }
    for (name, value) in &serving.env {
        let line = Text::new(FAINT, "env ").and(PLAIN, format!("{name}={}", quoted(value)));
        page.under(2, &line);
    }
}

/// As a shell reads it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}
