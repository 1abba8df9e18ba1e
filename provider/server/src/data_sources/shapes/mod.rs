//! `data.openmodel_shapes`: what holds a model under a load, ranked, at today's prices.
//!
//! ```text
//!   configuration ─► card (Hub, or facts) ─► Question ─► rank ─► attributes (show.rs)
//! ```

mod model;
mod schema;
mod show;

use std::sync::Arc;

use openmodel_resolve::Field;
use openmodel_resolve::market::Catalog;
use openmodel_resolve::memory::MemoryError;
use openmodel_resolve::ranking::{Question, rank};
use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{ModelId, Region, Revision};
use openmodel_schemas::spec::{Budget, DraftModel, Objective, Surface};
use rust_decimal::Decimal;
use tfplug::framework::{Context, DataSource};
use tfplug::schema::Schema;
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};

use self::model::{ShapesModel, Texts};
use crate::client::Client;
use crate::data_sources::model::parse;
use crate::engines;
use crate::errors;
use crate::facts::{self, Beside};
use crate::schema_parts::named;
use crate::workload;

/// `data "openmodel_shapes"`.
pub(crate) struct ShapesDataSource;

impl DataSource for ShapesDataSource {
    const TYPE: &'static str = "shapes";
    type Client = Client;
    type Model = ShapesModel;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &ShapesModel) -> Diagnostics {
        let mut found = Diagnostics::new();
        workload::validate(&config.workload, &mut found);
        for (name, value) in [
            ("parameters", &config.parameters),
            ("weight_bytes", &config.weight_bytes),
        ] {
            if value.is_known() && config.facts.is_null() {
                found.push(Diagnostic::error("Argument has no effect").at(name).detail(format!(
                    "{name} stands beside a config.json in facts; without one the Hub says it. Set facts, or remove \
                     {name}."
                )));
            }
        }
        found
    }

    async fn read(
        &self,
        context: &Context<Client>,
        mut config: ShapesModel,
    ) -> Result<ShapesModel, Diagnostics> {
        let client = context.client()?;
        let catalog = client.catalog().ok_or_else(|| {
            Diagnostic::error("Provider configuration is not known yet").detail(
                "No shape can be priced before the provider's catalog is known. Apply what it comes from first, with \
                 -target.",
            )
        })?;
        config.workload = config.workload.map(workload::with_typical_request);
        let draft = draft(client, &config).await?;
        let question = question(&config, draft.as_deref(), catalog)?;
        let card = card(client, &config).await?;
        let limit = config.limit.as_known().copied().unwrap_or_default();
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let ranking = rank(&card, &question, catalog, most).map_err(|error| refused(&error))?;
        Ok(show::show(config, &card, ranking))
    }
}

async fn card(client: &Client, config: &ShapesModel) -> Result<Arc<ModelCard>, Diagnostics> {
    let model: ModelId = parse(&config.model, "model")?;
    if let Value::Known(text) = &config.facts {
        let count = |value: &Value<i64>| {
            value
                .as_known()
                .and_then(|count| u64::try_from(*count).ok())
        };
        let beside = Beside {
            parameters: count(&config.parameters),
            weight_bytes: count(&config.weight_bytes),
        };
        return facts::from_text(text, Some(&model), beside)
            .map(Arc::new)
            .map_err(|why| {
                Diagnostic::error("Facts cannot be used")
                    .at("facts")
                    .detail(why)
                    .into()
            });
    }
    let revision: Revision = parse(&config.revision, "revision")?;
    client
        .hub()
        .card(&model, &revision)
        .await
        .map_err(|error| errors::hub(client, &error))
}

/// The draft model's facts, at its newest commit.
async fn draft(
    client: &Client,
    config: &ShapesModel,
) -> Result<Option<Arc<ModelCard>>, Diagnostics> {
    let Some(model) = workload::draft_model(&config.workload)? else {
        return Ok(None);
    };
    let card = client.hub().card(&model, &Revision::main()).await;
    card.map(Some)
        .map_err(|error| errors::hub_of_draft(client, &error))
}

