//! Quantities that must not mix: bytes, parameters, tokens, money.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// `Decimal`'s own `{:.2}` cuts digits off; money is rounded as on an invoice.
const HALF_UP: RoundingStrategy = RoundingStrategy::MidpointAwayFromZero;

const GIB: f64 = 1_073_741_824.0;

/// A number of bytes. Shown in GiB (2^30) with two decimals, as the engines' logs do.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Whole GiB.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// A fractional number of GiB, rounded to the nearest byte; negative and NaN become zero.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate; a negative size has no meaning"
    )]
    pub fn from_gib(gib: f64) -> Self {
        Self((gib * GIB).round() as u64)
    }

    /// The size in GiB.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sizes below 8 PiB are exact")]
    pub fn as_gib(self) -> f64 {
        self.0 as f64 / GIB
    }

    /// The difference, or zero where `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// In the unit that a reader wants: `14.99 GiB`, `0.52 GiB`, `71.3 MiB`, `1.2 KiB`, `650 bytes`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.as_gib();
        match self.0 {
            0..1024 => write!(f, "{} bytes", self.0),
            1024..0x10_0000 => write!(f, "{:.1} KiB", gib * 1_048_576.0),
            // A table of memory stays in one unit; what would read 0.05 is no figure any more.
            _ if gib < 0.1 => write!(f, "{:.1} MiB", gib * 1024.0),
            _ => write!(f, "{gib:.2} GiB"),
        }
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Bytes {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl Mul<u64> for Bytes {
    type Output = Self;
    fn mul(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self(0), Add::add)
    }
}

/// A number of model parameters.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Parameters(pub u64);

impl fmt::Display for Parameters {
    #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0 as f64;
        if count >= 1e9 {
            write!(f, "{:.2}B", count / 1e9)
        } else {
            write!(f, "{:.1}M", count / 1e6)
        }
    }
}

/// A number of tokens.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}

/// US dollars. Decimal, never float; serialised as a string.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Usd(#[cfg_attr(test, schemars(with = "AmountText"))] pub Decimal);

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0.is_sign_negative() { "-" } else { "" };
        let amount = self.0.abs().round_dp_with_strategy(2, HALF_UP);
        write!(f, "{sign}${amount:.2}")
    }
}

/// US dollars per hour. Decimal, never float; serialised as a string.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct UsdPerHour(#[cfg_attr(test, schemars(with = "AmountText"))] pub Decimal);

impl UsdPerHour {
    /// The cost of a month of 730 hours (the industry's mean month, 365 × 24 / 12).
    #[must_use]
    pub fn per_month(self) -> Usd {
        Usd(self.0 * Decimal::from(730))
    }
}

impl Mul<u32> for UsdPerHour {
    type Output = Self;
    fn mul(self, count: u32) -> Self {
        Self(self.0 * Decimal::from(count))
    }
}

impl fmt::Display for UsdPerHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0.is_sign_negative() { "-" } else { "" };
        let amount = self.0.abs().round_dp_with_strategy(4, HALF_UP);
        write!(f, "{sign}${amount:.4}/h")
    }
}

/// An exact amount of money, for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Amount", extend("pattern" = r"^-?[0-9]+(\.[0-9]+)?$"))]
#[expect(dead_code, reason = "only its schema is used")]
struct AmountText(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_like_the_engines_logs() {
        assert_eq!(Bytes::gib(15).to_string(), "15.00 GiB");
        assert_eq!(Bytes::from_gib(14.99).to_string(), "14.99 GiB");
        assert_eq!(Bytes::from_gib(0.5).to_string(), "0.50 GiB");
        assert_eq!(Bytes(71 << 20).to_string(), "71.0 MiB");
        assert_eq!(Bytes(1229).to_string(), "1.2 KiB");
        assert_eq!(Bytes(650).to_string(), "650 bytes");
        assert_eq!(Bytes::from_gib(f64::NAN), Bytes(0));
        assert_eq!(Parameters(8_030_261_248).to_string(), "8.03B");
        assert_eq!(Parameters(494_032_768).to_string(), "494.0M");
    }

    #[test]
    fn a_month_is_730_hours_and_money_is_exact() {
        let hourly = UsdPerHour(Decimal::new(104_652, 5));
        assert_eq!(hourly.per_month().to_string(), "$763.96");
        assert_eq!(
            serde_json::to_string(&hourly).expect("serialises"),
            "\"1.04652\""
        );
    }

    #[test]
    fn subtraction_stops_at_zero() {
        assert_eq!(Bytes::gib(1) - Bytes::gib(2), Bytes(0));
    }
}
