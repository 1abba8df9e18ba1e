//! `openmodel evaluate` on rows that make no sense: each has one line, in order, which names the
//! column and the value.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use openmodel_cli::evaluate::{Models, RowsFile, Show, memory, shapes, throughput};
use openmodel_cli::models_file::ModelsFile;
use openmodel_resolve::Catalog;
use proptest::prelude::{ProptestConfig, proptest};
use serde_json::Value;

/// What is evaluated: columns, a row that has an answer, and the figure of the answer.
struct Kind {
    columns: &'static [&'static str],
    row: &'static [&'static str],
    figure: &'static str,
    run: fn(&RowsFile, &Models, &mut Vec<u8>) -> anyhow::Result<()>,
}

const MEMORY: Kind = Kind {
    columns: &[
        "model",
        "dtype_quant",
        "hardware",
        "gpu_total_gib",
        "tp",
        "pp",
        "dp",
        "engine",
        "engine_version",
        "max_model_len",
        "gpu_memory_utilization",
        "kv_cache_dtype",
    ],
    row: &[
        "meta-llama/Llama-3.1-8B-Instruct",
        "bf16",
        "H100",
        "79.19",
        "1",
        "1",
        "1",
        "vllm",
        "0.19.0",
        "8192",
        "0.9",
        "auto",
    ],
    figure: "fits",
    run: |file, models, out| memory::run(file, models, Catalog::embedded(), Show::default(), out),
};

const SHAPES: Kind = Kind {
    columns: &[
        "model",
        "dtype_quant",
        "max_model_len",
        "surface",
        "machine_type",
        "accelerator",
        "accelerators_total",
        "hosts",
        "parallelism",
        "engine",
        "gpu_memory_utilization",
        "max_num_seqs_or_concurrency",
    ],
    row: &[
        "meta-llama/Llama-3.1-8B-Instruct",
        "bf16",
        "8192",
        "vertex",
        "a3-highgpu-1g",
        "H100",
        "1",
        "1",
        "TP1",
        "vllm",
        "0.9",
        "16",
    ],
    figure: "feasible",
    run: |file, models, out| shapes::run(file, models, Catalog::embedded(), Show::default(), out),
};

const THROUGHPUT: Kind = Kind {
    columns: &[
        "model_path",
        "system",
        "backend",
        "backend_version",
        "precision",
        "isl",
        "osl",
        "gemm_quant_mode",
        "moe_quant_mode",
        "batch_size",
        "tp_size",
        "pp_size",
        "attention_dp_size",
        "moe_tp_size",
        "moe_ep_size",
    ],
    row: &[
        "meta-llama/Llama-3.1-8B-Instruct",
        "h100_sxm",
        "vllm",
        "0.19.0",
        "fp8",
        "1024",
        "256",
        "fp8",
        "fp8",
        "16",
        "1",
        "1",
        "1",
        "1",
        "1",
    ],
    figure: "tpot_ms",
    run: |file, models, out| {
        throughput::run(file, models, Catalog::embedded(), Show::default(), out)
    },
};

fn models() -> Models {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models.json");
    Models::File(ModelsFile::read(&path).expect("the fixture is read"))
}

