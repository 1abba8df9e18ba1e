//! `objects.compose`: several objects of a bucket, one after the other, as one.
//!
//! Source: <https://cloud.google.com/storage/docs/composite-objects>

use serde_json::Value;

use super::condition::Conditions;
use super::object::{Draft, missing, settable};
use super::{Checked, Error, Outcome};
use crate::blob::Blob;
use crate::world::World;

/// Most sources of one request.
const SOURCES: usize = 32;

/// `POST b/{bucket}/o/{object}/compose`
pub(super) fn compose(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let (bucket, name) = (checked.path(0), checked.path(1));
    let body = &checked.body;
    let sources = body["sourceObjects"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if sources.is_empty() {
        let text = "You must provide at least one source component.";
        return Err(Error::legacy(400, Some("required"), text));
    }
    if sources.len() > SOURCES {
        let text = format!(
            "The number of source components provided ({}) exceeds the maximum ({SOURCES})",
            sources.len()
        );
        return Err(Error::legacy(400, None, &text));
    }
    let (mut blobs, mut components) = (Vec::new(), 0_u32);
    let (mut class, mut first_type) = (None, None);
    for source in &sources {
        let from = source["name"].as_str().unwrap_or_default();
        let generation = number(&source["generation"]);
        let wanted = number(&source["objectPreconditions"]["ifGenerationMatch"]);
        let conditions = Conditions {
            generation: wanted,
            ..Conditions::default()
        };
        let found = world.storage.bucket(bucket)?.find(from, generation);
        // A source that must have a generation, and is not there, is what 412 is for as well;
        // Google answers 404.
        let object = found.ok_or_else(|| missing(bucket, from))?;
        conditions.allow(Some(object.stamp()))?;
        components = components.saturating_add(object.components.unwrap_or(1));
        class = class.or_else(|| Some(object.storage_class.clone()));
        first_type = first_type.or_else(|| object.plain().get("contentType").cloned());
        blobs.push(object.blob.clone());
    }
    let mut plain = settable(&body["destination"]);
    if let (None, Some(kind)) = (plain.get("contentType"), first_type) {
        plain.insert("contentType".to_owned(), kind);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let draft = Draft {
        name: name.to_owned(),
        plain,
        storage_class: text(&body["destination"]["storageClass"]).or(class),
        key: checked.request().query("kmsKeyName").map(str::to_owned),
        blob: Blob::joined(&blobs),
        components: Some(components),
    };
    let now = world.now();
    let conditions = Conditions::of(checked.request(), "")?;
    let object = world.storage.create(bucket, draft, conditions, now)?;
    let view = object.view(bucket, checked.call.base);
    if body["deleteSourceObjects"] == true {
        for source in &sources {
            let from = source["name"].as_str().unwrap_or_default();
            if from != name {
                let any = Conditions::default();
                // The same source may stand in the list twice.
                drop(world.storage.remove(bucket, from, None, any, now));
            }
        }
    }
    Ok(view)
}

/// A 64-bit number, which is a string in canonical JSON.
fn number(value: &Value) -> Option<i64> {
    value.as_str()?.parse().ok()
}