fn question(
    config: &ShapesModel,
    draft: Option<&ModelCard>,
    catalog: &Catalog,
) -> Result<Question, Diagnostics> {
    let draft_model = draft.map(|card| DraftModel {
        model: card.id.clone(),
        commit: card.commit.clone(),
    });
    let regions = texts(&config.regions)
        .map(|name| region(name, catalog))
        .collect::<Result<Vec<_>, _>>()?;
    let amount = |value: &Value<String>| {
        value
            .as_known()
            .and_then(|text| text.parse::<Decimal>().ok())
    };
    let objective = config.objective.as_known().map_or("", String::as_str);
    let engine = config
        .engine
        .as_known()
        .map(|text| engines::versioned(text));
    Ok(Question {
        draft: draft.cloned(),
        surfaces: texts(&config.surfaces)
            .filter_map(|word| named(&Surface::ALL, Surface::as_str, word))
            .collect(),
        regions,
        options: texts(&config.purchase_options)
            .filter_map(|word| named(&PurchaseOption::ALL, PurchaseOption::as_str, word))
            .collect(),
        accelerators: texts(&config.accelerators).map(str::to_owned).collect(),
        // `none` is the one word that is no quantization.
        quantizations: texts(&config.quantizations)
            .map(|word| word.parse().ok())
            .collect(),
        engine: engine.map(|(name, _)| name.to_owned()),
        engine_version: engine.and_then(|(_, version)| version.map(str::to_owned)),
        licences: texts(&config.allowed_licenses).map(str::to_owned).collect(),
        objective: named(&Objective::ALL, Objective::as_str, objective).unwrap_or_default(),
        budget: Budget {
            max_hourly_cost: amount(&config.max_hourly_cost),
            max_monthly_cost: amount(&config.max_monthly_cost),
        },
        ..Question::of(workload::spec(&config.workload, draft_model, &mut None))
    })
}

/// A region that the catalog knows: in another nothing is sold, and a slip would look so.
fn region(name: &str, catalog: &Catalog) -> Result<Region, Diagnostics> {
    let mut known: Vec<&Region> = catalog.sales().filter_map(|sale| sale.region).collect();
    known.sort();
    known.dedup();
    if let Some(region) = known.iter().find(|region| region.as_str() == name) {
        return Ok((*region).clone());
    }
    let known: Vec<&str> = known.into_iter().map(Region::as_str).collect();
    Err(Diagnostic::error("Region has no accelerators")
        .at("regions")
        .detail(format!(
            "The catalog sells nothing in {name:?}. Choose from {}.",
            known.join(", ")
        ))
        .into())
}

fn texts(value: &Texts) -> impl Iterator<Item = &str> {
    let items = value.as_known().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.as_known().map(String::as_str))
}

/// A question that has no answer, on the argument at fault.
fn refused(error: &MemoryError) -> Diagnostics {
    let path = match error.field {
        Field::Licence => "allowed_licenses",
        Field::Region => "regions",
        Field::Quantization => "quantizations",
        Field::ShapeAccelerator => "accelerators",
        Field::Engine => "engine",
        Field::BudgetHourly => "max_hourly_cost",
        Field::BudgetMonthly => "max_monthly_cost",
        field => errors::path(field),
    };
    Diagnostic::error(error.summary)
        .at(path)
        .detail(errors::with_move(error.code, &error.detail))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches::<ShapesModel>(&ShapesDataSource.schema());
    }

    /// As `--engine` takes it: an older vLLM left more of a device unused.
    #[test]
    fn an_engine_is_sized_at_the_version_that_is_named() {
        let chosen = |engine: &str| {
            let workload = workload::with_typical_request(workload::WorkloadModel {
                context_length: Value::Known(8192),
                ..workload::WorkloadModel::default()
            });
            let config = ShapesModel {
                engine: Value::from(engine),
                workload: Value::Known(workload),
                facts: Value::from(include_str!("../../../tests/llama-3.1-8b.json")),
                ..ShapesModel::default()
            };
            let catalog = Catalog::embedded();
            let text = config.facts.as_known().expect("facts");
            let model = "meta-llama/Llama-3.1-8B-Instruct".parse().expect("an id");
            let card = facts::from_text(text, Some(&model), Beside::default()).expect("a card");
            let question = question(&config, None, catalog).expect("a question");
            rank(&card, &question, catalog, 1).map(|ranking| {
                let chosen = ranking.chosen.expect("something holds it");
                (chosen.engine_version, chosen.memory_utilization)
            })
        };
        let (version, share) = chosen("vllm@0.19").expect("it is ranked");
        assert_eq!(version, "0.19");
        let (newest, newest_share) = chosen("vllm").expect("it is ranked");
        assert_ne!(newest, version);
        assert!(newest_share > share);
        for nonsense in ["vllm@", "vllm@new", "vllm@0.x"] {
            let refused = refused(&chosen(nonsense).expect_err("it is refused"));
            let text = format!("{refused:?}");
            assert!(text.contains("Engine version cannot be read"), "{text}");
            assert!(text.contains("engine"), "{text}");
        }
    }

    #[test]
    fn a_region_that_sells_nothing_is_a_slip() {
        let catalog = Catalog::embedded();
        assert!(region("us-central1", catalog).is_ok());
        assert!(region("us-central9", catalog).is_err());
    }
}
