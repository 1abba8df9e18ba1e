//! The form of the answers: a line a row, whatever the row says.

use openmodel_cli::evaluate::Show;
use proptest::prelude::*;
use serde_json::Value;

use super::{What, facts, table};

/// A line has its fields and no others; without an answer it has a reason.
#[track_caller]
fn has_the_form(what: What, index: usize, line: &Value) {
    let mut fields: Vec<&str> = line
        .as_object()
        .expect("a line is an object")
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let mut expected = what.fields().to_vec();
    let none = line[what.verdict()].is_null();
    if what == What::Throughput && none {
        expected.push("reason");
        expected.sort_unstable();
    }
    assert_eq!(fields, expected, "{line}");
    assert_eq!(line["row"], index + 1);
    if what != What::Throughput || none {
        let reason = line["reason"].as_str().expect("a reason is a text");
        assert!(!reason.is_empty(), "{line}");
    }
    if what == What::Throughput && !none {
        for time in ["tpot_ms", "ttft_ms"] {
            let mut ends: Vec<&String> = line[time].as_object().expect("a range").keys().collect();
            ends.sort();
            assert_eq!(ends, ["estimate", "high", "low"], "{line}");
            assert!(line[time]["estimate"].is_number(), "{line}");
        }
    }
    if let Some(chosen) = line["chosen"].as_object() {
        let mut fields: Vec<&String> = chosen.keys().collect();
        fields.sort();
        assert_eq!(
            fields,
            ["accelerator", "count", "hourly_usd", "machine_type"]
        );
    }
}

#[test]
fn each_row_has_one_line_with_exactly_its_fields() {
    for what in What::ALL {
        let (header, rows) = table(what);
        let at = header.iter().position(|name| name == what.model_column());
        let at = at.expect("a column of models");
        let lines = what
            .run(&facts(what.file()), Show::default())
            .expect("answers");
        assert_eq!(lines.len(), rows.len());
        for (index, (line, row)) in lines.iter().zip(&rows).enumerate() {
            has_the_form(what, index, line);
            assert_eq!(line["model"], row[at].trim());
        }
    }
}

#[test]
fn statistics_are_one_line_more() {
    let show = Show {
        summary: true,
        ..Show::default()
    };
    for what in What::ALL {
        let lines = what.run(&facts(what.file()), show).expect("answers");
        assert!(lines.last().expect("a line")["summary"].is_object());
    }
}

/// A table as the text of a file.
fn csv_text(header: &[String], rows: &[Vec<String>], end: &str) -> String {
    let line = |cells: &[String]| {
        let quoted: Vec<String> = cells
            .iter()
            .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
            .collect();
        quoted.join(",") + end
    };
    std::iter::once(line(header))
        .chain(rows.iter().map(|row| line(row)))
        .collect()
}

#[test]
fn a_missing_column_is_named() {
    for what in What::ALL {
        let (mut header, rows) = table(what);
        for name in &mut header {
            if name == what.needed() {
                "something_else".clone_into(name);
            }
        }
        let text = csv_text(&header, &rows[..1], "\n");
        let error = what
            .answers_to(text.as_bytes())
            .expect_err("a column is missing");
        let error = format!("{error:#}");
        assert!(
            error.contains(&format!("no column {:?}", what.needed())),
            "{error}"
        );
    }
}

