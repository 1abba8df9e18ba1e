//! Guards of the rows, beyond their JSON Schema: they agree with each other and with sense.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use openmodel_schemas::catalog::{
    AcceleratorKind, AcceleratorRow, CatalogDocument, OfferRow, PurchaseOption, ShapeRow,
};
use openmodel_schemas::name::{Region, Zone};
use openmodel_schemas::spec::Surface;

use super::CatalogError;
use super::load::CATALOG;

/// Find the first row that contradicts another one or common sense. Prices are looked at later.
pub(super) fn check(document: &CatalogDocument) -> Result<(), CatalogError> {
    let mut names = BTreeMap::new();
    for (index, row) in document.accelerators.iter().enumerate() {
        accelerator(&Row::new(document, "accelerators", index), row, &mut names)?;
    }
    for (id, places) in &document.places {
        Row::table(document, "places", id).source(&places.source)?;
    }
    let mut shapes = BTreeMap::new();
    for (index, row) in document.shapes.iter().enumerate() {
        shape(&Row::new(document, "shapes", index), row, &mut shapes)?;
    }
    let mut offered = BTreeSet::new();
    for (index, row) in document.offers.iter().enumerate() {
        let at = Row::new(document, "offers", index);
        offer(&at, row, &shapes, &mut offered)?;
    }
    Ok(())
}

/// A row under examination, to write its errors short.
pub(super) struct Row<'a> {
    document: &'a CatalogDocument,
    list: &'static str,
    index: usize,
    id: Option<&'a str>,
}

impl<'a> Row<'a> {
    pub(super) fn new(document: &'a CatalogDocument, list: &'static str, index: usize) -> Self {
        Self {
            document,
            list,
            index,
            id: None,
        }
    }

    fn table(document: &'a CatalogDocument, list: &'static str, id: &'a str) -> Self {
        Self {
            document,
            list,
            index: 0,
            id: Some(id),
        }
    }

    pub(super) fn holds(
        &self,
        ok: bool,
        field: &str,
        value: impl Display,
        problem: impl Display,
    ) -> Result<(), CatalogError> {
        if ok {
            return Ok(());
        }
        let row = match self.id {
            Some(id) => format!("{}.{id}", self.list),
            None => format!("{}[{}]", self.list, self.index),
        };
        Err(CatalogError {
            document: CATALOG,
            row,
            field: field.to_owned(),
            value: value.to_string(),
            problem: problem.to_string(),
        })
    }

    pub(super) fn source(&self, id: &str) -> Result<(), CatalogError> {
        self.holds(
            self.document.sources.contains_key(id),
            "source",
            id,
            "no such id in sources; every row names its source",
        )
    }

    pub(super) fn accelerator(
        &self,
        field: &str,
        name: &str,
    ) -> Result<Option<&'a AcceleratorRow>, CatalogError> {
        let found = (self.document.accelerators.iter()).find(|row| row.name == name);
        self.holds(
            found.is_some(),
            field,
            name,
            "no such accelerator in accelerators (by its name, not by an alias)",
        )?;
        Ok(found)
    }
}

fn accelerator<'a>(
    at: &Row<'_>,
    row: &'a AcceleratorRow,
    names: &mut BTreeMap<String, &'a str>,
) -> Result<(), CatalogError> {
    at.source(&row.source)?;
    let aliases = row.aliases.iter().map(|alias| ("aliases", alias));
    for (field, name) in std::iter::once(("name", &row.name)).chain(aliases) {
        let taken = names.insert(name.to_ascii_lowercase(), &row.name);
        let whose = taken.unwrap_or_default();
        at.holds(
            taken.is_none(),
            field,
            name,
            format!("{whose} has this name already; capitals do not count"),
        )?;
    }
    at.holds(
        row.usable_gib <= row.nominal_gib,
        "usable_gib",
        row.usable_gib,
        format!("more than the nominal {} GiB", row.nominal_gib),
    )?;
    let gpu = row.kind == AcceleratorKind::Gpu;
    let capability = row.compute_capability;
    at.holds(
        capability.is_some() == gpu,
        "compute_capability",
        capability.map_or("none".to_owned(), |capability| capability.to_string()),
        "GPUs have one, TPUs have none",
    )
}

