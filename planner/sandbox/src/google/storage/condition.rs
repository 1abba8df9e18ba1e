//! Preconditions: what must hold of an object or a bucket for a request to be carried out.
//!
//! Source: <https://cloud.google.com/storage/docs/request-preconditions>

use super::Error;
use crate::http::Request;

/// The conditions of one request on one thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    /// `ifGenerationMatch`; 0 is "there is none".
    pub(super) generation: Option<i64>,
    pub(super) not_generation: Option<i64>,
    pub(super) metageneration: Option<i64>,
    pub(super) not_metageneration: Option<i64>,
}

/// What a reader is told when what it has is still right.
pub(super) const NOT_MODIFIED: u16 = 304;

impl Conditions {
    /// Those of the query parameters `if{Source}GenerationMatch` and so on.
    pub(super) fn of(request: &Request, source: &str) -> Result<Self, Error> {
        let number = |name: &str| {
            let name = format!("if{source}{name}");
            integer(&name, request.query(&name))
        };
        Ok(Self {
            generation: number("GenerationMatch")?,
            not_generation: number("GenerationNotMatch")?,
            metageneration: number("MetagenerationMatch")?,
            not_metageneration: number("MetagenerationNotMatch")?,
        })
    }

    /// Those of the XML API's headers.
    pub(super) fn of_headers(request: &Request) -> Result<Self, Error> {
        let number = |name: &str| integer(name, request.header(name));
        Ok(Self {
            generation: number("x-goog-if-generation-match")?,
            metageneration: number("x-goog-if-metageneration-match")?,
            ..Self::default()
        })
    }

    /// Whether a change may be made to what is there now: its generation and metageneration.
    pub(super) fn allow(&self, found: Option<(i64, u64)>) -> Result<(), Error> {
        self.check(found, 412)
    }

    /// Whether a reader gets an answer: 304 when it asked only for something else than it has.
    pub(super) fn allow_read(&self, found: (i64, u64)) -> Result<(), Error> {
        self.check(Some(found), NOT_MODIFIED)
    }

    fn check(&self, found: Option<(i64, u64)>, unchanged: u16) -> Result<(), Error> {
        let generation = found.map_or(0, |(generation, _)| generation);
        let metageneration = found.and_then(|(_, number)| i64::try_from(number).ok());
        let differs = self.generation.is_some_and(|wanted| wanted != generation)
            || self
                .metageneration
                .is_some_and(|wanted| Some(wanted) != metageneration);
        if differs {
            return Err(failed(412));
        }
        let same = self.not_generation == Some(generation)
            || (self.not_metageneration.is_some() && self.not_metageneration == metageneration);
        if same { Err(failed(unchanged)) } else { Ok(()) }
    }
}

fn failed(code: u16) -> Error {
    let text = "At least one of the pre-conditions you specified did not hold.";
    Error::legacy(code, Some("conditionNotMet"), text)
}

/// A 64-bit number of a parameter or header.
pub(super) fn integer(name: &str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(text) = text else {
        return Ok(None);
    };
    let number = text
        .parse()
        .map_err(|_| Error::legacy(400, None, &format!("Invalid value for: {text} ({name})")))?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(conditions: Conditions, found: Option<(i64, u64)>, expect: u16) {
        let code =
            |outcome: Result<(), Error>| outcome.map_or_else(|e| e.code().as_u16(), |()| 200);
        assert_eq!(code(conditions.allow(found)), expect, "{conditions:?}");
        if let Some(found) = found {
            let read = code(conditions.allow_read(found));
            let not = conditions.not_generation.or(conditions.not_metageneration);
            let expect = if expect == 412 && not.is_some() {
                304
            } else {
                expect
            };
            assert_eq!(read, expect, "{conditions:?} for a reader");
        }
    }

    #[test]
    fn zero_is_the_generation_of_what_is_not_there() {
        let only = |generation| Conditions {
            generation: Some(generation),
            ..Conditions::default()
        };
        check(only(0), None, 200);
        check(only(0), Some((7, 1)), 412);
        check(only(7), Some((7, 1)), 200);
        check(only(7), None, 412);
        let not = |generation| Conditions {
            not_generation: Some(generation),
            ..Conditions::default()
        };
        check(not(7), Some((7, 1)), 412);
        check(not(0), None, 412);
        check(not(6), Some((7, 1)), 200);
        let meta = |number| Conditions {
            metageneration: Some(number),
            ..Conditions::default()
        };
        check(meta(1), Some((7, 1)), 200);
        check(meta(2), Some((7, 1)), 412);
        check(meta(1), None, 412);
        let other = Conditions {
            not_metageneration: Some(1),
            ..Conditions::default()
        };
        check(other, Some((7, 1)), 412);
        check(other, Some((7, 2)), 200);
    }
}
