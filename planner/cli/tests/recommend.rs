//! `openmodel recommend` as it is typed: the page, the JSON, the errors and the exit codes.
//!
//! Catalog and models are dated fixtures: a price that changes moves no test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use openmodel_schemas::report::{POOL_SCHEMA, PoolReport, RANKING_SCHEMA, Ranking};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[path = "recommend/stated.rs"]
mod stated;

fn command(columns: u32, arguments: &str) -> Command {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut command = Command::new(env!("CARGO_BIN_EXE_openmodel"));
    command
        .arg("recommend")
        .args(arguments.split(' '))
        .arg("--catalog")
        .arg(fixtures.join("catalog.json"))
        .env("COLUMNS", columns.to_string())
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .current_dir(&fixtures);
    if !arguments.contains("--config") {
        command.args(["--models", "models.json"]);
    }
    command
}

fn run(columns: u32, arguments: &str) -> Output {
    let output = command(columns, arguments).output();
    output.expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is UTF-8")
}

/// The page, of which no line is wider than the terminal.
#[track_caller]
fn page(columns: u32, arguments: &str, code: i32) -> String {
    let output = run(columns, arguments);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(code));
    let page = text(&output.stdout);
    for line in page.lines() {
        let width = line.chars().count();
        assert!(width <= columns as usize, "{width} columns: {line}");
        assert_eq!(line.trim_end(), line);
    }
    page
}

#[track_caller]
fn error(arguments: &str, code: i32) -> String {
    let output = run(110, arguments);
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(code));
    text(&output.stderr)
}

const LLAMA: &str = "meta-llama/Llama-3.1-8B-Instruct";

#[test]
fn a_small_model_with_all_defaults() {
    insta::assert_snapshot!(page(110, LLAMA, 0));
}

#[test]
fn a_large_mixture_of_experts_on_clusters() {
    let asked = "deepseek-ai/DeepSeek-R1 --surface gke --surface compute --concurrency 64 \
                 --context 32768 --limit 5";
    insta::assert_snapshot!(page(120, asked, 0));
}

#[test]
fn a_draft_model_is_part_of_the_load() {
    let asked = "meta-llama/Llama-3.3-70B-Instruct --draft-model meta-llama/Llama-3.2-1B-Instruct \
                 --surface gke --region us-central1 --accelerator h100 --limit 2";
    insta::assert_snapshot!(page(110, asked, 0));
}

