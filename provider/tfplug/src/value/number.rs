//! Terraform's numbers: decimals of any size, without loss.

use std::{cmp::Ordering, fmt, str::FromStr};

use bigdecimal::{BigDecimal, ToPrimitive};

/// A decimal number, as exact as it was written.
///
/// Equality is by value (`1.0 == 1`). Numbers of at most [`Number::MAX_DIGITS`] digits in plain
/// notation are accepted, so that a short text (`1e999999999`) cannot ask for gigabytes.
///
/// ```
/// use tfplug::value::Number;
///
/// let pi: Number = "3.14159265358979323846264338327950288".parse().expect("a number");
/// assert_eq!(pi.to_string(), "3.14159265358979323846264338327950288");
/// assert_eq!(pi.to_f64(), None); // would lose digits
/// assert_eq!(Number::from(7).to_i64(), Some(7));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(Form);

/// Each value has one form only, so that derived equality is equality of values.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    Int(i64),
    /// Normalised, and not an `i64`.
    Big(Box<BigDecimal>),
}

/// Why something is not a [`Number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a decimal number.
    #[error("a decimal number is required")]
    NotDecimal,
    /// More than [`Number::MAX_DIGITS`] digits in plain notation.
    #[error("a number of at most {} digits is required", Number::MAX_DIGITS)]
    TooLong,
    /// Infinity or not-a-number.
    #[error("a finite number is required")]
    NotFinite,
}

impl Number {
    /// The longest number accepted, in digits of its plain notation.
    pub const MAX_DIGITS: u64 = 10_000;

    /// As `i64`, where that is exact.
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Form::Int(int) => Some(*int),
            Form::Big(_) => None,
        }
    }

    /// As `u64`, where that is exact.
    pub fn to_u64(&self) -> Option<u64> {
        match &self.0 {
            Form::Int(int) => u64::try_from(*int).ok(),
            Form::Big(big) if big.is_integer() => big.to_u64(),
            Form::Big(_) => None,
        }
    }

    /// As `f64`, where converting back gives this number again: `0.1` does (see
    /// `TryFrom<f64>`), a third with 100 digits does not.
    pub fn to_f64(&self) -> Option<f64> {
        let float: f64 = self.to_string().parse().ok()?;
        (Self::try_from(float).as_ref() == Ok(self)).then_some(float)
    }

    /// Whether there is no fraction.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Form::Int(_) => true,
            Form::Big(big) => big.is_integer(),
        }
    }

    /// The number a float of the wire stands for: its binary value, to the last digit.
    pub(crate) fn from_wire_f64(float: f64) -> Result<Self, NumberError> {
        if !float.is_finite() {
            return Err(NumberError::NotFinite);
        }
        BigDecimal::try_from(float)
            .map_err(|_| NumberError::NotFinite)
            .and_then(|big| Self::from_big(&big))
    }

    /// The float of the wire that stands for exactly this number, if there is one.
    pub(crate) fn to_wire_f64(&self) -> Option<f64> {
        let float: f64 = self.to_string().parse().ok()?;
        (Self::from_wire_f64(float).as_ref() == Ok(self)).then_some(float)
    }

    fn from_big(big: &BigDecimal) -> Result<Self, NumberError> {
        let (digits, scale) = (big.digits(), big.fractional_digit_count());
        let plain = if scale < 0 {
            digits.saturating_add(scale.unsigned_abs())
        } else {
            digits.max(scale.unsigned_abs())
        };
        if plain > Self::MAX_DIGITS {
            return Err(NumberError::TooLong);
        }
        if big.is_integer()
            && let Some(int) = big.to_i64()
        {
            return Ok(Self(Form::Int(int)));
        }
        Ok(Self(Form::Big(Box::new(big.normalized()))))
    }
}

impl From<i64> for Number {
    fn from(int: i64) -> Self {
        Self(Form::Int(int))
    }
}

impl From<i32> for Number {
    fn from(int: i32) -> Self {
        Self::from(i64::from(int))
    }
}

impl From<u32> for Number {
    fn from(int: u32) -> Self {
        Self::from(i64::from(int))
    }
}

