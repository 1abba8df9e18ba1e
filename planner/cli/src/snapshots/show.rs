//! Snapshots as text and as JSON. Sums are of what has a known price, and say so.

use std::fmt::Write as _;

use anyhow::Result;
use openmodel_graph::operation::storage_transfer_name;
use openmodel_schemas::quantity::{Bytes, Usd};
use openmodel_transfer::inventory::Found;
use serde_json::{Value, json};

use super::{Kept, Priced};

/// Each bucket with its snapshots, and a last line of sums.
pub(super) fn list(kept: &[Kept], price_date: &str) -> String {
    if kept.is_empty() {
        return "No bucket that openmodel made. Name another as gs://BUCKET.".to_owned();
    }
    let mut text = String::new();
    for bucket in kept {
        line(&mut text, &head(bucket));
        for one in &bucket.snapshots {
            line(&mut text, &format!("  {}", one.found.uri));
            line(&mut text, &format!("    {}", facts(one)));
        }
        if bucket.snapshots.is_empty() {
            line(&mut text, "  no snapshots");
        }
        for cache in bucket.anywhere_caches.iter().flatten() {
            let (zone, state) = (&cache.zone, &cache.state);
            line(
                &mut text,
                &format!(
                    "  Anywhere Cache in {zone}: {state}; it costs by what is in it, which is not known"
                ),
            );
        }
    }
    text + "\n" + &total(kept, price_date)
}

/// Each orphan with what can be done about it, and a last line of sums.
pub(super) fn orphans(kept: &[Kept], price_date: &str) -> String {
    let mut text = String::new();
    for one in kept.iter().flat_map(|bucket| &bucket.snapshots) {
        line(&mut text, &one.found.uri.to_string());
        line(&mut text, &format!("  {}", facts(one)));
        for (what, command) in moves(&one.found) {
            line(&mut text, &format!("  {what}: {command}"));
        }
    }
    if text.is_empty() {
        return "No orphans: the states have all snapshots.".to_owned();
    }
    text + "\n" + &total(kept, price_date)
}

/// The same for programs: amounts are decimal text, and null where no price is known.
pub(super) fn json(kept: &[Kept], orphans: bool, price_date: &str) -> Result<String> {
    let snapshot = |one: &Priced| {
        let found = &one.found;
        let mut value = json!({
            "uri": found.uri.to_string(),
            "repository": found.uri.repository().id.to_string(),
            "repository_type": found.uri.repository().kind.as_str(),
            "commit": found.uri.commit().to_string(),
            "finished": found.is_finished,
            "files": found.files,
            "moving": found.moving,
            "bytes": found.size().0,
            "monthly": one.monthly.map(|usd| usd.0.normalize().to_string()),
            "updated": found.updated,
        });
        if orphans {
            for (what, command) in moves(found) {
                value[what] = json!(command);
            }
        }
        value
    };
    let buckets: Vec<Value> = kept
        .iter()
        .map(|bucket| {
            let caches = bucket.anywhere_caches.as_ref().map(|caches| {
                let caches = caches.iter();
                caches
                    .map(|cache| json!({"zone": cache.zone, "state": cache.state}))
                    .collect::<Vec<_>>()
            });
            json!({
                "name": bucket.bucket.name,
                "location": bucket.bucket.location.to_ascii_lowercase(),
                "snapshots": bucket.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
                "anywhere_caches": caches,
            })
        })
        .collect();
    let all = json!({"currency": "USD", "price_date": price_date, "buckets": buckets});
    Ok(serde_json::to_string_pretty(&all)?)
}

fn head(kept: &Kept) -> String {
    let (name, location) = (&kept.bucket.name, &kept.bucket.location);
    format!("gs://{name} in {}", location.to_ascii_lowercase())
}

/// `9 files, 14.99 GiB, $0.30 a month, 2026-11-26`.
fn facts(one: &Priced) -> String {
    let found = &one.found;
    let money = one.monthly.map_or_else(
        || "price not known".to_owned(),
        |usd| format!("{} a month", amount(usd, found.size())),
    );
    let day = found.updated.get(..10).unwrap_or("date not known");
    let files = plural(found.files, "file");
    let facts = format!("{files}, {}, {money}, {day}", found.size());
    if found.is_finished {
        return facts;
    }
    let moving = match found.moving {
        0 => String::new(),
        moving => format!(", {} on the way", plural(moving, "file")),
    };
    format!("unfinished, serves nobody: {facts}{moving}")
}

/// What can be done about one that nobody manages.
fn moves(found: &Found) -> Vec<(&'static str, String)> {
    let uri = &found.uri;
    let import = format!("terraform import openmodel_cache.NAME '{uri}'");
    // Soft delete keeps what was removed for the bucket's time, and bills it.
    let remove = format!("gcloud storage rm --recursive '{uri}/**'");
    let can_import = found.is_finished && found.has_record;
    let import = can_import.then_some(("import", import));
    // Its name goes on with a number. What it does now would fill the folder again: it is ended first.
    let stop = found.fetched_by.as_ref().map(|project| {
        let job = storage_transfer_name(uri);
        ("transfer_job", format!("projects/{project}/{job}"))
    });
    let moves = import.into_iter().chain(stop);
    moves.chain([("remove", remove)]).collect()
}

fn total(kept: &[Kept], price_date: &str) -> String {
    let all = || kept.iter().flat_map(|bucket| &bucket.snapshots);
    let count = |finished: bool| {
        let some = all()
            .filter(|one| one.found.is_finished == finished)
            .count();
        u64::try_from(some).unwrap_or(u64::MAX)
    };
    let bytes: Bytes = all().map(|one| one.found.size()).sum();
    let known = Usd(all().filter_map(|one| one.monthly).map(|usd| usd.0).sum());
    let at_least = if all().any(|one| one.monthly.is_none()) {
        " at least"
    } else {
        ""
    };
    format!(
        "{}, {} unfinished; {}, {} a month{at_least} by prices of {price_date}. Soft-deleted and earlier versions of \
         objects are not counted.",
        plural(count(true), "snapshot"),
        count(false),
        bytes,
        amount(known, bytes),
    )
}

/// What bytes cost is never nothing.
fn amount(usd: Usd, bytes: Bytes) -> String {
    let cents = usd.to_string();
    if cents == "$0.00" && bytes != Bytes(0) {
        return "under $0.01".to_owned();
    }
    cents
}

fn plural(count: u64, word: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {word}{end}")
}

fn line(text: &mut String, line: &str) {
    // A text takes all that is written to it.
    let _ = writeln!(text, "{line}");
}
