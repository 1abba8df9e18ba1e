//! Our estimates of latency beside measured runs.

use std::io::Write;

use anyhow::Result;
use openmodel_resolve::Catalog;
use openmodel_resolve::pace::{PaceAnswer, PaceQuery, pace_of};
use openmodel_schemas::report::Range;
use openmodel_schemas::spec::Quantization;
use serde_json::{Value, json};

use super::Show;
use super::context::{Version, count, like, stated, unreadable};
use super::hardware::accelerator;
use super::models::Models;
use super::names::quantization_in;
use super::rows::{Row, RowsFile};

/// The column that names a row's model.
pub const MODEL: &str = "model_path";

/// Print one JSON line for each row of a file, and error statistics where asked for.
pub fn run(
    file: &RowsFile,
    models: &Models,
    catalog: &Catalog,
    show: Show,
    out: &mut impl Write,
) -> Result<()> {
    let rows = file.rows(&[MODEL, "system", "backend", "isl", "osl", "batch_size"])?;
    let mut errors = [Errors::default(), Errors::default()];
    for (index, row) in rows.iter().enumerate() {
        let line = match answer(row, models, catalog) {
            Ok(answer) => {
                errors[0].add(row.number("silicon_tpot_ms"), answer.tpot_ms);
                errors[1].add(row.number("silicon_ttft_ms"), answer.ttft_ms);
                json!({
                    "row": index + 1,
                    "model": row.text(MODEL),
                    "tpot_ms": shown(answer.tpot_ms),
                    "ttft_ms": shown(answer.ttft_ms),
                    "basis": answer.basis,
                })
            }
            Err(reason) => json!({
                "row": index + 1,
                "model": row.text(MODEL),
                "tpot_ms": null,
                "ttft_ms": null,
                "basis": null,
                "reason": reason,
            }),
        };
        writeln!(out, "{line}")?;
    }
    if show.summary {
        let [tpot, ttft] = errors.map(Errors::summary);
        writeln!(
            out,
            "{}",
            json!({ "summary": { "tpot": tpot, "ttft": ttft } })
        )?;
    }
    Ok(())
}

fn shown(range: Range) -> Value {
    let digits = |ms: f64| (ms * 1000.0).round() / 1000.0;
    json!({
        "low": digits(range.low),
        "estimate": digits(range.estimate),
        "high": digits(range.high),
    })
}

/// The estimate for a row, or the fact that is missing.
fn answer(row: &Row, models: &Models, catalog: &Catalog) -> Result<PaceAnswer, String> {
    row.check()?;
    let name = row.text(MODEL);
    let card = models.with_parameters(MODEL, name)?;
    let system = row.text("system");
    let accelerator = device(system)
        .and_then(|name| catalog.accelerator(name))
        .or_else(|| accelerator(catalog, system).filter(|_| !system.contains("pcie")))
        .ok_or_else(|| {
            format!("unknown_accelerator: system is {system:?}; no facts of it are known")
        })?;
    let precision = format(row, "precision")?.unwrap_or(Format::Plain);
    let dense = format(row, "gemm_quant_mode")?.unwrap_or(precision);
    let experts = format(row, "moe_quant_mode")?.unwrap_or(precision);
    // Checkpoints that quantise their experts to 4 bits alone leave the rest in 16.
    let dense = if matches!(experts, Format::ExpertsOnly(_)) {
        None
    } else {
        dense.quantization()
    };
    like(row, "backend")?;
    // Which constants hold does not depend on it, but what is no version is no measured run.
    Version::of(row, "backend_version")?;
    let spread = spread(row)?;
    let heads = card
        .config
        .as_ref()
        .map_or(0, |config| config.attention_heads);
    share_out(row, heads, &spread)?;
    let needed = |column: &str| {
        row.number(column)
            .filter(|number| *number > 0.0 && *number < MOST_TOKENS)
            .ok_or_else(|| format!("unknown_load: {column} is {:?}", row.text(column)))
    };
    let data = count("attention_dp_size", row.text("attention_dp_size"))?.unwrap_or(1);
    let query = PaceQuery {
        accelerator,
        engine: row.text("backend").to_owned(),
        quantization: dense,
        expert_quantization: experts.quantization(),
        tensor: spread.tensor(),
        pipeline: count("pp_size", row.text("pp_size"))?.unwrap_or(1),
        data: spread.data,
        expert: spread.expert,
        // The column counts sequences of one attention rank.
        batch: needed("batch_size")? * f64::from(data),
        input_tokens: needed("isl")?,
        output_tokens: needed("osl")?,
    };
    pace_of(card, &query).map_err(|error| {
        // It speaks of the load, and not of the columns that it stands in.
        let columns = ["isl", "osl", "batch_size", "tp_size", "pp_size"];
        let cells = columns.map(|column| format!("{column} is {:?}", row.text(column)));
        format!("{error} The row: {}.", cells.join(", "))
    })
}

