//! `provider::openmodel::monthly_cost`: what replicas of a shape cost, of which parts.

use openmodel_resolve::market::{Catalog, Purchase, Sale};
use openmodel_schemas::catalog::{PurchaseOption, ShapeRow};
use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tfplug::framework::{Function, FunctionError, Parameter, Signature};
use tfplug::value::{Dynamic, Type, Value};

use super::options::{OPTIONS, Options, error};
use crate::show::{amount, cost_line, hourly};

/// `provider::openmodel::monthly_cost(shape, options)`.
pub(crate) struct MonthlyCost;

/// Its arguments.
#[derive(Deserialize)]
pub(crate) struct Arguments {
    shape: String,
    options: Dynamic,
}

/// Its result.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Cost {
    shape: String,
    hourly: Value<String>,
    monthly: Value<String>,
    currency: String,
    price_date: String,
    lines: Vec<String>,
}

const KNOWN: [&str; 6] = [
    "surface",
    "region",
    "purchase_option",
    "replicas",
    "hours",
    "zonal_redundancy",
];
/// Hours of a month, as clouds bill them.
const MONTH: u64 = 730;

impl Function for MonthlyCost {
    const NAME: &'static str = "monthly_cost";
    type Arguments = Arguments;
    type Output = Cost;

    fn signature(&self) -> Signature {
        let returns = Type::object([
            ("shape", Type::String),
            ("hourly", Type::String),
            ("monthly", Type::String),
            ("currency", Type::String),
            ("price_date", Type::String),
            ("lines", Type::list(Type::String)),
        ]);
        Signature::new("Cost of a shape for a month", returns)
            .description(
                "What replicas of a shape cost, gross of credits and discounts, by the catalog that ships with the \
                 provider: `hourly` for one replica and `monthly` for all, as decimal text; null where no price is known, \
                 which is not zero. `lines` are the parts, each with its unit price and where that stands; \
                 `price_date` is the day of the oldest of them.\n\n\
                 `options` is an object; `region` is required. The others: `surface` (`compute`; or `cloud_run`, `vertex`, \
                 `gke`, `hugging_face`), `purchase_option` (`on_demand`; or `spot`, `flex_start`, `calendar`, \
                 `commitment_1y`, `commitment_3y`), `replicas` (1), `hours` (730), `zonal_redundancy` (false; Cloud Run).",
            )
            .parameter(
                Parameter::new("shape", Type::String)
                    .description("One shape, as `parse_shape` reads it, such as `g2-standard-12`."),
            )
            .parameter(Parameter::new(OPTIONS, Type::Dynamic).description("Object of options."))
    }

    fn call(&self, arguments: Arguments) -> Result<Cost, FunctionError> {
        let options = Options::read(&arguments.options, &KNOWN)?;
        let catalog = Catalog::embedded();
        let replicas = options.small("replicas")?.unwrap_or(1);
        let hours = options.count("hours")?.unwrap_or(MONTH);
        let zonal_redundancy = options.flag("zonal_redundancy")?;
        let sale = sale(&arguments.shape, &options, catalog)?;
        if zonal_redundancy && sale.surface != Surface::CloudRun {
            return Err(error(
                "zonal_redundancy is Cloud Run's alone. Leave it out.",
            ));
        }
        let purchase = Purchase {
            zonal_redundancy,
            ..Purchase::from(sale)
        };
        let one = catalog.hourly(&purchase).map(|priced| priced.hourly);
        let all = one.and_then(|UsdPerHour(usd)| {
            usd.checked_mul(Decimal::from(replicas))?
                .checked_mul(Decimal::from(hours))
                .map(Usd)
        });
        Ok(Cost {
            shape: sale.shape.name.clone(),
            hourly: hourly(one),
            monthly: amount(all),
            currency: catalog.document().currency.clone(),
            price_date: catalog.price_date(&purchase).to_owned(),
            lines: catalog.lines(&purchase).iter().map(cost_line).collect(),
        })
    }
}