#[test]
fn what_cannot_draft_is_refused_on_its_flag() {
    let draft = "--draft-model meta-llama/Llama-3.2-1B-Instruct";
    let said = [
        error(&format!("Qwen/Qwen3-30B-A3B {draft}"), 1),
        error(&format!("meta-llama/Llama-3.2-1B-Instruct {draft}"), 1),
        error(&format!("{LLAMA} --draft-model acme/absent"), 1),
        error(&format!("{LLAMA} {draft} --draft-tokens 99"), 1),
        error(&format!("{POOL} {draft}"), 2),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn formats_and_ways_to_buy_in_one_region() {
    let asked = "Qwen/Qwen3-30B-A3B --quantization none --quantization fp8 --option any \
                 --region us-central1 --limit 6";
    insta::assert_snapshot!(page(100, asked, 0));
}

/// Whatever the width, no two machines look the same.
#[test]
fn machines_differ_however_narrow_the_terminal_is() {
    for columns in [40, 50, 60, 70, 80, 100, 120] {
        let output = run(columns, &format!("{LLAMA} --limit 12"));
        let page = text(&output.stdout);
        let table = page.split("\n\n").nth(1).expect("there is a table");
        let mut machines: Vec<String> = Vec::new();
        for line in table.lines().skip(1) {
            let first: String = line.chars().take(3).collect();
            if first.trim_start_matches('▸').trim().parse::<u32>().is_ok() {
                machines.push(words(line));
            } else if line.contains("more machines") {
                break;
            } else if let Some(machine) = machines.last_mut() {
                *machine += &words(line);
            }
        }
        assert_eq!(machines.len(), 12, "{columns}: {page}");
        let all = machines.len();
        machines.sort_unstable();
        machines.dedup();
        assert_eq!(machines.len(), all, "{columns}: {page}");
    }
}

/// The words of a line that are no figures.
fn words(line: &str) -> String {
    let figure = |word: &&str| {
        word.chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == ',')
    };
    line.split_whitespace()
        .filter(|word| !figure(word))
        .collect()
}

#[test]
fn a_catalog_from_a_url_is_pinned() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let catalog = std::fs::read(fixtures.join("catalog.json")).expect("the fixture");
    let sum = Sha256::digest(&catalog)
        .iter()
        .fold(String::new(), |sum, byte| sum + &format!("{byte:02x}"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "http://{}/catalog.json",
        listener.local_addr().expect("it is bound")
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a socket"));
            while lines.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                catalog.len()
            );
            stream.write_all(head.as_bytes()).expect("it is sent");
            stream.write_all(&catalog).expect("it is sent");
        }
    });
    let ask = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_openmodel"))
            .args([
                "recommend",
                LLAMA,
                "--models",
                "models.json",
                "--limit",
                "1",
                "--catalog",
                &url,
            ])
            .args(flags)
            .env("COLUMNS", "110")
            .current_dir(&fixtures)
            .output()
            .expect("the binary runs");
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, page, _) = ask(&["--catalog-sha256", &sum]);
    assert_eq!(code, Some(0));
    assert_eq!(page, text(&run(110, &format!("{LLAMA} --limit 1")).stdout));
    let (code, _, said) = ask(&[]);
    assert!(
        code == Some(1) && said.contains("--catalog-sha256"),
        "{said}"
    );
    let (code, _, said) = ask(&["--catalog-sha256", &"0".repeat(64)]);
    assert!(code == Some(1) && said.contains(&sum), "{said}");
    let (code, _, said) = ask(&["--catalog-sha256", "abc"]);
    assert!(
        code == Some(2) && said.contains("64 hexadecimal digits"),
        "{said}"
    );
}

#[test]
fn an_engine_has_a_version() {
    let asked = |engine: &str| {
        page(
            110,
            &format!("{LLAMA} --accelerator l4 --engine {engine}"),
            0,
        )
    };
    let newest = asked("vllm");
    let older = asked("vllm@0.19");
    assert!(newest.contains("memory share 0.92") && newest.contains("vllm/vllm-openai:"));
    assert!(older.contains("Settings   vllm 0.19 ·") && older.contains("memory share 0.90"));
    assert!(older.contains("no image of vllm 0.19 is known"), "{older}");
    let said = error(&format!("{LLAMA} --engine vllm@foo"), 1);
    assert!(
        said.starts_with("error: --engine: ") && said.contains("\"foo\""),
        "{said}"
    );
}

