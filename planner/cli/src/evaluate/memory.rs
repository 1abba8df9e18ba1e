//! Our estimates of memory beside start-up logs.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use openmodel_resolve::memory::{MemoryAnswer, MemoryQuery, memory_of};
use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::quantity::{Bytes, Tokens};
use serde_json::{Value, json};

use super::rows::{Row, named, read};
use crate::models_file::ModelsFile;

/// Print one JSON line for each row of a file, and error statistics where asked for.
pub fn run(path: &Path, models: &ModelsFile, summary: bool, out: &mut impl Write) -> Result<()> {
    let rows = read(path, &["model", "gpu_total_gib", "tp"])?;
    let mut errors = Errors::default();
    for (index, row) in rows.iter().enumerate() {
        let answer = answer(row, models);
        let mut line = json!({ "row": index + 1, "model": row.text("model") });
        let fields = match &answer {
            Ok(answer) => {
                errors.add(row, answer);
                shown(answer)
            }
            Err(reason) => json!({
                "weights_gib_per_gpu": null,
                "kv_cache_gib_per_gpu": null,
                "kv_tokens": null,
                "total_non_kv_gib": null,
                "fits": null,
                "reason": reason,
            }),
        };
        merge(&mut line, fields);
        writeln!(out, "{line}")?;
    }
    if summary {
        writeln!(out, "{}", errors.summary())?;
    }
    Ok(())
}

fn shown(answer: &MemoryAnswer) -> Value {
    let gib = |bytes: Bytes| (bytes.as_gib() * 100.0).round() / 100.0;
    json!({
        "weights_gib_per_gpu": gib(answer.weights),
        "kv_cache_gib_per_gpu": gib(answer.kv_cache),
        "kv_tokens": answer.kv_tokens.0,
        "total_non_kv_gib": gib(answer.total_non_kv),
        "fits": answer.fits,
        "reason": answer.reason,
        "kv_bytes_per_token": answer.kv_per_token.0,
        "activations_gib": gib(answer.activations),
        "overhead_gib": gib(answer.overhead),
        "max_model_len": answer.context_length.0,
        "basis": answer.basis,
    })
}

fn merge(line: &mut Value, fields: Value) {
    if let (Value::Object(line), Value::Object(fields)) = (line, fields) {
        line.extend(fields);
    }
}

/// The estimate for a row, or the fact that is missing.
fn answer(row: &Row, models: &ModelsFile) -> Result<MemoryAnswer, String> {
    let name = row.text("model");
    let format = row.text("dtype_quant");
    let named = named(models, name, format)
        .ok_or_else(|| format!("unknown_model: no facts of {name:?} are known"))?;
    let usable = row
        .number("gpu_total_gib")
        .or_else(|| device_gib(row.text("hardware"), row.text("source")))
        .filter(|gib| *gib > 0.0)
        .ok_or("unknown_device: gpu_total_gib is empty and the hardware is not known")?;
    let tpu = row.text("hardware").contains("TPU") || row.text("engine").contains("tpu");
    let kind = if tpu {
        AcceleratorKind::Tpu
    } else {
        AcceleratorKind::Gpu
    };
    let utilization = utilization(row.text("gpu_memory_utilization"));
    let version = version(row, utilization);
    let count = |column: &str| match row.text(column) {
        "" => Ok(1),
        text => text
            .parse::<u32>()
            .map(|count| count.max(1))
            .map_err(|_| format!("unknown_parallelism: {column} is {text:?}")),
    };
    let query = MemoryQuery {
        quantization: named.quantization,
        float32: format == "float32",
        tensor: count("tp")?,
        pipeline: count("pp")?,
        data: count("dp")?,
        engine_version: version,
        context_length: row.whole("max_model_len").map(Tokens),
        utilization,
        kv_bits: row.text("kv_cache_dtype").contains("fp8").then_some(8),
        eager: row.text("notes").contains("enforce-eager"),
        ..MemoryQuery::on(kind, Bytes::from_gib(usable))
    };
    memory_of(named.card, &query).map_err(|error| error.to_string())
}

/// A share as a number; words before it (`kaito default .84`) are left out.
fn utilization(text: &str) -> Option<f64> {
    let number: f64 = text.split(' ').next_back()?.parse().ok()?;
    (number > 0.0 && number <= 1.0).then_some(number)
}

