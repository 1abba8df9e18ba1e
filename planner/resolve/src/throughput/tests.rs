//! Physics, nonsense, known cases, and a sample of the measured rows.

use std::sync::LazyLock;

use openmodel_schemas::throughput::{EMBEDDED_THROUGHPUT, ThroughputDocument};
use proptest::prelude::*;

use super::*;

#[test]
fn known_setups_are_measured_others_fitted_unknown_accelerators_roofline() {
    let basis = |model, device: &DeviceSpeed<'_>, setup: &Setup<'_>| {
        speed(
            model,
            device,
            setup,
            load(16.0, 1024.0, 1024.0),
            constants(),
        )
        .basis
    };
    let tp4 = dense_setup("vllm", 4, Arithmetic::Fp8);
    assert_eq!(basis(&LLAMA_70B, &H100, &tp4), Basis::Measured);
    let piped = Setup { pipeline: 2, ..tp4 };
    assert_eq!(basis(&LLAMA_70B, &H100, &piped), Basis::Fitted);
    let weight_only = Setup {
        dense_bytes_per_parameter: 0.52,
        ..tp4
    };
    assert_eq!(basis(&LLAMA_70B, &H100, &weight_only), Basis::Fitted);
    assert_eq!(basis(&LLAMA_70B, &L4, &tp4), Basis::Roofline);
    let other = Setup {
        engine: "tgi",
        ..tp4
    };
    assert_eq!(basis(&LLAMA_70B, &H100, &other), Basis::Fitted);
}

#[test]
fn ranges_widen_as_less_is_known_and_beyond_measured_batches() {
    let width = |device: &DeviceSpeed<'_>, batch| {
        let setup = dense_setup("vllm", 4, Arithmetic::Fp8);
        let tpot = speed(
            &LLAMA_70B,
            device,
            &setup,
            load(batch, 1024.0, 1024.0),
            constants(),
        );
        tpot.tpot_ms.high / tpot.tpot_ms.low
    };
    assert!(width(&H100, 16.0) < width(&H100, 1024.0));
    assert!(width(&H100, 16.0) < width(&L4, 16.0));
}

#[test]
fn a_replica_is_sized_by_its_goals() {
    let setup = dense_setup("vllm", 4, Arithmetic::Fp8);
    let prepared = Prepared::new(&LLAMA_70B, &H100, &setup, constants());
    let tokens = (1024.0, 1024.0);
    let batch = prepared
        .largest_batch(tokens, (20.0, f64::INFINITY), 1024)
        .expect("one sequence is faster than that");
    let tpot = |batch| {
        prepared
            .at(load(f64::from(batch), 1024.0, 1024.0))
            .tpot_ms
            .estimate
    };
    assert!(tpot(batch) <= 20.0 && tpot(batch + 1) > 20.0, "{batch}");
    assert_eq!(prepared.largest_batch(tokens, (1.0, 1e9), 1024), None);
    assert_eq!(prepared.largest_batch(tokens, (1e9, 1e9), 64), Some(64));
    assert_eq!(prepared.largest_batch(tokens, (1e9, 1e9), 0), None);
}

#[test]
fn known_cases() {
    let show = |model, device: &DeviceSpeed<'_>, setup: Setup<'_>, batch| {
        let speed = speed(
            model,
            device,
            &setup,
            load(batch, 1024.0, 1024.0),
            constants(),
        );
        let ms = |range: Range| {
            format!(
                "{:.1} in {:.1}..{:.1}",
                range.estimate, range.low, range.high
            )
        };
        let rate = speed.output_tokens_per_second().estimate;
        format!(
            "{:?}: TPOT {} ms, TTFT {} ms, {rate:.0} tokens/s",
            speed.basis,
            ms(speed.tpot_ms),
            ms(speed.ttft_ms)
        )
    };
    insta::assert_snapshot!(
        show(&LLAMA_70B, &H100, dense_setup("vllm", 4, Arithmetic::Fp8), 32.0), @"");
    insta::assert_snapshot!(
        show(&LLAMA_8B, &H100, dense_setup("vllm", 1, Arithmetic::Bf16), 32.0), @"");
    insta::assert_snapshot!(
        show(&LLAMA_8B, &L4, dense_setup("vllm", 1, Arithmetic::Bf16), 8.0), @"");
    insta::assert_snapshot!(
        show(&DEEPSEEK_V3, &H200, moe_setup("sglang", 8, 1, 1.0), 32.0), @"");
    insta::assert_snapshot!(
        show(&GPT_OSS_120B, &H100, moe_setup("vllm", 2, 1, 0.53), 32.0), @"");
}

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

