//! The machine a row documents: which shapes of the catalog it can mean, and how much of it one
//! replica can lie on.

use openmodel_resolve::Catalog;
use openmodel_schemas::catalog::{AcceleratorKind, AcceleratorRow, ShapeRow};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::spec::Surface;

use super::super::context::{Spread, count, stated, unreadable};
use super::super::hardware::{accelerator, device_gib, may_mean};
use super::super::rows::Row;

/// A documented machine, as far as the row names it.
pub(super) struct Documented<'a> {
    pub(super) accelerator: Option<&'a AcceleratorRow>,
    pub(super) kind: AcceleratorKind,
    pub(super) usable: Bytes,
    /// Accelerators in all hosts; none: not stated.
    pub(super) count: Option<u32>,
    /// Devices of one accelerator.
    pub(super) devices: u32,
    /// Accelerators that one replica can lie on, where that is less than all.
    pub(super) reach: Option<u32>,
    pub(super) eighths: u32,
    pub(super) hosts: u32,
    pub(super) spread: Spread,
    pub(super) shapes: Vec<&'a ShapeRow>,
}

pub(super) fn documented<'a>(row: &Row, catalog: &'a Catalog) -> Result<Documented<'a>, String> {
    let name = row.text("accelerator");
    let surface = surface(row)?;
    check_machine(row, catalog, surface)?;
    let accelerator = installed(row, catalog, surface)?;
    let (kind, usable, devices) = if let Some(row) = accelerator {
        (row.kind, Bytes::from_gib(row.usable_gib), row.devices)
    } else {
        let gib = device_gib(catalog, name, row.text("source")).ok_or_else(|| {
            format!("unknown_accelerator: accelerator is {name:?}; no facts of it are known")
        })?;
        (AcceleratorKind::Gpu, Bytes::from_gib(gib), 1)
    };
    let column = "accelerators_total";
    let spread = Spread::of(row)?;
    let text = row.text(column);
    // Recipes state the devices of other hardware by its name: {'xeon6': 4}.
    let of_others = text.starts_with('{');
    let named = !machines(row).is_empty() && accelerator.is_some();
    let total = if of_others && named {
        None
    } else {
        count(column, text)?.or(spread.chips)
    };
    let hosts = match count("hosts", row.text("hosts"))? {
        Some(hosts) if hosts > MOST_HOSTS => {
            return Err(format!("unknown_count: hosts is {:?}", row.text("hosts")));
        }
        hosts => hosts.unwrap_or(1),
    };
    let ranks = [spread.tensor, spread.pipeline, spread.data]
        .into_iter()
        .flatten()
        .fold(1_u32, u32::saturating_mul);
    // The ranks of TPU recipes count other things than devices.
    if let Some(total) = total.filter(|total| kind == AcceleratorKind::Gpu && ranks > *total) {
        let expected = format!("that is {ranks} ranks, and {column} is {total}");
        let text = row.text("parallelism");
        return Err(unreadable("parallelism", text, &expected));
    }
    let shapes = shapes(row, catalog, surface, accelerator, total, hosts);
    let reach = accelerator
        .filter(|accelerator| !reaches_over_machines(row, accelerator, spread, &shapes))
        .and_then(|accelerator| one_machine(catalog, surface, accelerator, &shapes))
        .map(|machine| machine.saturating_mul(hosts));
    Ok(Documented {
        accelerator,
        kind,
        usable,
        count: total,
        reach,
        devices,
        eighths: shapes.first().map_or(8, |shape| shape.eighths),
        hosts,
        spread,
        shapes,
    })
}

