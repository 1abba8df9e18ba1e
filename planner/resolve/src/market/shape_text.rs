//! Shapes as people write them: a machine type, an accelerator and its number, a TPU slice.
//!
//! | text | means |
//! |---|---|
//! | `g2-standard-12`, `n1-standard-8+T4x1` | that machine |
//! | `ct6e-standard-4t/4x4`, `ct6e-standard-4t` | that slice; all slices of such hosts |
//! | `nvidia-l4`, `L4:4`, `4 x L4`, `NVIDIA_L4 x4` | all shapes with these accelerators |
//! | `nvidia-rtx-pro-6000 x1/8` | those with a part of one |
//! | `v6e 2x4`, `v6e-8`, `v5p-8chips` | slices by topology, by chips |
//! | `v5p-8`, `tpu7x-8` | slices by *cores*, as Google's API counts these: 4 chips |

use openmodel_schemas::catalog::{AcceleratorKind, AcceleratorRow, ShapeRow};

use super::Catalog;
use super::guard::chips;

/// Generations whose API names count cores, two in a chip.
const COUNTED_IN_CORES: [&str; 2] = ["tpu-v5p", "tpu7x"];

/// How many nearest names an error shows.
const SUGGESTIONS: usize = 3;

/// Shapes that a text means; one at least.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeMatch<'a> {
    /// The shapes, in the catalog's order.
    pub shapes: Vec<&'a ShapeRow>,
    /// The accelerator of all of them, where they have one in common.
    pub accelerator: Option<&'a AcceleratorRow>,
    /// The machine type of all of them, where they have one in common.
    pub machine_type: Option<&'a str>,
    /// The accelerators in each, where all have as many.
    pub count: Option<u32>,
    /// The topology of all of them, where they have one in common.
    pub topology: Option<&'a str>,
}

/// Why a text means no shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no shape: {problem}{}", did_you_mean(.suggestions))]
pub struct ShapeTextError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
    /// The nearest names, the nearest first.
    pub suggestions: Vec<String>,
}

/// How many accelerators a text asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity<'a> {
    Any,
    Count(u32),
    Eighths(u32),
    Topology(&'a str),
}

