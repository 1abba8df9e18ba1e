//! `provider::openmodel::parse_shape`: the shapes that a text means.

use openmodel_resolve::market::Catalog;
use openmodel_schemas::spec::Surface;
use serde::{Deserialize, Serialize};
use tfplug::framework::{Function, FunctionError, Parameter, Signature};
use tfplug::value::{Type, Value};

/// `provider::openmodel::parse_shape(text)`.
pub(crate) struct ParseShape;

/// Its argument.
#[derive(Deserialize)]
pub(crate) struct Arguments {
    text: String,
}

/// Its result: what all matching shapes have in common, and which they are.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Parts {
    accelerator: Value<String>,
    accelerator_count: Value<i64>,
    machine_type: Value<String>,
    topology: Value<String>,
    shapes: Vec<String>,
    surfaces: Vec<&'static str>,
}

impl Function for ParseShape {
    const NAME: &'static str = "parse_shape";
    type Arguments = Arguments;
    type Output = Parts;

    fn signature(&self) -> Signature {
        let returns = Type::object([
            ("accelerator", Type::String),
            ("accelerator_count", Type::Number),
            ("machine_type", Type::String),
            ("topology", Type::String),
            ("shapes", Type::list(Type::String)),
            ("surfaces", Type::list(Type::String)),
        ]);
        Signature::new("Shapes that a text means", returns)
            .description(
                "Reads a shape as people write it: a machine type (`g2-standard-12`), an accelerator with or without a \
                 number (`L4`, `H100:8`, `4 x L4`), a part of one (`nvidia-rtx-pro-6000 x1/8`), a TPU slice \
                 (`ct6e-standard-4t/4x4`, `v6e 2x4`, `v5p-8`). Gives what all matching shapes have in common \
                 (`accelerator`, `accelerator_count`, `machine_type`, `topology`; null where they differ), their names \
                 in the catalog that ships with the provider (`shapes`), and where they are sold (`surfaces`). A text \
                 that means none is an error with the nearest names.",
            )
            .parameter(Parameter::new("text", Type::String).description("The shape."))
    }

    fn call(&self, arguments: Arguments) -> Result<Parts, FunctionError> {
        let catalog = Catalog::embedded();
        let found = catalog
            .parse_shape(&arguments.text)
            .map_err(|error| FunctionError::new(format!("{error}.")).at("text"))?;
        let sold_on = |surface: &Surface| {
            let mut shapes = found.shapes.iter();
            shapes.any(|shape| catalog.sales_of(*surface, shape).len() > 0)
        };
        Ok(Parts {
            accelerator: found.accelerator.map(|row| row.name.clone()).into(),
            accelerator_count: found.count.map(i64::from).into(),
            machine_type: found.machine_type.map(str::to_owned).into(),
            topology: found.topology.map(str::to_owned).into(),
            shapes: found
                .shapes
                .iter()
                .map(|shape| shape.name.clone())
                .collect(),
            surfaces: Surface::ALL
                .into_iter()
                .filter(sold_on)
                .map(Surface::as_str)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<Parts, FunctionError> {
        ParseShape.call(Arguments {
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_text_gives_what_its_shapes_have_in_common() {
        let eight = parts("H100:8").expect("eight of them");
        assert_eq!(eight.accelerator_count, Value::Known(8));
        assert!(eight.shapes.iter().any(|name| name == "a3-highgpu-8g"));
        assert!(eight.surfaces.contains(&"vertex"));
        let one = parts("g2-standard-12").expect("a machine");
        assert_eq!(one.machine_type, Value::from("g2-standard-12"));
        assert_eq!(one.shapes, ["g2-standard-12"]);
    }

    #[test]
    fn a_slip_is_an_error_with_the_nearest_names() {
        let error = parts("g2-standard-13").expect_err("no such machine");
        assert!(error.to_string().contains("did you mean"), "{error}");
    }
}
