//! Partial answers: `fields=items(name,size),nextPageToken`.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api#partial-response>

use serde_json::{Map, Value};

use super::{Error, Outcome};

/// The members of an answer that `fields` names.
pub(super) fn select(answer: Value, fields: &str) -> Outcome {
    let mut rest = fields;
    let tree = parse(&mut rest)
        .filter(|_| rest.is_empty())
        .ok_or_else(|| Error::legacy(400, None, &format!("Invalid field selection {fields}")))?;
    Ok(tree.keep(answer))
}

/// What is wanted of a value; all of it when nothing is named.
#[derive(Default)]
struct Tree(Vec<(String, Tree)>);

impl Tree {
    fn keep(&self, value: Value) -> Value {
        match value {
            value if self.0.is_empty() => value,
            Value::Array(items) => items.into_iter().map(|item| self.keep(item)).collect(),
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, value) in members {
                    let wanted = self.0.iter().find(|(want, _)| *want == name || want == "*");
                    if let Some((_, inner)) = wanted {
                        kept.insert(name, inner.keep(value));
                    }
                }
                Value::Object(kept)
            }
            other => other,
        }
    }
}

/// A list up to a closing bracket or the end: `a,b/c,d(e,f)`.
fn parse(rest: &mut &str) -> Option<Tree> {
    let mut tree = Tree::default();
    loop {
        let end = rest.find(['(', ')', ',', '/']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        *rest = &rest[end..];
        if name.is_empty() {
            return None;
        }
        let inner = if eat(rest, '(') {
            let inner = parse(rest)?;
            if !eat(rest, ')') {
                return None;
            }
            inner
        } else if eat(rest, '/') {
            one(rest)?
        } else {
            Tree::default()
        };
        tree.0.push((name.to_owned(), inner));
        if !eat(rest, ',') {
            return Some(tree);
        }
    }
}

/// What follows a slash: one name, with what is in it.
fn one(rest: &mut &str) -> Option<Tree> {
    let mut depth = 0_usize;
    let end = rest
        .char_indices()
        .find(|(_, letter)| {
            match letter {
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                ',' | ')' if depth == 0 => return true,
                _ => {}
            }
            false
        })
        .map_or(rest.len(), |(at, _)| at);
    let mut inner = &rest[..end];
    *rest = &rest[end..];
    parse(&mut inner).filter(|_| inner.is_empty())
}

fn eat(rest: &mut &str, letter: char) -> bool {
    let found = rest.strip_prefix(letter);
    *rest = found.unwrap_or(rest);
    found.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(fields: &str, expect: Option<&Value>) {
        let answer = json!({
            "kind": "storage#objects",
            "items": [{"name": "a", "size": "1", "metadata": {"k": "v", "l": "w"}}],
            "nextPageToken": "t",
        });
        assert_eq!(select(answer, fields).ok().as_ref(), expect, "{fields}");
    }

    #[test]
    fn members_are_named_inside_each_other() {
        check("nextPageToken", Some(&json!({"nextPageToken": "t"})));
        let names = json!({"items": [{"name": "a"}], "nextPageToken": "t"});
        check("items(name),nextPageToken", Some(&names));
        check("items/name,nextPageToken", Some(&names));
        let inner = json!({"items": [{"size": "1", "metadata": {"k": "v"}}]});
        check("items(size,metadata/k)", Some(&inner));
        check("items(size,metadata(k))", Some(&inner));
        check(
            "items/metadata(l)",
            Some(&json!({"items": [{"metadata": {"l": "w"}}]})),
        );
        for wrong in ["items(name", "items)", "a,,b", ""] {
            check(wrong, None);
        }
    }
}
