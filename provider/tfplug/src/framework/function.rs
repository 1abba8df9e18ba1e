//! A function that Terraform's language can call: `provider::example::shout("hi")`.
//!
//! Functions are pure. They run in a process that was never configured, and two calls with equal
//! arguments must agree.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{encode, of_model};
use crate::schema::type_json;
use crate::value::{self, Dynamic, Step, Type, decode_json, decode_msgpack};
use crate::wire::{self, StringKind};

/// A function.
pub trait Function: Send + Sync + 'static {
    /// The last part of the name in a call.
    const NAME: &'static str;
    /// A serde struct with one field for each parameter, by name; the variadic one is a `Vec`.
    /// Plain Rust types do, except where a parameter allows null or unknown: those want a
    /// [`Value`](crate::value::Value).
    type Arguments: DeserializeOwned;
    /// The result: anything of the signature's type.
    type Output: Serialize;

    /// Parameters, result and documentation.
    fn signature(&self) -> Signature;

    /// Computes the result.
    fn call(&self, arguments: Self::Arguments) -> Result<Self::Output, FunctionError>;
}

/// Parameters, result and documentation of a function.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The parameters by position.
    pub parameters: Vec<Parameter>,
    /// Takes every further argument.
    pub variadic: Option<Parameter>,
    /// The type of the result.
    pub returns: Type,
    /// One line.
    pub summary: String,
    /// Markdown.
    pub description: String,
    /// Why and in favour of what it is deprecated.
    pub deprecation: Option<String>,
}

impl Signature {
    /// A function without parameters: its one-line summary and what it returns.
    pub fn new(summary: impl Into<String>, returns: Type) -> Self {
        Self {
            parameters: Vec::new(),
            variadic: None,
            returns,
            summary: summary.into(),
            description: String::new(),
            deprecation: None,
        }
    }

    /// Adds the next parameter.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Takes every further argument.
    #[must_use]
    pub fn variadic(mut self, parameter: Parameter) -> Self {
        self.variadic = Some(parameter);
        self
    }

    /// Markdown: what it does, with an example.
    #[must_use]
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// Warns whoever calls it; the message says what to use in its place.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.deprecation = Some(message.into());
        self
    }

    /// The parameter that takes the argument at `index`.
    pub(super) fn parameter_at(&self, index: usize) -> Option<&Parameter> {
        self.parameters.get(index).or(self.variadic.as_ref())
    }

    /// The index of the argument for a parameter; `element` counts within the variadic one.
    fn index_of(&self, parameter: &str, element: usize) -> Option<usize> {
        let position = self
            .parameters
            .iter()
            .position(|candidate| candidate.name == parameter);
        let is_variadic = self
            .variadic
            .as_ref()
            .is_some_and(|variadic| variadic.name == parameter);
        position.or(is_variadic.then_some(self.parameters.len() + element))
    }

    /// An error as the function raised it, for tests of providers.
    pub(super) fn error_from_wire(&self, error: wire::FunctionError) -> FunctionError {
        let index = error
            .function_argument
            .and_then(|index| usize::try_from(index).ok());
        let at = index.and_then(|index| {
            let element = index.saturating_sub(self.parameters.len());
            self.parameter_at(index)
                .map(|parameter| (parameter.name.clone(), element))
        });
        FunctionError {
            text: error.text,
            at,
        }
    }
}

/// A parameter of a function.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, for the documentation and for the field of the arguments.
    pub name: String,
    /// Its type.
    pub r#type: Type,
    /// Markdown.
    pub description: String,
    /// May the argument be null? Otherwise Terraform refuses it.
    pub allow_null: bool,
    /// May the argument be unknown? Otherwise the call is put off and its result unknown.
    pub allow_unknown: bool,
}

impl Parameter {
    /// A parameter with its name and type.
    pub fn new(name: impl Into<String>, r#type: Type) -> Self {
        Self {
            name: name.into(),
            r#type,
            description: String::new(),
            allow_null: false,
            allow_unknown: false,
        }
    }

    /// Markdown.
    #[must_use]
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// The argument may be null.
    #[must_use]
    pub fn allow_null(mut self) -> Self {
        self.allow_null = true;
        self
    }

    /// The argument may be unknown.
    #[must_use]
    pub fn allow_unknown(mut self) -> Self {
        self.allow_unknown = true;
        self
    }
}

