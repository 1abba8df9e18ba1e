//! The market: what can be bought where and for how much, after the checks.
//!
//! ```text
//!   bytes ──► JSON Schema ──► rows ──► guards ──► Catalog ──► sales   every way to buy a shape
//!                 └────────────────────┴──► CatalogError      hourly  what one replica costs
//!                                                             lines   of which parts
//! ```
//!
//! "No price known" is its own answer, never zero. The embedded catalog is checked by tests,
//! not at each start; it is read on first use.

#[cfg(test)]
mod broken;
mod discounts;
#[cfg(test)]
mod discounts_tests;
mod guard;
mod index;
mod load;
mod price_guard;
mod purchase;
mod shape_text;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use openmodel_schemas::catalog::{
    AcceleratorRow, CatalogDocument, Confidence, EMBEDDED_CATALOG, OfferRow, PriceRow, PricedItem,
    PurchaseOption, ShapeRow, Source,
};
use openmodel_schemas::discounts::DiscountDocument;
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::UsdPerHour;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

use self::index::{Entry, Index};
pub use self::purchase::{Priced, Purchase};
pub use self::shape_text::{ShapeMatch, ShapeTextError};

/// Shapes and prices, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    document: CatalogDocument,
    index: Index,
    discounts: Option<DiscountDocument>,
}

/// A row of a catalog, or of a discount file, that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {document} is broken at {row}: {field} = {value}: {problem}")]
pub struct CatalogError {
    /// Which document: `catalog`, `discount file`.
    pub document: &'static str,
    /// The row: `prices[3]`, or `document` for all of it.
    pub row: String,
    /// The field of the row.
    pub field: String,
    /// The value found there.
    pub value: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

/// One way to buy one shape: on a surface, in a region, by a purchase option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sale<'a> {
    /// The surface.
    pub surface: Surface,
    /// What is bought.
    pub shape: &'a ShapeRow,
    /// Its accelerator.
    pub accelerator: &'a AcceleratorRow,
    /// The row that offers it.
    pub offer: &'a OfferRow,
    /// The way it is bought.
    pub option: PurchaseOption,
    /// Where; `None` where it is sold but nobody lists in which regions.
    pub region: Option<&'a Region>,
    /// Whether the vendor says that the hardware stands there.
    pub confirmed: bool,
    /// One replica for an hour; on Cloud Run with the shape's most memory and without zonal
    /// redundancy. `None` is "not known", never "free".
    pub hourly: Option<UsdPerHour>,
    /// How sure the price is; without one it says nothing.
    pub confidence: Confidence,
    /// The row of the price; on Cloud Run that of the accelerator.
    pub price: Option<&'a PriceRow>,
}

impl Sale<'_> {
    /// What a buyer must know of this offer in this region, such as `by invitation`.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        let here = self
            .region
            .and_then(|region| self.offer.regions.get(region)?.as_deref());
        here.or(self.offer.note.as_deref())
    }
}

