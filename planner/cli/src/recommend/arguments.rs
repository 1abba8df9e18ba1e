//! The flags of `openmodel recommend`, and the question they ask.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args};
use openmodel_resolve::generates;
use openmodel_resolve::ranking::Question;
use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{ModelId, Revision};
use openmodel_schemas::quantity::{Bytes, Parameters, Tokens};
use openmodel_schemas::spec::{
    Adapters, Budget, DraftModel, Goals, Objective, Quantization, Surface, Workload,
};
use rust_decimal::Decimal;

use crate::terminal::Color;

/// What the exit code of every command says.
pub const EXIT_CODES: &str = "Exit codes: 0 it is done, or who reads the output went away; 1 it \
                              failed, or nothing holds the load; 2 the flags are wrong.";

/// What is asked most.
const EXAMPLES: &str = "\
Examples:
  openmodel recommend Qwen/Qwen3-8B
  openmodel recommend Qwen/Qwen3-32B --context 32768 --concurrency 32 --surface gke --surface vertex
  openmodel recommend Qwen/Qwen3-32B --quantization none --quantization fp8 --option any
  openmodel recommend acme/private --config config.json --json
  openmodel recommend Qwen/Qwen3-8B=2 BAAI/bge-m3";

/// How the Hub is asked.
pub const ENVIRONMENT: &str = "\
Environment: facts of models come from the Hub; HF_TOKEN is sent to it for gated and private models, and HF_ENDPOINT \
names another address, such as a mirror.";

/// The longest sequence where `--context` does not say, unless the model's own limit is shorter.
const CONTEXT: u64 = 8192;
/// Requests at once where `--concurrency` does not say.
const CONCURRENCY: u32 = 8;
/// A typical request where nothing says: a page of prompt and a paragraph of answer, as in an
/// `openmodel_endpoint`.
const INPUT: u64 = 1024;
const OUTPUT: u64 = 256;
/// Machines that are shown where `--limit` does not say.
const LIMIT: usize = 10;

/// Rank every machine that is sold for a model under a load: what holds it, what it costs, and
/// why not the others. Of several models: the cheapest pool of machines that holds them together.
#[derive(Debug, Clone, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = EXIT_CODES,
    after_long_help = format!("{EXAMPLES}\n\n{ENVIRONMENT}\n\n{EXIT_CODES}")
)]
pub struct Recommend {
    /// Repository on the Hugging Face Hub, such as meta-llama/Llama-3.1-8B-Instruct; several, or
    /// one with a number of replicas, are pooled
    #[arg(value_name = "MODEL[=REPLICAS]", required = true, value_parser = wanted)]
    pub model: Vec<Wanted>,
    /// Branch, tag or commit of the repository
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: Revision,

