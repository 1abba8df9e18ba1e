//! Copies inside Cloud Storage: `rewriteTo`, in as many calls as it takes, and `copyTo`.
//!
//! Between buckets of one location and storage class a rewrite is done at once, whatever the size.
//! Else each call moves at most `maxBytesRewrittenPerCall`, and the token leads to the next.
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite>

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::condition::{Conditions, integer};
use super::object::{Draft, Object, settable};
use super::{Checked, Error, Outcome, rules};
use crate::world::World;

/// A copy under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rewrite {
    /// Path of the request, which must stay the same.
    path: Vec<String>,
    generation: i64,
    per_call: u64,
    done: u64,
}

/// `POST b/{bucket}/o/{object}/rewriteTo/b/{bucket}/o/{object}`
pub(super) fn rewrite(world: &mut World, checked: &Checked<'_>) -> Outcome {
    const MIB: u64 = 1 << 20;
    let request = checked.request();
    let asked = integer(
        "maxBytesRewrittenPerCall",
        request.query("maxBytesRewrittenPerCall"),
    )?;
    let asked = match asked.map(u64::try_from) {
        None => world.storage.settings.rewrite_bytes_per_call,
        Some(Ok(bytes)) if bytes > 0 && bytes % MIB == 0 => bytes,
        Some(_) => {
            let text = "maxBytesRewrittenPerCall must be an integral multiple of 1 MiB (1048576).";
            return Err(Error::legacy(400, None, text));
        }
    };
    let source = source(world, checked)?;
    let draft = draft(checked, &source);
    let conditions = Conditions::of(request, "")?;
    let moves = world.storage.differs(checked, &draft)?;
    let size = source.blob.size;

    let token = request
        .query("rewriteToken")
        .filter(|token| !token.is_empty());
    let mut state = Rewrite {
        path: checked.path.clone(),
        generation: source.generation,
        per_call: asked,
        done: 0,
    };
    if let Some(token) = token {
        let known = world.storage.rewrites.remove(token);
        state = known
            .filter(|known| {
                Rewrite {
                    done: 0,
                    ..known.clone()
                } == state
            })
            .ok_or_else(|| Error::legacy(400, None, "Invalid rewrite token."))?;
    }
    state.done = if moves {
        size.min(state.done + asked)
    } else {
        size
    };
    let now = world.now();
    let mut answer = json!({
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": state.done.to_string(),
        "objectSize": size.to_string(),
        "done": state.done == size,
    });
    if state.done < size {
        let live = world
            .storage
            .bucket(checked.path(2))?
            .find(checked.path(3), None);
        conditions.allow(live.map(Object::stamp))?;
        let token = world
            .fresh("rewrite", &checked.path.join("/"))
            .replace('-', "");
        answer["rewriteToken"] = token.as_str().into();
        world.storage.rewrites.insert(token, state);
        return Ok(answer);
    }
    let object = world
        .storage
        .create(checked.path(2), draft, conditions, now)?;
    answer["resource"] = object.view(checked.path(2), checked.call.base);
    Ok(answer)
}

/// `POST b/{bucket}/o/{object}/copyTo/b/{bucket}/o/{object}`: the same in one call.
pub(super) fn copy(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let source = source(world, checked)?;
    let draft = draft(checked, &source);
    let conditions = Conditions::of(checked.request(), "")?;
    if world.storage.differs(checked, &draft)?
        && source.blob.size > world.storage.settings.rewrite_bytes_per_call
    {
        let text = "Copy spanning locations and/or storage classes could not complete within 30 \
                    seconds. Please use the Rewrite method \
                    (https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite) instead.";
        return Err(Error::legacy(413, Some("uploadTooLarge"), text));
    }
    let now = world.now();
    let object = world
        .storage
        .create(checked.path(2), draft, conditions, now)?;
    Ok(object.view(checked.path(2), checked.call.base))
}

/// The object to copy, which must meet the conditions on the source.
fn source(world: &World, checked: &Checked<'_>) -> Result<Object, Error> {
    let request = checked.request();
    let generation = integer("sourceGeneration", request.query("sourceGeneration"))?;
    let (bucket, name) = (checked.path(0), checked.path(1));
    let found = world
        .storage
        .read(bucket, name, generation, Conditions::default())?;
    Conditions::of(request, "Source")?.allow(Some(found.stamp()))?;
    Ok(found.clone())
}

/// The copy: the metadata of the body, or the source's when the body is empty.
fn draft(checked: &Checked<'_>, source: &Object) -> Draft {
    let body = &checked.body;
    let empty = body.as_object().is_none_or(serde_json::Map::is_empty);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Draft {
        name: checked.path(3).to_owned(),
        plain: if empty {
            source.plain().clone()
        } else {
            settable(body)
        },
        storage_class: text(&body["storageClass"]),
        key: checked
            .request()
            .query("destinationKmsKeyName")
            .map(str::to_owned),
        blob: source.blob.clone(),
        components: source.components,
    }
}

impl super::Storage {
    /// Whether a copy goes to another location or storage class.
    fn differs(&self, checked: &Checked<'_>, draft: &Draft) -> Result<bool, Error> {
        let from = self.bucket(checked.path(0))?;
        let to = self.bucket(checked.path(2))?;
        let generation = checked.request().query("sourceGeneration");
        let source = from.find(checked.path(1), integer("sourceGeneration", generation)?);
        let class = match &draft.storage_class {
            Some(class) => rules::storage_class(Some(class))?,
            None => to.settings.storage_class.clone(),
        };
        Ok(from.settings.location != to.settings.location
            || source.is_some_and(|source| source.storage_class != class))
    }
}