proptest! {
    #[test]
    fn nonsense_gives_numbers(
        numbers in proptest::array::uniform32(any::<f64>()),
        ways in any::<[u32; 4]>(),
        kind in 0..9_usize,
    ) {
        let n = numbers;
        let model = ModelSpeed {
            layers: n[0], hidden: n[1], dense_parameters: n[2], expert_parameters: n[3],
            experts: n[4], experts_per_token: n[5],
            attention: [Attention::Heads, Attention::Latent, Attention::Hybrid][kind % 3],
            kv_bytes_per_token: n[6], window_kv_bytes_per_token: n[7], window_tokens: n[8],
            sparse_tokens: n[9], kv_heads: n[10], attention_width: n[11], state_bytes: n[12],
        };
        let device = DeviceSpeed {
            name: ["nvidia-h100-80gb", "nvidia-l4", ""][kind / 3], compute_capability: n[13],
            bandwidth_gb_s: n[14], bf16_tflops: n[15], fp8_tflops: n[16], fp4_tflops: n[17],
            link_gb_s: n[18],
        };
        let setup = Setup {
            engine: ["vllm", "trtllm", ""][kind / 3],
            tensor: ways[0], pipeline: ways[1], data: ways[2], expert: ways[3],
            dense_bytes_per_parameter: n[19], expert_bytes_per_parameter: n[20],
            arithmetic: [Arithmetic::Bf16, Arithmetic::Fp8, Arithmetic::Fp4][kind % 3],
        };
        let prepared = Prepared::new(&model, &device, &setup, constants());
        check_sane(&prepared.at(load(n[21], n[22], n[23])));
        prepared.largest_batch((n[24], n[25]), (n[26], n[27]), ways[0]);
    }

    #[test]
    fn more_work_is_never_faster_and_more_bandwidth_never_slower(
        which in 0..6_usize,
        batch in 1.0..1024.0_f64, input in 64.0..131_072.0_f64, output in 16.0..8192.0_f64,
        more in 1.0..4.0_f64,
    ) {
        let (model, device, setup) = CASES[which];
        let at = |device: &DeviceSpeed<'_>, batch, input| {
            speed(model, device, &setup, load(batch, input, output), constants())
        };
        let base = at(&device, batch, input);
        check_sane(&base);
        prop_assert!(base.tpot_ms.estimate < 1e6 && base.ttft_ms.estimate < 1e8);
        let fuller = at(&device, batch * more, input);
        let longer = at(&device, batch, input * more);
        let faster = DeviceSpeed { bandwidth_gb_s: device.bandwidth_gb_s * more, ..device };
        let faster = at(&faster, batch, input);
        for time in [|speed: &Speed| speed.tpot_ms.estimate, |speed: &Speed| speed.ttft_ms.estimate] {
            prop_assert!(time(&fuller) >= time(&base));
            prop_assert!(time(&longer) >= time(&base));
            prop_assert!(time(&faster) <= time(&base));
        }
    }
}

#[track_caller]
fn check_sane(speed: &Speed) {
    let rates = [
        speed.output_tokens_per_second(),
        speed.requests_per_second(),
    ];
    for range in [speed.tpot_ms, speed.ttft_ms].into_iter().chain(rates) {
        assert!(range.high.is_finite() && range.low > 0.0, "{range:?}");
        assert!(
            range.low < range.estimate && range.estimate < range.high,
            "{range:?}"
        );
    }
}

fn constants() -> &'static ThroughputDocument {
    static CONSTANTS: LazyLock<ThroughputDocument> =
        LazyLock::new(|| serde_json::from_str(EMBEDDED_THROUGHPUT).expect("sound constants"));
    &CONSTANTS
}

