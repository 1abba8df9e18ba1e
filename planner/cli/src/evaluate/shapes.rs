//! Our verdicts on shapes beside documented deployments, and what we would choose instead.
//!
//! A row says what its author ran; what it leaves open (the spread, the sequences at once, the
//! context) is free, so a shape is feasible when some setting of the free variables fits.

mod counts;
mod documented;

use std::io::Write;

use anyhow::Result;
use openmodel_resolve::Catalog;
use openmodel_resolve::market::Sale;
use openmodel_resolve::memory::{MemoryAnswer, MemoryError, MemoryQuery, memory_of, memory_on};
use openmodel_schemas::catalog::{AcceleratorKind, PurchaseOption};
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, Tokens};
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use self::counts::Counts;
use self::documented::{Documented, documented, surface};
use super::Show;
use super::context::{MOST_DEVICES, engine, stated, utilization, version, whole};
use super::models::Models;
use super::names::{Named, check_format};
use super::rows::{Row, RowsFile};

/// The column that names a row's model.
pub const MODEL: &str = "model";

/// Print one JSON line for each row of a file, and statistics where asked for.
pub fn run(
    file: &RowsFile,
    models: &Models,
    catalog: &Catalog,
    show: Show,
    out: &mut impl Write,
) -> Result<()> {
    let rows = file.rows(&[MODEL, "surface", "machine_type", "accelerator"])?;
    let mut counts = Counts::default();
    for (index, row) in rows.iter().enumerate() {
        let answer = Answer::of(row, models, catalog);
        counts.add(row, &answer);
        writeln!(
            out,
            "{}",
            answer.line(index + 1, row.text(MODEL), show.detail)
        )?;
    }
    if show.summary {
        writeln!(out, "{}", counts.summary())?;
    }
    Ok(())
}

/// What is said of a row.
struct Answer {
    feasible: Option<bool>,
    reason: String,
    documented: Option<Decimal>,
    option: Option<PurchaseOption>,
    region: Option<String>,
    chosen: Option<Chosen>,
}

struct Chosen {
    machine_type: Option<String>,
    accelerator: String,
    count: u32,
    hourly: Decimal,
}

impl Answer {
    fn of(row: &Row, models: &Models, catalog: &Catalog) -> Self {
        match Self::try_of(row, models, catalog) {
            Ok(answer) => answer,
            Err(reason) => Self {
                feasible: None,
                reason,
                documented: None,
                option: None,
                region: None,
                chosen: None,
            },
        }
    }

    fn try_of(row: &Row, models: &Models, catalog: &Catalog) -> Result<Self, String> {
        row.check()?;
        let name = row.text(MODEL);
        check_format(row)?;
        let named = models.named(MODEL, name, row.text("dtype_quant"))?;
        let documented = documented(row, catalog)?;
        let mut runs = runs(row, &named, documented.kind)?;
        let (mut verdict, mut count) = documented.holds(row, &named, &runs)?;
        if !verdict.fits && stated(row, "max_model_len").is_none() && !was_run(row) {
            // A context that is not stated may be shorter still.
            let shorter: Vec<MemoryQuery> = runs
                .iter()
                .map(|run| MemoryQuery {
                    context_length: Some(Tokens(SHORTEST_CONTEXT)),
                    ..run.clone()
                })
                .collect();
            let (again, on) = documented.holds(row, &named, &shorter)?;
            if again.fits {
                (verdict, count, runs) = (again, on, shorter);
            }
        }
        let surface = surface(row)?;
        let price = documented.price(catalog, surface, count);
        let chosen = price.as_ref().and_then(|price| {
            let same = (price.region, price.option);
            choose(catalog, surface, same, &documented, &named, &runs)
        });
        Ok(Self {
            feasible: Some(verdict.fits),
            reason: verdict.reason,
            documented: price.as_ref().map(|price| price.hourly),
            option: price.as_ref().map(|price| price.option),
            region: price
                .as_ref()
                .and_then(|price| price.region.map(ToString::to_string)),
            chosen,
        })
    }

    fn line(&self, row: usize, model: &str, detail: bool) -> Value {
        let mut line = json!({
            "row": row,
            "model": model,
            "feasible": self.feasible,
            "reason": self.reason,
            "documented_hourly_usd": self.documented.map(usd),
            "chosen": self.chosen.as_ref().map(|chosen| json!({
                "machine_type": chosen.machine_type,
                "accelerator": chosen.accelerator,
                "count": chosen.count,
                "hourly_usd": usd(chosen.hourly),
            })),
        });
        if detail {
            line["purchase_option"] = json!(self.option.map(PurchaseOption::as_str));
            line["region"] = json!(self.region);
        }
        line
    }
}

/// Money as a number of the JSON, with four digits: it is compared, not added.
fn usd(amount: Decimal) -> Value {
    let rounded = amount.round_dp(4).normalize().to_string();
    serde_json::from_str(&rounded).unwrap_or(Value::Null)
}

