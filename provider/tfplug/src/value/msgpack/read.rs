//! Values out of bytes.

use std::collections::BTreeMap;

use rmp::Marker;

use super::super::conform::{require_attributes, require_length};
use super::super::order::normalize_set;
use super::super::{Bound, CodecError, Dynamic, Refinement, Step, Type};
use super::bytes::{Reader, wrong};
use super::{MAX_DEPTH, MAX_REFINEMENT_BYTES, REFINED, promise};

impl Reader<'_> {
    pub(super) fn value(&mut self, ty: &Type) -> Result<Dynamic, CodecError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CodecError::new(format!(
                "a value of at most {MAX_DEPTH} levels is required"
            )));
        }
        let value = self.value_here(ty);
        self.depth -= 1;
        value
    }

    fn value_here(&mut self, ty: &Type) -> Result<Dynamic, CodecError> {
        let marker = self.marker()?;
        if let Some(length) = self.extension_length(marker)? {
            return self.unknown(length, ty);
        }
        if marker == Marker::Null {
            return Ok(Dynamic::Null);
        }
        match ty {
            Type::Bool => match marker {
                Marker::True => Ok(Dynamic::Bool(true)),
                Marker::False => Ok(Dynamic::Bool(false)),
                _ => Err(wrong(ty)),
            },
            Type::Number => self.number(marker).map(Dynamic::Number),
            Type::String => self
                .text(marker)
                .map(|text| Dynamic::String(text.to_owned())),
            Type::Dynamic => self.typed(marker),
            Type::List(element) => self.elements(marker, element, ty).map(Dynamic::List),
            Type::Set(element) => {
                let mut elements = self.elements(marker, element, ty)?;
                normalize_set(&mut elements);
                Ok(Dynamic::Set(elements))
            }
            Type::Tuple(types) => {
                require_length(types.len(), self.array_length(marker, ty)?)?;
                let elements = (0..).zip(types).map(|(index, element)| {
                    self.value(element)
                        .map_err(|error| error.under(Step::Index(index)))
                });
                Ok(Dynamic::Tuple(elements.collect::<Result<_, _>>()?))
            }
            Type::Map(element) => {
                let mut values = BTreeMap::new();
                for _ in 0..self.map_length(marker, ty)? {
                    let key = self.key()?;
                    let value = self
                        .value(element)
                        .map_err(|e| e.under(Step::Key(key.to_owned())))?;
                    values.insert(key.to_owned(), value);
                }
                Ok(Dynamic::Map(values))
            }
            Type::Object(attributes) => {
                let length = self.map_length(marker, ty)?;
                let mut values = BTreeMap::new();
                for _ in 0..length {
                    let name = self.key()?;
                    let Some(ty) = attributes.get(name) else {
                        let (required, given) = (attributes.len(), length);
                        return Err(CodecError::new(format!(
                            "an object with {required} attributes is required ({given} given): there is no {name:?}"
                        )));
                    };
                    let value = self
                        .value(ty)
                        .map_err(|e| e.under(Step::Attribute(name.to_owned())))?;
                    values.insert(name.to_owned(), value);
                }
                require_attributes(attributes, &values)?;
                Ok(Dynamic::Object(values))
            }
        }
    }

    fn elements(
        &mut self,
        marker: Marker,
        element: &Type,
        ty: &Type,
    ) -> Result<Vec<Dynamic>, CodecError> {
        let length = self.array_length(marker, ty)?;
        let mut elements = Vec::with_capacity(length.min(1024));
        for index in (0_i64..).take(length) {
            let value = self
                .value(element)
                .map_err(|error| error.under(Step::Index(index)))?;
            elements.push(value);
        }
        Ok(elements)
    }

    fn typed(&mut self, marker: Marker) -> Result<Dynamic, CodecError> {
        if self.array_length(marker, &Type::Dynamic)? != 2 {
            return Err(wrong(&Type::Dynamic));
        }
        let marker = self.marker()?;
        let json = self.bytes(marker)?;
        let own = Type::from_json(json).map_err(|error| CodecError::new(error.to_string()))?;
        let value = self.value(&own)?;
        // Without a type of its own it says no more than a bare null or unknown.
        if own == Type::Dynamic {
            return Ok(value);
        }
        Ok(Dynamic::Typed(Box::new(own), Box::new(value)))
    }

    fn unknown(&mut self, length: usize, ty: &Type) -> Result<Dynamic, CodecError> {
        let [code] = self.array()?;
        let payload = self.take(length)?;
        if i8::from_be_bytes([code]) != REFINED
            || length > MAX_REFINEMENT_BYTES
            || *ty == Type::Dynamic
        {
            return Ok(Dynamic::unknown());
        }
        let mut reader = Reader {
            rest: payload,
            depth: self.depth,
        };
        reader.refinement().map_err(|error| {
            CodecError::new(format!(
                "unknown value with unreadable promises: {}",
                error.message
            ))
        })
    }

    /// A promise to be null makes the value null; unknown keys are promises of a later protocol.
    fn refinement(&mut self) -> Result<Dynamic, CodecError> {
        let marker = self.marker()?;
        let mut refinement = Refinement::default();
        let mut is_null = false;
        for _ in 0..self.map_length(marker, &Type::map(Type::Dynamic))? {
            let key = self.length()?;
            match key {
                promise::IS_NULL => match self.marker()? {
                    Marker::True => is_null = true,
                    Marker::False => refinement = refinement.with_not_null(),
                    _ => return Err(wrong(&Type::Bool)),
                },
                promise::PREFIX => {
                    let marker = self.marker()?;
                    refinement = refinement.with_prefix(self.text(marker)?);
                }
                promise::LOWER => {
                    let Bound { number, inclusive } = self.bound()?;
                    refinement = refinement.with_lower(number, inclusive);
                }
                promise::UPPER => {
                    let Bound { number, inclusive } = self.bound()?;
                    refinement = refinement.with_upper(number, inclusive);
                }
                promise::MIN_LENGTH => refinement = refinement.with_min_length(self.length()?),
                promise::MAX_LENGTH => refinement = refinement.with_max_length(self.length()?),
                _ => self.skip()?,
            }
        }
        Ok(if is_null {
            Dynamic::Null
        } else {
            Dynamic::Unknown(refinement)
        })
    }

    fn bound(&mut self) -> Result<Bound, CodecError> {
        let marker = self.marker()?;
        if self.array_length(marker, &Type::list(Type::Dynamic))? != 2 {
            return Err(CodecError::new("a bound is a number and a bool"));
        }
        let marker = self.marker()?;
        let number = self.number(marker)?;
        let inclusive = match self.marker()? {
            Marker::True => true,
            Marker::False => false,
            _ => return Err(wrong(&Type::Bool)),
        };
        Ok(Bound { number, inclusive })
    }

    /// A whole number that is not negative.
    fn length(&mut self) -> Result<u64, CodecError> {
        let marker = self.marker()?;
        self.number(marker)?
            .to_u64()
            .ok_or_else(|| CodecError::new("a length of 0 or more is required"))
    }
}