fn load(batch: f64, input_tokens: f64, output_tokens: f64) -> Load {
    Load {
        batch,
        input_tokens,
        output_tokens,
    }
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
        let mut within = 0.0;
        for row in rows {
            let range = time(&row.speed());
            let measured = row.number(column).expect("a measured time");
            errors.push((range.estimate / measured - 1.0).abs());
            widths.push(range.high / range.low);
            within += f64::from(u8::from(range.low <= measured && measured <= range.high));
        }
        errors.sort_by(f64::total_cmp);
        widths.sort_by(f64::total_cmp);
        Self {
            median: errors[errors.len() / 2],
            p90: errors[errors.len() * 9 / 10],
            within: within / errors.len() as f64,
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

const LLAMA_8B: ModelSpeed = ModelSpeed {
    layers: 32.0,
    hidden: 4096.0,
    dense_parameters: 8_030_000_000.0,
    expert_parameters: 0.0,
    experts: 0.0,
    experts_per_token: 0.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 131_072.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 131_072.0,
    state_bytes: 0.0,
};
const LLAMA_70B: ModelSpeed = ModelSpeed {
    layers: 80.0,
    hidden: 8192.0,
    dense_parameters: 70_554_000_000.0,
    expert_parameters: 0.0,
    experts: 0.0,
    experts_per_token: 0.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 327_680.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 655_360.0,
    state_bytes: 0.0,
};
const QWEN3_32B: ModelSpeed = ModelSpeed {
    layers: 64.0,
    hidden: 5120.0,
    dense_parameters: 32_762_000_000.0,
    expert_parameters: 0.0,
    experts: 0.0,
    experts_per_token: 0.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 262_144.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 524_288.0,
    state_bytes: 0.0,
};
const QWEN3_235B: ModelSpeed = ModelSpeed {
    layers: 94.0,
    hidden: 4096.0,
    dense_parameters: 8_007_000_000.0,
    expert_parameters: 227_083_000_000.0,
    experts: 128.0,
    experts_per_token: 8.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 192_512.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 4.0,
    attention_width: 770_048.0,
    state_bytes: 0.0,
};
const MINIMAX_M2: ModelSpeed = ModelSpeed {
    layers: 62.0,
    hidden: 3072.0,
    dense_parameters: 2_903_000_000.0,
    expert_parameters: 227_097_000_000.0,
    experts: 256.0,
    experts_per_token: 8.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 253_952.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 380_928.0,
    state_bytes: 0.0,
};
const GPT_OSS_120B: ModelSpeed = ModelSpeed {
    layers: 36.0,
    hidden: 2880.0,
    dense_parameters: 1_527_000_000.0,
    expert_parameters: 115_303_000_000.0,
    experts: 128.0,
    experts_per_token: 4.0,
    attention: Attention::Heads,
    kv_bytes_per_token: 36_864.0,
    window_kv_bytes_per_token: 36_864.0,
    window_tokens: 128.0,
    sparse_tokens: 0.0,
    kv_heads: 8.0,
    attention_width: 73_728.0,
    state_bytes: 0.0,
};
const DEEPSEEK_V3: ModelSpeed = ModelSpeed {
    layers: 61.0,
    hidden: 7168.0,
    dense_parameters: 16_548_000_000.0,
    expert_parameters: 654_452_000_000.0,
    experts: 256.0,
    experts_per_token: 8.0,
    attention: Attention::Latent,
    kv_bytes_per_token: 70_272.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 128.0,
    attention_width: 1_499_136.0,
    state_bytes: 0.0,
};
const GLM_5: ModelSpeed = ModelSpeed {
    layers: 78.0,
    hidden: 6144.0,
    dense_parameters: 17_290_000_000.0,
    expert_parameters: 726_710_000_000.0,
    experts: 256.0,
    experts_per_token: 8.0,
    attention: Attention::Latent,
    kv_bytes_per_token: 89_856.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 2048.0,
    kv_heads: 64.0,
    attention_width: 1_277_952.0,
    state_bytes: 0.0,
};
const QWEN35_397B: ModelSpeed = ModelSpeed {
    layers: 60.0,
    hidden: 4096.0,
    dense_parameters: 9_430_000_000.0,
    expert_parameters: 387_570_000_000.0,
    experts: 512.0,
    experts_per_token: 10.0,
    attention: Attention::Hybrid,
    kv_bytes_per_token: 30_720.0,
    window_kv_bytes_per_token: 0.0,
    window_tokens: 0.0,
    sparse_tokens: 0.0,
    kv_heads: 2.0,
    attention_width: 122_880.0,
    state_bytes: 188_743_680.0,
};
const L4: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-l4",
    compute_capability: 8.9,
    bandwidth_gb_s: 300.0,
    bf16_tflops: 121.0,
    fp8_tflops: 242.0,
    fp4_tflops: 0.0,
    link_gb_s: 32.0,
};
const H100: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-h100-80gb",
    compute_capability: 9.0,
    bandwidth_gb_s: 3350.0,
    bf16_tflops: 989.0,
    fp8_tflops: 1979.0,
    fp4_tflops: 0.0,
    link_gb_s: 450.0,
};
const H200: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-h200-141gb",
    compute_capability: 9.0,
    bandwidth_gb_s: 4800.0,
    bf16_tflops: 989.0,
    fp8_tflops: 1979.0,
    fp4_tflops: 0.0,
    link_gb_s: 450.0,
};
const B200: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-b200",
    compute_capability: 10.0,
    bandwidth_gb_s: 7700.0,
    bf16_tflops: 2250.0,
    fp8_tflops: 4500.0,
    fp4_tflops: 9000.0,
    link_gb_s: 900.0,
};
const GB200: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-gb200",
    compute_capability: 10.0,
    bandwidth_gb_s: 8000.0,
    bf16_tflops: 2500.0,
    fp8_tflops: 5000.0,
    fp4_tflops: 10_000.0,
    link_gb_s: 900.0,
};
const GB300: DeviceSpeed<'static> = DeviceSpeed {
    name: "nvidia-gb300",
    compute_capability: 10.3,
    bandwidth_gb_s: 8000.0,
    bf16_tflops: 2500.0,
    fp8_tflops: 5000.0,
    fp4_tflops: 15_000.0,
    link_gb_s: 900.0,
};