/// The lines that are printed for the lines of a file.
fn lines(kind: &Kind, rows: &[String]) -> Vec<Value> {
    let file = written(kind, rows);
    let mut out = Vec::new();
    let read = RowsFile::read(&file.1).expect("it is read");
    (kind.run)(&read, &models(), &mut out).expect("it is evaluated");
    String::from_utf8(out)
        .expect("it is UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

fn written(kind: &Kind, rows: &[String]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.csv");
    let mut text = kind.columns.join(",");
    for row in rows {
        write!(text, "\n{row}").expect("a text takes all");
    }
    std::fs::write(&path, text).expect("it is written");
    (folder, path)
}

fn quoted(cells: &[&str]) -> String {
    let quoted = cells
        .iter()
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
    quoted.collect::<Vec<_>>().join(",")
}

/// The row with some cells replaced.
fn with(kind: &Kind, cells: &[(&str, &str)]) -> String {
    let text = |(column, own): (&&str, &&'static str)| {
        let other = cells.iter().find(|(name, _)| name == column);
        other.map_or((*own).to_owned(), |(_, text)| (*text).to_owned())
    };
    let row: Vec<String> = kind.columns.iter().zip(kind.row).map(text).collect();
    quoted(&row.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Each value of a column has no figure, and a reason that names both.
#[track_caller]
fn refused(kind: &Kind, column: &str, values: &[&str]) {
    let rows: Vec<String> = values
        .iter()
        .map(|text| with(kind, &[(column, text)]))
        .collect();
    for (line, value) in lines(kind, &rows).iter().zip(values) {
        assert!(line[kind.figure].is_null(), "{column} {value:?}: {line}");
        let reason = line["reason"].as_str().expect("there is a reason");
        let said = format!("{column} is {value:?}");
        assert!(reason.contains(&said), "{said} is not in: {reason}");
    }
}

/// Each value of a column has an answer.
#[track_caller]
fn accepted(kind: &Kind, column: &str, values: &[&str]) {
    let rows: Vec<String> = values
        .iter()
        .map(|text| with(kind, &[(column, text)]))
        .collect();
    for (line, value) in lines(kind, &rows).iter().zip(values) {
        assert!(!line[kind.figure].is_null(), "{column} {value:?}: {line}");
    }
}

#[test]
fn a_cell_that_makes_no_sense_is_named_and_an_empty_one_is_the_default() {
    let counts = ["0", "-4", "abc", "1e18", "2.5"];
    let tokens = ["0", "-1", "abc", "1e99", "NaN", "2.5"];
    let shares = ["7", "-1", "NaN", "0", "foo", "inf"];
    let formats = ["q17", "foo", "4/5-bit"];
    for column in ["tp", "pp", "dp"] {
        refused(&MEMORY, column, &counts);
    }
    refused(&MEMORY, "gpu_total_gib", &["abc", "0", "-1", "inf", "NaN"]);
    refused(&MEMORY, "kv_cache_dtype", &["foo", "q17"]);
    let versions = ["foo", "1e999", "99999999999999999999", "0.19.0foo", "v"];
    let releases = ["", "v0.19.0", "~0.23", "0.11.x", ">=0.6", "latest"];
    for (kind, column) in [
        (&MEMORY, "engine_version"),
        (&THROUGHPUT, "backend_version"),
    ] {
        refused(kind, column, &versions);
        accepted(kind, column, &releases);
    }
    // Builds of the day, and images for one purpose.
    accepted(
        &THROUGHPUT,
        "backend_version",
        &[
            "0.5.10.post1",
            "1.2.0rc6.post3",
            "nightly-5b8c30d62b754b57",
            "glm5-hopper",
        ],
    );
    refused(&MEMORY, "hardware", &["abc", "quantum annealer"]);
    for kind in [&MEMORY, &SHAPES] {
        refused(kind, "dtype_quant", &formats);
        refused(kind, "engine", &["foo", "vllmfoo"]);
        refused(kind, "max_model_len", &tokens);
        refused(kind, "gpu_memory_utilization", &shares);
        accepted(kind, "max_model_len", &["", "4k", "4096 # reduced", "auto"]);
        accepted(kind, "dtype_quant", &["", "fp8 + fp8 KV", "float16"]);
        accepted(kind, "gpu_memory_utilization", &["", "90%", "default .84"]);
        accepted(kind, "engine", &["", "vLLM 0.19.0", "tgi", "trtllm"]);
    }
    refused(&SHAPES, "max_num_seqs_or_concurrency", &tokens);
    refused(&SHAPES, "accelerators_total", &counts);
    refused(&SHAPES, "hosts", &counts);
    refused(&SHAPES, "surface", &["mars", "vertexfoo"]);
    refused(&SHAPES, "machine_type", &["zz-99", "foo"]);
    refused(&SHAPES, "parallelism", &["TP0", "TP8", "foo", "TP1xPP0"]);
    accepted(
        &SHAPES,
        "surface",
        &["", "gke", "cloud run", "any (engine recipe)"],
    );
    accepted(
        &SHAPES,
        "machine_type",
        &["", "a3-highgpu-1g / a3-highgpu-2g"],
    );
    accepted(&SHAPES, "parallelism", &["", "TP1xPP1"]);
    for column in ["isl", "osl", "batch_size"] {
        refused(&THROUGHPUT, column, &["", "0", "-1", "abc", "NaN", "1e99"]);
    }
    // More than the devices hold.
    refused(&THROUGHPUT, "isl", &["75458189"]);
    for column in [
        "tp_size",
        "pp_size",
        "attention_dp_size",
        "moe_tp_size",
        "moe_ep_size",
    ] {
        refused(&THROUGHPUT, column, &counts);
    }
    for column in ["precision", "gemm_quant_mode", "moe_quant_mode"] {
        refused(&THROUGHPUT, column, &["q17"]);
        accepted(&THROUGHPUT, column, &["", "fp8_block", "nvfp4"]);
    }
    refused(&THROUGHPUT, "backend", &["foo", "abc"]);
    refused(&THROUGHPUT, "system", &["", "abacus"]);
}

#[test]
fn cells_that_contradict_each_other_are_named() {
    // The rows have 79.19 GiB, and one device.
    refused(
        &MEMORY,
        "hardware",
        &["T4", "L4", "A100-40GB", "24GB class"],
    );
    refused(&MEMORY, "gpu_total_gib", &["40", "158.38"]);
    accepted(
        &MEMORY,
        "hardware",
        &["", "A100", "H100 NVL", "80GB", "H200 MIG 3g.71gb", "B900"],
    );
    // 32 heads; what stands beside is of one device.
    refused(&THROUGHPUT, "tp_size", &["3", "5", "64"]);
    accepted(&THROUGHPUT, "tp_size", &["2", "4", "8"]);
    for column in ["moe_tp_size", "moe_ep_size"] {
        refused(&THROUGHPUT, column, &["2", "8"]);
        accepted(&THROUGHPUT, column, &[""]);
    }
    let spread = |backend: &str, tensor: &str, data: &str, experts: &str| {
        let cells = [
            ("backend", backend),
            ("tp_size", tensor),
            ("attention_dp_size", data),
            ("moe_ep_size", experts),
        ];
        lines(&THROUGHPUT, &[with(&THROUGHPUT, &cells)]).remove(0)
    };
    // Data parallel beside the tensor ranks, inside them, and over the devices of a rack.
    assert!(!spread("vllm", "4", "2", "8")["tpot_ms"].is_null());
    assert!(!spread("sglang", "4", "2", "4")["tpot_ms"].is_null());
    assert!(!spread("trtllm", "28", "1", "28")["tpot_ms"].is_null());
    let line = spread("vllm", "4", "2", "4");
    let reason = line["reason"].as_str().expect("it has no answer");
    for said in [
        "tp_size is \"4\"",
        "attention_dp_size is \"2\"",
        "moe_tp_size is \"1\"",
        "moe_ep_size is \"4\"",
    ] {
        assert!(reason.contains(said), "{said}: {line}");
    }
}

#[test]
fn every_row_has_its_line_however_broken_it_is() {
    for kind in [&MEMORY, &SHAPES, &THROUGHPUT] {
        let good = with(kind, &[]);
        let rows = [
            good.clone(),
            format!("\"{}", kind.row.join(",")),
            good.clone(),
            format!("{good},1"),
            kind.row[..3].join(","),
            good,
        ];
        let lines = lines(kind, &rows);
        let numbers: Vec<u64> = lines
            .iter()
            .filter_map(|line| line["row"].as_u64())
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        for (line, why) in lines.iter().zip([
            None,
            Some("a quote is not closed"),
            None,
            Some("fields, and the header has"),
            Some("it has 3 fields"),
            None,
        ]) {
            let reason = line["reason"].as_str().unwrap_or_default();
            assert_eq!(line[kind.figure].is_null(), why.is_some(), "{line}");
            assert!(reason.contains(why.unwrap_or_default()), "{reason}");
        }
    }
}

#[test]
fn machines_of_one_device_are_not_one_of_eight() {
    let feasible = |cells: &[(&str, &str)]| {
        let line = lines(&SHAPES, &[with(&SHAPES, cells)]).remove(0);
        (line["feasible"].as_bool(), line["reason"].to_string())
    };
    let eight = [
        ("model", "meta-llama/Llama-3.3-70B-Instruct"),
        ("machine_type", "a2-ultragpu-1g"),
        ("accelerator", "A100-80"),
        ("accelerators_total", "8"),
    ];
    for spread in ["TP8", ""] {
        let row = [&eight[..], &[("parallelism", spread)]].concat();
        assert_eq!(feasible(&row).0, Some(false), "{}", feasible(&row).1);
    }
    // A service on Cloud Run has one, and no machine has three.
    let run = [
        ("surface", "cloud_run"),
        ("machine_type", ""),
        ("accelerator", "L4"),
    ];
    let row = [
        &run[..],
        &[("accelerators_total", "8"), ("parallelism", "TP8")],
    ]
    .concat();
    let (answer, reason) = feasible(&row);
    assert_eq!(answer, Some(false));
    assert!(reason.contains("1 of the 8 accelerators"), "{reason}");
    let three = [
        ("machine_type", "a3-highgpu-3g"),
        ("accelerators_total", "8"),
    ];
    let line = lines(&SHAPES, &[with(&SHAPES, &three)]).remove(0);
    assert!(line["documented_hourly_usd"].is_null(), "{line}");
    // One machine of eight, eight that are said to work together, and replicas side by side.
    for cells in [
        [("machine_type", "a2-ultragpu-8g"), ("parallelism", "TP8")],
        [("hosts", "8"), ("parallelism", "TP8")],
        [("engine", "vllm ray"), ("parallelism", "TP8")],
        [("parallelism", "TP1xPP8"), ("dtype_quant", "bf16")],
        [
            ("model", "meta-llama/Llama-3.1-8B-Instruct"),
            ("parallelism", ""),
        ],
    ] {
        let row = [&cells[..], &eight[..]].concat();
        let (feasible, reason) = feasible(&row);
        assert_eq!(feasible, Some(true), "{cells:?}: {reason}");
    }
}

#[test]
fn a_machine_comes_with_its_own_accelerator() {
    let answer = |machine: &str, accelerator: &str| {
        let cells = [
            ("machine_type", machine),
            ("accelerator", accelerator),
            ("accelerators_total", ""),
        ];
        lines(&SHAPES, &[with(&SHAPES, &cells)]).remove(0)
    };
    for (machine, accelerator, own) in [
        ("g2-standard-12", "H100", "nvidia-l4"),
        ("a3-highgpu-8g", "L4", "nvidia-h100-80gb"),
        ("a2-ultragpu-1g", "A100-40", "nvidia-a100-80gb"),
        ("ct6e-standard-4t", "v5e", "tpu-v6e"),
        ("g2-standard-12", "A10G", "nvidia-l4"),
    ] {
        let line = answer(machine, accelerator);
        assert!(line["feasible"].is_null(), "{line}");
        let reason = line["reason"].as_str().expect("there is a reason");
        for part in [machine, own, accelerator, "contradictory_machine"] {
            assert!(reason.contains(part), "{part} is not in: {reason}");
        }
    }
    for (machine, accelerator) in [
        ("g2-standard-12", "NVIDIA L4"),
        ("a3-highgpu-8g / a3-megagpu-8g", "H100"),
        ("g2-standard-12", ""),
        ("n1-standard-8", "T4"),
        // The machine says which of the sizes it is.
        ("a2-ultragpu-1g", "A100"),
        ("a3-megagpu-8g", "H100"),
    ] {
        let line = answer(machine, accelerator);
        assert!(!line["feasible"].is_null(), "{line}");
    }
    let price = |accelerator: &str| {
        answer("a2-ultragpu-1g", accelerator)["documented_hourly_usd"].to_string()
    };
    assert_eq!(price("A100"), price("A100-80"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in a cell, the row has its line, and no answer comes without a reason.
    #[test]
    fn no_cell_is_a_panic(at in 0_usize..12, text in "\\PC{0,12}|-?[0-9]{1,20}(\\.[0-9]{1,3})?") {
        for kind in [&MEMORY, &SHAPES, &THROUGHPUT] {
            let column = kind.columns[at];
            let lines = lines(kind, &[with(kind, &[(column, &text)]), with(kind, &[])]);
            assert_eq!(lines.len(), 2);
            assert!(!lines[1][kind.figure].is_null(), "{}", lines[1]);
            if lines[0][kind.figure].is_null() {
                let reason = lines[0]["reason"].as_str().unwrap_or_default();
                let named = reason.contains(column);
                assert!(named, "{column} {text:?}: {reason}");
            }
        }
    }
}

/// Without a file of facts the Hub is asked: once for each model, and what it does not give costs
/// its own rows alone.
#[test]
fn without_a_file_of_facts_the_hub_is_asked() {
    let sandbox = openmodel_sandbox::Sandbox::start(openmodel_sandbox::Options::default());
    let sandbox = sandbox.expect("the sandbox starts");
    for (kind, what, column) in [
        (&MEMORY, "memory", "model"),
        (&SHAPES, "shapes", "model"),
        (&THROUGHPUT, "throughput", "model_path"),
    ] {
        let rows = [
            ("Qwen/Qwen3-8B", None),
            ("openmodel/tiny-gated-llama", Some("is gated")),
            (
                "acme/no-such-model",
                Some("has no model acme/no-such-model"),
            ),
            ("Qwen3-8B", Some("it names no organisation")),
            ("a/b/c", Some("not a Hugging Face model id")),
            ("Qwen/Qwen3-8B", None),
        ];
        let before = sandbox.log().len();
        let texts = rows.map(|(name, _)| with(kind, &[(column, name)]));
        let file = written(kind, &texts);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_openmodel"))
            .args(["evaluate", what])
            .arg(&file.1)
            .env("OPENMODEL_SANDBOX", sandbox.url())
            .env_remove("HF_TOKEN")
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = String::from_utf8(output.stdout).expect("it is UTF-8");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect();
        assert_eq!(lines.len(), rows.len());
        for (line, (name, why)) in lines.iter().zip(rows) {
            assert_eq!(line["model"], name);
            assert_eq!(line[kind.figure].is_null(), why.is_some(), "{line}");
            let reason = line["reason"].as_str().unwrap_or_default();
            assert!(reason.contains(why.unwrap_or_default()), "{reason}");
        }
        let log = sandbox.log();
        let configs = log[before..]
            .iter()
            .filter(|entry| entry.path.ends_with("/config.json"))
            .filter(|entry| entry.path.contains("Qwen3-8B"));
        assert_eq!(configs.count(), 1);
    }
}