    /// Longest sequence, prompt and answer together [default: 8192, or more where the request
    /// is longer, up to the models' own limit]
    #[arg(long, value_name = "TOKENS", value_parser = whole::<u64>, help_heading = "Load")]
    pub context: Option<u64>,
    /// Requests in flight at once in one replica [default: 8]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, help_heading = "Load")]
    pub concurrency: Option<u32>,
    /// Prompt tokens of a typical request [default: 1024, or what the context leaves]
    #[arg(long, value_name = "TOKENS", value_parser = whole::<u64>, help_heading = "Load")]
    pub input_tokens: Option<u64>,
    /// Answer tokens of a typical request [default: 256, or a quarter of a shorter context; none
    /// where the answer is a vector, a score or an image]
    #[arg(long, value_name = "TOKENS", value_parser = whole::<u64>, help_heading = "Load")]
    pub output_tokens: Option<u64>,
    /// Requests a second that all replicas together must serve; it says how many replicas there
    /// are [default: one replica]
    #[arg(long, value_name = "X", value_parser = amount, help_heading = "Load")]
    pub rps: Option<Decimal>,
    /// Starts of each replica in a month: from zero, after a pre-emption, a rollout
    #[arg(long, value_name = "N", value_parser = starts, help_heading = "Load")]
    pub starts_per_month: Option<u32>,
    /// Low-rank adapters in memory at once, with their largest rank: 8x16
    #[arg(long, value_name = "COUNTxRANK", value_parser = adapters, help_heading = "Load")]
    pub lora: Option<Adapters>,
    /// Tokens drafted ahead, by the model's own prediction layers or the draft model [default:
    /// none; with a draft model 5]
    #[arg(long, value_name = "N", value_parser = whole::<u32>, help_heading = "Load")]
    pub draft_tokens: Option<u32>,
    /// Smaller model that drafts tokens for the model to check, such as Qwen/Qwen3-0.6B
    #[arg(
        long,
        value_name = "MODEL",
        conflicts_with = "config",
        help_heading = "Load"
    )]
    pub draft_model: Option<ModelId>,
    /// Allow a context beyond the model's own limit
    #[arg(long, help_heading = "Load")]
    pub extend_context: bool,

    /// Where it may run; may be repeated [default: everywhere; of a pool: gke]
    #[arg(long, value_name = "SURFACE", value_parser = words(surfaces()), help_heading = "Choices")]
    pub surface: Vec<String>,
    /// Region; may be repeated [default: all; of a pool: us-central1]
    #[arg(long, value_name = "REGION", help_heading = "Choices")]
    pub region: Vec<String>,
    /// How it is bought; may be repeated [default: on demand where that is sold]
    #[arg(long, value_name = "OPTION", value_parser = words(options()), help_heading = "Choices")]
    pub option: Vec<String>,
    /// Accelerator, such as l4, nvidia-h100-80gb or v6e; may be repeated [default: all]
    #[arg(long, value_name = "ACCELERATOR", help_heading = "Choices")]
    pub accelerator: Vec<String>,
    /// Format of the weights in memory; may be repeated [default: none, the checkpoint's own]
    #[arg(long, value_name = "FORMAT", value_parser = words(formats()), help_heading = "Choices")]
    pub quantization: Vec<String>,
    /// Serving engine, at a version or the newest known: vllm, vllm@0.19 [default: the first that
    /// serves the model]
    #[arg(long, value_name = "ENGINE[@VERSION]", help_heading = "Choices")]
    pub engine: Option<String>,
    /// Format of the KV cache [default: the checkpoint's own]
    #[arg(long, value_name = "FORMAT", value_parser = ["auto", "fp8"], help_heading = "Choices")]
    pub kv_cache: Option<String>,

    /// What machines are ranked by: the expected cost of a month, the cost of a million tokens when
    /// busy, the time between tokens, or the tokens a second
    #[arg(
        long, value_name = "OBJECTIVE", default_value = "cost",
        value_parser = words(objectives()), help_heading = "Goals and limits"
    )]
    pub objective: String,
    /// Longest time to the first token, in milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, help_heading = "Goals and limits")]
    pub max_ttft_ms: Option<u32>,
    /// Longest time between tokens, in milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, help_heading = "Goals and limits")]
    pub max_tpot_ms: Option<u32>,
    /// Most US dollars an hour, for all replicas
    #[arg(long, value_name = "USD", value_parser = amount, help_heading = "Goals and limits")]
    pub max_hourly_cost: Option<Decimal>,
    /// Most US dollars a month of 730 hours, for all replicas
    #[arg(long, value_name = "USD", value_parser = amount, help_heading = "Goals and limits")]
    pub max_monthly_cost: Option<Decimal>,
    /// Licence that is allowed, such as apache-2.0; may be repeated [default: all]
    #[arg(long, value_name = "LICENCE", help_heading = "Goals and limits")]
    pub allow_license: Vec<String>,

    /// Catalog of machines and prices [default: the one in this binary]
    #[arg(long, value_name = "FILE|URL", help_heading = "Facts")]
    pub catalog: Option<String>,
    /// SHA-256 of the catalog, required where that is a URL
    #[arg(long, value_name = "HEX", value_parser = sha256, requires = "catalog", help_heading = "Facts")]
    pub catalog_sha256: Option<String>,
    /// Your own terms (schemas/json/discounts.schema.json): discounts, reservations, commitments;
    /// what a machine adds to the bill then counts, and is shown beside the list price
    #[arg(long, value_name = "FILE", help_heading = "Facts")]
    pub discounts: Option<PathBuf>,
    /// Facts of models as a JSON list, in place of the Hub's
    #[arg(long, value_name = "FILE", help_heading = "Facts")]
    pub models: Option<PathBuf>,
    /// The model's config.json, in place of the Hub's facts: for a model that is private or not
    /// published
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "models",
        help_heading = "Facts"
    )]
    pub config: Option<PathBuf>,
    /// Parameters of the model beside --config, such as 8.03B [default: counted from it]
    // A negative count is a value too, and no flag: `-8B` is refused for what it is.
    #[arg(long, value_name = "COUNT", value_parser = parameters, allow_hyphen_values = true, requires = "config", help_heading = "Facts")]
    pub parameters: Option<Parameters>,
    /// Bytes of the weight files beside --config [default: counted from it]
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "config", help_heading = "Facts")]
    pub weights_bytes: Option<Bytes>,

    /// Most machines that are shown [default: 10]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Output")]
    pub limit: Option<usize>,
    /// Show every machine in every region, and every one that is rejected
    #[arg(long, action = ArgAction::SetTrue, help_heading = "Output")]
    pub all: bool,
    /// Print the ranking as JSON (schemas/json/ranking.schema.json), regions not grouped; or the
    /// pool (schemas/json/pool.schema.json)
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// When the page has colours
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub color: Color,
}

