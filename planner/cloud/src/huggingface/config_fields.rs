//! Looking fields up in a `config.json`: nested language models, older names, families' defaults.

use serde_json::{Map, Value};

use super::config::ConfigError;

/// Where the language model's part stands, in configurations that hold more than one model.
const NESTED: [&str; 3] = ["text_config", "llm_config", "language_config"];

/// Larger than any dimension of any model; keeps later arithmetic far from overflow.
const LARGEST: u64 = 1 << 40;

/// Marks a part as a language model's.
const SIGNS_OF_A_MODEL: [&str; 4] = [
    "num_hidden_layers",
    "hidden_size",
    "model_type",
    "num_attention_heads",
];

/// A configuration, read in the order in which its parts count.
pub(crate) struct Fields<'a> {
    /// The language model's part; the root where nothing is nested.
    text: &'a Map<String, Value>,
    /// Parts looked into after it.
    after: Vec<&'a Map<String, Value>>,
    root: &'a Map<String, Value>,
    nested: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(config: &'a Value) -> Result<Self, ConfigError> {
        let root = config
            .as_object()
            .ok_or_else(|| ConfigError::new("the file", "it is not a JSON object"))?;
        let outer = part(root, "thinker_config").unwrap_or(root);
        let is_model = |part: &&Map<String, Value>| {
            SIGNS_OF_A_MODEL.iter().any(|sign| part.contains_key(*sign))
        };
        let inner = NESTED
            .iter()
            .find_map(|name| part(outer, name).filter(is_model));
        let text = inner.unwrap_or(outer);
        let mut after = Vec::new();
        // DBRX and MPT keep these apart.
        after.extend(
            ["attn_config", "ffn_config"]
                .iter()
                .filter_map(|name| part(text, name)),
        );
        after.extend([outer, root]);
        Ok(Self {
            text,
            after,
            root,
            nested: inner.is_some(),
        })
    }

    /// The first of these names that has a value.
    pub(crate) fn value(&self, names: &[&str]) -> Option<(&'a str, &'a Value)> {
        let parts = std::iter::once(self.text).chain(self.after.iter().copied());
        parts
            .flat_map(|part| names.iter().filter_map(|name| part.get_key_value(*name)))
            .find_map(|(name, value)| (!value.is_null()).then_some((name.as_str(), value)))
    }

    /// A count. A list with one value per layer counts by its largest: see [`Fields::varies`].
    pub(crate) fn number(&self, names: &[&str]) -> Result<Option<u64>, ConfigError> {
        let Some((name, value)) = self.value(names) else {
            return Ok(None);
        };
        let wrong = || ConfigError::new(name, format!("{value} is not a count"));
        let numbers: Vec<Option<u64>> = match value {
            Value::Array(items) => items.iter().map(whole).collect(),
            single => vec![whole(single)],
        };
        let numbers: Option<Vec<u64>> = numbers.into_iter().collect();
        numbers
            .and_then(|numbers| numbers.into_iter().max())
            .map(Some)
            .ok_or_else(wrong)
    }

    /// Whether the field is a list whose values differ from layer to layer.
    pub(crate) fn varies(&self, names: &[&str]) -> bool {
        let items = self.value(names).and_then(|(_, value)| value.as_array());
        items.is_some_and(|items| items.windows(2).any(|pair| pair[0] != pair[1]))
    }

    /// A count that the model's family fixes where a nested configuration leaves it out.
    pub(crate) fn number_or_family(&self, names: &[&str]) -> Result<Option<u64>, ConfigError> {
        let stated = self.number(names)?;
        let family = || {
            if self.nested {
                family_default(self.model_type(), names[0])
            } else {
                None
            }
        };
        Ok(stated.or_else(family))
    }

    pub(crate) fn text(&self, names: &[&str]) -> Option<String> {
        self.value(names)
            .and_then(|(_, value)| value.as_str())
            .map(str::to_owned)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.value(&[name]).and_then(|(_, value)| value.as_bool())
    }

    pub(crate) fn list(&self, name: &str) -> Option<&'a Vec<Value>> {
        self.value(&[name]).and_then(|(_, value)| value.as_array())
    }

    pub(crate) fn part(&self, name: &str) -> Option<&'a Map<String, Value>> {
        self.value(&[name]).and_then(|(_, value)| value.as_object())
    }

    /// Whether the field says anything: not null, false, zero or empty.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        match self.value(&[name]).map(|(_, value)| value) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(Value::Bool(true)) => true,
        }
    }

    pub(crate) fn model_type(&self) -> &'a str {
        self.value(&["model_type"])
            .and_then(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    pub(crate) fn architecture(&self) -> String {
        let named = self
            .root
            .get("architectures")
            .and_then(|names| names.get(0))
            .and_then(Value::as_str);
        named.unwrap_or_default().to_owned()
    }
}

fn part<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    fields.get(name).and_then(Value::as_object)
}

/// `4096`, and `4096.0` as some tools write it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        #[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
        let fits = number.fract() == 0.0 && (0.0..=LARGEST as f64).contains(&number);
        fits.then_some(number as u64)
    })?;
    (number <= LARGEST).then_some(number)
}

/// What `transformers` assumes: a nested configuration is written without the values that are
/// the defaults of its class (`Gemma3TextConfig`, `LlamaConfig`, `MistralConfig`).
fn family_default(model_type: &str, field: &str) -> Option<u64> {
    Some(match (model_type, field) {
        ("gemma3_text", "num_attention_heads") | ("mistral", "num_key_value_heads") => 8,
        ("gemma3_text", "num_key_value_heads") => 4,
        ("gemma3_text", "head_dim") => 256,
        ("gemma3_text", "vocab_size") => 262_208,
        ("gemma3_text", "max_position_embeddings") => 131_072,
        ("gemma3_text", "sliding_window") | ("llama" | "mistral", "hidden_size") => 4096,
        ("llama" | "mistral", "num_hidden_layers" | "num_attention_heads") => 32,
        ("llama" | "mistral", "vocab_size") => 32_000,
        ("llama", "intermediate_size") => 11_008,
        ("mistral", "intermediate_size") => 14_336,
        _ => return None,
    })
}
