//! A sample of the measured rows, and how their columns are read.

use super::examples::{
    B200, DEEPSEEK_V3, GB200, GB300, GLM_5, H100, H200, LLAMA_8B, LLAMA_70B, MINIMAX_M2, QWEN3_32B,
    QWEN3_235B, QWEN35_397B, constants,
};
use super::{Arithmetic, DeviceSpeed, Load, ModelSpeed, Range, Setup, Speed, tests::speed};

/// The goals of the model, over a sample of the rows it was fitted to. Its errors on rows that
/// it has not seen are told by `fit/throughput.py --cross-validate`.
#[test]
fn the_sample_of_measured_rows_is_met() {
    let rows = include_str!("../../fixtures/throughput-rows.csv");
    let mut lines = rows.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let rows: Vec<Row<'_>> = lines
        .map(|line| Row {
            header: &header,
            cells: line.split(',').collect(),
        })
        .collect();
    assert!(rows.len() >= 140, "{} rows", rows.len());
    let tpot = Scores::of(&rows, "silicon_tpot_ms", |speed| speed.tpot_ms);
    assert!(tpot.median <= 0.12 && tpot.p90 <= 0.5, "{tpot:?}");
    assert!(tpot.within >= 0.8 && tpot.width <= 2.5, "{tpot:?}");
    let ttft = Scores::of(&rows, "silicon_ttft_ms", |speed| speed.ttft_ms);
    assert!(ttft.median <= 0.25 && ttft.within >= 0.8, "{ttft:?}");
}

/// How well one time of the rows is met.
#[derive(Debug)]
struct Scores {
    median: f64,
    p90: f64,
    within: f64,
    width: f64,
}

impl Scores {
    fn of(rows: &[Row<'_>], column: &str, time: impl Fn(&Speed) -> Range) -> Self {
        let mut errors = Vec::new();
        let mut widths = Vec::new();
        let (mut within, mut count) = (0.0, 0.0);
        for row in rows {
            let range = time(&row.speed());
            let measured = row.number(column).expect("a measured time");
            errors.push((range.estimate / measured - 1.0).abs());
            widths.push(range.high / range.low);
            count += 1.0;
            within += f64::from(u8::from(range.low <= measured && measured <= range.high));
        }
        errors.sort_by(f64::total_cmp);
        widths.sort_by(f64::total_cmp);
        Self {
            median: errors[errors.len() / 2],
            p90: errors[errors.len() * 9 / 10],
            within: within / count,
            width: widths[widths.len() / 2],
        }
    }
}

/// A row of the measurements.
struct Row<'a> {
    header: &'a [&'a str],
    cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn text(&self, column: &str) -> &'a str {
        let at = self.header.iter().position(|name| *name == column);
        self.cells[at.expect("the column is there")]
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.text(column).parse().ok()
    }

    fn whole(&self, column: &str) -> Option<u32> {
        let number = self.number(column)?;
        (0..=1_000_000).find(|whole| f64::from(*whole) >= number)
    }

    /// The mapping of the columns, as in `fit/throughput.py`.
    fn speed(&self) -> Speed {
        let model = model(self.text("model_path"));
        let (moe_tp, moe_ep, tp) = (
            self.whole("moe_tp_size").expect("moe_tp_size"),
            self.whole("moe_ep_size").expect("moe_ep_size"),
            self.whole("tp_size").expect("tp_size"),
        );
        let stated_dp = self.whole("attention_dp_size");
        let dp = stated_dp.unwrap_or(1);
        // "TP n, EP n" was converted with the product of both as its size.
        let accelerators = if stated_dp.is_some() && moe_tp == moe_ep && moe_tp > 1 {
            moe_tp
        } else if dp > 1 && tp > 1 {
            tp
        } else {
            (tp * dp).max(moe_tp * moe_ep)
        };
        // GB200, prefill and decode apart: attention and experts are spread over all.
        let (data, expert) = if moe_tp > 8 {
            (accelerators, accelerators)
        } else {
            (dp.min(accelerators), moe_ep.min(accelerators))
        };
        let precision = match self.text("precision") {
            "" => "bf16",
            precision => precision,
        };
        let mode = |column| match self.text(column) {
            "" => bytes_and_arithmetic(precision),
            mode => bytes_and_arithmetic(mode),
        };
        let (dense_bytes_per_parameter, dense_arithmetic) = mode("gemm_quant_mode");
        let (expert_bytes_per_parameter, expert_arithmetic) = mode("moe_quant_mode");
        let setup = Setup {
            engine: self.text("backend"),
            tensor: (accelerators / data).max(1),
            pipeline: 1,
            data,
            expert,
            dense_bytes_per_parameter,
            expert_bytes_per_parameter,
            arithmetic: if model.experts > 0.0 {
                expert_arithmetic
            } else {
                dense_arithmetic
            },
        };
        let load = Load {
            batch: self.number("batch_size").expect("batch_size") * f64::from(dp),
            input_tokens: self.number("isl").expect("isl"),
            output_tokens: self.number("osl").expect("osl"),
            // The sample's rows that wait for memory are judged where memory is known.
            room: f64::INFINITY,
        };
        speed(
            model,
            device(self.text("system")),
            &setup,
            load,
            constants(),
        )
    }
}

fn bytes_and_arithmetic(mode: &str) -> (f64, Arithmetic) {
    match mode {
        "fp8" | "fp8_block" => (1.0, Arithmetic::Fp8),
        "fp4" | "nvfp4" => (0.5625, Arithmetic::Fp4),
        _ => (2.0, Arithmetic::Bf16),
    }
}

fn device(system: &str) -> &'static DeviceSpeed<'static> {
    match system {
        "h100_sxm" => &H100,
        "h200_sxm" => &H200,
        "b200_sxm" => &B200,
        "gb200" => &GB200,
        "b300_sxm" => &GB300,
        other => panic!("{other} is not in the sample"),
    }
}

fn model(path: &str) -> &'static ModelSpeed {
    let name = path.rsplit('/').next().unwrap_or_default();
    let starts = |prefix| name.starts_with(prefix);
    match name {
        _ if starts("DeepSeek-") => &DEEPSEEK_V3,
        _ if starts("Llama-3.1-8B") => &LLAMA_8B,
        _ if starts("Llama-3.1-70B") => &LLAMA_70B,
        _ if starts("MiniMax-M2") => &MINIMAX_M2,
        _ if starts("Qwen3-235B") => &QWEN3_235B,
        _ if starts("Qwen3-32B") => &QWEN3_32B,
        _ if starts("Qwen3.5-397B") => &QWEN35_397B,
        _ if starts("GLM-5") => &GLM_5,
        other => panic!("{other} is not in the sample"),
    }
}