/// A model, and how many replicas of it are to be pooled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The model.
    pub id: ModelId,
    /// Replicas, where they are stated.
    pub replicas: Option<u32>,
}

impl Recommend {
    /// The one model that is asked about; `None` where a pool is.
    pub(crate) fn only(&self) -> Option<&ModelId> {
        match self.model.as_slice() {
            [Wanted { id, replicas: None }] => Some(id),
            _ => None,
        }
    }

    /// The engine, and its version where that is stated.
    pub(crate) fn engine(&self) -> Option<(&str, Option<&str>)> {
        let text = self.engine.as_deref()?;
        Some(match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        })
    }

    /// Most machines that are shown.
    pub(crate) fn most(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
    }

    /// The question, for this model and the one that drafts for it, after the names of regions,
    /// accelerators and the engine were checked.
    pub(crate) fn question(&self, card: &ModelCard, draft: Option<&ModelCard>) -> Question {
        Question {
            draft: draft.cloned(),
            surfaces: chosen(&self.surface, &Surface::ALL, Surface::as_str),
            regions: self
                .region
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            options: if self.option.iter().any(|option| option == ANY) {
                PurchaseOption::ALL.to_vec()
            } else {
                chosen(&self.option, &PurchaseOption::ALL, PurchaseOption::as_str)
            },
            accelerators: self.accelerator.clone(),
            quantizations: self
                .quantization
                .iter()
                .map(|format| format.parse::<Quantization>().ok())
                .collect(),
            engine: self.engine().map(|(name, _)| name.to_owned()),
            engine_version: self
                .engine()
                .and_then(|(_, version)| version.map(str::to_owned)),
            kv_bits: (self.kv_cache.as_deref() == Some("fp8")).then_some(8),
            licences: self.allow_license.clone(),
            objective: Objective::ALL
                .into_iter()
                .find(|objective| objective.as_str() == self.objective)
                .unwrap_or_default(),
            budget: Budget {
                max_hourly_cost: self.max_hourly_cost,
                max_monthly_cost: self.max_monthly_cost,
            },
            ..Question::of(self.workload(card, draft))
        }
    }

    /// What a load says of lengths that no flag does, as flags: `--output-tokens 1`.
    pub(crate) fn assumed(&self, load: &Workload) -> Vec<String> {
        let lengths = [
            ("--context", self.context, load.context_length),
            ("--input-tokens", self.input_tokens, load.input_tokens),
            ("--output-tokens", self.output_tokens, load.output_tokens),
        ];
        let assumed = lengths
            .into_iter()
            .filter(|(_, stated, _)| stated.is_none());
        assumed
            .map(|(flag, _, length)| format!("{flag} {}", length.0))
            .collect()
    }

    /// The load, with what is not stated filled in.
    fn workload(&self, card: &ModelCard, draft: Option<&ModelCard>) -> Workload {
        let longest = |card: &ModelCard| {
            let positions = card.config.as_ref()?.max_positions;
            positions.filter(|positions| *positions > 0)
        };
        let longest = [Some(card), draft]
            .into_iter()
            .flatten()
            .filter_map(longest)
            .min();
        let usual = if generates(card) { OUTPUT } else { 0 };
        let context = self.context.unwrap_or_else(|| {
            // A request that is stated has room, and for what is usual beside it.
            let input = self.input_tokens.unwrap_or(INPUT);
            let typical = input.saturating_add(self.output_tokens.unwrap_or(usual));
            CONTEXT.max(typical).min(longest.unwrap_or(u64::MAX))
        });
        let output = self.output_tokens.unwrap_or_else(|| {
            if usual == 0 {
                return 0;
            }
            let share = self
                .input_tokens
                .map_or(context / 4, |input| context.saturating_sub(input));
            usual.min(share).max(1)
        });
        let input = self
            .input_tokens
            .unwrap_or_else(|| INPUT.min(context.saturating_sub(output)).max(1));
        Workload {
            context_length: Tokens(context),
            max_concurrency: self.concurrency.unwrap_or(CONCURRENCY),
            input_tokens: Tokens(input),
            output_tokens: Tokens(output),
            requests_per_second: self.rps,
            starts_per_month: self.starts_per_month,
            extend_context: self.extend_context,
            adapters: self.lora,
            draft_tokens: self.draft_tokens.or(draft.map(|_| DraftModel::TOKENS)),
            draft_model: draft.map(|draft| DraftModel {
                model: draft.id.clone(),
                commit: draft.commit.clone(),
            }),
            goals: Goals {
                max_ttft_ms: self.max_ttft_ms,
                max_tpot_ms: self.max_tpot_ms,
            },
        }
    }
}