const fn dense_setup(engine: &str, tensor: u32, arithmetic: Arithmetic) -> Setup<'_> {
    let bytes = match arithmetic {
        Arithmetic::Bf16 => 2.0,
        Arithmetic::Fp8 => 1.0,
        Arithmetic::Fp4 => 0.5625,
    };
    Setup {
        engine,
        tensor,
        pipeline: 1,
        data: 1,
        expert: 1,
        dense_bytes_per_parameter: bytes,
        expert_bytes_per_parameter: bytes,
        arithmetic,
    }
}

const fn moe_setup(engine: &str, tensor: u32, expert: u32, bytes: f64) -> Setup<'_> {
    let narrow = bytes < 1.0;
    Setup {
        engine,
        tensor,
        pipeline: 1,
        data: 1,
        expert,
        dense_bytes_per_parameter: if narrow { 2.0 } else { bytes },
        expert_bytes_per_parameter: bytes,
        arithmetic: if narrow {
            Arithmetic::Bf16
        } else {
            Arithmetic::Fp8
        },
    }
}

/// One case of each family, measured and not.
const CASES: [(&ModelSpeed, DeviceSpeed<'static>, Setup<'static>); 6] = [
    (&LLAMA_70B, H100, dense_setup("vllm", 4, Arithmetic::Fp8)),
    (&LLAMA_8B, L4, dense_setup("vllm", 2, Arithmetic::Bf16)),
    (&DEEPSEEK_V3, H200, moe_setup("sglang", 8, 8, 1.0)),
    (&GLM_5, B200, moe_setup("sglang", 8, 1, 1.0)),
    (&GPT_OSS_120B, H100, moe_setup("vllm", 1, 1, 0.53)),
    (&QWEN35_397B, GB300, moe_setup("sglang", 4, 4, 1.0)),
];