/// Larger than any batch, prompt or answer.
const MOST_TOKENS: f64 = 1e8;

/// Devices of the largest host of one machine.
const HOST: u32 = 8;

/// Whether the ranks of a row share out the heads and the experts of its model as it says.
fn share_out(row: &Row, heads: u64, spread: &Spread) -> Result<(), String> {
    let (tensor, ranks) = (spread.tensor(), row.text("tp_size"));
    // Experts on more devices than a host has: attention is data parallel, and its ranks were
    // recorded as all devices (disaggregated serving on rack-scale systems).
    let rack = tensor > HOST && spread.expert > HOST;
    if !rack && !heads.is_multiple_of(tensor.into()) {
        let model = row.text(MODEL);
        return Err(format!(
            "contradictory_cells: tp_size is {ranks:?}, and {MODEL} is {model:?}, whose {heads} \
             attention heads {tensor} ranks cannot share out evenly"
        ));
    }
    if !spread.devices.is_multiple_of(spread.data) {
        let data = row.text("attention_dp_size");
        return Err(format!(
            "contradictory_cells: tp_size is {ranks:?}, and attention_dp_size is {data:?}, which \
             does not divide the {} devices of the row",
            spread.devices
        ));
    }
    Ok(())
}

/// Devices of a row, and how they share the work.
struct Spread {
    devices: u32,
    data: u32,
    expert: u32,
}

impl Spread {
    /// Ranks that share the heads out.
    fn tensor(&self) -> u32 {
        self.devices / self.data.max(1)
    }
}

/// The columns say ranks of attention (`tp_size`, `attention_dp_size`) and of experts
/// (`moe_tp_size`, `moe_ep_size`) over the same devices.
fn spread(row: &Row) -> Result<Spread, String> {
    let ranks = |column: &str| count(column, row.text(column));
    let tensor =
        ranks("tp_size")?.ok_or_else(|| "unknown_parallelism: tp_size is empty".to_owned())?;
    let stated_data = ranks("attention_dp_size")?;
    let data = stated_data.unwrap_or(1);
    let (stated_slices, stated_experts) = (ranks("moe_tp_size")?, ranks("moe_ep_size")?);
    let slices = stated_slices.unwrap_or(1);
    let experts = stated_experts.unwrap_or(1);
    if let (Some(_), Some(_), Some(_)) = (stated_data, stated_slices, stated_experts) {
        let attention = u64::from(tensor) * u64::from(data);
        let all = u64::from(slices) * u64::from(experts);
        // Of a dense model nothing is spread; and attention may be data parallel inside its tensor
        // ranks (SGLang's --enable-dp-attention), which vLLM's is not.
        let inside = row.text("backend") != "vllm" && all == u64::from(tensor);
        if all != attention && all != 1 && !inside {
            let said = |column| format!("{column} is {:?}", row.text(column));
            return Err(format!(
                "contradictory_cells: {} and {}, which is {attention} devices; {} and {}, which is {all}",
                said("tp_size"),
                said("attention_dp_size"),
                said("moe_tp_size"),
                said("moe_ep_size"),
            ));
        }
    }
    // Runs of so many tensor and as many expert ranks were recorded with the product of both.
    let square = slices == experts && experts > 1 && stated_data.is_some();
    let devices = if data > 1 && tensor > 1 {
        tensor
    } else if square {
        slices
    } else {
        tensor
            .saturating_mul(data)
            .max(slices.saturating_mul(experts))
    };
    // More slices than a host has devices: attention is data parallel, experts are spread over
    // all (disaggregated serving on rack-scale systems).
    Ok(if slices > HOST {
        Spread {
            devices,
            data: devices,
            expert: devices,
        }
    } else {
        Spread {
            devices,
            data: data.min(devices),
            expert: experts.min(devices),
        }
    })
}

