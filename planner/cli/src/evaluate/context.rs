//! What a row leaves unsaid, and what it says in many ways: shares, versions, numbers of devices.

use openmodel_schemas::catalog::AcceleratorKind;

use super::rows::{Row, number};

/// Most devices that a row may mean: the largest slice of any catalog has fewer.
pub(crate) const MOST_DEVICES: u32 = 16_384;

/// What is said of a cell that cannot be read: its column and value, and what is read there.
pub(crate) fn unreadable(column: &str, text: &str, expected: &str) -> String {
    format!("unreadable_cell: {column} is {text:?}; {expected}")
}

/// The text of a cell; `None` where it is empty or says that nothing is known, and the default
/// holds.
pub(crate) fn stated<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    let silent = [
        "", "-", "?", "n/a", "na", "none", "null", "unknown", "auto", "default",
    ];
    let text = row.text(column);
    (!silent.contains(&text.to_lowercase().as_str())).then_some(text)
}

/// A share as a number, with words around it (`kaito default .84`, `0.9 (default)`), or as a
/// percentage.
pub(crate) fn utilization(row: &Row) -> Result<Option<f64>, String> {
    let column = "gpu_memory_utilization";
    let Some(text) = stated(row, column) else {
        return Ok(None);
    };
    share(text).map(Some).ok_or_else(|| {
        let expected = "a share above 0 and up to 1 is read, such as 0.9 or 90%";
        unreadable(column, text, expected)
    })
}

fn share(text: &str) -> Option<f64> {
    text.split([' ', '=', '(', ')', ',', '~'])
        .filter_map(|word| match word.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().ok().map(|percent| percent / 100.0),
            None => word.parse::<f64>().ok(),
        })
        .find(|share| *share > 0.0 && *share <= 1.0)
}

/// More tokens or sequences than any engine was ever asked for.
const MOST: u64 = 1 << 32;

/// A whole number from 1, with words behind it (`30000 # reduced`), or in vLLM's short form
/// (`32k` is 32,000 and `32K` is 32,768: `human_readable_int` of its arguments).
pub(crate) fn whole(row: &Row, column: &str) -> Result<Option<u64>, String> {
    let Some(text) = stated(row, column) else {
        return Ok(None);
    };
    let first = text.split([' ', '#', '(', ';']).next().unwrap_or(text);
    let units = [('k', 1e3), ('K', 1024.0), ('m', 1e6), ('M', 1_048_576.0)];
    let short = units
        .into_iter()
        .find_map(|(unit, factor)| Some((first.strip_suffix(unit)?, factor)));
    let (digits, factor) = short.unwrap_or((first, 1.0));
    #[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
    let bounds = 1.0..=MOST as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within the bounds"
    )]
    number(digits)
        .map(|number| number * factor)
        .filter(|number| bounds.contains(number) && number.fract() == 0.0)
        .map(|number| Some(number as u64))
        .ok_or_else(|| unreadable(column, text, "a whole number from 1 is read"))
}