/// `--option any`.
const ANY: &str = "any";

/// The values that words name.
fn chosen<T: Copy>(words: &[String], all: &[T], word: fn(T) -> &'static str) -> Vec<T> {
    all.iter()
        .copied()
        .filter(|value| words.iter().any(|stated| stated == word(*value)))
        .collect()
}

fn words(words: Vec<&'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words)
}

fn surfaces() -> Vec<&'static str> {
    Surface::ALL.map(Surface::as_str).to_vec()
}

fn options() -> Vec<&'static str> {
    let all = PurchaseOption::ALL.map(PurchaseOption::as_str);
    all.into_iter().chain([ANY]).collect()
}

fn formats() -> Vec<&'static str> {
    let all = Quantization::ALL.map(Quantization::as_str);
    all.into_iter().chain(["none"]).collect()
}

fn objectives() -> Vec<&'static str> {
    Objective::ALL.map(Objective::as_str).to_vec()
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let (name, replicas) = match text.split_once('=') {
        Some((name, count)) => {
            let count = count.parse().ok().filter(|count| *count > 0);
            let count = count.ok_or("a number of replicas from 1 is expected after =")?;
            (name, Some(count))
        }
        None => (text, None),
    };
    let id = name.parse::<ModelId>().map_err(|error| error.to_string())?;
    Ok(Wanted { id, replicas })
}

fn amount(text: &str) -> Result<Decimal, String> {
    text.trim_start_matches('$')
        .parse::<Decimal>()
        .ok()
        .filter(|amount| !amount.is_sign_negative())
        .ok_or_else(|| "a number such as 2.50 is expected".to_owned())
}

fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "a whole number such as 8192 is expected".to_owned())
}

/// One start a minute: 730 hours of 60 minutes.
const MOST_STARTS: u32 = 43_800;

fn starts(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|starts| *starts <= MOST_STARTS)
        .ok_or_else(|| {
            format!("a whole number from 0 to {MOST_STARTS}, one start a minute, is expected")
        })
}

fn milliseconds(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "whole milliseconds, at least 1, are expected".to_owned())
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "a number from 1 is expected".to_owned())
}

fn sha256(text: &str) -> Result<String, String> {
    let is_sum = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    is_sum
        .then(|| text.to_owned())
        .ok_or_else(|| "64 hexadecimal digits are expected".to_owned())
}

fn adapters(text: &str) -> Result<Adapters, String> {
    let parts = text.split_once(['x', 'X']);
    parts
        .and_then(|(count, rank)| {
            Some(Adapters {
                count: count.parse().ok()?,
                rank: rank.parse().ok()?,
            })
        })
        .filter(|adapters| adapters.count > 0 && adapters.rank > 0)
        .ok_or_else(|| "a count and a rank such as 8x16 are expected".to_owned())
}

fn parameters(text: &str) -> Result<Parameters, String> {
    let units = [('K', 1e3), ('M', 1e6), ('B', 1e9), ('T', 1e12)];
    let upper = text.to_uppercase();
    let (number, unit) = units
        .into_iter()
        .find_map(|(letter, unit)| Some((upper.strip_suffix(letter)?, unit)))
        .unwrap_or((&upper, 1.0));
    let count = number.parse::<f64>().ok().map(|number| number * unit);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds before it"
    )]
    count
        .filter(|count| (1.0..=MOST_PARAMETERS).contains(count))
        .map(|count| Parameters(count.round() as u64))
        .ok_or_else(|| "a count from 1 to 1000T, such as 8.03B or 494M, is expected".to_owned())
}

/// A thousand times the largest model.
const MOST_PARAMETERS: f64 = 1e15;

/// A pebibyte: more than the files of any model.
const MOST_BYTES: u64 = 1 << 50;

fn bytes(text: &str) -> Result<Bytes, String> {
    text.parse()
        .ok()
        .filter(|bytes| (1..=MOST_BYTES).contains(bytes))
        .map(Bytes)
        .ok_or_else(|| format!("a whole number of bytes from 1 to {MOST_BYTES} is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_with_their_unit() {
        assert_eq!(parameters("8.03B"), Ok(Parameters(8_030_000_000)));
        assert_eq!(parameters("494m"), Ok(Parameters(494_000_000)));
        assert_eq!(parameters("1000"), Ok(Parameters(1000)));
        assert!(parameters("many").is_err());
        for text in ["-1B", "0", "0.4", "inf", "nan", "1e99", "2000T"] {
            assert!(parameters(text).is_err(), "{text}");
        }
        let lora = adapters("8x16").expect("it is read");
        assert_eq!((lora.count, lora.rank), (8, 16));
        assert!(adapters("8").is_err());
    }
}
