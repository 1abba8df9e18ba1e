//! Which factors apply to a setup, and how well it is known.

use openmodel_schemas::throughput::{
    Adjustment, BUNDLES, Extent, MeasuredAccelerator, MeasuredSetup, TPOT_TERMS, TTFT_TERMS,
    ThroughputDocument,
};

use super::{Arithmetic, Attention, Basis, DeviceSpeed, Load, ModelSpeed, Setup};

/// Which bundle moves each term of TPOT: 0 a step, 1 a sequence, 2 prompts.
const TPOT_BUNDLE: [usize; TPOT_TERMS] = [0, 0, 1, 1, 2, 0, 0, 1, 1, 0, 1];
/// Which bundle moves each term of TTFT: 0 the start, 1 the prompt, 2 prompts before it.
const TTFT_BUNDLE: [usize; TTFT_TERMS] = [0, 1, 0, 0, 2, 0, 1];

/// The factors of a setup, as logs, and how far to trust them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Anchor<'a> {
    pub(crate) tpot: [f64; TPOT_TERMS],
    pub(crate) ttft: [f64; TTFT_TERMS],
    tpot_spread: [f64; 2],
    ttft_spread: [f64; 2],
    basis: Basis,
    /// The loads that were measured in this very setup; none where it was not.
    loads: &'a [[f64; 4]],
    constants: &'a ThroughputDocument,
}

/// What a prediction under one load rests on, and where it lies, as logs around the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trust {
    pub(crate) tpot: [f64; 2],
    pub(crate) ttft: [f64; 2],
    pub(crate) basis: Basis,
}

impl<'a> Anchor<'a> {
    pub(crate) fn find(
        model: &ModelSpeed,
        device: &DeviceSpeed<'_>,
        setup: &Setup<'_>,
        constants: &'a ThroughputDocument,
    ) -> Self {
        let mut anchor = Self {
            tpot: constants.tpot.factors,
            ttft: constants.ttft.factors,
            tpot_spread: constants.tpot.spread.roofline,
            ttft_spread: constants.ttft.spread.roofline,
            basis: Basis::Roofline,
            loads: &[],
            constants,
        };
        anchor.add_shared(model, device, setup, constants);
        let known = |of: fn(&Adjustment) -> &Option<String>, name: &str| {
            (constants.adjustments.iter()).any(|known| of(known).as_deref() == Some(name))
        };
        if known(|adjustment| &adjustment.device, device.name)
            && known(|adjustment| &adjustment.engine, setup.engine)
        {
            anchor.basis = Basis::Fitted;
            anchor.tpot_spread = constants.tpot.spread.fitted;
            anchor.ttft_spread = constants.ttft.spread.fitted;
        }
        anchor.add_measured(model, device, setup, constants);
        anchor
    }

    /// How far a prediction is to be trusted under a load: less with its distance from what was
    /// measured, and beyond `near_load` no more than that of a setup that was not. The factors
    /// stay: of longer prompts and larger batches that were left out, they tell more than those of
    /// the rest (`fit/errors.md`).
    pub(crate) fn trust(&self, load: &Load) -> Trust {
        let (tpot, ttft) = (&self.constants.tpot.spread, &self.constants.ttft.spread);
        let distance = (self.loads.iter())
            .map(|known| from_measured(known, load))
            .reduce(f64::min);
        let far = distance.unwrap_or_else(|| outside(&self.constants.extent, load));
        let mut trust = Trust {
            tpot: self.tpot_spread,
            ttft: self.ttft_spread,
            basis: self.basis,
        };
        if trust.basis == Basis::Measured && far > self.constants.near_load {
            trust = Trust {
                tpot: wider(trust.tpot, tpot.near),
                ttft: wider(trust.ttft, ttft.near),
                basis: Basis::Fitted,
            };
        }
        let beyond = |[low, high]: [f64; 2], by: f64| [low - by * far, high + by * far];
        Trust {
            tpot: beyond(trust.tpot, tpot.beyond),
            ttft: beyond(trust.ttft, ttft.beyond),
            ..trust
        }
    }

    fn add_shared(
        &mut self,
        model: &ModelSpeed,
        device: &DeviceSpeed<'_>,
        setup: &Setup<'_>,
        constants: &ThroughputDocument,
    ) {
        let holds = |condition: &Option<String>, value: &str| {
            condition.as_deref().is_none_or(|wanted| wanted == value)
        };
        for adjustment in &constants.adjustments {
            if holds(&adjustment.engine, setup.engine)
                && holds(&adjustment.device, device.name)
                && holds(&adjustment.generation, generation(device))
                && holds(&adjustment.family, family(model))
                && holds(&adjustment.arithmetic, setup.arithmetic.name())
                && holds(&adjustment.spread, spread(setup))
            {
                add(&mut self.tpot, &adjustment.tpot);
                add(&mut self.ttft, &adjustment.ttft);
            }
        }
    }

