//! The runs, the table and the goals.

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};

use acceptance::usage::Usage;
use anyhow::{Result, ensure};

use crate::Arguments;
use crate::clients::Client;

/// Of the first round, in which the device looks at every byte that it is sent.
const LOOKED_AT: u64 = 256;

/// Run, and print.
pub(crate) fn print(asked: &Arguments) -> Result<()> {
    let out = &mut stdout();
    let chosen = |client: &Client| {
        asked.only.is_empty()
            || asked
                .only
                .iter()
                .any(|start| client.name().starts_with(start.as_str()))
    };
    let clients: Vec<Client> = Client::ALL.into_iter().filter(chosen).collect();
    ensure!(!clients.is_empty(), "no client has such a name");
    // Whoever sends wrong bytes fails here; it also warms up what is read from disks.
    for client in &clients {
        client.run(asked, LOOKED_AT, true)?;
    }
    let mut best: BTreeMap<Client, Usage> = BTreeMap::new();
    // In turns, so that all meet the same weather.
    for round in 0..asked.runs.max(1) {
        for client in clients.iter().filter(|client| round == 0 || !client.once()) {
            let usage = client.run(asked, asked.gib * 1024, false)?;
            let known = best.entry(*client).or_insert(usage);
            if usage.wall < known.wall {
                *known = usage;
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "some GiB")]
    let gib = asked.gib as f64;
    writeln!(
        out,
        "{:<24}{:>9}{:>9}{:>12}{:>10}{:>12}{:>12}{:>12}",
        format!("{gib} GiB, 8 files"),
        "wall s",
        "GiB/s",
        "CPU s/GiB",
        "peak MB",
        "x bare loop",
        "x hf way",
        "x hf + sha"
    )?;
    for (client, usage) in &best {
        let ratio = |other: Client| {
            let other = best.get(&other);
            other.map_or_else(String::new, |other| {
                format!("{:.2}", other.wall / usage.wall)
            })
        };
        let floor = if client.name().ends_with("TLS") {
            Client::FloorTls
        } else {
            Client::Floor
        };
        writeln!(
            out,
            "{:<24}{:>9.2}{:>9.2}{:>12.2}{:>10.0}{:>12}{:>12}{:>12}",
            client.name(),
            usage.wall,
            gib / usage.wall,
            usage.cpu / gib,
            usage.peak,
            ratio(floor),
            ratio(Client::Usual),
            ratio(Client::UsualChecked)
        )?;
    }
    writeln!(out)?;
    for (what, has, goal, least) in goals(&best, gib) {
        let met = if least { has >= goal } else { has <= goal };
        let (word, bound) = (
            if met { "met" } else { "MISSED" },
            if least { "at least" } else { "at most" },
        );
        writeln!(out, "{what:<48}{has:>8.2}   goal: {bound} {goal}   {word}")?;
    }
    Ok(())
}

/// What, the figure, the goal, and whether that is the least.
fn goals(best: &BTreeMap<Client, Usage>, gib: f64) -> Vec<(&'static str, f64, f64, bool)> {
    let faster = |ours: Client, other: Client| Some(best.get(&other)?.wall / best.get(&ours)?.wall);
    let cpu = |ours: Client| Some(best.get(&ours)?.cpu / gib);
    let peak = |ours: Client| Some(best.get(&ours)?.peak);
    let (plain, tls) = (Client::Openmodel, Client::OpenmodelTls);
    [
        (
            "rate, times the bare copy loop's",
            faster(plain, Client::Floor),
            0.9,
            true,
        ),
        (
            "rate, times that of the usual way",
            faster(plain, Client::Usual),
            4.0,
            true,
        ),
        (
            "rate, times that of the usual way with sha256sum",
            faster(plain, Client::UsualChecked),
            9.0,
            true,
        ),
        ("CPU s/GiB over HTTP", cpu(plain), 1.5, false),
        ("CPU s/GiB over TLS", cpu(tls), 2.1, false),
        ("peak memory over HTTP, MB", peak(plain), 64.0, false),
        ("peak memory over TLS, MB", peak(tls), 64.0, false),
    ]
    .into_iter()
    .filter_map(|(what, has, goal, least)| Some((what, has?, goal, least)))
    .collect()
}