fn shape<'a>(
    at: &Row<'a>,
    row: &'a ShapeRow,
    names: &mut BTreeMap<String, &'a ShapeRow>,
) -> Result<(), CatalogError> {
    at.source(&row.source)?;
    at.holds(
        names.insert(row.name.to_ascii_lowercase(), row).is_none(),
        "name",
        &row.name,
        "it is there twice; capitals do not count",
    )?;
    let accelerator = at.accelerator("accelerator", &row.accelerator)?;
    at.holds(
        row.eighths == 8 || row.count == 1,
        "eighths",
        row.eighths,
        format!("a part of an accelerator comes alone, not {}", row.count),
    )?;
    at.holds(
        row.hosts > 0 && row.count.is_multiple_of(row.hosts),
        "hosts",
        row.hosts,
        format!("{} accelerators do not divide into them", row.count),
    )?;
    let tpu = accelerator.is_some_and(|accelerator| accelerator.kind == AcceleratorKind::Tpu);
    let topology = row.topology.as_deref();
    at.holds(
        topology.is_some() == tpu,
        "topology",
        topology.unwrap_or("none"),
        "TPU slices have one, GPUs have none",
    )?;
    at.holds(
        topology.is_none_or(|topology| chips(topology) == Some(row.count)),
        "topology",
        topology.unwrap_or("none"),
        format!("its sides multiplied are not the count, {}", row.count),
    )?;
    at.holds(
        row.min_memory_gib
            .is_none_or(|least| least <= row.memory_gib),
        "min_memory_gib",
        row.min_memory_gib.unwrap_or_default(),
        format!(
            "the least memory is more than the most, {} GiB",
            row.memory_gib
        ),
    )?;
    let places = row.places.as_deref();
    at.holds(
        places.is_none_or(|id| at.document.places.contains_key(id)),
        "places",
        places.unwrap_or("none"),
        "no such id in places; leave it out where no zones are known",
    )
}

/// The chips of a topology: its sides multiplied.
pub(super) fn chips(topology: &str) -> Option<u32> {
    topology.split('x').try_fold(1_u32, |product, side| {
        product.checked_mul(side.parse().ok()?)
    })
}

fn offer<'a>(
    at: &Row<'_>,
    row: &'a OfferRow,
    shapes: &BTreeMap<String, &ShapeRow>,
    offered: &mut BTreeSet<(Surface, &'a str)>,
) -> Result<(), CatalogError> {
    at.source(&row.source)?;
    let options: BTreeSet<PurchaseOption> = row.options.iter().copied().collect();
    let words = || {
        let words: Vec<_> = row.options.iter().map(|option| option.as_str()).collect();
        words.join(", ")
    };
    at.holds(
        options.len() == row.options.len(),
        "options",
        words(),
        "one of them is there twice",
    )?;
    let rents_machines = matches!(
        row.surface,
        Surface::Vertex | Surface::Gke | Surface::Compute
    );
    at.holds(
        rents_machines || row.options == [PurchaseOption::OnDemand],
        "options",
        words(),
        format!("{} sells on demand only", row.surface.as_str()),
    )?;
    for name in &row.shapes {
        let shape = (shapes.get(&name.to_ascii_lowercase())).filter(|shape| shape.name == *name);
        at.holds(shape.is_some(), "shapes", name, "no such shape in shapes")?;
        at.holds(
            offered.insert((row.surface, name)),
            "shapes",
            name,
            "the surface offers it twice; one row says all ways to buy it",
        )?;
        if let Some(shape) = shape {
            offered_shape(at, row, shape, rents_machines)?;
        }
    }
    Ok(())
}

fn offered_shape(
    at: &Row<'_>,
    row: &OfferRow,
    shape: &ShapeRow,
    rents_machines: bool,
) -> Result<(), CatalogError> {
    let surface = row.surface.as_str();
    at.holds(
        shape.machine_type.is_some() == rents_machines,
        "shapes",
        &shape.name,
        if rents_machines {
            format!("{surface} rents machines, and this shape has no machine_type")
        } else {
            format!("{surface} hides its machines, and this shape has a machine_type")
        },
    )?;
    let one_gpu = (shape.count, shape.eighths, shape.hosts) == (1, 8, 1);
    at.holds(
        row.surface != Surface::CloudRun || one_gpu,
        "shapes",
        &shape.name,
        "an instance of Cloud Run has exactly one GPU",
    )?;
    let Some(places) = (shape.places.as_ref()).and_then(|id| at.document.places.get(id)) else {
        return Ok(());
    };
    for region in row.regions.keys() {
        let mut zones = places.zones.iter().chain(&places.unconfirmed);
        let there = zones.any(|zone| lies_in(zone, region)) || places.regions.contains(region);
        at.holds(
            there,
            "regions",
            region,
            format!("{} has no zone there", shape.name),
        )?;
    }
    Ok(())
}

fn lies_in(zone: &Zone, region: &Region) -> bool {
    let rest = zone.as_str().strip_prefix(region.as_str());
    rest.is_some_and(|rest| rest.starts_with('-') && !rest[1..].contains('-'))
}