impl Catalog {
    /// The shapes that a text means.
    ///
    /// ```
    /// use openmodel_resolve::market::Catalog;
    ///
    /// let catalog = Catalog::embedded();
    /// let found = catalog.parse_shape("H100:8").expect("eight of them");
    /// assert!(found.shapes.iter().any(|shape| shape.name == "a3-highgpu-8g"));
    ///
    /// let error = catalog.parse_shape("g2-standard-13").expect_err("no such machine");
    /// assert!(error.to_string().contains("did you mean g2-standard-1"));
    /// ```
    pub fn parse_shape(&self, text: &str) -> Result<ShapeMatch<'_>, ShapeTextError> {
        let wanted = text.trim().to_ascii_lowercase();
        let shapes = &self.document.shapes;
        let machine = |name: &str| -> Vec<&ShapeRow> {
            let same = |shape: &&ShapeRow| {
                let machine = shape.machine_type.as_deref();
                machine.is_some_and(|machine| machine.eq_ignore_ascii_case(name))
            };
            shapes.iter().filter(same).collect()
        };
        if let Some(shape) = self.shape(&wanted) {
            return Ok(self.matched(vec![shape]));
        }
        let by_machine = machine(&wanted);
        if !by_machine.is_empty() {
            return Ok(self.matched(by_machine));
        }
        if let Some((host, rest)) = wanted.split_once(['+', '/', ' ']) {
            let of_host = machine(host.trim());
            if !of_host.is_empty() {
                return self.of_machine(text, &of_host, rest.trim());
            }
        }
        let Some((accelerator, quantity)) = self.quantity(&wanted) else {
            return Err(self.unknown(text, &wanted));
        };
        let all: Vec<&ShapeRow> = self.shapes_with(None, Some(accelerator), None).collect();
        let what = &accelerator.name;
        self.narrowed(text, what, &all, quantity)
    }

    /// A machine type with accelerators or a topology after it.
    fn of_machine<'a>(
        &'a self,
        text: &str,
        shapes: &[&'a ShapeRow],
        rest: &str,
    ) -> Result<ShapeMatch<'a>, ShapeTextError> {
        let what = shapes[0].machine_type.as_deref().unwrap_or_default();
        if chips(rest).is_some() && rest.contains('x') {
            return self.narrowed(text, what, shapes, Quantity::Topology(rest));
        }
        let Some((accelerator, quantity)) = self.quantity(rest) else {
            return Err(self.unknown(text, rest));
        };
        let with: Vec<&ShapeRow> = (shapes.iter().copied())
            .filter(|shape| shape.accelerator == accelerator.name)
            .collect();
        let what = format!("{what} with {}", accelerator.name);
        self.narrowed(text, &what, &with, quantity)
    }

    fn narrowed<'a>(
        &'a self,
        text: &str,
        what: &str,
        shapes: &[&'a ShapeRow],
        quantity: Quantity<'_>,
    ) -> Result<ShapeMatch<'a>, ShapeTextError> {
        let right = |shape: &&&ShapeRow| match quantity {
            Quantity::Any => true,
            Quantity::Count(count) => shape.count == count && shape.eighths == 8,
            Quantity::Eighths(eighths) => shape.count == 1 && shape.eighths == eighths,
            Quantity::Topology(topology) => shape.topology.as_deref() == Some(topology),
        };
        let found: Vec<&ShapeRow> = shapes.iter().filter(right).copied().collect();
        if !found.is_empty() {
            return Ok(self.matched(found));
        }
        let by_topology = matches!(quantity, Quantity::Topology(_));
        let mut sizes: Vec<(u32, u32, String)> = (shapes.iter())
            .map(|shape| (shape.count, shape.eighths, size(shape, by_topology)))
            .collect();
        sizes.sort();
        sizes.dedup();
        let sizes: Vec<String> = sizes.into_iter().map(|(.., size)| size).collect();
        let problem = if sizes.is_empty() {
            format!("there is no {what}")
        } else {
            format!("{what} comes as {}", sizes.join(", "))
        };
        Err(ShapeTextError {
            text: text.to_owned(),
            problem,
            suggestions: Vec::new(),
        })
    }

    /// An accelerator and how many, in any of the usual orders.
    fn quantity<'t>(&self, text: &'t str) -> Option<(&AcceleratorRow, Quantity<'t>)> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if let Ok(count) = text[..digits].parse() {
            let rest = text[digits..].trim_start_matches([' ', 'x', '*', '×']);
            if let Some(accelerator) = self.accelerator(rest) {
                return Some((accelerator, Quantity::Count(count)));
            }
        }
        // The longest name first: `a100-80gb` before `a100`.
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let mut ends: Vec<usize> = ends.collect();
        ends.reverse();
        ends.into_iter().find_map(|end| {
            let accelerator = self.accelerator(text[..end].trim_end())?;
            let quantity = parse_quantity(accelerator, &text[end..])?;
            Some((accelerator, quantity))
        })
    }

    fn matched<'a>(&'a self, shapes: Vec<&'a ShapeRow>) -> ShapeMatch<'a> {
        let accelerator = common(&shapes, |shape| Some(shape.accelerator.as_str()));
        ShapeMatch {
            accelerator: accelerator.and_then(|name| self.accelerator(name)),
            machine_type: common(&shapes, |shape| shape.machine_type.as_deref()),
            count: common(&shapes, |shape| Some(shape.count)),
            topology: common(&shapes, |shape| shape.topology.as_deref()),
            shapes,
        }
    }

    fn unknown(&self, text: &str, wanted: &str) -> ShapeTextError {
        let shapes = self.document.shapes.iter();
        let accelerators = self.document.accelerators.iter();
        let names = shapes
            .flat_map(|row| std::iter::once(&row.name).chain(&row.machine_type))
            .chain(accelerators.flat_map(|row| std::iter::once(&row.name).chain(&row.aliases)));
        let far = wanted.chars().count() / 3;
        let mut near: Vec<(usize, &String)> = names
            .map(|name| (distance(wanted, &name.to_ascii_lowercase()), name))
            .filter(|(distance, _)| *distance <= far.max(2))
            .collect();
        near.sort();
        near.dedup();
        ShapeTextError {
            text: text.chars().take(80).collect(),
            problem: "write a machine type such as g2-standard-12, accelerators such as \
                      \"nvidia-l4 x4\", or a TPU slice such as \"v6e 2x4\""
                .to_owned(),
            suggestions: (near.into_iter().take(SUGGESTIONS))
                .map(|(_, name)| name.clone())
                .collect(),
        }
    }
}

/// What stands after an accelerator's name.
fn parse_quantity<'t>(accelerator: &AcceleratorRow, rest: &'t str) -> Option<Quantity<'t>> {
    let tpu = accelerator.kind == AcceleratorKind::Tpu;
    if rest.trim().is_empty() {
        return Some(Quantity::Any);
    }
    if let Some(size) = rest.strip_prefix('-').filter(|_| tpu) {
        if let Some(chips) = size.strip_suffix("chips") {
            return chips.parse().ok().map(Quantity::Count);
        }
        let size: u32 = size.parse().ok()?;
        let cores = COUNTED_IN_CORES.contains(&accelerator.name.as_str());
        return Some(Quantity::Count(if cores { size / 2 } else { size }));
    }
    let rest = rest.trim_start_matches([' ', ':', '/', '*']);
    if tpu && rest.contains('x') && chips(rest).is_some() {
        return Some(Quantity::Topology(rest));
    }
    let number = rest.trim_start_matches(['x', '×', ' ']).trim_end();
    match number {
        "1/8" | "0.125" => Some(Quantity::Eighths(1)),
        "1/4" | "0.25" => Some(Quantity::Eighths(2)),
        "1/2" | "0.5" => Some(Quantity::Eighths(4)),
        _ => number.parse().ok().map(Quantity::Count),
    }
}

