//! Facts of a model that somebody states by hand, held against each other: a count of parameters
//! or bytes that is far from what the configuration gives belongs to another model.

use openmodel_schemas::model_card::{ModelCard, ModelKind};

use crate::architecture::Architecture;

/// How far a stated number of parameters may be from the formula's: towers, prediction layers and
/// tied heads are within it, another size of the same family is not.
const FAR: u64 = 2;

/// Least and most bytes of a parameter, in thousandths: ternary weights with their scales (1.58
/// bits, `BitNet`), and float32 with a little beside it.
const BYTES: (u128, u128) = (150, 4_400);

/// What contradicts what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct FactError {
    /// Whether the bytes of the weights are at fault; else the number of parameters is.
    pub of_bytes: bool,
    /// Full sentences with the values.
    pub detail: String,
}

/// Whether the stated parameters and bytes of weights can be those of the configuration.
pub fn check_facts(card: &ModelCard) -> Result<(), FactError> {
    let counted = counted(card);
    let stated = card.parameters.map(|parameters| parameters.0);
    if let (Some(stated), Some((count, most))) = (stated, counted)
        && !(count / FAR..=most).contains(&stated)
    {
        return Err(FactError {
            of_bytes: false,
            detail: format!(
                "{stated} parameters are stated, and the configuration gives about {count}: they are \
                 of different models. State its own, or leave them out."
            ),
        });
    }
    let Some(bytes) = card.weights.as_ref().map(|weights| weights.bytes.0) else {
        return Ok(());
    };
    let within = |(count, most)| (count / FAR, most);
    let Some((fewest, most)) = stated
        .map(|stated| (stated, stated))
        .or(counted.map(within))
    else {
        return Ok(());
    };
    let milli = u128::from(bytes) * 1000;
    if milli < u128::from(fewest) * BYTES.0 || milli > u128::from(most) * BYTES.1 {
        let about = if stated.is_some() {
            format!("{fewest} parameters")
        } else {
            format!("{fewest} to {most} parameters, as the configuration gives")
        };
        return Err(FactError {
            of_bytes: true,
            detail: format!(
                "{bytes} bytes of weights are stated for {about}: no format stores a parameter in less than 0.15 \
                 or more than 4.4 bytes. State the bytes of its own files, or leave them out."
            ),
        });
    }
    Ok(())
}

/// Parameters by the formula, and the most that there can be; `None` where no formula covers the
/// model. A tower has parameters that the formula does not count.
fn counted(card: &ModelCard) -> Option<(u64, u64)> {
    let config = card.config.as_ref()?;
    if !matches!(config.kind, ModelKind::Decoder | ModelKind::Encoder) {
        return None;
    }
    let count = Architecture::of(card).ok()?.parameters()?.total();
    let most = if config.vision || config.audio {
        u64::MAX
    } else {
        count.saturating_mul(FAR)
    };
    Some((count, most))
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::{WeightBasis, WeightBytes};
    use openmodel_schemas::quantity::{Bytes, Parameters};

    use super::*;
    use crate::testing;

    #[track_caller]
    fn check(parameters: Option<u64>, bytes: Option<u64>, refused: Option<bool>) {
        let mut card = testing::llama_8b();
        card.parameters = parameters.map(Parameters);
        card.weights = bytes.map(|bytes| WeightBytes {
            bytes: Bytes(bytes),
            basis: WeightBasis::SafetensorsIndex,
        });
        let found = check_facts(&card).err().map(|error| error.of_bytes);
        assert_eq!(found, refused, "{parameters:?} {bytes:?}");
    }

    #[test]
    fn facts_of_another_model_are_refused() {
        let (b8, gb) = (8_030_261_248, 1_000_000_000);
        check(None, None, None);
        check(Some(b8), Some(16 * gb), None);
        check(Some(b8), Some(32 * gb), None);
        check(Some(b8), Some(4 * gb), None);
        check(Some(1), None, Some(false));
        check(Some(70 * gb), None, Some(false));
        check(Some(u64::MAX), None, Some(false));
        check(Some(b8), Some(gb), Some(true));
        check(Some(b8), Some(140 * gb), Some(true));
        check(None, Some(140 * gb), Some(true));
        check(None, Some(1), Some(true));
        check(None, Some(u64::MAX), Some(true));
    }
}
