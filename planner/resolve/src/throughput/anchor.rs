//! Which factors apply to a setup, and how well it is known.

use openmodel_schemas::throughput::{
    BUNDLES, MeasuredAccelerator, MeasuredSetup, TPOT_TERMS, TTFT_TERMS, ThroughputDocument,
};

use super::{Arithmetic, Attention, Basis, DeviceSpeed, ModelSpeed, Setup};

/// Which bundle moves each term of TPOT: 0 a step, 1 a sequence, 2 prompts.
const TPOT_BUNDLE: [usize; TPOT_TERMS] = [0, 0, 1, 1, 2, 0, 0, 1, 1, 0];
/// Which bundle moves each term of TTFT: 0 the start, 1 the prompt, 2 prompts before it.
const TTFT_BUNDLE: [usize; TTFT_TERMS] = [0, 1, 0, 0, 2, 0];
/// The range widens by this for each e-fold of the batch beyond what was measured.
const WIDER_BEYOND: f64 = 0.1;

/// The factors of a setup, as logs, and how far to trust them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Anchor {
    pub(crate) tpot: [f64; TPOT_TERMS],
    pub(crate) ttft: [f64; TTFT_TERMS],
    pub(crate) tpot_spread: [f64; 2],
    pub(crate) ttft_spread: [f64; 2],
    pub(crate) basis: Basis,
    /// The least and the most sequences in flight that were measured.
    batch: Option<[f64; 2]>,
}

impl Anchor {
    pub(crate) fn find(
        model: &ModelSpeed,
        device: &DeviceSpeed<'_>,
        setup: &Setup<'_>,
        constants: &ThroughputDocument,
    ) -> Self {
        let mut anchor = Self {
            tpot: constants.tpot.factors,
            ttft: constants.ttft.factors,
            tpot_spread: constants.tpot.spread.roofline,
            ttft_spread: constants.ttft.spread.roofline,
            basis: Basis::Roofline,
            batch: None,
        };
        anchor.add_shared(model, device, setup, constants);
        if constants
            .adjustments
            .iter()
            .any(|adjustment| adjustment.device.as_deref() == Some(device.name))
        {
            anchor.basis = Basis::Fitted;
            anchor.tpot_spread = constants.tpot.spread.fitted;
            anchor.ttft_spread = constants.ttft.spread.fitted;
        }
        anchor.add_measured(model, device, setup, constants);
        anchor
    }

    /// How much wider the range is at this batch, as a log.
    pub(crate) fn beyond(&self, batch: f64) -> f64 {
        self.batch.map_or(0.0, |[least, most]| {
            WIDER_BEYOND * (batch / most).ln().max((least / batch).ln()).max(0.0)
        })
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
        constants: &ThroughputDocument,
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
        self.batch = Some(known.batch);
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
