//! Listing the objects of a bucket: prefixes, folders by a delimiter, offsets, globs, pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use regex::Regex;
use serde_json::{Value, json};

use super::object::Object;
use super::{Checked, Error, Outcome};
use crate::http::Request;
use crate::world::World;

/// Most entries of one page.
const PAGE: usize = 1_000;

/// One entry of a listing: an object, or what several have in common up to the delimiter.
enum Entry<'a> {
    Object(&'a Object),
    Prefix,
}

/// `GET b/{bucket}/o`
pub(super) fn list(world: &World, checked: &Checked<'_>) -> Outcome {
    let request = checked.request();
    let bucket = world.storage.bucket(checked.path(0))?;
    let filter = Filter::of(request)?;
    let (versions, soft) = (request.flag("versions"), request.flag("softDeleted"));
    if versions && soft {
        let text = "versions and softDeleted cannot be asked for together.";
        return Err(Error::legacy(400, None, text));
    }
    let (live, kept): (Vec<&Object>, Vec<&Object>) = if soft {
        (Vec::new(), bucket.soft_deleted.iter().collect())
    } else {
        // Names are in order, so a prefix is one stretch of them.
        let from = bucket.objects.range(filter.prefix.to_owned()..);
        let live = from
            .take_while(|(name, _)| name.starts_with(filter.prefix))
            .map(|(_, object)| object);
        let old = bucket.noncurrent.iter().filter(|_| versions);
        (live.collect(), old.collect())
    };
    let mut found: Vec<(String, Entry<'_>)> = Vec::new();
    for object in live
        .into_iter()
        .chain(kept)
        .filter(|object| filter.holds(&object.name))
    {
        let (folder, shown) = filter.folder(&object.name);
        if let Some(folder) = folder {
            found.push((folder.to_owned(), Entry::Prefix));
        }
        if shown {
            // The zero keeps generations of one name together, before longer names.
            let key = format!("{}\0{:020}", object.name, object.generation);
            found.push((key, Entry::Object(object)));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.dedup_by(|(one, a), (other, b)| {
        one == other && matches!((&*a, &*b), (Entry::Prefix, Entry::Prefix))
    });
    let keys = found.iter().map(|(key, _)| key.clone()).collect();
    let (keys, next) = page(request, keys)?;
    let start = keys
        .first()
        .map_or(0, |first| found.partition_point(|(key, _)| key < first));
    let (mut items, mut prefixes) = (Vec::new(), Vec::new());
    for (key, entry) in &found[start..start + keys.len()] {
        match entry {
            Entry::Object(object) => items.push(object.view(checked.path(0), checked.call.base)),
            Entry::Prefix => prefixes.push(Value::from(key.as_str())),
        }
    }
    let mut answer = json!({"kind": "storage#objects"});
    for (name, values) in [("items", items), ("prefixes", prefixes)] {
        if !values.is_empty() {
            answer[name] = values.into();
        }
    }
    if let Some(next) = next {
        answer["nextPageToken"] = next.into();
    }
    Ok(answer)
}

/// Which objects are wanted, and how they are folded.
struct Filter<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    /// Show an object that ends in the delimiter beside its prefix.
    trailing: bool,
    start: &'a str,
    end: &'a str,
    glob: Option<Regex>,
}

impl<'a> Filter<'a> {
    fn of(request: &'a Request) -> Result<Self, Error> {
        let text = |name: &str| request.query(name).unwrap_or_default();
        let glob = request.query("matchGlob").filter(|glob| !glob.is_empty());
        let glob = glob.map(|glob| {
            Regex::new(&expression(glob))
                .map_err(|_| Error::legacy(400, None, &format!("Invalid glob expression: {glob}")))
        });
        Ok(Self {
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            trailing: request.flag("includeTrailingDelimiter"),
            start: text("startOffset"),
            end: text("endOffset"),
            glob: glob.transpose()?,
        })
    }

    fn holds(&self, name: &str) -> bool {
        name.starts_with(self.prefix)
            && name >= self.start
            && (self.end.is_empty() || name < self.end)
            && self.glob.as_ref().is_none_or(|glob| glob.is_match(name))
    }

    /// The prefix that stands for this object, and whether it is listed itself.
    fn folder<'n>(&self, name: &'n str) -> (Option<&'n str>, bool) {
        let rest = &name[self.prefix.len()..];
        let at = if self.delimiter.is_empty() {
            None
        } else {
            rest.find(self.delimiter)
        };
        match at {
            None => (None, true),
            Some(at) => {
                let end = self.prefix.len() + at + self.delimiter.len();
                (Some(&name[..end]), self.trailing && end == name.len())
            }
        }
    }
}

/// A glob of Cloud Storage as a regular expression: `*` inside a folder, `**` across, `?`,
/// `[a-z]`, `{a,b}` (<https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob>).
fn expression(glob: &str) -> String {
    let mut text = "^".to_owned();
    let mut letters = glob.chars().peekable();
    let mut depth = 0;
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.peek() == Some(&'*') => {
                letters.next();
                text.push_str("(?s:.*)");
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '[' => {
                text.push('[');
                if letters.next_if_eq(&'!').is_some() {
                    text.push('^');
                }
                for letter in letters.by_ref() {
                    if matches!(letter, '\\' | '[' | '^' | '&' | '~') {
                        text.push('\\');
                    }
                    text.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            '{' => {
                depth += 1;
                text.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                text.push(')');
            }
            ',' if depth > 0 => text.push('|'),
            '\\' => text.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    text.push('$');
    text
}

/// The page that `maxResults` (or `pageSize`) and `pageToken` ask for, and the token of the next.
/// The keys are sorted; a token holds the last one.
pub(super) fn page(
    request: &Request,
    keys: Vec<String>,
) -> Result<(Vec<String>, Option<String>), Error> {
    let asked = request
        .query("maxResults")
        .or_else(|| request.query("pageSize"));
    let size = match asked.map(str::parse::<usize>) {
        None | Some(Ok(0)) => PAGE,
        Some(Ok(size)) => size.min(PAGE),
        Some(Err(_)) => return Err(Error::legacy(400, None, "Invalid value for: maxResults")),
    };
    let token = request.query("pageToken").filter(|token| !token.is_empty());
    let start = match token {
        None => 0,
        Some(token) => {
            let bytes = URL_SAFE.decode(token).ok();
            let after = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let after = after
                .ok_or_else(|| Error::legacy(400, None, &format!("Invalid page token: {token}")))?;
            keys.partition_point(|key| *key <= after)
        }
    };
    let more = keys.len() > start + size;
    let keys: Vec<String> = keys.into_iter().skip(start).take(size).collect();
    let next = keys.last().filter(|_| more).map(|key| URL_SAFE.encode(key));
    Ok((keys, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(glob: &str, name: &str, expect: bool) {
        let pattern = Regex::new(&expression(glob)).expect("an expression");
        assert_eq!(
            pattern.is_match(name),
            expect,
            "{glob} on {name}: {pattern}"
        );
    }

    #[test]
    fn globs_are_those_of_cloud_storage() {
        check("*.json", "a.json", true);
        check("*.json", "a/b.json", false);
        check("**.json", "a/b.json", true);
        check("a/**/c", "a/b/b/c", true);
        check("model-?.bin", "model-1.bin", true);
        check("model-?.bin", "model-12.bin", false);
        check("[a-c]x", "bx", true);
        check("[!a-c]x", "bx", false);
        check("*.{json,safetensors}", "m.safetensors", true);
        check("*.{json,safetensors}", "m.bin", false);
        check("a.b", "axb", false);
    }
}