/// Bits of an element of the KV cache, where its format is stated.
pub(crate) fn kv_bits(row: &Row) -> Result<Option<u64>, String> {
    let column = "kv_cache_dtype";
    let Some(text) = stated(row, column) else {
        return Ok(None);
    };
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["fp8", "int8", "e4m3", "e5m2"]) {
        Ok(Some(8))
    } else if has(&["16", "half", "auto"]) {
        Ok(None)
    } else {
        let expected = "auto, bfloat16, float16, fp8 (e4m3, e5m2) and int8 are read";
        Err(unreadable(column, text, expected))
    }
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
    pub(crate) fn of(row: &Row) -> Result<Self, String> {
        match stated(row, "parallelism") {
            None => Ok(Self::default()),
            Some(text) => Self::parse(text).ok_or_else(|| {
                let expected = format!(
                    "TP, PP, DP and EP with numbers from 1 to {MOST_DEVICES}, or a topology such \
                     as `topo 2x4`, are read"
                );
                unreadable("parallelism", text, &expected)
            }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        let possible = |number: &u32| (1..=MOST_DEVICES).contains(number);
        // The number behind a mark: none where there is no such mark, or where it is about other
        // things than a number.
        let number = |marks: &[&str]| -> Option<Option<u32>> {
            let Some(rest) = marks
                .iter()
                .find_map(|mark| Some(&lower[lower.find(mark)? + mark.len()..]))
            else {
                return Some(None);
            };
            let rest = rest.trim_start_matches([' ', '=', ':', '-', '_']);
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            match &rest[..rest.len() - digits.len()] {
                "" => Some(None),
                digits => digits.parse().ok().filter(possible).map(Some),
            }
        };
        let chips = match lower.find("topo") {
            None => None,
            Some(at) => {
                let rest = lower[at..].trim_start_matches(|c: char| !c.is_ascii_digit());
                let sides = rest
                    .split(|c: char| !c.is_ascii_digit() && c != 'x')
                    .next()?;
                let chips = sides.split('x').try_fold(1_u32, |product, side| {
                    product.checked_mul(side.parse().ok()?)
                })?;
                Some(chips).filter(possible).map(Some)?
            }
        };
        let spread = Self {
            tensor: number(&["tp", "tensor"])?,
            pipeline: number(&["pp", "pipeline"])?,
            data: number(&["dp", "data"])?,
            expert: lower.contains("ep") && !lower.contains("rep"),
            chips,
        };
        let marks = ["tp", "tensor", "pp", "pipeline", "dp", "data", "ep", "topo"];
        // What spreads the parts of a pipeline, and what is not spread at all.
        let others = ["device_map", "balanced", "single"];
        marks
            .iter()
            .chain(&others)
            .any(|mark| lower.contains(mark))
            .then_some(spread)
    }
}

/// Engines that rows name, and the one of ours whose memory theirs is like. What our table lacks
/// is like vLLM.
const ENGINES: [(&str, &str); 34] = [
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("tgi", "tgi"),
    ("text-generation-inference", "tgi"),
    ("tei", "tei"),
    ("text-embeddings-inference", "tei"),
    ("llama-cpp", "llama-cpp"),
    ("llama.cpp", "llama-cpp"),
    ("llamacpp", "llama-cpp"),
    ("ollama", "llama-cpp"),
    ("diffusers", "diffusers"),
    ("comfyui", "diffusers"),
    ("other", "vllm"),
    ("any", "vllm"),
    ("hex-llm", "vllm"),
    ("hexllm", "vllm"),
    ("jetstream", "vllm"),
    ("maxtext", "vllm"),
    ("optimum", "vllm"),
    ("trt", "vllm"),
    ("trtllm", "vllm"),
    ("tensorrt", "vllm"),
    ("triton", "vllm"),
    ("transformers", "vllm"),
    ("pytorch", "vllm"),
    ("huggingface", "vllm"),
    ("lmdeploy", "vllm"),
    ("mlc", "vllm"),
    ("nim", "vllm"),
    ("dynamo", "vllm"),
    ("kserve", "vllm"),
    ("ray", "vllm"),
    ("llm-d", "vllm"),
    ("kaito", "vllm"),
];

/// The engine whose memory a row's is like.
pub(crate) fn engine(row: &Row, kind: AcceleratorKind) -> Result<String, String> {
    let like = like(row, "engine")?;
    Ok(match kind {
        AcceleratorKind::Tpu => "vllm-tpu",
        AcceleratorKind::Gpu => like,
    }
    .to_owned())
}

/// The engine of our table that a column's is like.
pub(crate) fn like(row: &Row, column: &str) -> Result<&'static str, String> {
    let text = stated(row, column).unwrap_or("vllm").to_lowercase();
    let known = ENGINES.iter().find(|(name, _)| {
        text.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
    });
    known.map(|(_, like)| *like).ok_or_else(|| {
        let names: Vec<&str> = ENGINES.iter().map(|(name, _)| *name).collect();
        let expected = format!("known are {}", names.join(", "));
        unreadable(column, row.text(column), &expected)
    })
}

/// What a row says of its engine's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// `latest`, or a build of the day.
    Newest,
    /// A number, as stated.
    Numbered(String),
    /// The tag of an image that was built for one purpose, whose version it does not say.
    Tagged,
}

