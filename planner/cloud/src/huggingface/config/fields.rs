//! Looking fields up in a `config.json`: nested language models, older names, values by layer.

use serde_json::{Map, Value};

use super::ConfigError;
use super::family;

/// Where the language model's part stands, in configurations that hold more than one model.
const NESTED: [&str; 6] = [
    "text_config",
    "llm_config",
    "language_config",
    "language_model_config",
    "llm_cfg",
    "lm_config",
];

/// Larger than any dimension of any model.
const LARGEST: u64 = 1 << 40;

/// Marks a part as a language model's.
const SIGNS_OF_A_MODEL: [&str; 4] = [
    "num_hidden_layers",
    "hidden_size",
    "model_type",
    "num_attention_heads",
];

/// A part of a configuration.
pub(super) type Part = Map<String, Value>;

/// A configuration, read in the order in which its parts count.
pub(super) struct Fields<'a> {
    /// The language model's part; the root where nothing is nested.
    text: &'a Part,
    /// Parts looked into after it.
    after: Vec<&'a Part>,
    root: &'a Part,
    nested: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(config: &'a Value) -> Result<Self, ConfigError> {
        let root = config
            .as_object()
            .ok_or_else(|| ConfigError::new("the file", "it is not a JSON object"))?;
        let outer = part(root, "thinker_config").unwrap_or(root);
        let is_model = |part: &&Part| SIGNS_OF_A_MODEL.iter().any(|sign| part.contains_key(*sign));
        let inner = NESTED
            .iter()
            .find_map(|name| part(outer, name).filter(is_model));
        let text = inner.unwrap_or(outer);
        let mut after = Vec::new();
        // DBRX and MPT keep these apart, and state-space models their own.
        after.extend(
            ["attn_config", "ffn_config", "ssm_cfg"]
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
    pub(super) fn value(&self, names: &[&str]) -> Option<(&'a str, &'a Value)> {
        let parts = std::iter::once(self.text).chain(self.after.iter().copied());
        parts
            .flat_map(|part| names.iter().filter_map(|name| part.get_key_value(*name)))
            .find_map(|(name, value)| (!value.is_null()).then_some((name.as_str(), value)))
    }

    /// A count. A list with one value per layer counts by its largest: see [`Fields::varying`].
    pub(super) fn number(&self, names: &[&str]) -> Result<Option<u64>, ConfigError> {
        let Some((name, value)) = self.value(names) else {
            return Ok(None);
        };
        let numbers = match value {
            Value::Array(items) => items.iter().map(whole).collect(),
            single => whole(single).map(|number| vec![number]),
        };
        numbers
            .and_then(|numbers: Vec<u64>| numbers.into_iter().max())
            .map(Some)
            .ok_or_else(|| not_a_count(name, value))
    }

    /// A count above 0.
    pub(super) fn positive(&self, names: &[&str]) -> Result<Option<u64>, ConfigError> {
        Ok(self.number(names)?.filter(|number| *number > 0))
    }

    /// A count that the model's family fixes where the configuration leaves it out.
    pub(super) fn number_or_family(&self, names: &[&str]) -> Result<Option<u64>, ConfigError> {
        let family = || {
            names
                .first()
                .and_then(|field| family::assumed(self.model_type(), field, self.nested))
        };
        Ok(self.number(names)?.or_else(family))
    }

    /// The values by layer, where the field is a list whose values differ.
    pub(super) fn varying(
        &self,
        names: &[&str],
        layers: u64,
    ) -> Result<Option<Vec<u64>>, ConfigError> {
        let Some((name, Value::Array(items))) = self.value(names) else {
            return Ok(None);
        };
        if items.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(None);
        }
        counts(name, items)
            .and_then(|numbers| by_layer(name, numbers, layers))
            .map(Some)
    }

    /// A list of counts, one per layer.
    pub(super) fn numbers(&self, name: &str, layers: u64) -> Result<Option<Vec<u64>>, ConfigError> {
        match self.list(name) {
            None => Ok(None),
            Some(items) => by_layer(name, counts(name, items)?, layers).map(Some),
        }
    }

    /// A list of words, one per layer.
    pub(super) fn words(
        &self,
        name: &str,
        layers: u64,
    ) -> Result<Option<Vec<&'a str>>, ConfigError> {
        let Some(items) = self.list(name) else {
            return Ok(None);
        };
        let word = |item: &'a Value| {
            item.as_str().ok_or_else(|| {
                let detail = format!("{} is not a kind of layer", short(&item.to_string()));
                ConfigError::new(name, detail)
            })
        };
        let words = items.iter().map(word).collect::<Result<_, _>>()?;
        by_layer(name, words, layers).map(Some)
    }

    /// A list of layers, each by its number, the first of which is `first`; one flag per layer.
    pub(super) fn marked(
        &self,
        name: &str,
        first: u64,
        layers: u64,
    ) -> Result<Option<Vec<bool>>, ConfigError> {
        match self.list(name) {
            None => Ok(None),
            Some(items) => marks(name, &counts(name, items)?, first, layers).map(Some),
        }
    }

    pub(super) fn text(&self, names: &[&str]) -> Option<&'a str> {
        self.value(names).and_then(|(_, value)| value.as_str())
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(&[name]).and_then(|(_, value)| value.as_bool())
    }

    /// A flag of the whole model, which counts before that of its language model.
    pub(super) fn flag_of_all(&self, name: &str) -> Option<bool> {
        self.root
            .get(name)
            .and_then(Value::as_bool)
            .or_else(|| self.flag(name))
    }

    pub(super) fn list(&self, name: &str) -> Option<&'a Vec<Value>> {
        self.value(&[name])
            .and_then(|(_, value)| value.as_array())
            .filter(|items| !items.is_empty())
    }

    pub(super) fn part(&self, name: &str) -> Option<&'a Part> {
        self.value(&[name]).and_then(|(_, value)| value.as_object())
    }

    /// Whether the field says anything: not null, false, zero or empty.
    pub(super) fn is_set(&self, name: &str) -> bool {
        match self.value(&[name]).map(|(_, value)| value) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(Value::Bool(true)) => true,
        }
    }

    pub(super) fn model_type(&self) -> &'a str {
        self.text(&["model_type"]).unwrap_or_default()
    }

    /// `model_type` and the first of `architectures`, where both stand in the root: a model inside
    /// another has a family of its own.
    pub(super) fn own_family_and_class(&self) -> Option<(&'a str, &'a str)> {
        let family = self.root.get("model_type")?.as_str()?;
        let class = self.root.get("architectures")?.get(0)?.as_str()?;
        Some((family, class))
    }

    pub(super) fn architecture(&self) -> &'a str {
        let of = |part: &'a Part| part.get("architectures")?.get(0)?.as_str();
        of(self.root).or_else(|| of(self.text)).unwrap_or_default()
    }
}