/// A quantisation mode of a row.
#[derive(Clone, Copy)]
enum Format {
    Plain,
    All(Quantization),
    /// Of the experts alone.
    ExpertsOnly(Quantization),
}

impl Format {
    const fn quantization(self) -> Option<Quantization> {
        match self {
            Self::Plain => None,
            Self::All(quantization) | Self::ExpertsOnly(quantization) => Some(quantization),
        }
    }
}

fn format(row: &Row, column: &str) -> Result<Option<Format>, String> {
    let Some(text) = stated(row, column) else {
        return Ok(None);
    };
    Ok(Some(match text.to_lowercase().as_str() {
        "bf16" | "bfloat16" | "float16" => Format::Plain,
        "fp8" | "fp8_block" | "fp8_static" | "sq" => Format::All(Quantization::Fp8),
        "nvfp4" | "fp4" => Format::All(Quantization::Nvfp4),
        "int8_wo" => Format::All(Quantization::Bnb8),
        "int4_wo" | "w4afp8" => Format::ExpertsOnly(Quantization::Gptq),
        "w4a16_mxfp4" | "w4a8_mxfp4_mxfp8" => Format::ExpertsOnly(Quantization::Mxfp4),
        other => Format::All(quantization_in(other).ok_or_else(|| {
            let expected =
                "bf16, fp8, fp8_block, nvfp4, int4_wo, w4a16_mxfp4 and the like are read";
            unreadable(column, text, expected)
        })?),
    }))
}

/// The catalog's name of a system: `h100_sxm`.
fn device(system: &str) -> Option<&'static str> {
    Some(match system {
        "h100_sxm" => "nvidia-h100-80gb",
        "h200_sxm" => "nvidia-h200-141gb",
        "b200_sxm" => "nvidia-b200",
        "gb200" | "gb200_nvl" | "gb200_sxm" => "nvidia-gb200",
        // GB300's figures are those of a B300 with another host.
        "b300_sxm" | "gb300" => "nvidia-gb300",
        "a100_sxm" | "a100_pcie" => "nvidia-a100-80gb",
        "l4" => "nvidia-l4",
        _ => return None,
    })
}

/// Relative errors and how ranges hold.
#[derive(Debug, Default)]
struct Errors {
    relative: Vec<f64>,
    widths: Vec<f64>,
    held: u32,
}

impl Errors {
    fn add(&mut self, measured: Option<f64>, range: Range) {
        let Some(measured) = measured.filter(|measured| *measured > 0.0) else {
            return;
        };
        self.relative
            .push((range.estimate - measured).abs() / measured);
        self.widths.push(range.high / range.low);
        self.held += u32::from((range.low..=range.high).contains(&measured));
    }

    fn summary(mut self) -> Value {
        let rows = self.relative.len();
        json!({
            "rows": rows,
            "median_error": quantile(&mut self.relative, 500),
            "p90_error": quantile(&mut self.relative, 900),
            "in_range": (rows > 0).then(|| {
                let share = f64::from(self.held) / f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
                (share * 10_000.0).round() / 10_000.0
            }),
            "median_high_over_low": quantile(&mut self.widths, 500),
        })
    }
}

fn quantile(numbers: &mut [f64], permille: usize) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().checked_sub(1)?;
    let number = numbers.get((last * permille).div_ceil(1000))?;
    Some((number * 10_000.0).round() / 10_000.0)
}
