//! The provider's `catalog` (a file or a URL, pinned) and `discounts`; and what was planned stays as
//! it was planned.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acceptance::terraform::{Bench, planned, repository};
use anyhow::Result;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn configuration(provider: &str, concurrency: u32) -> String {
    format!(
        r#"
terraform {{
  required_providers {{ openmodel = {{ source = "openmodel/openmodel" }} }}
}}
provider "openmodel" {{
  project = "acme-ml"
  region  = "us-central1"
{provider}
}}
resource "openmodel_endpoint" "chat" {{
  name     = "chat"
  model    = "Qwen/Qwen2.5-7B-Instruct"
  workload = {{ context_length = 8192, max_concurrency = {concurrency} }}
}}
"#
    )
}

/// The embedded catalog with another price of an L4 on Cloud Run.
fn catalog(per_second: &str) -> Result<String> {
    let text = std::fs::read_to_string(repository().join("schemas/catalog/catalog.json"))?;
    let mut catalog: Value = serde_json::from_str(&text)?;
    for row in catalog["prices"].as_array_mut().into_iter().flatten() {
        let item = &row["item"];
        if item["kind"] == "cloud_run_accelerator"
            && item["accelerator"] == "nvidia-l4"
            && item["zonal_redundancy"] == false
        {
            row["usd"]["us-central1"] = per_second.into();
        }
    }
    Ok(catalog.to_string())
}

fn sum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}

fn hourly(plan: &Value) -> String {
    let cost = &planned(plan, "openmodel_endpoint.chat")["cost"];
    cost["hourly"].as_str().unwrap_or_default().to_owned()
}

/// Answers every request with a text, and counts them.
fn serve(text: String) -> Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/prices/catalog.json?v=1", listener.local_addr()?);
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            count.fetch_add(1, Ordering::SeqCst);
            let Ok(half) = stream.try_clone() else { break };
            for line in BufReader::new(half).lines() {
                if line.is_ok_and(|line| line.is_empty()) {
                    break;
                }
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                text.len()
            );
            // A client that has gone away is not this server's trouble.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(text.as_bytes());
        }
    });
    Ok((url, served))
}

#[test]
fn new_prices_do_not_move_what_was_planned() -> Result<()> {
    let bench = Bench::of(&configuration("", 8))?;
    bench.apply()?;
    let before = bench.state()?;
    bench.workspace.write("prices.json", &catalog("0.00028")?)?;
    let own = "  catalog = \"prices.json\"";
    bench.workspace.write("main.tf", &configuration(own, 8))?;
    bench.assert_plan_is_empty()?;
    bench.terraform(&["state", "rm", "openmodel_endpoint.chat"])?;
    bench.terraform(&["import", "openmodel_endpoint.chat", "chat"])?;
    bench.assert_plan_is_empty()?;
    assert_eq!(before["values"], bench.state()?["values"]);
    // A changed input is decided at today's prices.
    bench.workspace.write("main.tf", &configuration(own, 12))?;
    let dearer = hourly(&bench.plan()?);
    bench.workspace.write("main.tf", &configuration("", 12))?;
    let embedded = hourly(&bench.plan()?);
    assert!(
        dearer.parse::<f64>()? > embedded.parse::<f64>()? + 0.3,
        "{dearer} is not above {embedded}"
    );
    Ok(())
}

#[test]
fn a_url_is_pinned_read_once_and_kept() -> Result<()> {
    let text = catalog("0.00028")?;
    let (url, served) = serve(text.clone())?;
    let pinned = format!(
        "  catalog = \"{url}\"\n  catalog_sha256 = \"{}\"",
        sum(&text)
    );
    let bench = Bench::of(&configuration(&pinned, 8))?;
    bench.terraform(&["validate"])?;
    assert_eq!(served.load(Ordering::SeqCst), 0, "validate read it");
    let first = hourly(&bench.plan()?);
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    assert_eq!(served.load(Ordering::SeqCst), 1, "it is read once");
    let (elsewhere, _) = serve(text.clone())?;
    let offline = pinned.replace(&url, &elsewhere) + "\n  offline = true";
    bench
        .workspace
        .write("main.tf", &configuration(&offline, 8))?;
    assert_eq!(hourly(&bench.plan()?), first, "the content is what counts");
    Ok(())
}

