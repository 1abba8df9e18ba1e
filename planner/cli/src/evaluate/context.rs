//! What a row leaves unsaid, and what it says in many ways: shares, versions, numbers of devices.

use openmodel_schemas::catalog::AcceleratorKind;

use super::rows::Row;

/// Most devices that a row may mean: the largest slice of any catalog has fewer.
pub(crate) const MOST_DEVICES: u32 = 16_384;

/// A share as a number, with words around it (`kaito default .84`, `0.9 (default)`), or as a
/// percentage.
pub(crate) fn utilization(text: &str) -> Option<f64> {
    text.split([' ', '=', '(', ')', ',', '~'])
        .filter_map(|word| match word.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().ok().map(|percent| percent / 100.0),
            None => word.parse::<f64>().ok(),
        })
        .find(|share| *share > 0.0 && *share <= 1.0)
}

/// A number of devices or ranks: `None` where the text is empty, an error where it is no number
/// or none that a machine can have.
pub(crate) fn count(column: &str, text: &str) -> Result<Option<u32>, String> {
    let bad = || format!("unknown_count: {column} is {text:?}");
    if text.is_empty() {
        return Ok(None);
    }
    let number: f64 = text.parse().map_err(|_| bad())?;
    if number.fract() != 0.0 || number < 1.0 || number > f64::from(MOST_DEVICES) {
        return Err(bad());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within the bounds above"
    )]
    Ok(Some(number as u32))
}

/// How a row says that its model is spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) tensor: Option<u32>,
    pub(crate) pipeline: Option<u32>,
    pub(crate) data: Option<u32>,
    pub(crate) expert: bool,
    /// Chips of a slice, by its topology: `2x4`.
    pub(crate) chips: Option<u32>,
}

impl Spread {
    /// `TP2xPP1`, `TP8 EP`, `tp=4, dp=2`, `TP2 x PP2`, `TP4xDP2`, `EP8`, `topo 2x4`.
    pub(crate) fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let number = |marks: &[&str]| {
            marks.iter().find_map(|mark| {
                let rest = lower[lower.find(mark)? + mark.len()..]
                    .trim_start_matches([' ', '=', ':', '-', '_']);
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits
                    .parse::<u32>()
                    .ok()
                    .filter(|number| (1..=MOST_DEVICES).contains(number))
            })
        };
        let chips = lower.find("topo").and_then(|at| {
            let rest = lower[at..].trim_start_matches(|c: char| !c.is_ascii_digit());
            let sides = rest
                .split(|c: char| !c.is_ascii_digit() && c != 'x')
                .next()?;
            sides
                .split('x')
                .try_fold(1_u32, |product, side| {
                    product.checked_mul(side.parse().ok()?)
                })
                .filter(|chips| (1..=MOST_DEVICES).contains(chips))
        });
        Self {
            tensor: number(&["tp", "tensor"]),
            pipeline: number(&["pp", "pipeline"]),
            data: number(&["dp", "data"]),
            expert: lower.contains("ep") && !lower.contains("rep"),
            chips,
        }
    }
}

/// The engine whose memory a row's is like.
pub(crate) fn engine(text: &str, kind: AcceleratorKind) -> String {
    let text = text.to_lowercase();
    let known = ["sglang", "tgi", "tei", "llama-cpp", "diffusers"];
    match kind {
        AcceleratorKind::Tpu => "vllm-tpu",
        AcceleratorKind::Gpu => known
            .into_iter()
            .find(|engine| text.starts_with(engine))
            .unwrap_or("vllm"),
    }
    .to_owned()
}

/// The engine's version: as stated; else that of its time, where the row says when it was; else
/// the newest where the share is the newest's default, and the last one before where it is not.
pub(crate) fn version(row: &Row, utilization: Option<f64>) -> Option<String> {
    let stated = row.text("engine_version");
    if !stated.is_empty() {
        return Some(stated.to_owned());
    }
    let date = row.text("source_date");
    let of_its_time = RELEASES
        .iter()
        .rfind(|(day, _)| *day <= date && date.starts_with("20"))
        .map(|(_, version)| (*version).to_owned());
    let newest = utilization.is_some_and(|share| (share - 0.92).abs() < 1e-9);
    of_its_time.or_else(|| (!newest).then(|| "0.20".to_owned()))
}

/// Days from which a version of vLLM was the newest (GitHub releases).
const RELEASES: [(&str, &str); 9] = [
    ("2023-06", "0.1"),
    ("2024-09", "0.6"),
    ("2025-01", "0.8"),
    ("2025-10", "0.11"),
    ("2026-02", "0.17"),
    ("2026-04", "0.19"),
    ("2026-06", "0.21"),
    ("2026-07", "0.22"),
    ("2026-08", "0.27.1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_out_of_words() {
        for (text, share) in [
            ("0.95", Some(0.95)),
            ("kaito default .84", Some(0.84)),
            ("0.9 (default)", Some(0.9)),
            ("90%", Some(0.9)),
            ("", None),
            ("nan", None),
            ("-0.5", None),
            ("1.5", None),
        ] {
            assert_eq!(utilization(text), share, "{text}");
        }
    }

    #[test]
    fn numbers_of_devices_are_whole_and_possible() {
        assert_eq!(count("tp", ""), Ok(None));
        assert_eq!(count("tp", "8"), Ok(Some(8)));
        assert_eq!(count("tp", "8.0"), Ok(Some(8)));
        for text in [
            "-1",
            "0",
            "nan",
            "1e18",
            "2.5",
            "eight",
            "99999999999999999999",
        ] {
            assert!(count("tp", text).is_err(), "{text}");
        }
    }

    #[test]
    fn spreads_are_read_in_many_spellings() {
        let tensor = |tensor, pipeline, data, expert| Spread {
            tensor,
            pipeline,
            data,
            expert,
            chips: None,
        };
        for (text, spread) in [
            ("", Spread::default()),
            ("TP2xPP1", tensor(Some(2), Some(1), None, false)),
            ("TP2 x PP2", tensor(Some(2), Some(2), None, false)),
            ("TP4xDP2", tensor(Some(4), None, Some(2), false)),
            ("tp=4, dp=2", tensor(Some(4), None, Some(2), false)),
            ("TP8 EP", tensor(Some(8), None, None, true)),
            ("EP8", tensor(None, None, None, true)),
            ("TP{'xeon6': 4}", Spread::default()),
            ("TP0", Spread::default()),
        ] {
            assert_eq!(Spread::of(text), spread, "{text}");
        }
        assert_eq!(Spread::of(" topo 2x4").chips, Some(8));
        assert_eq!(Spread::of("topology 2x2x4").chips, Some(16));
    }
}
