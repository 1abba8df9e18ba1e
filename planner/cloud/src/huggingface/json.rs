//! JSON as Python writes it: `Infinity`, `-Infinity` and `NaN` stand in files of the Hub
//! (`"time_step_limit": [0.0, Infinity]`), and no standard knows them.

use serde::de::DeserializeOwned;

/// What stands where a number cannot be told.
const NULL: &[u8] = b"null";

const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// Reads JSON; a number that is none reads as null.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        // The error is that of the file as it is, unless what was wrong with it are just these.
        Err(error) => serde_json::from_slice(&without_words(bytes)).map_err(|_| error),
    }
}

fn without_words(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut in_text, mut escaped) = (false, false);
    while let Some((first, rest)) = bytes.split_first() {
        if !in_text && let Some(word) = WORDS.iter().find(|word| bytes.starts_with(word)) {
            out.extend_from_slice(NULL);
            bytes = &bytes[word.len()..];
            continue;
        }
        in_text = match (*first, escaped) {
            (b'"', false) => !in_text,
            _ => in_text,
        };
        escaped = in_text && *first == b'\\' && !escaped;
        out.push(*first);
        bytes = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_python_writes_for_no_number_is_null() {
        let text = br#"{"a": [0.0, Infinity], "b": -Infinity, "c": NaN, "d": "NaN \" Infinity"}"#;
        let value: Value = from_slice(text).expect("JSON, as Python has it");
        let expected = json!({"a": [0.0, null], "b": null, "c": null, "d": "NaN \" Infinity"});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_mark_of_byte_order_is_passed_over() {
        let value: Value = from_slice(b"\xEF\xBB\xBF{}").expect("JSON");
        assert_eq!(value, json!({}));
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none_where_it_stands() {
        let error = from_slice::<Value>(b"{\"a\": Infinity, \"b\": }").expect_err("no JSON");
        assert_eq!((error.line(), error.column()), (1, 7));
    }
}