/// The accelerator a row names, where the catalog has it: a row may leave it, or its size, to the
/// machine type, and must not contradict it.
fn installed<'a>(
    row: &Row,
    catalog: &'a Catalog,
    surface: Surface,
) -> Result<Option<&'a AcceleratorRow>, String> {
    let name = row.text("accelerator");
    let named = accelerator(catalog, name);
    if is_machineless(surface) && !name.is_empty() {
        return Ok(named);
    }
    let words = machines(row);
    // What is attached to an n1 machine is what the row says.
    let comes_with = || {
        let shapes = catalog.shapes_with(None, None, None);
        shapes
            .filter(|shape| is_named(shape, &words))
            .filter(|shape| name.is_empty() || !takes_any(shape))
            .filter_map(|shape| catalog.accelerator(&shape.accelerator))
    };
    let Some(first) = comes_with().next() else {
        return Ok(named);
    };
    if name.is_empty() || comes_with().any(|own| named.is_some_and(|row| row.name == own.name)) {
        return Ok(named.or(Some(first)));
    }
    if let Some(own) = comes_with().find(|own| may_mean(catalog, name, own)) {
        return Ok(Some(own));
    }
    Err(format!(
        "contradictory_machine: machine_type is {:?}, which comes with {}, and accelerator is {name:?}",
        row.text("machine_type"),
        first.name
    ))
}

/// Whether a machine has no accelerators of its own: what is attached to it is its own part.
fn takes_any(shape: &ShapeRow) -> bool {
    let machine = shape.machine_type.as_deref();
    machine.is_some_and(|name| name.starts_with("n1-"))
}

/// Accelerators of the machine that one replica lies on; `None` for the largest of their kind, of
/// which several may be meant: nobody joins small machines where there are large ones.
fn one_machine(
    catalog: &Catalog,
    surface: Surface,
    accelerator: &AcceleratorRow,
    shapes: &[&ShapeRow],
) -> Option<u32> {
    let all = || catalog.shapes_with(None, Some(accelerator), None);
    if is_machineless(surface) {
        return all()
            .filter(|shape| catalog.sales_of(surface, shape).next().is_some())
            .map(|shape| shape.count)
            .max();
    }
    let largest = all()
        .filter(|shape| shape.machine_type.is_some())
        .map(|shape| shape.count)
        .max();
    let machine = shapes.iter().map(|shape| shape.count).max();
    machine.filter(|_| machine < largest)
}

/// Whether one replica may lie on more accelerators than a machine has: chips of a slice, devices
/// that n1 machines take as parts, racks whose machines share one `NVLink` domain, and engines that
/// say so (a pipeline over machines, Ray, a leader and its workers).
fn reaches_over_machines(
    row: &Row,
    accelerator: &AcceleratorRow,
    spread: Spread,
    shapes: &[&ShapeRow],
) -> bool {
    let part = |shape: &&ShapeRow| {
        let machine = shape.machine_type.as_deref();
        machine.is_some_and(|name| name.starts_with("n1-") || name.starts_with("a4x-"))
    };
    let words = ["engine", "parallelism", "notes", "machine_type"]
        .map(|column| row.text(column).to_lowercase());
    let stated = [
        "ray",
        "multi-node",
        "multinode",
        "multi-host",
        "multihost",
        "lws",
    ];
    accelerator.kind == AcceleratorKind::Tpu
        || shapes.iter().any(part)
        || spread.pipeline.is_some_and(|stages| stages > 1)
        || words.iter().any(|text| {
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            words.any(|word| stated.contains(&word))
        })
}

/// A machine type is one of the catalog's, or of a family of machines that it knows.
fn check_machine(row: &Row, catalog: &Catalog, surface: Surface) -> Result<(), String> {
    let column = "machine_type";
    let Some(text) = stated(row, column).filter(|_| !is_machineless(surface)) else {
        return Ok(());
    };
    let mut families: Vec<&str> = catalog
        .shapes_with(None, None, None)
        .filter_map(|shape| shape.machine_type.as_deref()?.split('-').next())
        .collect();
    families.sort_unstable();
    families.dedup();
    let lower = text.to_lowercase();
    let known = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| families.contains(&word));
    if known {
        return Ok(());
    }
    let expected = format!("known are machines of {}", families.join(", "));
    Err(unreadable(column, text, &expected))
}

/// Whether what is sold there goes by its accelerator, without a machine type.
const fn is_machineless(surface: Surface) -> bool {
    matches!(surface, Surface::CloudRun | Surface::HuggingFace)
}

/// Machines that serve one replica together: more than any engine was ever seen to span.
const MOST_HOSTS: u32 = 128;

