//! Our estimates of memory beside start-up logs.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use openmodel_resolve::memory::{MemoryAnswer, MemoryQuery, memory_of};
use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::quantity::{Bytes, Tokens};
use serde_json::{Value, json};

use super::context::{device_gib, utilization, version};
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
        cut_context: row.text("notes").contains("auto max_model_len"),
        ..MemoryQuery::on(kind, Bytes::from_gib(usable))
    };
    memory_of(named.card, &query).map_err(|error| error.to_string())
}

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
        if !started
            && ["not memory", "later ok", "contention"]
                .iter()
                .any(|other| notes.contains(other))
        {
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