impl From<u64> for Number {
    fn from(int: u64) -> Self {
        match i64::try_from(int) {
            Ok(small) => Self::from(small),
            Err(_) => Self(Form::Big(Box::new(BigDecimal::from(int).normalized()))),
        }
    }
}

/// The decimal that a reader sees: `0.1_f64` becomes `0.1`, not its binary neighbour with 55
/// digits, because that is what stands in the configuration that it is compared with.
impl TryFrom<f64> for Number {
    type Error = NumberError;

    fn try_from(float: f64) -> Result<Self, NumberError> {
        if float.is_finite() {
            float.to_string().parse()
        } else {
            Err(NumberError::NotFinite)
        }
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        if let Ok(int) = text.parse::<i64>() {
            return Ok(Self::from(int));
        }
        // Twice the limit leaves room for a sign, a point, an exponent and padding zeros.
        if text.len() as u64 > 2 * Self::MAX_DIGITS {
            return Err(NumberError::TooLong);
        }
        let decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        if !text.bytes().all(decimal) {
            return Err(NumberError::NotDecimal);
        }
        BigDecimal::from_str(text)
            .map_err(|_| NumberError::NotDecimal)
            .and_then(|big| Self::from_big(&big))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Form::Int(left), Form::Int(right)) => left.cmp(right),
            (Form::Int(left), Form::Big(right)) => BigDecimal::from(*left).cmp(right),
            (Form::Big(left), Form::Int(right)) => left.as_ref().cmp(&BigDecimal::from(*right)),
            (Form::Big(left), Form::Big(right)) => left.cmp(right),
        }
    }
}

/// Plain notation, without an exponent.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Int(int) => int.fmt(f),
            Form::Big(big) => f.write_str(&big.to_plain_string()),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect("a number")
    }

    #[test]
    fn equal_by_value_however_written() {
        assert_eq!(number("1.0"), number("1"));
        assert_eq!(number("1e3"), Number::from(1000));
        assert_eq!(number("-0"), Number::from(0));
        assert_eq!(
            number("9223372036854775808"),
            Number::from(9_223_372_036_854_775_808_u64)
        );
        assert_ne!(number("0.1"), number("0.10000000000000000001"));
    }

    #[test]
    fn ordered_by_value() {
        let mut numbers = ["1e30", "-1e30", "2", "1.5", "-2"].map(number);
        numbers.sort();
        assert_eq!(numbers, ["-1e30", "-2", "1.5", "2", "1e30"].map(number));
    }

    #[test]
    fn keeps_three_hundred_digits() {
        let text = format!("1{}.{}1", "2".repeat(150), "3".repeat(150));
        assert_eq!(number(&text).to_string(), text);
    }

    #[test]
    fn converts_exactly_or_not_at_all() {
        assert_eq!(number("18446744073709551615").to_u64(), Some(u64::MAX));
        assert_eq!(number("18446744073709551616").to_u64(), None);
        assert_eq!(number("1.5").to_i64(), None);
        assert_eq!(number("1.5").to_u64(), None);
        assert_eq!(number("9007199254740993").to_f64(), None);
        assert_eq!(number("0.1").to_f64(), Some(0.1));
    }

    #[test]
    fn a_float_of_the_wire_is_its_binary_value() {
        let exact = number("0.1000000000000000055511151231257827021181583404541015625");
        assert_eq!(Number::from_wire_f64(0.1), Ok(exact.clone()));
        assert_eq!(exact.to_wire_f64(), Some(0.1));
        assert_eq!(number("0.1").to_wire_f64(), None);
        assert_eq!(Number::try_from(0.1), Ok(number("0.1")));
    }

    #[test]
    fn refuses_what_is_not_a_number_or_has_no_end() {
        for text in ["", "NaN", "inf", "0x10", "1_000", "1e", "--1", "1.2.3"] {
            assert_eq!(
                text.parse::<Number>(),
                Err(NumberError::NotDecimal),
                "{text}"
            );
        }
        for text in ["1e999999999", "1e-999999999", "1e99999999999999999999"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
        assert_eq!(Number::try_from(f64::INFINITY), Err(NumberError::NotFinite));
        assert_eq!(Number::from_wire_f64(f64::NAN), Err(NumberError::NotFinite));
    }
}
