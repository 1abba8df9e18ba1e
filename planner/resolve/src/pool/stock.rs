//! What a place sells that a pool can be made of, and what it sells beside that.

use openmodel_schemas::catalog::{AcceleratorKind, AcceleratorRow, ShapeRow};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::RejectedShape;

use super::Place;
use crate::joint::Machine;
use crate::market::{Catalog, Sale};
use crate::show;

/// The machines of a place.
#[derive(Debug)]
pub(super) struct Stock<'a> {
    /// Those that count, in the catalog's order, each with its price.
    pub(super) sales: Vec<Sale<'a>>,
    pub(super) kinds: Vec<Kind<'a>>,
    pub(super) left_out: Vec<RejectedShape>,
}

/// Something that replicas are placed on, whatever the host around it.
#[derive(Debug)]
pub(super) struct Kind<'a> {
    /// Its name, the only one: `nvidia-l4`, `nvidia-rtx-pro-6000 2/8`, `tpu-v6e host of 4`.
    pub(super) name: String,
    pub(super) accelerator: &'a AcceleratorRow,
    /// Its machine with the most accelerators.
    pub(super) largest: &'a ShapeRow,
}

impl<'a> Stock<'a> {
    pub(super) fn of(place: &Place, catalog: &'a Catalog) -> Self {
        let mut stock = Self {
            sales: Vec::new(),
            kinds: Vec::new(),
            left_out: Vec::new(),
        };
        let here = catalog
            .sales_on(place.surface)
            .filter(|sale| sale.region == Some(&place.region) && sale.option == place.option);
        for sale in here {
            let (code, reason) = if sale.shape.hosts > 1 {
                ("several_hosts", "a replica in a pool is within one host")
            } else if !sale.confirmed {
                (
                    "unconfirmed",
                    "the vendor does not confirm that it stands there",
                )
            } else if sale.hourly.is_none() {
                ("unpriced", "its price there is not known")
            } else {
                stock.add(sale);
                continue;
            };
            let memory = Bytes::gib(sale.shape.memory_gib.into());
            stock.left_out.push(RejectedShape {
                surface: place.surface,
                shape: show::line(place.surface, sale.shape, sale.shape.cpu, memory),
                hourly: sale.hourly,
                code: code.to_owned(),
                reason: reason.to_owned(),
                needs: None,
                has: None,
            });
        }
        stock
    }

    fn add(&mut self, sale: Sale<'a>) {
        let name = kind(&sale);
        match self.kinds.iter_mut().find(|kind| kind.name == name) {
            Some(known) => {
                if known.largest.count < sale.shape.count {
                    known.largest = sale.shape;
                }
            }
            None => self.kinds.push(Kind {
                name,
                accelerator: sale.accelerator,
                largest: sale.shape,
            }),
        }
        self.sales.push(sale);
    }

    /// As the search knows them, each to be had as often as one likes.
    pub(super) fn machines(&self) -> Vec<Machine> {
        self.sales
            .iter()
            .filter_map(|sale| {
                Some(Machine {
                    name: sale.shape.name.clone(),
                    accelerator: kind(sale),
                    accelerators: sale.shape.count,
                    memory: memory(sale),
                    hourly: sale.hourly?.0,
                    limit: None,
                })
            })
            .collect()
    }
}

impl Kind<'_> {
    /// How many of it a replica may take, the fewest first.
    pub(super) fn counts(&self) -> Vec<u32> {
        let most = self.largest.count;
        if self.accelerator.kind == AcceleratorKind::Tpu {
            return vec![most];
        }
        [1, 2, 4, 8, 16]
            .into_iter()
            .filter(|count| *count <= most)
            .collect()
    }

    /// Whether engines that keep to a share of memory can be side by side on one.
    pub(super) fn shared(&self) -> bool {
        self.accelerator.kind == AcceleratorKind::Gpu
            && self.accelerator.devices == 1
            && self.largest.eighths == 8
    }

    /// So many of it, as a shape.
    pub(super) fn shape(&self, count: u32) -> ShapeRow {
        ShapeRow {
            count,
            ..self.largest.clone()
        }
    }
}

/// The host memory of a machine.
pub(super) fn memory(sale: &Sale) -> Bytes {
    Bytes::gib(sale.shape.memory_gib.into())
}

/// The name of the kind that a machine has.
pub(super) fn kind(sale: &Sale) -> String {
    let name = &sale.accelerator.name;
    match (sale.accelerator.kind, sale.shape.eighths) {
        (AcceleratorKind::Tpu, _) => format!("{name} host of {}", sale.shape.count),
        (AcceleratorKind::Gpu, 8) => name.clone(),
        (AcceleratorKind::Gpu, eighths) => format!("{name} {eighths}/8"),
    }
}
