//! The catalog after its checks: lookups that need no second thought.
//!
//! ```text
//!   bytes ──► JSON Schema ──► rows ──► cross-checks ──► Catalog
//!                 └───────────────────────┴──► CatalogError { row, field, value }
//! ```
//!
//! The embedded catalog is checked by tests, not at each start; it is read on first use.

use std::sync::LazyLock;

use openmodel_schemas::name::Region;
use openmodel_schemas::shape::{
    AcceleratorRow, CATALOG_SCHEMA, CatalogDocument, EMBEDDED_CATALOG, EngineRow, OfferRow,
    PriceRow, PricedItem, Source,
};
use openmodel_schemas::spec::Surface;

use crate::guard;

/// Shapes, prices and engines, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    document: CatalogDocument,
}

/// A row of a catalog that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog is broken at {row}: {field} = {value}: {problem}")]
pub struct CatalogError {
    /// The row: `prices[3]`, or `catalog` for the document as a whole.
    pub row: String,
    /// The field of the row.
    pub field: String,
    /// The value found there.
    pub value: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

impl Catalog {
    /// The catalog that ships in the binary.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Catalog> = LazyLock::new(|| {
            let document =
                serde_json::from_str(EMBEDDED_CATALOG).expect("a test reads the embedded catalog");
            Catalog { document }
        });
        &EMBEDDED
    }

    /// Read and check a catalog file of the user's.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogError> {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| CatalogError {
                row: "catalog".to_owned(),
                field: format!("line {}, column {}", error.line(), error.column()),
                value: "unreadable".to_owned(),
                problem: format!("it is not JSON: {error}"),
            })?;
        check_schema(&value)?;
        let document: CatalogDocument =
            serde_json::from_value(value).map_err(|error| CatalogError {
                row: "catalog".to_owned(),
                field: "document".to_owned(),
                value: "unreadable".to_owned(),
                problem: error.to_string(),
            })?;
        guard::check(&document)?;
        Ok(Self { document })
    }

    /// The rows as they are written down.
    #[must_use]
    pub fn document(&self) -> &CatalogDocument {
        &self.document
    }

    /// The day the catalog was put together.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.document.date
    }

    /// An accelerator by its name.
    #[must_use]
    pub fn accelerator(&self, name: &str) -> Option<&AcceleratorRow> {
        self.document
            .accelerators
            .iter()
            .find(|row| row.name == name)
    }

    /// What a surface sells, in any region.
    pub fn offers(&self, surface: Surface) -> impl Iterator<Item = &OfferRow> {
        self.document
            .offers
            .iter()
            .filter(move |row| row.surface == surface)
    }

    /// The price of an item; `None` is "not known", never "free".
    #[must_use]
    pub fn price(&self, surface: Surface, region: &Region, item: &PricedItem) -> Option<&PriceRow> {
        self.document
            .prices
            .iter()
            .find(|row| row.surface == surface && row.region == *region && row.item == *item)
    }

    /// An engine by its name; the default one where no name is given.
    #[must_use]
    pub fn engine(&self, name: Option<&str>) -> Option<&EngineRow> {
        match name {
            Some(name) => self.document.engines.iter().find(|row| row.name == name),
            None => self.document.engines.first(),
        }
    }

    /// A source by the id that rows name.
    #[must_use]
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.document.sources.get(id)
    }
}

fn check_schema(value: &serde_json::Value) -> Result<(), CatalogError> {
    let schema: serde_json::Value =
        serde_json::from_str(CATALOG_SCHEMA).expect("a test reads the embedded schema");
    let validator =
        jsonschema::validator_for(&schema).expect("a test compiles the embedded schema");
    let Err(error) = validator.validate(value) else {
        return Ok(());
    };
    let path = error.instance_path().to_string();
    let mut parts = path.split('/').skip(1);
    let row = match (parts.next(), parts.next()) {
        (Some(list), Some(index)) => format!("{list}[{index}]"),
        _ => "catalog".to_owned(),
    };
    let rest: Vec<&str> = parts.collect();
    let field = if rest.is_empty() {
        path.trim_start_matches('/').to_owned()
    } else {
        rest.join(".")
    };
    let shown: String = error.instance().to_string().chars().take(80).collect();
    Err(CatalogError {
        row,
        field: if field.is_empty() {
            "document".to_owned()
        } else {
            field
        },
        value: shown,
        problem: error.to_string().chars().take(300).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn broken(pointer: &str, value: Value) -> CatalogError {
        let mut document: Value = serde_json::from_str(EMBEDDED_CATALOG).expect("JSON");
        *document.pointer_mut(pointer).expect("the row is there") = value;
        Catalog::parse(document.to_string().as_bytes()).expect_err("the row is broken")
    }

    #[test]
    fn the_embedded_catalog_passes_every_check_of_a_users_catalog() {
        let parsed =
            Catalog::parse(EMBEDDED_CATALOG.as_bytes()).expect("the embedded catalog is sound");
        assert_eq!(&parsed, Catalog::embedded());
    }

    #[test]
    fn a_broken_row_is_named_with_field_and_value() {
        for (pointer, value, expect) in [
            (
                "/prices/0/usd_per_second",
                json!("-1"),
                "prices[0]: usd_per_second = \"-1\"",
            ),
            (
                "/prices/0/usd_per_second",
                json!("0"),
                "prices[0]: usd_per_second = 0",
            ),
            (
                "/prices/0/usd_per_second",
                json!("700.0"),
                "prices[0]: usd_per_second = 700.0",
            ),
            (
                "/prices/0/region",
                json!("us-west1"),
                "prices[0]: region = us-west1",
            ),
            (
                "/prices/0/source",
                json!("hearsay"),
                "prices[0]: source = hearsay",
            ),
            (
                "/prices/1/usd_per_second",
                json!("0.0001"),
                "prices[1]: usd_per_second = 0.0001",
            ),
            (
                "/prices/1/item/zonal_redundancy",
                json!(false),
                "prices[1]: item = ",
            ),
            (
                "/accelerators/0/usable_gib",
                json!(25),
                "accelerators[0]: usable_gib = 25",
            ),
            (
                "/accelerators/1/name",
                json!("nvidia-l4"),
                "accelerators[1]: name = nvidia-l4",
            ),
            (
                "/offers/0/accelerator",
                json!("nvidia-x"),
                "offers[0]: accelerator = nvidia-x",
            ),
            (
                "/offers/0/hosts/0/min_memory_gib",
                json!(17),
                "offers[0]: hosts = 4 vCPU, 17 to 16 GiB",
            ),
            (
                "/offers/0/counts",
                json!([1, 2]),
                "offers[0]: counts = [1, 2]",
            ),
            (
                "/engines/0/images/0/accelerators",
                json!(["nvidia-x"]),
                "engines[0]: images = nvidia-x",
            ),
            (
                "/engines/0/images/0/accelerators",
                json!(["nvidia-rtx-pro-6000"]),
                "images = nvidia-l4",
            ),
            (
                "/engines/0/memory/batched_tokens/0/from_gib",
                json!(1),
                "engines[0]: batched_tokens = 1",
            ),
        ] {
            let error = broken(pointer, value).to_string();
            assert!(
                error.contains(expect),
                "{error:?} should contain {expect:?}"
            );
        }
    }

    #[test]
    fn text_that_is_no_catalog_is_refused_with_a_place() {
        let error = Catalog::parse(b"{ \"version\": }").expect_err("not JSON");
        assert!(error.to_string().contains("line 1, column 14"), "{error}");
        assert!(Catalog::parse(b"{}").is_err());
    }
}
