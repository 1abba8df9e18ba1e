//! Physics, nonsense, known cases.

use proptest::prelude::*;

use super::examples::{
    CASES, DEEPSEEK_V3, GPT_OSS_120B, H100, H200, L4, LLAMA_8B, LLAMA_70B, constants, dense_setup,
    moe_setup,
};
use super::*;

/// How fast a replica answers under one load.
pub(super) fn speed(
    model: &ModelSpeed,
    device: &DeviceSpeed<'_>,
    setup: &Setup<'_>,
    load: Load,
    constants: &ThroughputDocument,
) -> Speed {
    Prepared::new(model, device, setup, constants).at(load)
}

#[test]
fn known_setups_are_measured_others_fitted_unknown_accelerators_and_engines_roofline() {
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
    assert_eq!(basis(&LLAMA_70B, &H100, &other), Basis::Roofline);
}

#[test]
fn ranges_widen_as_less_is_known_and_far_from_measured_loads() {
    let at = |device: &DeviceSpeed<'_>, load| {
        let setup = dense_setup("vllm", 4, Arithmetic::Fp8);
        let speed = speed(&LLAMA_70B, device, &setup, load, constants());
        (speed.tpot_ms.high / speed.tpot_ms.low, speed.basis)
    };
    let near = at(&H100, load(16.0, 1024.0, 1024.0));
    assert_eq!(near.1, Basis::Measured);
    let close = at(&H100, load(16.0, 1536.0, 1024.0));
    assert!(near.0 < close.0 && close.1 == Basis::Measured, "{close:?}");
    for far in [
        load(4096.0, 1024.0, 1024.0),
        load(16.0, 100_000.0, 1024.0),
        load(16.0, 1024.0, 16.0),
    ] {
        let (width, basis) = at(&H100, far);
        assert!(width > 1.5 * near.0, "{width}");
        assert_eq!(basis, Basis::Fitted, "{far:?}");
    }
    let unknown = at(&L4, load(16.0, 1024.0, 1024.0));
    assert!(near.0 < unknown.0);
    // Where the setup was not measured, loads that nothing was measured under are far.
    let stranger = at(&L4, load(16.0, 200_000.0, 1024.0));
    assert!(unknown.0 < stranger.0);
}

#[test]
fn what_memory_does_not_hold_waits() {
    let setup = dense_setup("vllm", 4, Arithmetic::Fp8);
    let at = |batch, room| {
        let load = Load {
            room,
            ..load(batch, 1024.0, 1024.0)
        };
        speed(&LLAMA_70B, &H100, &setup, load, constants())
    };
    let held = at(32.0, 32.0);
    let twice = at(64.0, 32.0);
    // The same 32 run; another 32 wait for one of them from its first to its last token.
    let same = twice.tpot_ms.estimate / held.tpot_ms.estimate - 1.0;
    assert!(same.abs() < 1e-9, "{twice:?}");
    let request = held.ttft_ms.estimate + 1023.0 * held.tpot_ms.estimate;
    let expected = held.ttft_ms.estimate + request;
    assert!((twice.ttft_ms.estimate / expected - 1.0).abs() < 1e-9);
    let rate = |speed: Speed| speed.output_tokens_per_second().estimate;
    assert!((rate(held) / rate(twice) - 1.0).abs() < 1e-9);
    // How many are held is in doubt, and the range says so.
    let ample = at(64.0, 640.0);
    let ratio = |speed: Speed| speed.ttft_ms.high / speed.ttft_ms.low;
    assert!(ratio(twice) > 1.5 * ratio(ample));
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
    let cases = [
        show(
            &LLAMA_70B,
            &H100,
            dense_setup("vllm", 4, Arithmetic::Fp8),
            32.0,
        ),
        show(
            &LLAMA_8B,
            &H100,
            dense_setup("vllm", 1, Arithmetic::Bf16),
            32.0,
        ),
        show(
            &LLAMA_8B,
            &L4,
            dense_setup("vllm", 1, Arithmetic::Bf16),
            8.0,
        ),
        show(&DEEPSEEK_V3, &H200, moe_setup("sglang", 8, 1, 1.0), 32.0),
        show(&GPT_OSS_120B, &H100, moe_setup("vllm", 2, 1, 0.53), 32.0),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r"
    Measured: TPOT 15.8 in 15.0..17.1 ms, TTFT 188.2 in 159.8..263.4 ms, 2004 tokens/s
    Fitted: TPOT 9.7 in 6.7..12.6 ms, TTFT 148.3 in 85.5..418.9 ms, 3247 tokens/s
    Roofline: TPOT 63.6 in 43.6..97.3 ms, TTFT 614.7 in 322.5..2049.1 ms, 125 tokens/s
    Measured: TPOT 22.2 in 20.0..23.7 ms, TTFT 378.5 in 274.0..572.0 ms, 1420 tokens/s
    Fitted: TPOT 11.8 in 8.1..15.2 ms, TTFT 155.9 in 89.9..440.3 ms, 2689 tokens/s
    ");
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
        check_sane(&prepared.at(Load { room: n[24], ..load(n[21], n[22], n[23]) }));
    }

    #[test]
    fn more_work_is_never_faster_and_more_bandwidth_never_slower(
        which in 0..6_usize,
        batch in 1.0..1024.0_f64, input in 64.0..131_072.0_f64, output in 16.0..8192.0_f64,
        more in 1.0..4.0_f64, room in 1.0..4096.0_f64,
    ) {
        let (model, device, setup) = CASES[which];
        let at = |device: &DeviceSpeed<'_>, batch, input| {
            let load = Load { room, ..load(batch, input, output) };
            speed(model, device, &setup, load, constants())
        };
        let base = at(&device, batch, input);
        check_sane(&base);
        prop_assert!(base.tpot_ms.estimate < 1e6 && base.ttft_ms.estimate < 1e12);
        let fuller = at(&device, batch * more, input);
        let longer = at(&device, batch, input * more);
        let faster = DeviceSpeed { bandwidth_gb_s: device.bandwidth_gb_s * more, ..device };
        let faster = at(&faster, batch, input);
        for time in [|speed: &Speed| speed.tpot_ms.estimate, |speed: &Speed| speed.ttft_ms.estimate] {
            prop_assert!(time(&fuller) >= time(&base));
            prop_assert!(time(&longer) >= time(&base));
            prop_assert!(time(&faster) <= time(&base));
        }
        let rate = |speed: &Speed| speed.output_tokens_per_second().estimate;
        prop_assert!(rate(&fuller) >= rate(&base) * (1.0 - 1e-9));
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

fn load(batch: f64, input_tokens: f64, output_tokens: f64) -> Load {
    Load {
        batch,
        input_tokens,
        output_tokens,
        room: f64::INFINITY,
    }
}