/// The one way to buy what was asked for.
fn sale<'a>(
    text: &str,
    options: &Options<'_>,
    catalog: &'a Catalog,
) -> Result<Sale<'a>, FunctionError> {
    let surface = options
        .word("surface", &Surface::ALL, Surface::as_str)?
        .unwrap_or(Surface::Compute);
    let option = options
        .word(
            "purchase_option",
            &PurchaseOption::ALL,
            PurchaseOption::as_str,
        )?
        .unwrap_or(PurchaseOption::OnDemand);
    let region = options.region("region")?.ok_or_else(|| {
        error("region is required, such as \"us-central1\": prices differ between regions.")
    })?;
    let on_shape = |why: String| FunctionError::new(why).at("shape");
    let found = catalog
        .parse_shape(text)
        .map_err(|error| on_shape(format!("{error}.")))?;
    let word = surface.as_str();
    let sold: Vec<&ShapeRow> = found
        .shapes
        .into_iter()
        .filter(|shape| catalog.sales_of(surface, shape).len() > 0)
        .collect();
    let shape = match sold.as_slice() {
        [shape] => *shape,
        [] => {
            return Err(on_shape(format!(
                "{word} does not sell {text:?}. Choose another surface: parse_shape({text:?}).surfaces lists them."
            )));
        }
        several => {
            let names: Vec<&str> = several.iter().map(|shape| shape.name.as_str()).collect();
            return Err(on_shape(format!(
                "{text:?} means several shapes of {word}: {}. Choose one of them.",
                names.join(", ")
            )));
        }
    };
    catalog
        .sale(surface, shape, option, &region)
        .ok_or_else(|| {
            let list = |mut items: Vec<&str>| {
                items.sort_unstable();
                items.dedup();
                items.join(", ")
            };
            let sales = || catalog.sales_of(surface, shape);
            let regions = list(
                sales()
                    .filter_map(|sale| Some(sale.region?.as_str()))
                    .collect(),
            );
            let options = list(sales().map(|sale| sale.option.as_str()).collect());
            error(format!(
                "{word} does not sell {} in {region} by {}. It is sold by {options}, in {regions}.",
                shape.name,
                option.as_str()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(shape: &str, options: &[(&str, Dynamic)]) -> Result<Cost, FunctionError> {
        MonthlyCost.call(Arguments {
            shape: shape.to_owned(),
            options: Dynamic::object(options.iter().cloned()),
        })
    }

    #[test]
    fn replicas_for_a_month_cost_their_hours() {
        let region = ("region", Dynamic::from("us-central1"));
        let one = cost("g2-standard-12", std::slice::from_ref(&region)).expect("a price");
        let two =
            cost("g2-standard-12", &[region, ("replicas", Dynamic::from(2))]).expect("a price");
        let amount = |cost: &Cost| {
            let text = cost.monthly.as_known().expect("a known price");
            text.parse::<Decimal>().expect("an amount")
        };
        assert!((amount(&two) - amount(&one) * Decimal::TWO).abs() <= Decimal::new(1, 2));
        assert_eq!(one.lines.len(), 1);
    }

    #[test]
    fn what_is_not_sold_says_what_is() {
        let region = || ("region", Dynamic::from("us-central1"));
        for (shape, options, part) in [
            ("g2-standard-12", vec![], "region is required"),
            ("L4", vec![region()], "several shapes"),
            (
                "g2-standard-12",
                vec![("region", Dynamic::from("mars-1"))],
                "It is sold",
            ),
            (
                "g2-standard-12",
                vec![region(), ("surface", Dynamic::from("cloud_run"))],
                "does not sell",
            ),
            ("g2-standard-13", vec![region()], "did you mean"),
            (
                "g2-standard-12",
                vec![region(), ("hours", Dynamic::from(0))],
                "hours must be",
            ),
        ] {
            let error = cost(shape, &options).expect_err(part).to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