/// What the free variables of a row may be.
fn runs(row: &Row, named: &Named, kind: AcceleratorKind) -> Result<Vec<MemoryQuery>, String> {
    let share = utilization(row)?;
    let sequences = whole(row, "max_num_seqs_or_concurrency")?;
    let engine = engine(row, kind)?;
    let stated_version = row
        .text("engine")
        .split(' ')
        .nth(1)
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned);
    let version = match stated_version {
        None => version(row, share)?,
        stated => stated,
    };
    let base = MemoryQuery {
        quantization: named.quantization,
        engine_version: version,
        engine,
        context_length: Some(Tokens(
            whole(row, "max_model_len")?.unwrap_or(SHORT_CONTEXT),
        )),
        utilization: share,
        kv_bits: kv_bits(row),
        max_sequences: sequences,
        ..MemoryQuery::on(kind, Bytes(0))
    };
    let mut runs = vec![base.clone()];
    // A run that was made, or that states its share of memory, had the engine's defaults for the
    // rest; a configuration leaves them free.
    if share.is_none() && !was_run(row) {
        if sequences.is_none() {
            runs.extend([64, 8, 1].map(|few| MemoryQuery {
                max_sequences: Some(few),
                max_batched_tokens: Some(2048),
                ..base.clone()
            }));
        }
        runs.push(MemoryQuery {
            utilization: Some(0.95),
            max_sequences: sequences.or(Some(1)),
            max_batched_tokens: Some(2048),
            ..base
        });
    }
    Ok(runs)
}

/// Whether a row is of a run that was made, or one that failed.
fn was_run(row: &Row) -> bool {
    let evidence = row.text("evidence_type");
    evidence.contains("run") || evidence.contains("failure")
}

/// The shortest context that still answers a question.
const SHORTEST_CONTEXT: u64 = 1024;

/// Context assumed where a row states none: a shape that holds less serves nobody.
const SHORT_CONTEXT: u64 = 2048;

fn kv_bits(row: &Row) -> Option<u64> {
    let text = row.text("dtype_quant").to_lowercase();
    (text.contains("kv") && text.contains("fp8")).then_some(8)
}

impl Documented<'_> {
    /// Whether some run fits on the documented devices, and on how many accelerators.
    fn holds(
        &self,
        row: &Row,
        named: &Named,
        runs: &[MemoryQuery],
    ) -> Result<(MemoryAnswer, u32), String> {
        let machine = self.shapes.iter().map(|shape| shape.count).max();
        let counts: Vec<u32> = match (self.count, machine) {
            (Some(count), _) => vec![count],
            // No count: any that the machine comes with, or a few of them together.
            (None, Some(most)) => {
                let mut counts: Vec<u32> = self.shapes.iter().map(|shape| shape.count).collect();
                counts.extend([2, 4].map(|hosts| most.saturating_mul(hosts).min(MOST_DEVICES)));
                counts.sort_unstable();
                counts
            }
            (None, None) => {
                return Err(
                    "unknown_count: neither a count nor a known machine is stated".to_owned(),
                );
            }
        };
        let mut last = None;
        for (run, count) in counts
            .iter()
            .flat_map(|count| runs.iter().map(move |run| (run, *count)))
        {
            let usable = Bytes(self.usable.0 / 8 * u64::from(self.eighths));
            let run = MemoryQuery {
                usable,
                ..run.clone()
            };
            // The rest are other replicas.
            let together = count.min(self.reach.unwrap_or(count));
            let devices = together.saturating_mul(self.devices);
            let mut answer = match self.spread.tensor {
                Some(tensor) => self.spread_as_stated(row, named, &run, tensor, devices),
                None => memory_on(&named.card, &run, devices),
            }
            .map_err(|error| error.to_string())?;
            if let Some(tensor) = self.spread.tensor.filter(|_| self.reach.is_some())
                && tensor > devices
            {
                answer.fits = false;
                answer.reason = format!(
                    "several_machines: parallelism is {:?}, and over machines it needs hosts or Ray stated",
                    row.text("parallelism"),
                );
            }
            if !answer.fits && together < count {
                let said =
                    format!("; the stated machines have {together} of the {count} accelerators");
                answer.reason += &said;
            }
            if answer.fits {
                return Ok((answer, count));
            }
            last.get_or_insert((answer, count));
        }
        last.ok_or_else(|| "unknown_count: no devices are stated".to_owned())
    }

    /// A run as a row says that it is spread; what the row leaves open is tried.
    fn spread_as_stated(
        &self,
        row: &Row,
        named: &Named,
        run: &MemoryQuery,
        tensor: u32,
        devices: u32,
    ) -> Result<MemoryAnswer, MemoryError> {
        let (experts, stated) = (moe(named), self.spread);
        let query = MemoryQuery {
            tensor,
            pipeline: stated.pipeline.unwrap_or(1),
            data: stated.data.unwrap_or(1),
            expert: stated.expert && experts,
            ..run.clone()
        };
        let answer = memory_of(&named.card, &query)?;
        if answer.fits {
            return Ok(answer);
        }
        // Recipes name the ranks and leave out that whole experts lie on them.
        if experts && !query.expert && !was_run(row) {
            let whole = memory_of(
                &named.card,
                &MemoryQuery {
                    expert: true,
                    ..query.clone()
                },
            )?;
            if whole.fits {
                return Ok(whole);
            }
        }
        // The ranks of TPU recipes count other things than devices.
        let ranks = tensor
            .saturating_mul(query.pipeline)
            .saturating_mul(query.data);
        if ranks != devices && self.kind == AcceleratorKind::Tpu {
            return memory_on(&named.card, run, devices);
        }
        Ok(answer)
    }

    /// The documented machine's price: in us-central1 where it is sold there, else where it is
    /// cheapest; on demand where it is sold so, else in the plainest way it is.
    fn price<'c>(&self, catalog: &'c Catalog, surface: Surface, count: u32) -> Option<Price<'c>> {
        self.accelerator?;
        PurchaseOption::ALL.into_iter().find_map(|option| {
            let sales = self.shapes.iter().flat_map(|shape| {
                catalog
                    .sales_of(surface, shape)
                    .filter(move |sale| sale.option == option)
                    .filter_map(|sale| {
                        let hosts = count.div_ceil(sale.shape.count.max(1));
                        let hourly = sale.hourly?.0.checked_mul(hosts.into())?;
                        Some((sale, hourly))
                    })
            });
            let home = |sale: &Sale| {
                sale.region
                    .is_some_and(|region| region.as_str() == "us-central1")
            };
            sales
                .min_by_key(|(sale, hourly)| (!home(sale), *hourly))
                .map(|(sale, hourly)| Price {
                    hourly,
                    option,
                    region: sale.region,
                })
        })
    }
}

