//! Our estimates of memory beside start-up logs.

use std::io::Write;

use anyhow::Result;
use openmodel_resolve::Catalog;
use openmodel_resolve::memory::{MemoryAnswer, MemoryQuery, memory_of};
use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::quantity::{Bytes, Tokens};
use openmodel_schemas::spec::Quantization;
use serde_json::{Value, json};

use super::Show;
use super::context::{count, engine, kv_bits, stated, unreadable, utilization, version, whole};
use super::hardware::{device_gib, may_have, names_a_device};
use super::models::Models;
use super::names::check_format;
use super::rows::{Row, RowsFile};

/// The column that names a row's model.
pub const MODEL: &str = "model";

/// Print one JSON line for each row of a file, and error statistics where asked for.
pub fn run(
    file: &RowsFile,
    models: &Models,
    catalog: &Catalog,
    show: Show,
    out: &mut impl Write,
) -> Result<()> {
    let rows = file.rows(&[MODEL, "gpu_total_gib", "tp"])?;
    let mut errors = Errors::default();
    for (index, row) in rows.iter().enumerate() {
        let answer = answer(row, models, catalog);
        let mut line = json!({ "row": index + 1, "model": row.text(MODEL) });
        let fields = match &answer {
            Ok(estimate) => {
                errors.add(row, &estimate.memory);
                shown(estimate, show.detail)
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
    if show.summary {
        writeln!(out, "{}", errors.summary())?;
    }
    Ok(())
}

fn shown(estimate: &Estimate, detail: bool) -> Value {
    let answer = &estimate.memory;
    let gib = |bytes: Bytes| (bytes.as_gib() * 10_000.0).round() / 10_000.0;
    let mut shown = json!({
        "weights_gib_per_gpu": gib(answer.weights),
        "kv_cache_gib_per_gpu": gib(answer.kv_cache),
        "kv_tokens": answer.kv_tokens.0,
        "total_non_kv_gib": gib(answer.total_non_kv),
        "fits": answer.fits,
        "reason": answer.reason,
    });
    if detail {
        merge(
            &mut shown,
            json!({
                "kv_bytes_per_token": answer.kv_per_token.0,
                "activations_gib": gib(answer.activations),
                "overhead_gib": gib(answer.overhead),
                "max_model_len": answer.context_length.0,
                "basis": answer.basis,
                "facts_of": estimate.facts_of,
                "quantization": estimate.quantization.map(Quantization::as_str),
            }),
        );
    }
    shown
}

fn merge(line: &mut Value, fields: Value) {
    if let (Value::Object(line), Value::Object(fields)) = (line, fields) {
        line.extend(fields);
    }
}

/// An estimate, and the facts it was made of.
struct Estimate {
    memory: MemoryAnswer,
    facts_of: String,
    quantization: Option<Quantization>,
}

/// The estimate for a row, or the fact that is missing.
fn answer(row: &Row, models: &Models, catalog: &Catalog) -> Result<Estimate, String> {
    row.check()?;
    let name = row.text(MODEL);
    let format = row.text("dtype_quant");
    check_format(row)?;
    let named = models.named(MODEL, name, format)?;
    let (total, hardware) = (row.text("gpu_total_gib"), row.text("hardware"));
    let source = row.text("source");
    if stated(row, "hardware").is_some() && !names_a_device(catalog, hardware, source) {
        let expected = "an accelerator such as L4 or TPU v6e is read, or a size such as 24GB";
        return Err(unreadable("hardware", hardware, expected));
    }
    let usable = match row.number("gpu_total_gib") {
        Some(gib) if gib > 0.0 && gib < 1e6 => {
            if let Err(known) = may_have(catalog, hardware, source, gib) {
                return Err(format!(
                    "contradictory_cells: gpu_total_gib is {total:?}, and hardware is {hardware:?}, \
                     of whose memory an engine sees {known} GiB"
                ));
            }
            gib
        }
        _ if !total.is_empty() => {
            let expected = "a number of GiB above 0 is read";
            return Err(unreadable("gpu_total_gib", total, expected));
        }
        _ => device_gib(catalog, hardware, source).ok_or_else(|| {
            format!("unknown_device: gpu_total_gib is empty, and hardware is {hardware:?}, whose memory is not known")
        })?,
    };
    let engine_text = row.text("engine").to_lowercase();
    let tpu = hardware.to_lowercase().contains("tpu") || engine_text.contains("tpu");
    let kind = if tpu {
        AcceleratorKind::Tpu
    } else {
        AcceleratorKind::Gpu
    };
    let utilization = utilization(row)?;
    let version = version(row, utilization)?;
    let ranks = |column: &str| Ok::<u32, String>(count(column, row.text(column))?.unwrap_or(1));
    let notes = row.text("notes").to_lowercase();
    let query = MemoryQuery {
        quantization: named.quantization,
        float32: matches!(format, "float32" | "fp32"),
        tensor: ranks("tp")?,
        pipeline: ranks("pp")?,
        data: ranks("dp")?,
        engine: engine(row, kind)?,
        engine_version: version,
        context_length: whole(row, "max_model_len")?.map(Tokens),
        utilization,
        kv_bits: kv_bits(row)?,
        eager: notes.replace('_', "-").contains("enforce-eager"),
        cut_context: notes.contains("auto max_model_len") || notes.contains("max_model_len=auto"),
        ..MemoryQuery::on(kind, Bytes::from_gib(usable))
    };
    let memory = memory_of(&named.card, &query).map_err(|error| error.to_string())?;
    Ok(Estimate {
        memory,
        facts_of: named.card.id.to_string(),
        quantization: named.quantization,
    })
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
