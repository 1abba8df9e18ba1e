//! `provider::openmodel::parse_model_id`: the parts of a Hub model id.

use openmodel_schemas::name::ModelId;
use serde::{Deserialize, Serialize};
use tfplug::framework::{Function, FunctionError, Parameter, Signature};
use tfplug::value::{Type, Value};

/// `provider::openmodel::parse_model_id(id)`.
pub(crate) struct ParseModelId;

/// Its argument.
#[derive(Deserialize)]
pub(crate) struct Arguments {
    id: String,
}

/// Its result.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Parts {
    id: String,
    namespace: Value<String>,
    name: String,
    url: String,
}

impl Function for ParseModelId {
    const NAME: &'static str = "parse_model_id";
    type Arguments = Arguments;
    type Output = Parts;

    fn signature(&self) -> Signature {
        let parts = ["id", "namespace", "name", "url"];
        let returns = Type::Object(
            parts
                .into_iter()
                .map(|part| (part.to_owned(), Type::String))
                .collect(),
        );
        Signature::new("Parts of a Hugging Face model id", returns)
            .description(
                "Splits an id such as `meta-llama/Llama-3.1-8B-Instruct` into `namespace` (null for the Hub's \
                 oldest models, such as `gpt2`) and `name`, and gives its `url`. An id that the Hub would \
                 refuse is an error.",
            )
            .parameter(Parameter::new("id", Type::String).description("The model's id on the Hub."))
    }

    fn call(&self, arguments: Arguments) -> Result<Parts, FunctionError> {
        let id: ModelId = arguments
            .id
            .parse()
            .map_err(|error| FunctionError::new(format!("{error}.")).at("id"))?;
        Ok(Parts {
            namespace: id.namespace().map(str::to_owned).into(),
            name: id.name().to_owned(),
            url: format!("https://huggingface.co/{id}"),
            id: id.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(id: &str) -> Result<Parts, FunctionError> {
        ParseModelId.call(Arguments { id: id.to_owned() })
    }

    #[test]
    fn an_id_falls_into_its_parts() {
        let llama = parts("meta-llama/Llama-3.1-8B-Instruct").expect("an id");
        assert_eq!(llama.namespace, Value::from("meta-llama"));
        assert_eq!(llama.name, "Llama-3.1-8B-Instruct");
        assert_eq!(
            llama.url,
            "https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct"
        );
        assert_eq!(parts("gpt2").expect("an old id").namespace, Value::Null);
    }

    #[test]
    fn what_the_hub_would_refuse_is_an_error_on_the_argument() {
        assert!(parts("meta llama/x").is_err());
    }
}
