//! The gates of scanners on a cache: what they stop is stopped before anything is made.

use anyhow::Result;
use serde_json::json;

use crate::world::{TINY, World};

const WEIGHTS: &str = "model.safetensors";

#[test]
fn what_scanners_report_or_have_not_seen_is_not_moved() -> Result<()> {
    let world = World::new()?;
    let bad = json!({"issues": [{"path": WEIGHTS, "level": "unsafe"}]});
    let pending = json!({"done": false});
    let waits = "scan = { on_unscanned = \"wait\" }";
    let nothing = |what: &str| assert_eq!(world.bench.sandbox.inventory(), json!([]), "{what}");

    world.scan(TINY, &bad)?;
    world.set(TINY, "")?;
    let reported = ["A scanner reports the file", WEIGHTS, "is unsafe"];
    world.refuses(&["apply", "-auto-approve"], &reported)?;
    nothing("unsafe");

    world.scan(TINY, &pending)?;
    world.set(TINY, "scan = { on_unscanned = \"fail\" }")?;
    let unseen = ["The Hub's scanners are not done", "on_unscanned = \"fail\""];
    world.refuses(&["apply", "-auto-approve"], &unseen)?;
    nothing("not scanned");

    // The apply waits, as long as it may.
    let soon = format!("{waits}\ntimeouts = {{ create = \"3s\" }}");
    world.set(TINY, &soon)?;
    world.refuses(&["apply", "-auto-approve"], &["Not scanned yet"])?;
    nothing("not scanned in time");

    // What was not known while planning is judged before a byte moves.
    world.set(TINY, waits)?;
    world.bench.terraform(&["plan", "-out=tfplan"])?;
    world.scan(TINY, &bad)?;
    world.refuses(&["apply", "tfplan"], &reported)?;
    nothing("unsafe after the plan");

    world.scan(TINY, &pending)?;
    world.bench.terraform(&["plan", "-out=tfplan"])?;
    world.scan(TINY, &json!({}))?;
    world.bench.terraform(&["apply", "tfplan"])?;
    assert_eq!(world.state()?["scan_status"], "safe");
    world.bench.assert_plan_is_empty()
}