impl Version {
    /// What a column says; `None` where it says nothing.
    pub(crate) fn of(row: &Row, column: &str) -> Result<Option<Self>, String> {
        let Some(text) = stated(row, column) else {
            return Ok(None);
        };
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split(['-', '_', '.']).collect();
        let is_tag = words.len() > 1
            && !lower.starts_with(|c: char| c.is_ascii_digit())
            && words.iter().all(|word| is_letters_and_digits(word));
        // Where the row was measured, the image is named with its tag.
        let named = row
            .text("silicon_data_source")
            .split([' ', ';'])
            .any(|word| {
                word.strip_suffix(text)
                    .is_some_and(|image| image.ends_with(':'))
            });
        if ["latest", "nightly", "main", "dev"].contains(&words[0]) {
            Ok(Some(Self::Newest))
        } else if is_numbered(&lower) {
            Ok(Some(Self::Numbered(text.to_owned())))
        } else if is_tag || named {
            Ok(Some(Self::Tagged))
        } else {
            Err(unreadable(column, text, VERSIONS))
        }
    }
}

/// What is read as a version.
const VERSIONS: &str = "a version such as 0.19.0, `latest` or `nightly` is read";

fn is_letters_and_digits(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Whether a text begins with the numbers of a release, such as `v0.19.0`, `~0.23`, `0.11.x`,
/// `1.2.0rc6.post3` or `0.5.9-cu130`. `1e999` does not.
fn is_numbered(text: &str) -> bool {
    let text = text.trim_start_matches(['v', '~', '>', '<', '=', ' ']);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (release, rest) = text.split_at(end);
    let numbers = release.strip_suffix('.').unwrap_or(release).split('.');
    // The longest is a date: 20260402.
    let possible = |number: &str| (1..=8).contains(&number.len());
    let mark = rest
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or(rest);
    numbers.into_iter().all(possible) && (mark.is_empty() || MARKS.contains(&mark))
}

/// Letters that may stand right behind a release: those of PEP 440, and the `x` of any.
const MARKS: [&str; 12] = [
    "a", "alpha", "b", "beta", "c", "rc", "pre", "preview", "post", "rev", "dev", "x",
];

/// The engine's version: as stated; else that of its time, where the row says when it was; else
/// the newest where the share is the newest's default, and the last one before where it is not.
pub(crate) fn version(row: &Row, utilization: Option<f64>) -> Result<Option<String>, String> {
    let column = "engine_version";
    match Version::of(row, column)? {
        Some(Version::Newest) => return Ok(None),
        Some(Version::Numbered(text)) => return Ok(Some(text)),
        // What such an engine keeps of the memory is not known.
        Some(Version::Tagged) => return Err(unreadable(column, row.text(column), VERSIONS)),
        None => {}
    }
    let date = row.text("source_date");
    let of_its_time = RELEASES
        .iter()
        .rfind(|(day, _)| *day <= date && date.starts_with("20"))
        .map(|(_, version)| (*version).to_owned());
    let newest = utilization.is_some_and(|share| (share - 0.92).abs() < 1e-9);
    Ok(of_its_time.or_else(|| (!newest).then(|| "0.20".to_owned())))
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
            assert_eq!(super::share(text), share, "{text}");
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
            ("TP2xPP1", tensor(Some(2), Some(1), None, false)),
            ("TP2 x PP2", tensor(Some(2), Some(2), None, false)),
            ("TP4xDP2", tensor(Some(4), None, Some(2), false)),
            ("tp=4, dp=2", tensor(Some(4), None, Some(2), false)),
            ("TP8 EP", tensor(Some(8), None, None, true)),
            ("EP8", tensor(None, None, None, true)),
            ("TP{'xeon6': 4}", Spread::default()),
        ] {
            assert_eq!(Spread::parse(text), Some(spread), "{text}");
        }
        let chips = |text| Spread::parse(text).and_then(|spread| spread.chips);
        assert_eq!(chips(" topo 2x4"), Some(8));
        assert_eq!(chips("topology 2x2x4"), Some(16));
        for text in [
            "TP0",
            "TP2xPP0",
            "TP99999999",
            "topo 0x4",
            "topo",
            "foo",
            "8",
        ] {
            assert_eq!(Spread::parse(text), None, "{text}");
        }
    }
}