#[test]
fn a_byte_order_mark_and_other_line_ends_change_nothing() {
    for what in What::ALL {
        let (header, rows) = table(what);
        let rows = &rows[..3];
        let plain = what.answers_to(csv_text(&header, rows, "\n").as_bytes());
        let plain = plain.expect("answers");
        let windows = format!("\u{feff}{}", csv_text(&header, rows, "\r\n"));
        assert_eq!(what.answers_to(windows.as_bytes()).expect("answers"), plain);
        // Columns in another order, one that nobody knows, and blanks around names.
        let turned = |cells: &[String]| -> Vec<String> {
            let cells = cells.iter().rev().map(|cell| format!(" {cell} "));
            std::iter::once("new".to_owned()).chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = rows.iter().map(|row| turned(row)).collect();
        let text = csv_text(&turned(&header), &rows, "\n");
        assert_eq!(what.answers_to(text.as_bytes()).expect("answers"), plain);
    }
}

#[test]
fn files_without_rows_or_with_broken_ones_have_answers() {
    for what in What::ALL {
        let (header, rows) = table(what);
        let empty = csv_text(&header, &[], "\n");
        assert_eq!(
            what.answers_to(empty.as_bytes()).expect("answers"),
            Vec::<Value>::new()
        );
        // A short row, a long one, bytes that are no text, an unknown model.
        let mut text = csv_text(&header, &rows[..1], "\n").into_bytes();
        text.extend_from_slice(b"x\n");
        text.extend_from_slice(",".repeat(header.len() + 5).as_bytes());
        text.extend_from_slice(b"\n\xff\xfe,\xff\n\"a \"\"quoted\"\", model\",1,2\n");
        let lines = what.answers_to(&text).expect("answers");
        assert_eq!(lines.len(), 5);
        for (index, line) in lines.iter().enumerate() {
            has_the_form(what, index, line);
        }
        for line in &lines[1..] {
            assert!(line[what.verdict()].is_null(), "{line}");
        }
    }
}

/// Cells of one row, by their columns; the rest is empty.
fn row(what: What, cells: &[(&str, &str)]) -> Value {
    let (header, _) = table(what);
    let cells: Vec<String> = header
        .iter()
        .map(|name| {
            let cell = cells.iter().find(|(column, _)| column == name);
            cell.map_or_else(String::new, |(_, text)| (*text).to_owned())
        })
        .collect();
    let text = csv_text(&header, &[cells], "\n");
    let lines = what.answers_to(text.as_bytes()).expect("an answer");
    lines.into_iter().next().expect("a line")
}

#[test]
fn shapes_are_understood_in_many_spellings() {
    #[track_caller]
    fn check(expect: Option<bool>, cells: &[(&str, &str)]) {
        let line = row(What::Shapes, cells);
        assert_eq!(line["feasible"].as_bool(), expect, "{cells:?}: {line}");
    }
    let of = |machine, accelerator, total, parallelism| {
        [
            ("model", "meta-llama/Llama-3.1-70B-Instruct"),
            ("surface", "gke"),
            ("machine_type", machine),
            ("accelerator", accelerator),
            ("accelerators_total", total),
            ("parallelism", parallelism),
        ]
    };
    check(
        Some(true),
        &of("a2-ultragpu-4g", "A100-80GB", "4", "TP2 x PP2"),
    );
    check(Some(true), &of("a2-ultragpu-4g", "", "", "TP4"));
    check(Some(true), &of("", "A100 80GB", "4", "tp=4"));
    check(
        Some(false),
        &of("g4-standard-96", "RTX PRO 6000", "2", "DP2 TP1"),
    );
    check(
        Some(true),
        &of("g4-standard-96", "RTX PRO 6000", "2", "TP2"),
    );
    check(Some(true), &of("ct6e-standard-8t", "v6e", "", " topo 2x4"));
    check(Some(false), &of("ct5lp-hightpu-4t", "TPU v5e", "4", ""));
    check(Some(false), &of("", "L40S", "2", "TP2"));
    check(Some(true), &of("", "L40S", "4.0", "TP4"));
    check(Some(true), &of("", "NVIDIA H20", "2", ""));
    check(Some(true), &of("", "NVIDIA B200", "1", ""));
    check(Some(false), &of("n1-highmem-16", "V100", "4", ""));
    check(None, &of("", "abacus", "4", ""));
    check(None, &of("", "H100", "-4", ""));
    check(None, &of("", "H100", "1e12", ""));
    check(None, &of("", "H100", "4000000000", ""));
    for format in ["w4a16", "AWQ", "int4", "GPTQ", "bnb 4-bit", "nvfp4"] {
        let mut cells = of("", "H100", "1", "").to_vec();
        cells.push(("dtype_quant", format));
        check(Some(true), &cells);
    }
    for format in ["", "bf16", "fp8-block", "kv fp8", "FP8 + fp8 KV"] {
        let mut cells = of("", "A100-80", "1", "").to_vec();
        cells.push(("dtype_quant", format));
        cells.push(("gpu_memory_utilization", "0.85"));
        check(Some(false), &cells);
    }
}

#[test]
fn recipes_leave_open_what_they_do_not_say() {
    let feasible = |cells: &[(&str, &str)]| row(What::Shapes, cells)["feasible"].as_bool();
    // Experts in fp8 cannot be cut by eight, but lie whole on eight ranks.
    let experts = [
        ("model", "Qwen/Qwen3-235B-A22B-FP8"),
        ("accelerator", "H200"),
        ("accelerators_total", "8"),
        ("parallelism", "TP8"),
    ];
    assert_eq!(feasible(&experts), Some(true));
    let failed = [("evidence_type", "failure report")];
    assert_eq!(feasible(&[&experts[..], &failed].concat()), Some(false));
    // A model that is no stack of layers.
    let diffusion = [
        ("model", "stabilityai/stable-diffusion-xl-base-1.0"),
        ("machine_type", "g2-standard-8"),
        ("engine", "diffusers"),
    ];
    assert_eq!(feasible(&diffusion), Some(true));
}

#[test]
fn surfaces_have_their_own_prices() {
    let price = |surface| {
        let line = row(
            What::Shapes,
            &[
                ("model", "google/gemma-3-4b-it"),
                ("surface", surface),
                ("machine_type", "g2-standard-12"),
                ("accelerator", "L4"),
                ("accelerators_total", "1"),
            ],
        );
        line["documented_hourly_usd"].as_f64().expect("a price")
    };
    assert!(price("vertex") > price("gke"));
    for (text, same) in [
        ("vertex/gke", "vertex"),
        ("Vertex AI", "vertex"),
        ("compute (skypilot)", "compute"),
        ("any (engine recipe)", "compute"),
        ("Cloud Run", "cloud_run"),
    ] {
        assert!((price(text) - price(same)).abs() < 1e-9, "{text}");
    }
}

fn odd_cell() -> impl Strategy<Value = String> {
    let odd = [
        "",
        " ",
        "nan",
        "NaN",
        "-1",
        "-0.0",
        "0",
        "inf",
        "1e308",
        "-1e308",
        "1e18",
        "99999999999999999999",
        "4294967296",
        "4294967295",
        "1.5",
        "0x10",
        "a, \"quoted\", comma",
        "unknown/model",
        "TP0xPP0",
        "TP99999999999",
        "TP3 x DP5",
        "EP8",
        "topo 0x0",
        "topo 99999x99999x99999",
        "fp8",
        "awq",
        "int4",
        "gguf q4_k_m",
        "GB",
        "0GB",
        "ßGB",
        "99999999999GB",
        "TPU",
        "H100",
        "v7x",
        "a3-highgpu-8g",
        "()",
        "(",
        "-",
        "/",
        "b",
        "llama-8b",
        "2026-13-99",
        "20",
        "\u{feff}",
        "日本語",
        "{'xeon6': 4}",
        "tei",
        "diffusers",
        "sglang 0.5.21",
        "vllm ~.",
        "0.92",
        "100%",
    ];
    prop_oneof![
        3 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => "\\PC{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_rows_have_an_answer_or_a_reason(
        what in proptest::sample::select(What::ALL.to_vec()),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), odd_cell()), 1..6),
    ) {
        let (header, rows) = table(what);
        let rows: Vec<Vec<String>> = picks
            .iter()
            .map(|pick| {
                let mut row = pick.get(&rows).clone();
                for (at, text) in &changes {
                    let at = at.index(row.len());
                    row[at].clone_from(text);
                }
                row
            })
            .collect();
        let lines = what
            .answers_to(csv_text(&header, &rows, "\n").as_bytes())
            .expect("answers");
        prop_assert_eq!(lines.len(), rows.len());
        for (index, line) in lines.iter().enumerate() {
            has_the_form(what, index, line);
        }
    }
}
