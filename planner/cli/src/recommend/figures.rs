//! Numbers as a reader likes them: thousands apart, money with the digits that count.

use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::report::Range;
use rust_decimal::{Decimal, RoundingStrategy};

/// A whole number: `131,072`.
pub(super) fn whole(number: u64) -> String {
    thousands(&number.to_string())
}

/// An amount with so many decimals: `12,345.60`.
pub(super) fn money(amount: Decimal, decimals: u32) -> String {
    let rounded = amount.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
    let places = usize::try_from(decimals).unwrap_or(2);
    thousands(&format!("{rounded:.places$}"))
}

/// A month's cost: `$515.93`.
pub(super) fn monthly(usd: Usd) -> String {
    format!("${}", money(usd.0, 2))
}

/// An hour's cost: `$0.7068`, `$88.49`.
pub(super) fn hourly(usd: UsdPerHour) -> String {
    let sign = if usd.0.is_sign_negative() { "-" } else { "" };
    let amount = usd.0.abs();
    format!("{sign}${}", money(amount, cents([amount])))
}

/// Cost of a million tokens: `$0.415`.
pub(super) fn per_million(usd: Usd) -> String {
    format!("${}", money(usd.0, 3))
}

/// Decimals that tell these amounts from each other: four below a dollar, two from ten.
pub(super) fn cents(amounts: impl IntoIterator<Item = Decimal>) -> u32 {
    match amounts.into_iter().min() {
        Some(least) if least >= Decimal::TEN => 2,
        Some(least) if least >= Decimal::ONE => 3,
        _ => 4,
    }
}

/// The ends of a range: `52–70`, `7.1–9.6`.
pub(super) fn range(range: Range) -> String {
    let decimals = usize::from(range.low < 10.0);
    let (low, high) = (number(range.low, decimals), number(range.high, decimals));
    if low == high {
        low
    } else {
        format!("{low}–{high}")
    }
}

/// The middle of a range, with the same digits as its ends.
pub(super) fn middle(range: Range) -> String {
    number(range.estimate, usize::from(range.low < 10.0))
}

fn number(number: f64, decimals: usize) -> String {
    thousands(&format!("{number:.decimals$}"))
}

/// Commas between thousands.
fn thousands(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(whole(131_072), "131,072");
        assert_eq!(whole(16), "16");
        assert_eq!(money(Decimal::new(1_234_567, 2), 2), "12,345.67");
        assert_eq!(hourly(UsdPerHour(Decimal::new(706_832, 6))), "$0.7068");
        assert_eq!(hourly(UsdPerHour(Decimal::new(884_908, 4))), "$88.49");
        let of = |low, estimate, high| Range {
            low,
            estimate,
            high,
        };
        assert_eq!(range(of(1180.4, 1500.0, 2010.0)), "1,180–2,010");
        assert_eq!(range(of(7.12, 8.0, 9.6)), "7.1–9.6");
    }
}