impl Catalog {
    /// The catalog that ships in the binary.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Catalog> = LazyLock::new(|| {
            let document =
                serde_json::from_str(EMBEDDED_CATALOG).expect("a test reads the embedded catalog");
            Catalog::new(document)
        });
        &EMBEDDED
    }

    /// Read and check a catalog file of the user's.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogError> {
        let document = load::catalog(bytes)?;
        guard::check(&document)?;
        let catalog = Self::new(document);
        price_guard::check(&catalog)?;
        Ok(catalog)
    }

    fn new(document: CatalogDocument) -> Self {
        let index = Index::new(&document);
        Self {
            document,
            index,
            discounts: None,
        }
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

    /// A source by the id that rows name.
    #[must_use]
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.document.sources.get(id)
    }

    /// An accelerator by its name or any other name that surfaces and users give it, in
    /// capitals or not.
    ///
    /// ```
    /// use openmodel_resolve::market::Catalog;
    ///
    /// let l4 = Catalog::embedded().accelerator("NVIDIA_L4").expect("Vertex AI's word");
    /// assert_eq!((l4.name.as_str(), l4.usable_gib), ("nvidia-l4", 22.03));
    /// ```
    #[must_use]
    pub fn accelerator(&self, name_or_alias: &str) -> Option<&AcceleratorRow> {
        let index = self.index.accelerator(name_or_alias)?;
        self.document.accelerators.get(index)
    }

    /// A shape by its name, in capitals or not. [`Catalog::parse_shape`] takes looser texts.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&ShapeRow> {
        self.document.shapes.get(self.index.shape(name)?)
    }

    /// Shapes of any surface with this machine type, accelerator and number of them; `None` is
    /// any.
    pub fn shapes_with<'a>(
        &'a self,
        machine_type: Option<&'a str>,
        accelerator: Option<&'a AcceleratorRow>,
        count: Option<u32>,
    ) -> impl Iterator<Item = &'a ShapeRow> {
        self.document.shapes.iter().filter(move |shape| {
            machine_type.is_none_or(|machine| shape.machine_type.as_deref() == Some(machine))
                && accelerator.is_none_or(|accelerator| shape.accelerator == accelerator.name)
                && count.is_none_or(|count| shape.count == count)
        })
    }

    /// Every way to buy anything, by surface, shape (in the catalog's order), option, region.
    pub fn sales(&self) -> impl ExactSizeIterator<Item = Sale<'_>> {
        self.views(&self.index.entries)
    }

    /// Every way to buy anything on a surface.
    pub fn sales_on(&self, surface: Surface) -> impl ExactSizeIterator<Item = Sale<'_>> {
        self.views(self.index.on(surface))
    }

    /// Every way to buy a shape on a surface; empty where the surface does not sell it.
    pub fn sales_of(
        &self,
        surface: Surface,
        shape: &ShapeRow,
    ) -> impl ExactSizeIterator<Item = Sale<'_>> {
        let entries = self
            .index
            .shape(&shape.name)
            .map_or(&[][..], |shape| self.index.of(surface, shape));
        self.views(entries)
    }

    /// Every way to buy anything on a surface, with its place in the list of all.
    pub(crate) fn numbered_sales_on(
        &self,
        surface: Surface,
    ) -> impl Iterator<Item = (u32, Sale<'_>)> {
        let (start, entries) = self.index.range_on(surface);
        (start..).zip(self.views(entries))
    }

    /// The sale at a place in the list of all.
    pub(crate) fn sale_at(&self, place: u32) -> Option<Sale<'_>> {
        let entry = self.index.entries.get(place as usize)?;
        self.views(std::slice::from_ref(entry)).next()
    }

    /// One way to buy a shape.
    #[must_use]
    pub fn sale(
        &self,
        surface: Surface,
        shape: &ShapeRow,
        option: PurchaseOption,
        region: &Region,
    ) -> Option<Sale<'_>> {
        let shape = self.index.shape(&shape.name)?;
        let region = self.index.region(region)?;
        let entry = self.index.find(surface, shape, option, Some(region))?;
        self.views(std::slice::from_ref(entry)).next()
    }

    /// Whether anything is sold in a region.
    pub(crate) fn has_region(&self, region: &Region) -> bool {
        self.index.region(region).is_some()
    }

    /// Where a surface has a shape, each region once, in alphabetical order.
    pub fn regions_of(&self, surface: Surface, shape: &ShapeRow) -> impl Iterator<Item = &Region> {
        let mut sales = self.sales_of(surface, shape);
        let first = sales.next();
        // Every option is sold in the same regions, and they stand together.
        let option = first.map(|sale| sale.option);
        first
            .into_iter()
            .chain(sales)
            .take_while(move |sale| Some(sale.option) == option)
            .filter_map(|sale| sale.region)
    }

    /// Where a surface sells a shape cheapest by an option; `None` where it has no price at all.
    #[must_use]
    pub fn cheapest(
        &self,
        surface: Surface,
        shape: &ShapeRow,
        option: PurchaseOption,
    ) -> Option<Sale<'_>> {
        self.sales_of(surface, shape)
            .filter(|sale| sale.option == option && sale.hourly.is_some())
            .min_by_key(|sale| sale.hourly)
    }

    /// The price of one unit of an item, with its row; `None` is "not known", never "free".
    #[must_use]
    pub fn item(
        &self,
        item: &PricedItem,
        option: PurchaseOption,
        region: Option<&Region>,
    ) -> Option<(Decimal, &PriceRow)> {
        self.index.item(&self.document.prices, item, option, region)
    }

    fn views<'a>(&'a self, entries: &'a [Entry]) -> impl ExactSizeIterator<Item = Sale<'a>> {
        let document = &self.document;
        entries.iter().map(move |entry| Sale {
            surface: entry.surface,
            shape: &document.shapes[entry.shape],
            accelerator: &document.accelerators[entry.accelerator],
            offer: &document.offers[entry.offer],
            option: entry.option,
            region: entry.region.map(|region| &self.index.regions[region]),
            confirmed: entry.confirmed,
            hourly: entry.hourly.map(UsdPerHour),
            confidence: entry.confidence,
            price: entry.price.map(|row| &document.prices[row]),
        })
    }
}