fn size(shape: &ShapeRow, by_topology: bool) -> String {
    match &shape.topology {
        Some(topology) if by_topology => topology.clone(),
        _ if shape.eighths < 8 => format!("x{}/8", shape.eighths),
        _ => format!("x{}", shape.count),
    }
}

/// What a property of all shapes is, where it is the same.
fn common<'a, T: PartialEq>(
    shapes: &[&'a ShapeRow],
    property: impl Fn(&'a ShapeRow) -> Option<T>,
) -> Option<T> {
    let first = property(shapes.first()?)?;
    let same = |shape: &&'a ShapeRow| property(shape).as_ref() == Some(&first);
    shapes.iter().all(same).then_some(first)
}

fn did_you_mean(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [most @ .., last] => format!("; did you mean {} or {last}?", most.join(", ")),
    }
}

/// Edits (a character put in, left out or replaced) from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let found = Catalog::embedded().parse_shape(text);
        let names: Vec<&str> = match &found {
            Ok(found) => found.shapes.iter().map(|s| s.name.as_str()).collect(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(names, expect, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        let error = Catalog::embedded().parse_shape(text).expect_err(text);
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn machines_are_found_by_their_type() {
        check("g2-standard-12", &["g2-standard-12"]);
        check(" A3-HighGPU-8g ", &["a3-highgpu-8g"]);
        check("n1-standard-8+T4x1", &["n1-standard-8+nvidia-t4x1"]);
        check(
            "n1-standard-8",
            &["n1-standard-8+nvidia-t4x1", "n1-standard-8+nvidia-v100x1"],
        );
        let found = Catalog::embedded().parse_shape("n1-standard-8");
        let found = found.expect("two of them");
        assert_eq!((found.accelerator, found.count), (None, Some(1)));
        assert_eq!(found.machine_type, Some("n1-standard-8"));
    }

    #[test]
    fn accelerators_are_found_in_every_spelling_and_order() {
        let four = ["g2-standard-48", "hugging-face/nvidia-l4/x4"];
        for text in [
            "nvidia-l4 x4",
            "NVIDIA_L4 x4",
            "L4:4",
            "4 x L4",
            "4xL4",
            "4 nvidia-l4",
            "l4x4",
            "L4 4",
        ] {
            check(text, &four);
        }
    }

    #[test]
    #[should_panic(expected = "comes as x1, x2, x4, x8")]
    fn a_number_that_is_not_sold_names_those_that_are() {
        check("nvidia-l4 x3", &[]);
    }

    #[test]
    fn parts_of_an_accelerator_are_asked_for_as_such() {
        check("RTXPRO6000 x1/8", &["g4-standard-6"]);
        check("nvidia-rtx-pro-6000:0.5", &["g4-standard-24"]);
        check(
            "nvidia-rtx-pro-6000 x1",
            &["g4-standard-48", "cloud-run/nvidia-rtx-pro-6000/20x80"],
        );
    }

    #[test]
    fn slices_are_found_by_topology_chips_or_cores() {
        check("ct6e-standard-4t/4x4", &["ct6e-standard-4t/4x4"]);
        check("ct6e-standard-8t/2x4", &["ct6e-standard-8t"]);
        let eight = ["ct6e-standard-8t", "ct6e-standard-4t/2x4"];
        for text in [
            "v6e 2x4",
            "tpu-v6e-slice 2x4",
            "v6e-8",
            "v6e x8",
            "tpu-v6e:8",
        ] {
            check(text, &eight);
        }
        check("v5p-8", &["ct5p-hightpu-4t/2x2x1"]);
        check("v5p-8chips", &["ct5p-hightpu-4t/2x2x2"]);
        check("tpu7x-8", &["tpu7x-standard-4t/2x2x1"]);
        check("v5litepod-16", &["ct5lp-hightpu-4t/4x4"]);
    }

    #[test]
    fn what_is_no_shape_is_refused_with_the_nearest_names() {
        refused(
            "g2-standard-13",
            "did you mean g2-standard-12, g2-standard-16",
        );
        refused("nvidia-l5", "nvidia-l4");
        refused("v6e 3x3", "comes as 1x1, 2x2, 2x4, 4x4, 4x8, 8x8");
        refused(
            "n1-standard-8+L4x1",
            "there is no n1-standard-8 with nvidia-l4",
        );
        refused("", "write a machine type such as");
        refused("H100:0", "comes as x1, x2, x4, x8");
        refused("99999999999999 x L4", "no shape");
        refused("×4", "no shape");
    }
}