    /// Go down from the model to its setup, as far as it was measured.
    fn add_measured(
        &mut self,
        model: &ModelSpeed,
        device: &DeviceSpeed<'_>,
        setup: &Setup<'_>,
        constants: &'a ThroughputDocument,
    ) {
        let same = |a: u64, b: f64| (u32::try_from(a).map_or(f64::MAX, f64::from) - b).abs() < 0.5;
        let Some(engine) = constants
            .models
            .iter()
            .find(|known| {
                same(known.layers, model.layers)
                    && same(known.hidden, model.hidden)
                    && same(known.experts, model.experts)
            })
            .and_then(|known| {
                let engines = &mut known.engines.iter();
                engines.find(|known| known.engine == setup.engine)
            })
        else {
            return;
        };
        self.add_bundles(&engine.tpot, &engine.ttft);
        let Some(accelerator) = engine
            .accelerators
            .iter()
            .find(|known| is_accelerator(known, model, device, setup))
        else {
            return;
        };
        self.add_bundles(&accelerator.tpot, &accelerator.ttft);
        self.tpot_spread = constants.tpot.spread.near;
        self.ttft_spread = constants.ttft.spread.near;
        let Some(known) = accelerator
            .setups
            .iter()
            .find(|known| is_setup(known, setup))
        else {
            return;
        };
        self.add_bundles(&known.tpot, &known.ttft);
        self.basis = Basis::Measured;
        self.loads = &known.loads;
        let measured = constants.tpot.spread.measured;
        self.tpot_spread = accelerator.tpot_spread.unwrap_or(measured);
        let measured = constants.ttft.spread.measured;
        self.ttft_spread = accelerator.ttft_spread.unwrap_or(measured);
    }

    fn add_bundles(&mut self, tpot: &[f64; BUNDLES], ttft: &[f64; BUNDLES]) {
        for (factor, bundle) in self.tpot.iter_mut().zip(TPOT_BUNDLE) {
            *factor += tpot[bundle];
        }
        for (factor, bundle) in self.ttft.iter_mut().zip(TTFT_BUNDLE) {
            *factor += ttft[bundle];
        }
    }
}

/// Logs of prompt and answer away from a measured pair of them, and of the batch away from those
/// that were measured with it.
fn from_measured([input, output, least, most]: &[f64; 4], load: &Load) -> f64 {
    (load.input_tokens / input).ln().abs()
        + (load.output_tokens / output).ln().abs()
        + away([*least, *most], load.batch)
}

/// Logs by which a load is outside of all that was measured.
fn outside(extent: &Extent, load: &Load) -> f64 {
    away(extent.batch, load.batch)
        + away(extent.input, load.input_tokens)
        + away(extent.output, load.output_tokens)
}

fn away([least, most]: [f64; 2], value: f64) -> f64 {
    (value / most).ln().max((least / value).ln()).max(0.0)
}

fn wider(one: [f64; 2], other: [f64; 2]) -> [f64; 2] {
    [one[0].min(other[0]), one[1].max(other[1])]
}

fn add(factors: &mut [f64], more: &[f64]) {
    for (factor, more) in factors.iter_mut().zip(more) {
        *factor += more;
    }
}

/// The weights must have the width that this arithmetic was measured with: a weight-only format
/// is another setup, though it multiplies the same numbers.
fn is_accelerator(
    known: &MeasuredAccelerator,
    model: &ModelSpeed,
    device: &DeviceSpeed<'_>,
    setup: &Setup<'_>,
) -> bool {
    let bytes = if model.experts > 0.0 {
        setup.expert_bytes_per_parameter
    } else {
        setup.dense_bytes_per_parameter
    };
    let usual = match setup.arithmetic {
        Arithmetic::Bf16 => 1.5..2.5,
        Arithmetic::Fp8 => 0.75..1.5,
        Arithmetic::Fp4 => 0.25..0.75,
    };
    known.device == device.name
        && known.arithmetic == setup.arithmetic.name()
        && usual.contains(&bytes)
}

fn is_setup(known: &MeasuredSetup, setup: &Setup<'_>) -> bool {
    setup.pipeline <= 1
        && known.accelerators == setup.tensor.saturating_mul(setup.data)
        && known.data == setup.data
        && known.expert == setup.expert
}

fn generation(device: &DeviceSpeed<'_>) -> &'static str {
    match device.compute_capability {
        capability if capability >= 10.0 => "blackwell",
        capability if capability >= 9.0 => "hopper",
        _ => "",
    }
}

fn family(model: &ModelSpeed) -> &'static str {
    match model.attention {
        Attention::Hybrid => "hybrid",
        Attention::Latent => "mla",
        Attention::Heads if model.experts > 0.0 => "moe",
        Attention::Heads => "dense",
    }
}

fn spread(setup: &Setup<'_>) -> &'static str {
    if setup.data > 1 {
        "dp"
    } else if setup.expert > 1 {
        "ep"
    } else if setup.tensor > 1 {
        "tp"
    } else {
        "one"
    }
}

impl Arithmetic {
    fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp4 => "fp4",
        }
    }
}
