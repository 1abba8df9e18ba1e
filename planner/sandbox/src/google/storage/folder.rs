//! Managed folders: names that IAM policies can be put on. Their own policies are not emulated.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::condition::Conditions;
use super::{Checked, Error, Outcome};
use crate::clock::Time;
use crate::world::World;

/// One managed folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Folder {
    created: Time,
}

/// A folder is never changed, so there is only its first metageneration.
const METAGENERATION: u64 = 1;

/// `b/{bucket}/managedFolders…`
pub(super) fn answer(world: &mut World, method: &str, checked: &Checked<'_>) -> Outcome {
    let now = world.now();
    let bucket = checked.path(0);
    let view = |name: &str, folder: &Folder| {
        let created = folder.created.rfc3339_millis();
        json!({
            "kind": "storage#managedFolder",
            "id": format!("{bucket}/{name}"),
            "selfLink": format!("{}/storage/v1/b/{bucket}/managedFolders/{name}", checked.call.base),
            "bucket": bucket,
            "name": name,
            "metageneration": METAGENERATION.to_string(),
            "createTime": created,
            "updateTime": created,
        })
    };
    let place = world.storage.bucket_mut(bucket)?;
    let name = checked.path(1);
    let missing = || {
        let text = format!("The managed folder {bucket}/{name} does not exist.");
        Error::legacy(404, None, &text)
    };
    match method {
        "managedFolders.insert" => {
            let name = checked.body["name"].as_str().unwrap_or_default();
            super::object::check_name(name)?;
            let name = format!("{}/", name.trim_end_matches('/'));
            if place.folders.contains_key(&name) {
                let text = format!("The managed folder {bucket}/{name} exists.");
                return Err(Error::legacy(409, None, &text));
            }
            let folder = Folder { created: now };
            let view = view(&name, &folder);
            place.folders.insert(name, folder);
            Ok(view)
        }
        "managedFolders.get" => {
            let folder = place.folders.get(name).ok_or_else(missing)?;
            Ok(view(name, folder))
        }
        "managedFolders.delete" => {
            if !place.folders.contains_key(name) {
                return Err(missing());
            }
            let conditions = Conditions::of(checked.request(), "")?;
            conditions.allow(Some((now.micros(), METAGENERATION)))?;
            let inside = place.objects.range(name.to_owned()..).next();
            let empty = inside.is_none_or(|(object, _)| !object.starts_with(name));
            if !empty && !checked.request().flag("allowNonEmpty") {
                let text = "The managed folder you tried to delete is not empty.";
                return Err(Error::legacy(409, None, text));
            }
            place.folders.remove(name);
            Ok(Value::Null)
        }
        _ => {
            let request = checked.request();
            let prefix = request.query("prefix").unwrap_or_default();
            let names = place.folders.keys().filter(|name| name.starts_with(prefix));
            let (names, next) = super::list::page(request, names.cloned().collect())?;
            let found = names
                .iter()
                .filter_map(|name| Some(view(name, place.folders.get(name)?)));
            let found: Vec<Value> = found.collect();
            let mut answer = json!({"kind": "storage#managedFolders"});
            if !found.is_empty() {
                answer["items"] = found.into();
            }
            if let Some(next) = next {
                answer["nextPageToken"] = next.into();
            }
            Ok(answer)
        }
    }
}