/// The words of a row's machine type that can be one: `a3-highgpu-8g / a3-megagpu-8g`.
fn machines(row: &Row) -> Vec<String> {
    row.text("machine_type")
        .to_lowercase()
        .split([' ', '/', ',', '(', ')', '|'])
        .filter(|word| word.contains('-'))
        .map(str::to_owned)
        .collect()
}

/// Whether a word is a machine type of a series that the catalog knows, in a size that it does not:
/// `a3-highgpu-3g`. Its price is not that of another. Devices are added to n1 machines of any size.
fn is_of_no_size(catalog: &Catalog, word: &str) -> bool {
    let Some((series, size)) = word.rsplit_once('-') else {
        return false;
    };
    let machines = || {
        let shapes = catalog.shapes_with(None, None, None);
        shapes.filter_map(|shape| shape.machine_type.as_deref())
    };
    let is_size = size.starts_with(|c: char| c.is_ascii_digit());
    let known = machines().any(|machine| machine == word);
    is_size
        && !known
        && series != "n1-standard"
        && machines().any(|machine| machine.rsplit_once('-').is_some_and(|(of, _)| of == series))
}

fn is_named(shape: &ShapeRow, words: &[String]) -> bool {
    shape
        .machine_type
        .as_ref()
        .is_some_and(|machine| words.contains(machine))
}

/// The shapes of the catalog that a row's machine type, accelerator and count can mean.
fn shapes<'a>(
    row: &Row,
    catalog: &'a Catalog,
    surface: Surface,
    accelerator: Option<&'a AcceleratorRow>,
    count: Option<u32>,
    hosts: u32,
) -> Vec<&'a ShapeRow> {
    let Some(accelerator) = accelerator else {
        return Vec::new();
    };
    let per_host = count.map(|count| count / hosts.max(1));
    let words = machines(row);
    // What has no machine type is sold by its accelerator, on its own surface.
    let machineless = is_machineless(surface);
    let all: Vec<&ShapeRow> = catalog
        .shapes_with(None, Some(accelerator), None)
        .filter(|shape| {
            if machineless {
                return catalog.sales_of(surface, shape).next().is_some();
            }
            // A part of an accelerator is only meant where its machine is named.
            shape.machine_type.is_some() && (shape.eighths == 8 || is_named(shape, &words))
        })
        .collect();
    let named: Vec<&ShapeRow> = all
        .iter()
        .filter(|shape| is_named(shape, &words))
        .copied()
        .collect();
    // A machine type with the count of one host, or a slice with the count of all; a row without
    // a known machine type means any with the count.
    let counted = |shapes: &[&'a ShapeRow]| -> Vec<&'a ShapeRow> {
        shapes
            .iter()
            .filter(|shape| {
                count.is_none_or(|count| shape.count == count || per_host == Some(shape.count))
            })
            .copied()
            .collect()
    };
    if named.is_empty() && words.iter().any(|word| is_of_no_size(catalog, word)) {
        return Vec::new();
    }
    let exact = counted(&named);
    if !exact.is_empty() {
        exact
    } else if named.is_empty() {
        counted(&all)
    } else {
        named
    }
}

/// The surface whose prices a row is compared at; rows about engines or machines in general are
/// at those of Compute Engine.
pub(super) fn surface(row: &Row) -> Result<Surface, String> {
    let column = "surface";
    let Some(text) = stated(row, column) else {
        return Ok(Surface::Compute);
    };
    let lower = text.to_lowercase().replace([' ', '-'], "_");
    let own = Surface::ALL.map(|surface| (surface.as_str(), surface));
    let others = [
        ("huggingface", Surface::HuggingFace),
        ("cloudrun", Surface::CloudRun),
        ("any", Surface::Compute),
        ("tpu", Surface::Compute),
        ("gce", Surface::Compute),
        ("vm", Surface::Compute),
    ];
    let known = own.iter().chain(&others);
    known
        .clone()
        .find(|(name, _)| {
            lower
                .strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        })
        .map(|(_, surface)| *surface)
        .ok_or_else(|| {
            let names: Vec<&str> = known.map(|(name, _)| *name).collect();
            unreadable(column, text, &format!("known are {}", names.join(", ")))
        })
}