/// The engine's version: as stated; else that of its time, where the row says when it was; else,
/// where the share is 0.90, the last one of which that was the default; else the newest.
fn version(row: &Row, utilization: Option<f64>) -> Option<String> {
    let stated = row.text("engine_version");
    if !stated.is_empty() {
        return Some(stated.to_owned());
    }
    let date = row.text("source_date");
    let of_its_time = RELEASES
        .iter()
        .rfind(|(day, _)| *day <= date && date.starts_with("20"))
        .map(|(_, version)| (*version).to_owned());
    of_its_time.or_else(|| {
        utilization
            .is_some_and(|share| (share - 0.9).abs() < 1e-9)
            .then(|| "0.20".to_owned())
    })
}

/// Days from which a version of vLLM was the newest (GitHub releases).
const RELEASES: [(&str, &str); 9] = [
    ("2023-06", "0.1"),
    ("2024-09", "0.6"),
    ("2025-01", "0.8"),
    ("2025-10", "0.11"),
    ("2026-02", "0.17"),
    ("2026-04", "0.19"),
    ("2026-06", "0.21"),
    ("2026-07", "0.22"),
    ("2026-08", "0.27.1"),
];

/// Memory that an engine sees of a device, by a name in a log.
fn device_gib(hardware: &str, source: &str) -> Option<f64> {
    let azure = source.contains("kaito");
    AZURE_DEVICES
        .iter()
        .filter(|_| azure)
        .chain(&DEVICES)
        .find(|(name, _)| hardware.contains(name))
        .map(|(_, gib)| *gib)
}

/// KAITO runs on Azure, whose H100 is the NVL card of 94 GB.
const AZURE_DEVICES: [(&str, f64); 2] = [("H100", 93.1), ("A10", 22.49)];

/// Torch-visible totals of devices in public start-up logs.
const DEVICES: [(&str, f64); 13] = [
    ("H200", 139.72),
    ("H100", 79.19),
    ("GB200", 184.0),
    ("B200", 178.3),
    ("A100-40", 39.39),
    ("A100", 79.15),
    ("A10", 22.07),
    ("L4", 22.03),
    ("RTX3090", 23.58),
    ("RTX4090", 23.53),
    ("RTX PRO 6000", 94.97),
    ("T4", 14.6),
    ("12GB", 11.6),
];

/// Relative errors against the measured columns.
#[derive(Debug, Default)]
struct Errors {
    weights: Vec<f64>,
    kv_one: Vec<f64>,
    kv_more: Vec<f64>,
    tokens: Vec<f64>,
    failed: (u32, u32),
    started: (u32, u32),
}

impl Errors {
    fn add(&mut self, row: &Row, answer: &MemoryAnswer) {
        let error = |column: &str, got: f64| {
            row.number(column)
                .filter(|measured| *measured > 0.0)
                .map(|measured| (got - measured).abs() / measured)
        };
        if let Some(error) = error("weights_gib_per_gpu", answer.weights.as_gib()) {
            self.weights.push(error);
        }
        let started = row.text("started_ok") == "yes";
        if let Some(error) = error("kv_cache_gib_per_gpu", answer.kv_cache.as_gib()) {
            let more = row.whole("tp").unwrap_or(1) > 1 || row.whole("pp").unwrap_or(1) > 1;
            if more {
                self.kv_more.push(error);
            } else {
                self.kv_one.push(error);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "an error to four digits")]
        if let Some(error) = error("kv_tokens", answer.kv_tokens.0 as f64) {
            self.tokens.push(error);
        }
        let counts = if started {
            &mut self.started
        } else {
            &mut self.failed
        };
        // What failed for another reason says nothing of memory.
        let notes = row.text("notes");
        if !started && ["not memory", "later ok", "contention"].iter().any(|other| notes.contains(other)) {
            return;
        }
        counts.1 += 1;
        counts.0 += u32::from(answer.fits == started);
    }

    fn summary(mut self) -> Value {
        json!({ "summary": {
            "weights": quantiles(&mut self.weights),
            "kv_cache_one_device": quantiles(&mut self.kv_one),
            "kv_cache_more_devices": quantiles(&mut self.kv_more),
            "kv_tokens": quantiles(&mut self.tokens),
            "started_that_fit": { "rows": self.started.1, "right": self.started.0 },
            "failed_that_do_not_fit": { "rows": self.failed.1, "right": self.failed.0 },
        }})
    }
}

fn quantiles(errors: &mut [f64]) -> Value {
    errors.sort_by(f64::total_cmp);
    let at = |permille: usize| {
        let last = errors.len().checked_sub(1)?;
        errors
            .get((last * permille).div_ceil(1000))
            .map(|error| (error * 10_000.0).round() / 10_000.0)
    };
    json!({ "rows": errors.len(), "median": at(500), "p90": at(900), "max": at(1000) })
}