/// Why a function has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FunctionError {
    text: String,
    at: Option<(String, usize)>,
}

impl FunctionError {
    /// An error in full sentences, about the call as a whole.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            at: None,
        }
    }

    /// Points at the argument of a parameter.
    #[must_use]
    pub fn at(self, parameter: impl Into<String>) -> Self {
        self.at_element(parameter, 0)
    }

    /// Points at one argument, counted from 0, of the variadic parameter.
    #[must_use]
    pub fn at_element(mut self, parameter: impl Into<String>, element: usize) -> Self {
        self.at = Some((parameter.into(), element));
        self
    }
}

pub(super) trait AnyFunction: Send + Sync {
    fn name(&self) -> &'static str;
    fn definition(&self) -> wire::Function;
    fn call(
        &self,
        arguments: &[wire::DynamicValue],
    ) -> Result<wire::DynamicValue, wire::FunctionError>;
}

impl<F: Function> AnyFunction for F {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn definition(&self) -> wire::Function {
        let signature = self.signature();
        wire::Function {
            parameters: signature.parameters.iter().map(Into::into).collect(),
            variadic_parameter: signature.variadic.as_ref().map(Into::into),
            r#return: Some(wire::function::Return {
                r#type: type_json(&signature.returns),
            }),
            summary: signature.summary,
            description: signature.description,
            description_kind: StringKind::Markdown.into(),
            deprecation_message: signature.deprecation.unwrap_or_default(),
        }
    }

    fn call(
        &self,
        arguments: &[wire::DynamicValue],
    ) -> Result<wire::DynamicValue, wire::FunctionError> {
        let signature = self.signature();
        let arguments = gather(&signature, arguments)?;
        let arguments = value::from_dynamic(arguments).map_err(|error| {
            let argument = match error.path.steps() {
                [Step::Attribute(name), Step::Index(element), ..] => {
                    signature.index_of(name, usize::try_from(*element).unwrap_or_default())
                }
                [Step::Attribute(name), ..] => signature.index_of(name, 0),
                _ => None,
            };
            fail(error.to_string(), argument)
        })?;
        let output = Function::call(self, arguments).map_err(|FunctionError { text, at }| {
            fail(
                text,
                at.and_then(|(parameter, element)| signature.index_of(&parameter, element)),
            )
        })?;
        of_model(&output, &signature.returns)
            .and_then(|output| encode(&output, &signature.returns))
            .map_err(|error| fail(error.to_string(), None))
    }
}

/// All arguments as one object by parameter names, for the struct to be made of.
fn gather(
    signature: &Signature,
    arguments: &[wire::DynamicValue],
) -> Result<Dynamic, wire::FunctionError> {
    if arguments.len() < signature.parameters.len() {
        let wanted = signature.parameters.len();
        return Err(fail(
            format!(
                "{wanted} arguments are needed, {} were given.",
                arguments.len()
            ),
            None,
        ));
    }
    let mut named = std::collections::BTreeMap::new();
    let mut rest = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let Some(parameter) = signature.parameter_at(index) else {
            let most = signature.parameters.len();
            return Err(fail(
                format!("At most {most} arguments are taken."),
                Some(index),
            ));
        };
        let decoded = if argument.msgpack.is_empty() {
            decode_json(&argument.json, &parameter.r#type)
        } else {
            decode_msgpack(&argument.msgpack, &parameter.r#type)
        };
        let value = decoded.map_err(|error| fail(error.to_string(), Some(index)))?;
        if index < signature.parameters.len() {
            named.insert(parameter.name.clone(), value);
        } else {
            rest.push(value);
        }
    }
    if let Some(variadic) = &signature.variadic {
        named.insert(variadic.name.clone(), Dynamic::List(rest));
    }
    Ok(Dynamic::Object(named))
}

pub(super) fn fail(text: String, argument: Option<usize>) -> wire::FunctionError {
    let function_argument = argument.and_then(|index| i64::try_from(index).ok());
    wire::FunctionError {
        text,
        function_argument,
    }
}

impl From<&Parameter> for wire::function::Parameter {
    fn from(parameter: &Parameter) -> Self {
        Self {
            name: parameter.name.clone(),
            r#type: type_json(&parameter.r#type),
            allow_null_value: parameter.allow_null,
            allow_unknown_values: parameter.allow_unknown,
            description: parameter.description.clone(),
            description_kind: StringKind::Markdown.into(),
        }
    }
}
