//! Facts of a model given as text: its `config.json`, or what `data.openmodel_model` calls
//! `facts`. For private models, and without a network.

use openmodel_cloud::huggingface::json;
use openmodel_cloud::parse_config;
use openmodel_resolve::check_facts;
use openmodel_schemas::model_card::{ModelCard, WeightBasis, WeightBytes};
use openmodel_schemas::name::ModelId;
use openmodel_schemas::quantity::{Bytes, Parameters};
use serde_json::Value;

/// The model of a text that names none.
const NO_NAME: &str = "local/model";
/// Far above any configuration; a file of weights is named by mistake easily.
const LARGEST: usize = 4 << 20;

/// What a configuration does not say, from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside {
    /// Number of parameters.
    pub(crate) parameters: Option<u64>,
    /// Bytes of the weight files.
    pub(crate) weight_bytes: Option<u64>,
}

/// The card as `facts`; the list of files has no part in sizing.
pub(crate) fn to_text(card: &ModelCard) -> String {
    let card = ModelCard {
        files: Vec::new(),
        ..card.clone()
    };
    serde_json::to_string(&card).unwrap_or_default()
}

/// Reads either text; the error says what is wrong with it and what is expected.
pub(crate) fn from_text(
    text: &str,
    name: Option<&ModelId>,
    beside: Beside,
) -> Result<ModelCard, String> {
    if text.len() > LARGEST {
        return Err(format!(
            "It has {} bytes, and no config.json has more than {LARGEST}.",
            text.len()
        ));
    }
    let value: Value = json::from_slice(text.as_bytes()).map_err(|error| {
        format!("It is not JSON: {error}. Give the text of a config.json, as file(\"config.json\") reads it.")
    })?;
    let own = value.get("commit").is_some() && value.get("config").is_some();
    let mut card = if own {
        serde_json::from_value::<ModelCard>(value).map_err(|error| {
            format!("It is neither a config.json nor the facts of a data.openmodel_model: {error}.")
        })?
    } else {
        of_config(&value)?
    };
    if let Some(name) = name {
        card.id = name.clone();
    }
    if let Some(parameters) = beside.parameters {
        card.parameters = Some(Parameters(parameters));
    }
    if let Some(bytes) = beside.weight_bytes {
        card.weights = Some(WeightBytes {
            bytes: Bytes(bytes),
            basis: WeightBasis::OtherFiles,
        });
    }
    // What the Hub says of itself is as it is; what is stated beside a file may be another model's.
    if !own {
        check_facts(&card).map_err(|error| {
            let field = if error.of_bytes {
                "weight_bytes"
            } else {
                "parameters"
            };
            format!("{field}: {error}")
        })?;
    }
    Ok(card)
}

fn of_config(value: &Value) -> Result<ModelCard, String> {
    let config = parse_config(value).map_err(|error| {
        format!("It is no config.json of a repository that can be sized: {error}.")
    })?;
    let id = NO_NAME
        .parse()
        .map_err(|error: openmodel_schemas::name::NameError| error.to_string())?;
    Ok(ModelCard::of_config(id, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: &str = include_str!("../tests/llama-3.1-8b.json");

    #[test]
    fn a_configuration_and_its_facts_are_the_same_model() {
        let beside = Beside {
            parameters: Some(8_030_261_248),
            weight_bytes: None,
        };
        let card = from_text(LLAMA, None, beside).expect("a config.json");
        let again = from_text(&to_text(&card), None, Beside::default()).expect("facts");
        assert_eq!(card, again);
    }

    #[test]
    fn facts_of_another_model_are_refused_by_name() {
        for (beside, field) in [
            (
                Beside {
                    parameters: Some(70_000_000_000),
                    weight_bytes: None,
                },
                "parameters: ",
            ),
            (
                Beside {
                    parameters: None,
                    weight_bytes: Some(1000),
                },
                "weight_bytes: ",
            ),
        ] {
            let error = from_text(LLAMA, None, beside).expect_err(field);
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_the_next_move() {
        for (text, why) in [
            ("weights", "is not JSON"),
            ("{}", "config.json"),
            ("[1]", "config.json"),
            (r#"{"commit":1,"config":{}}"#, "facts"),
        ] {
            let error = from_text(text, None, Beside::default()).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