#[test]
fn a_catalog_that_cannot_be_used_is_an_error_on_the_argument() -> Result<()> {
    let text = catalog("0.00028")?;
    let (url, _) = serve(text.clone())?;
    let wrong = "0".repeat(64);
    let bench = Bench::of(&configuration("", 8))?;
    bench.workspace.write("prices.json", &text)?;
    bench.workspace.write("broken.json", "{\"version\": 2}")?;
    let actual = sum(&text);
    let cases = [
        (
            format!("catalog = \"{url}\""),
            vec!["Catalog is not pinned", "sha256sum"],
        ),
        (
            format!("catalog = \"{url}\"\n  catalog_sha256 = \"{wrong}\""),
            vec!["Catalog has another checksum", "catalog_sha256 =", &actual],
        ),
        (
            format!("catalog = \"prices.json\"\n  catalog_sha256 = \"{wrong}\""),
            vec!["Catalog has another checksum", &actual],
        ),
        (
            "catalog = \"prices.json\"\n  catalog_sha256 = \"abc\"".to_owned(),
            vec!["64 hexadecimal digits"],
        ),
        (format!("catalog_sha256 = \"{wrong}\""), vec!["catalog"]),
        (
            "catalog = \"nowhere.json\"".to_owned(),
            vec!["Catalog cannot be used", "nowhere.json"],
        ),
        (
            "catalog = \"broken.json\"".to_owned(),
            vec!["Catalog cannot be used", "broken.json"],
        ),
        (
            format!("catalog = \"http://example.com/x\"\n  catalog_sha256 = \"{wrong}\""),
            vec!["Catalog cannot be used", "https://"],
        ),
        (
            format!(
                "catalog = \"http://127.0.0.1:9/x\"\n  catalog_sha256 = \"{wrong}\"\n  offline = true"
            ),
            vec!["not in the cache", "offline"],
        ),
    ];
    for (provider, parts) in cases {
        bench
            .workspace
            .write("main.tf", &configuration(&provider, 8))?;
        let message = bench.terraform_fails(&["plan"])?;
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    }
    Ok(())
}

/// Half off an L4 on Cloud Run.
const HALF: &str = r#"{
  "version": 1,
  "discounts": [{"name": "agreement 4711", "percent": "50", "surfaces": ["cloud_run"], "accelerators": ["L4"]}]
}"#;

#[test]
fn discounts_stand_beside_the_list_price_and_do_not_move_what_was_planned() -> Result<()> {
    let own = "  discounts = \"discounts.json\"";
    let bench = Bench::of(&configuration("", 8))?;
    bench.workspace.write("discounts.json", HALF)?;
    let gross = bench.plan()?;
    assert_eq!(
        planned(&gross, "openmodel_endpoint.chat")["cost"]["marginal"],
        Value::Null
    );
    bench.workspace.write("main.tf", &configuration(own, 8))?;
    let plan = bench.plan()?;
    let cost = planned(&plan, "openmodel_endpoint.chat")["cost"].clone();
    let month = |value: &Value| value.as_str().unwrap_or_default().parse::<f64>();
    let half = month(&cost["monthly_max"])? / 2.0;
    let added = month(&cost["marginal"]["monthly_max"])?;
    assert!((added - half).abs() < 0.006, "{added} is not {half}");
    let lines = cost["marginal"]["lines"].to_string();
    assert!(lines.contains("agreement 4711: 50 % of"), "{lines}");
    // The gross cost is what it was, and so are budgets.
    assert_eq!(hourly(&plan), hourly(&gross));
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    bench.workspace.write("main.tf", &configuration("", 8))?;
    bench.assert_plan_is_empty()
}

#[test]
fn discounts_that_cannot_be_used_are_an_error_on_the_argument() -> Result<()> {
    let own = "  discounts = \"discounts.json\"";
    let bench = Bench::of(&configuration(own, 8))?;
    let missing = bench.terraform_fails(&["plan"])?;
    assert!(missing.contains("Discounts cannot be used"), "{missing}");
    let broken = HALF.replace("\"50\"", "\"150\"");
    bench.workspace.write("discounts.json", &broken)?;
    let message = bench.terraform_fails(&["plan"])?;
    for part in [
        "discounts[0]",
        "percent = 150",
        "at most 100",
        "discounts =",
    ] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    Ok(())
}

#[test]
fn a_changed_load_shows_its_cost_before_and_after() -> Result<()> {
    let bench = Bench::of(&configuration("", 8))?;
    bench.apply()?;
    bench.workspace.write(
        "main.tf",
        &configuration("", 8).replace(
            "  workload",
            "  scaling  = { max_replicas = 3 }\n  workload",
        ),
    )?;
    let plan = bench.plan()?;
    let months = |side: &str| {
        let change = &plan["resource_changes"][0]["change"][side];
        change["cost"]["monthly_max"].as_str().map(str::to_owned)
    };
    let (before, after) = (months("before"), months("after"));
    assert_ne!(before, after);
    let text = bench.terraform(&["show", "-no-color", "tfplan"])?;
    let line = format!(
        "monthly_max               = {:?} -> {:?}",
        before.unwrap_or_default(),
        after.unwrap_or_default()
    );
    assert!(text.contains(&line), "{line} is not in: {text}");
    // What stays is not in the way.
    assert!(!text.contains("known after apply"), "{text}");
    Ok(())
}
