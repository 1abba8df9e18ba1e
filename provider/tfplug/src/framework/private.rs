//! Private state: what a provider keeps beside the state of a resource, unseen by the user.
//!
//! Terraform stores the bytes and hands them back in the next call. They lie in the state file in
//! the clear: no secrets.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Diagnostic;

/// Values by name, each anything that serde can write as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Private(BTreeMap<String, serde_json::Value>);

impl Private {
    /// Nothing kept yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of this name; `None` where there is none.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Diagnostic> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        T::deserialize(value)
            .map(Some)
            .map_err(|error| unreadable(&format!("`{name}`: {error}")))
    }

    /// Keeps a value under a name.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Diagnostic> {
        let value = serde_json::to_value(value).map_err(|error| {
            Diagnostic::error("Private state cannot be written").detail(format!(
                "This is a bug in the provider, please report it: `{name}`: {error}"
            ))
        })?;
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// Forgets a value.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Diagnostic> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| unreadable(&error.to_string()))
    }

    /// The bytes to store; none where nothing is kept.
    pub(crate) fn to_bytes(&self) -> Bytes {
        if self.0.is_empty() {
            return Bytes::new();
        }
        // A map of strings to JSON values always has a JSON form.
        serde_json::to_vec(&self.0)
            .map(Bytes::from)
            .unwrap_or_default()
    }
}

fn unreadable(what: &str) -> Diagnostic {
    Diagnostic::error("Private state is unreadable").detail(format!(
        "What this provider kept in the state beside the resource is not what it expects ({what}). \
         The state was probably written by a newer version: use that version, or remove the \
         resource from the state and import it again."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back() {
        let mut private = Private::new();
        assert!(private.to_bytes().is_empty());
        private.set("operation", &("lro-1", 7)).expect("JSON");
        let back = Private::from_bytes(&private.to_bytes()).expect("our own bytes");
        assert_eq!(
            back.get::<(String, u8)>("operation").expect("readable"),
            Some(("lro-1".into(), 7))
        );
        assert_eq!(back.get::<String>("other").expect("absent"), None);
        assert!(back.get::<bool>("operation").is_err());
        assert!(Private::from_bytes(b"\x00").is_err());
    }
}