/// One value per layer. A list may go on beyond the model's layers, for those of multi-token
/// prediction.
pub(super) fn by_layer<T>(
    name: &str,
    mut values: Vec<T>,
    layers: u64,
) -> Result<Vec<T>, ConfigError> {
    let length = usize::try_from(layers).unwrap_or(usize::MAX);
    if values.len() < length {
        let detail = format!(
            "it is about {} layers, and num_hidden_layers is {layers}",
            values.len()
        );
        return Err(ConfigError::new(name, detail));
    }
    values.truncate(length);
    Ok(values)
}

/// One flag per layer, from the numbers of layers; `first` is the first layer's.
pub(super) fn marks(
    name: &str,
    numbers: &[u64],
    first: u64,
    layers: u64,
) -> Result<Vec<bool>, ConfigError> {
    let mut marks = vec![false; usize::try_from(layers).unwrap_or(0)];
    for number in numbers {
        let place = number
            .checked_sub(first)
            .and_then(|place| usize::try_from(place).ok());
        // A layer of multi-token prediction may be named too: it stands right behind the last.
        match place.and_then(|place| marks.get_mut(place)) {
            Some(mark) => *mark = true,
            None if *number < first => {
                return Err(ConfigError::new(
                    name,
                    format!("layer {number} comes before the first, which is {first}"),
                ));
            }
            None => {}
        }
    }
    Ok(marks)
}

pub(super) fn counts(name: &str, items: &[Value]) -> Result<Vec<u64>, ConfigError> {
    items
        .iter()
        .map(|item| whole(item).ok_or_else(|| not_a_count(name, item)))
        .collect()
}

/// `4096`, and `4096.0` as some tools write it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
pub(super) fn whole(value: &Value) -> Option<u64> {
    let number = value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        #[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
        let fits = number.fract() == 0.0 && (0.0..=LARGEST as f64).contains(&number);
        fits.then_some(number as u64)
    })?;
    (number <= LARGEST).then_some(number)
}

pub(super) fn part<'a>(fields: &'a Part, name: &str) -> Option<&'a Part> {
    fields.get(name).and_then(Value::as_object)
}

fn not_a_count(name: &str, value: &Value) -> ConfigError {
    ConfigError::new(
        name,
        format!("{} is not a count", short(&value.to_string())),
    )
}

/// A long value is cut: a message is read by people.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
