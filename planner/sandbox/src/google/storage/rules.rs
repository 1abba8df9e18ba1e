//! Rules that buckets and objects share: names, labels, storage classes, keys, patches, entity tags.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Error;

/// Storage classes, the old ones too.
const CLASSES: [&str; 7] = [
    "STANDARD",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
    "MULTI_REGIONAL",
    "REGIONAL",
    "DURABLE_REDUCED_AVAILABILITY",
];
/// What is against a bucket's name (<https://cloud.google.com/storage/docs/buckets#naming>).
pub(super) fn name_fault(name: &str) -> Option<Error> {
    let plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let bytes = name.as_bytes();
    let well_formed = bytes
        .iter()
        .all(|&letter| plain(letter) || b"-_.".contains(&letter))
        && bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && (3..=222).contains(&name.len())
        && name.split('.').all(|part| (1..=63).contains(&part.len()))
        && name.parse::<std::net::Ipv4Addr>().is_err();
    if !well_formed || name.starts_with("goog") || name.contains("google") {
        let text = format!("Invalid bucket name: '{name}'");
        return Some(Error::legacy(400, None, &text));
    }
    name.contains('.').then(|| {
        let text = "The bucket you tried to create requires domain ownership verification.";
        Error::legacy(403, None, text)
    })
}

/// A storage class by name; the default when none is given.
pub(super) fn storage_class(name: Option<&str>) -> Result<String, Error> {
    let name = name.unwrap_or("STANDARD").to_ascii_uppercase();
    if CLASSES.contains(&name.as_str()) {
        Ok(name)
    } else {
        Err(Error::legacy(
            400,
            None,
            &format!("Invalid storage class: {name}"),
        ))
    }
}

/// Whether a text names a key of Cloud KMS.
pub(super) fn check_key(key: Option<&str>) -> Result<(), Error> {
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Ok(());
    };
    let parts: Vec<&str> = key.split('/').collect();
    if let [
        "projects",
        _,
        "locations",
        _,
        "keyRings",
        _,
        "cryptoKeys",
        _,
    ] = parts.as_slice()
    {
        return Ok(());
    }
    Err(Error::legacy(
        400,
        None,
        &format!("Malformed Cloud KMS crypto key: {key}"),
    ))
}

/// Labels of lower-case letters, digits, `-` and `_`, at most 64 of 63 characters.
pub(super) fn check_labels(labels: Option<&Value>) -> Result<(), Error> {
    let labels = labels.and_then(Value::as_object);
    let fits = |text: &str| {
        text.chars().count() <= 63
            && text.chars().all(|letter| {
                "-_".contains(letter) || (letter.is_alphanumeric() && !letter.is_uppercase())
            })
    };
    for (key, value) in labels.into_iter().flatten() {
        if key.is_empty() || !fits(key) || !value.as_str().is_some_and(fits) {
            let text = format!("Invalid label: {key}={value}");
            return Err(Error::legacy(400, None, &text));
        }
    }
    if labels.is_some_and(|labels| labels.len() > 64) {
        return Err(Error::legacy(400, None, "A bucket has at most 64 labels."));
    }
    Ok(())
}

/// Put a member in place, as RFC 7396 has it: objects are merged, `null` removes.
pub(super) fn merge(members: &mut Map<String, Value>, name: &str, value: &Value) {
    match (value, members.get_mut(name)) {
        (Value::Null, _) => drop(members.remove(name)),
        (Value::Object(given), Some(Value::Object(found))) => {
            for (name, value) in given {
                merge(found, name, value);
            }
            if found.is_empty() {
                members.remove(name);
            }
        }
        (Value::Object(given), _) => {
            let mut fresh = Map::new();
            for (name, value) in given {
                merge(&mut fresh, name, value);
            }
            members.insert(name.to_owned(), Value::Object(fresh));
        }
        (value, _) => drop(members.insert(name.to_owned(), value.clone())),
    }
}

/// The entity tag of Cloud Storage: generation and metageneration as two numbered integers of a
/// protocol buffer, in base64. A bucket's has only the second.
pub(super) fn etag(generation: Option<i64>, metageneration: u64) -> String {
    let mut bytes = Vec::new();
    let mut integer = |tag: u8, mut value: u64| {
        bytes.push(tag);
        while value > 127 {
            bytes.push(value.to_le_bytes()[0] | 128);
            value >>= 7;
        }
        bytes.push(value.to_le_bytes()[0]);
    };
    if let Some(generation) = generation {
        integer(8, u64::try_from(generation).unwrap_or(0));
        integer(16, metageneration);
    } else {
        integer(8, metageneration);
    }
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_keep_to_the_published_rules() {
        for good in ["models", "a-b_c1", "1ab"] {
            assert!(name_fault(good).is_none(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Models",
            "-models",
            "models-",
            "goog-x",
            "my-google-b",
            "a b",
            "10.0.0.1",
            "a..b",
        ] {
            assert_eq!(name_fault(bad).expect(bad).code(), 400, "{bad}");
        }
        assert_eq!(
            name_fault("models.example.com").expect("a domain").code(),
            403
        );
        assert!(name_fault(&"a".repeat(64)).is_some());
    }

    #[test]
    fn a_patch_merges_and_null_removes() {
        let mut members = Map::new();
        merge(&mut members, "labels", &json!({"a": "1", "b": "2"}));
        merge(&mut members, "labels", &json!({"a": null, "c": "3"}));
        assert_eq!(
            Value::Object(members.clone()),
            json!({"labels": {"b": "2", "c": "3"}})
        );
        merge(&mut members, "labels", &Value::Null);
        assert!(members.is_empty());
    }

    #[test]
    fn an_etag_is_the_two_numbers() {
        // That of an object with generation 1 and metageneration 1, and of a new bucket.
        assert_eq!(etag(Some(1), 1), "CAEQAQ==");
        assert_eq!(etag(None, 1), "CAE=");
    }
}