struct Price<'a> {
    hourly: Decimal,
    option: PurchaseOption,
    region: Option<&'a Region>,
}

fn moe(named: &Named) -> bool {
    let config = named.card.config.as_ref();
    config.is_some_and(|config| config.experts.is_some())
}

/// The cheapest shape that holds a row's model in the same place and way of buying.
fn choose(
    catalog: &Catalog,
    surface: Surface,
    (region, option): (Option<&Region>, PurchaseOption),
    documented: &Documented,
    named: &Named,
    runs: &[MemoryQuery],
) -> Option<Chosen> {
    // The documented machine may be several together; so may ours, if it is the largest of its
    // kind: nobody joins small machines where there are large ones.
    let hosts_of = |sale: &Sale| {
        let shape = sale.shape;
        let named = documented
            .shapes
            .iter()
            .any(|other| other.name == shape.name);
        let larger = catalog
            .shapes_with(None, Some(sale.accelerator), None)
            .any(|other| other.count > shape.count && other.machine_type.is_some());
        if named || !larger {
            documented.hosts
        } else {
            1
        }
    };
    let mut sales: Vec<(Sale, u32, Decimal)> = catalog
        .sales_on(surface)
        .filter(|sale| sale.option == option && sale.region == region)
        .flat_map(|sale| (1..=hosts_of(&sale)).map(move |hosts| (sale, hosts)))
        .filter_map(|(sale, hosts)| {
            let hourly = sale.hourly?.0.checked_mul(hosts.into())?;
            Some((sale, hosts, hourly))
        })
        .collect();
    sales.sort_by_key(|(sale, hosts, hourly)| (*hourly, sale.shape.count, *hosts));
    sales.into_iter().find_map(|(sale, hosts, hourly)| {
        let shape = sale.shape;
        let count = shape.count.saturating_mul(hosts);
        let kind = sale.accelerator.kind;
        let usable = Bytes::from_gib(sale.accelerator.usable_gib).0 / 8 * u64::from(shape.eighths);
        let holds = runs.iter().any(|run| {
            let run = MemoryQuery {
                accelerator: kind,
                engine: match kind {
                    AcceleratorKind::Tpu => "vllm-tpu".to_owned(),
                    AcceleratorKind::Gpu if run.engine == "vllm-tpu" => "vllm".to_owned(),
                    AcceleratorKind::Gpu => run.engine.clone(),
                },
                usable: Bytes(usable),
                ..run.clone()
            };
            let devices = count.saturating_mul(sale.accelerator.devices);
            memory_on(&named.card, &run, devices).is_ok_and(|answer| answer.fits)
        });
        holds.then(|| Chosen {
            machine_type: shape.machine_type.clone(),
            accelerator: sale.accelerator.name.clone(),
            count,
            hourly,
        })
    })
}