#[test]
fn who_reads_no_further_is_no_failure() {
    let mut child = command(110, &format!("{LLAMA} --all --json"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
}

#[test]
fn the_help_says_what_exit_codes_mean() {
    for arguments in [&["--help"][..], &["recommend", "--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_openmodel"))
            .args(arguments)
            .output();
        let said = text(&output.expect("the binary runs").stdout);
        assert!(
            said.contains(openmodel_cli::recommend::EXIT_CODES),
            "{said}"
        );
    }
}

#[test]
fn a_narrow_terminal_shows_less() {
    insta::assert_snapshot!(page(80, "google/gemma-3-27b-it --limit 4", 0));
}

#[test]
fn an_embedding_model_has_no_cache() {
    insta::assert_snapshot!(page(110, "BAAI/bge-m3 --limit 3", 0));
}

#[test]
fn nothing_holds_the_load() {
    let asked = "meta-llama/Llama-3.3-70B-Instruct --max-hourly-cost 2 --surface vertex";
    insta::assert_snapshot!(page(110, asked, 1));
}

#[test]
fn all_lists_everything() {
    for model in ["openai/gpt-oss-20b", "Qwen/Qwen3.5-27B"] {
        let few = page(120, model, 0).lines().count();
        let all = page(120, &format!("{model} --all"), 0).lines().count();
        assert!(all > 3 * few, "{model}: {all} lines");
    }
}

#[test]
fn colours_are_for_terminals_and_who_asks() {
    let coloured = |arguments: &str, no_color: bool| {
        let mut command = command(110, arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let output = command.output().expect("the binary runs");
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(!coloured(LLAMA, false), "a pipe");
    assert!(coloured(&format!("{LLAMA} --color always"), false));
    assert!(
        coloured(&format!("{LLAMA} --color always"), true),
        "the flag wins"
    );
    assert!(!coloured(&format!("{LLAMA} --color auto"), true));
    assert!(!coloured(&format!("{LLAMA} --color never"), false));
}

#[test]
fn json_is_the_document_of_the_schema() {
    let schema: Value = serde_json::from_str(RANKING_SCHEMA).expect("it is JSON");
    let schema = jsonschema::validator_for(&schema).expect("it is a schema");
    for asked in [
        format!("{LLAMA} --json --limit 3"),
        format!("{LLAMA} --json --all --color always"),
        "BAAI/bge-m3 --json --option any".to_owned(),
        "deepseek-ai/DeepSeek-R1 --json --max-hourly-cost 1".to_owned(),
    ] {
        let output = run(110, &asked);
        let json: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        if let Err(error) = schema.validate(&json) {
            panic!("{asked}: {error} at {}", error.instance_path());
        }
        let ranking: Ranking = serde_json::from_value(json).expect("it is a ranking");
        assert_eq!(output.status.success(), ranking.chosen.is_some());
        assert_eq!(ranking.serving.is_some(), ranking.chosen.is_some());
        if asked.contains("--limit 3") {
            assert_eq!(ranking.runners_up.len(), 2);
        }
    }
}

#[test]
fn a_configuration_is_enough() {
    let page = page(
        110,
        &format!("{LLAMA} --config config.json --parameters 8.03B --limit 1"),
        0,
    );
    assert!(page.contains("14.99 GiB as bfloat16"), "{page}");
    assert!(
        page.contains("1.00 GiB for a sequence of 8,192 tokens"),
        "{page}"
    );
}

#[test]
fn facts_of_another_model_are_refused_on_their_flag() {
    let model = "own/8B --config config.json";
    let said = [
        error(&format!("{model} --parameters 70B"), 1),
        error(&format!("{model} --parameters 1"), 1),
        error(&format!("{model} --weights-bytes 1000"), 1),
        error(
            &format!("{model} --parameters 8.03B --weights-bytes 140000000000"),
            1,
        ),
        error(&format!("{model} --parameters 0"), 2),
        error(&format!("{model} --weights-bytes -5"), 2),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_wrong_name_says_what_is_known_and_what_is_near() {
    for (flag, near) in [
        ("--region us-central", "us-central1"),
        ("--accelerator h10", "nvidia-h100-80gb"),
        ("--engine vlm", "vllm"),
        ("--quantization fp9", "fp8"),
        ("--option ondemand", "on_demand"),
        ("--surface cloudrun", "cloud_run"),
        ("--objective costs", "cost"),
    ] {
        let said = error(&format!("{LLAMA} {flag}"), 2);
        let name = flag.split(' ').next().unwrap_or_default();
        assert!(
            said.contains(name) && said.contains("possible values"),
            "{said}"
        );
        assert!(said.contains(&format!("'{near}'")), "{said}");
    }
}

#[test]
fn a_wrong_load_is_said_of_its_flag() {
    let said = [
        error(&format!("{LLAMA} --context 200000"), 1),
        error(&format!("{LLAMA} --input-tokens 9000 --context 4096"), 1),
        error(&format!("{LLAMA} --output-tokens 9000 --context 4096"), 1),
        error(&format!("{LLAMA} --input-tokens 131072"), 1),
        error(&format!("{LLAMA} --input-tokens 0"), 1),
        error(&format!("{LLAMA} --output-tokens 0"), 1),
        error(&format!("{LLAMA} --context 0"), 1),
        error(
            &format!("{LLAMA} --context 18446744073709551615 --extend-context"),
            1,
        ),
        error(&format!("{LLAMA} --rps 0"), 1),
        error(&format!("{LLAMA} --rps 1000000000000"), 1),
        error(&format!("{LLAMA} --draft-tokens 2"), 1),
        error("BAAI/bge-m3 --max-tpot-ms 50", 1),
        error(&format!("{LLAMA} --max-tpot-ms 0.001"), 2),
        error(&format!("{LLAMA} --concurrency 1.5"), 2),
        error(&format!("{LLAMA} --concurrency 0"), 1),
        error(&format!("{LLAMA} --allow-license mit"), 1),
        error("meta-llama/Llama-3.1-8B-Instruckt", 1),
        error(&format!("{LLAMA} --config nowhere.json"), 1),
        error(&format!("{LLAMA} --lora 8"), 2),
        error(&format!("{LLAMA} --max-hourly-cost -1"), 2),
        error(&format!("{LLAMA} --starts-per-month 43801"), 2),
        error(&format!("{LLAMA} --config config.json --parameters -8B"), 2),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_load_of_thousands_of_replicas_is_said_plainly() {
    let page = page(110, &format!("{LLAMA} --rps 10000 --accelerator l4"), 0);
    let said = page.lines().find(|line| line.starts_with("Replicas"));
    let said = said.expect("there is a line of it");
    let number = said.split_once("The load needs ").and_then(|(_, rest)| {
        let (number, _) = rest.split_once(" replicas")?;
        number.replace(',', "").parse::<u32>().ok()
    });
    assert!(number.is_some_and(|number| number > 10_000), "{said}");
}

#[test]
fn without_facts_it_says_how_to_give_them() {
    let output = Command::new(env!("CARGO_BIN_EXE_openmodel"))
        .args(["recommend", LLAMA])
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("--config") && said.contains("--models"),
        "{said}"
    );
}

/// Two replicas of an embedding model, two of a mixture of experts, and one of a dense model.
const POOL: &str = "BAAI/bge-m3=2 openai/gpt-oss-20b=2 meta-llama/Llama-3.1-8B-Instruct";

#[test]
fn several_models_are_pooled() {
    insta::assert_snapshot!(page(110, POOL, 0));
}

#[test]
fn a_page_of_forty_columns_says_all_of_it() {
    let output = run(40, &format!("{LLAMA} --limit 3"));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn a_pool_on_a_narrow_terminal() {
    let asked = "BAAI/bge-m3=3 meta-llama/Llama-3.3-70B-Instruct --surface compute --option spot \
                 --region us-east4";
    insta::assert_snapshot!(page(80, asked, 0));
}

#[test]
fn the_machines_of_a_pool_fit_forty_columns() {
    let asked = format!("{POOL} --surface compute --option spot --region us-east4");
    let output = run(40, &asked);
    let page = text(&output.stdout);
    let machines: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("count"))
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(machines.len() > 1, "{page}");
    for line in machines {
        assert!(line.chars().count() <= 40, "{line}");
    }
}

#[test]
fn the_order_of_pooled_models_changes_nothing() {
    let mut models: Vec<&str> = POOL.split(' ').collect();
    models.reverse();
    assert_eq!(page(110, &models.join(" "), 0), page(110, POOL, 0));
}

#[test]
fn a_pool_as_json_is_the_document_of_its_schema() {
    let schema: Value = serde_json::from_str(POOL_SCHEMA).expect("it is JSON");
    let schema = jsonschema::validator_for(&schema).expect("it is a schema");
    let output = run(110, &format!("{POOL} --json"));
    let json: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    if let Err(error) = schema.validate(&json) {
        panic!("{error} at {}", error.instance_path());
    }
    let report: PoolReport = serde_json::from_value(json).expect("it is a pool");
    let seats = report.machines.iter().flat_map(|machine| &machine.seats);
    assert_eq!(seats.count(), 5);
    assert!(report.optimal && report.hourly < report.separate_hourly);
}

#[test]
fn what_makes_no_sense_for_a_pool_is_refused_by_name() {
    let said = [
        error(&format!("{POOL} --rps 2"), 2),
        error(&format!("{POOL} --starts-per-month 10"), 2),
        error(&format!("{POOL} --max-monthly-cost 2000"), 2),
        error(&format!("{POOL} --objective latency"), 2),
        error(&format!("{POOL} --limit 3"), 2),
        error(&format!("{POOL} --revision v2"), 2),
        error(&format!("{POOL} --config config.json"), 2),
        error(&format!("{POOL} --surface vertex"), 2),
        error(&format!("{POOL} --region us-east4 --region us-central1"), 2),
        error(&format!("{POOL} --option any"), 2),
        error("BAAI/bge-m3 BAAI/bge-m3", 2),
        error("BAAI/bge-m3=0", 2),
        error("BAAI/bge-m3 openai/gpt-oss-20b --context 9000", 1),
        error(
            "BAAI/bge-m3 deepseek-ai/DeepSeek-R1 --accelerator l4 --accelerator t4",
            1,
        ),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn the_readme_shows_what_is_printed() {
    const COMMAND: &str = "-- recommend openai/gpt-oss-120b --context 8192 --concurrency 16 \\\n    \
                           --limit 4 --models tests/facts/models.json ";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let (head, rest) = readme
        .split_once(COMMAND)
        .expect("README.md has the command");
    let (between, rest) = rest.split_once("```text\n").expect("its output");
    let (shown, tail) = rest.split_once("\n…\n```").expect("its end");
    let words = COMMAND
        .split_whitespace()
        .filter(|word| !["--", "\\"].contains(word));
    let output = Command::new(env!("CARGO_BIN_EXE_openmodel"))
        .args(words)
        .env("COLUMNS", "100")
        .env_remove("CLICOLOR_FORCE")
        .current_dir(&root)
        .output()
        .expect("the binary runs");
    let page = text(&output.stdout);
    let (fresh, _) = page.split_once("\nSettings").expect("the page");
    if std::env::var_os("OPENMODEL_BLESS").is_some() {
        let readme = format!("{head}{COMMAND}{between}```text\n{fresh}\n…\n```{tail}");
        std::fs::write(&path, readme).expect("README.md is written");
    } else {
        assert_eq!(
            shown, fresh,
            "README.md shows another page: `just bless` copies the new one"
        );
    }
}

#[test]
fn a_month_counts_all_that_is_paid_and_the_budget_is_of_that() {
    let gke = format!("{LLAMA} --surface gke --region us-east4 --json");
    let ranking = |arguments: &str| -> Value {
        serde_json::from_slice(&run(110, arguments).stdout).expect("it is JSON")
    };
    let month = |shape: &Value, of: &str| -> f64 {
        let text = shape["cost"][of].as_str().expect("a price");
        text.parse().expect("a number")
    };
    let free = ranking(&gke);
    let best = &free["chosen"];
    let [least, expected, most] =
        ["monthly_min", "monthly_expected", "monthly_max"].map(|of| month(best, of));
    assert!(
        least <= expected && expected <= most,
        "{least} {expected} {most}"
    );
    // The fee of the cluster is paid too.
    assert!(expected > month(best, "hourly") * 730.0 + 70.0);
    let short = ranking(&format!("{gke} --max-monthly-cost {}", expected.floor()));
    assert!(short["chosen"].is_null(), "{}", short["chosen"]);
    let enough = ranking(&format!("{gke} --max-monthly-cost {}", expected.ceil()));
    assert_eq!(enough["chosen"]["shape"], best["shape"]);
}

#[test]
fn a_format_that_is_made_elsewhere_is_not_served_from_this_repository() {
    let page = page(110, &format!("{LLAMA} --quantization awq --limit 1"), 0);
    assert!(
        page.contains("--model '<repository of meta-llama/Llama-3.1-8B-Instruct in awq>'"),
        "{page}"
    );
}
