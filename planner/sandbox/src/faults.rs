//! Faults by rule: which requests go wrong, and how.
//!
//!   request ──► first rule that matches and is due ──► delay ──► refuse | lose | spoil the answer
//!
//! ```json
//! {"match": {"method": "PATCH", "path": "*/services/chat"}, "nth": 2,
//!  "then": {"respond": {"status": 503, "headers": {"Retry-After": "1"}}}}
//! ```

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::Request;
use crate::ids;

/// A rule: when, how often, and what then.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// Chosen by the sandbox when empty.
    #[serde(default)]
    pub(crate) id: String,
    #[serde(rename = "match", default)]
    when: Match,
    /// The first matching request (counted from 1) that the rule is for.
    #[serde(default)]
    nth: Option<u64>,
    /// How often it fires; once when `nth` is given, else without end.
    #[serde(default)]
    times: Option<u64>,
    /// Chance of each matching request, 0 to 1, drawn from `seed`.
    #[serde(default)]
    probability: Option<f64>,
    #[serde(default)]
    seed: u64,
    pub(crate) then: Action,
    #[serde(default)]
    seen: u64,
    #[serde(default)]
    fired: u64,
}

/// What a request must be like; everything given must hold. `*` in a text stands for anything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Match {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    path: Option<String>,
    /// A regular expression that must match somewhere in the path.
    #[serde(default)]
    path_regex: Option<String>,
    /// One `name=value` of the query.
    #[serde(default)]
    query: Option<String>,
}

/// What goes wrong. Empty is a rule that only counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Action {
    /// Wall time to wait before anything else.
    #[serde(default)]
    pub(crate) delay_millis: u64,
    /// Answer this, without any effect.
    #[serde(default)]
    pub(crate) respond: Option<Canned>,
    /// Close the connection without an answer.
    #[serde(default)]
    pub(crate) lose: Option<Lose>,
    /// Lose by a TCP reset, not by an orderly end.
    #[serde(default)]
    pub(crate) reset: bool,
    /// Send the body in pieces with pauses.
    #[serde(default)]
    pub(crate) slow: Option<Slow>,
    /// Break off the body after so many bytes.
    #[serde(default)]
    pub(crate) truncate_bytes: Option<u64>,
    /// Change one bit of the body's byte at this place.
    #[serde(default)]
    pub(crate) flip_byte: Option<u64>,
    /// Answer with the whole file where a range of it is asked for.
    #[serde(default)]
    pub(crate) ignore_range: bool,
    /// Read so many bytes of the request's body, then close the connection: an upload that is cut.
    #[serde(default)]
    pub(crate) cut_upload_bytes: Option<u64>,
    /// Shape the long-running operation that this request starts.
    #[serde(default)]
    pub(crate) operation: Option<OperationPlan>,
}

/// An answer made up by a rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Canned {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The API's own error shape for the status when absent.
    #[serde(default)]
    pub(crate) body: Option<Value>,
}

/// When the answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lose {
    /// The request had no effect.
    Before,
    /// The request had its effect.
    After,
}

/// A slow sender.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Slow {
    pub(crate) chunk_bytes: usize,
    pub(crate) pause_millis: u64,
}

/// How long an operation takes, and how it ends.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationPlan {
    /// Virtual seconds; the sandbox's usual time when absent.
    #[serde(default)]
    pub(crate) seconds: Option<u64>,
    /// A `google.rpc.Code`: the operation fails with it. 0 succeeds.
    #[serde(default)]
    pub(crate) code: i32,
    #[serde(default)]
    pub(crate) message: String,
    /// `revisionReason` of the failed condition, such as `HEALTH_CHECK_CONTAINER_ERROR`.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// All rules, in order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    added: u64,
}

impl Faults {
    /// Add a rule, or replace the one of the same id.
    pub(crate) fn add(&mut self, mut rule: Rule) -> Result<&Rule, String> {
        rule.when.check()?;
        if rule
            .probability
            .is_some_and(|chance| !(0.0..=1.0).contains(&chance))
        {
            return Err("probability is a number from 0 to 1".to_owned());
        }
        if rule.nth == Some(0) {
            return Err("nth counts from 1".to_owned());
        }
        self.added += 1;
        if rule.id.is_empty() {
            rule.id = format!("fault-{}", self.added);
        }
        self.remove(&rule.id);
        self.rules.push(rule);
        self.rules.last().ok_or_else(String::new)
    }

    /// Remove one rule; false when there is none of that id.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn list(&self) -> &[Rule] {
        &self.rules
    }

    /// Count the request with every rule it matches; the first rule that is due decides.
    pub(crate) fn pick(&mut self, request: &Request) -> Option<Rule> {
        let mut picked = None;
        for rule in self
            .rules
            .iter_mut()
            .filter(|rule| rule.when.holds(request))
        {
            rule.seen += 1;
            if picked.is_none() && rule.is_due() {
                rule.fired += 1;
                picked = Some(rule.clone());
            }
        }
        picked
    }
}

impl Rule {
    fn is_due(&self) -> bool {
        let times = self.times.or(self.nth.map(|_| 1));
        self.nth.is_none_or(|nth| self.seen >= nth)
            && times.is_none_or(|times| self.fired < times)
            && self.probability.is_none_or(|chance| self.draw() < chance)
    }

    /// A number in [0, 1) for this request, the same in every run.
    fn draw(&self) -> f64 {
        let bytes = ids::digest(self.seed, &["fault", &self.id, &self.seen.to_string()]);
        let value = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        f64::from(value) / (f64::from(u32::MAX) + 1.0)
    }
}

impl Match {
    fn check(&self) -> Result<(), String> {
        let text = self.path_regex.as_deref().unwrap_or_default();
        Regex::new(text)
            .map(drop)
            .map_err(|error| format!("pathRegex: {error}"))
    }

    fn holds(&self, request: &Request) -> bool {
        let fits = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| glob(pattern, text))
        };
        fits(&self.method, request.method.as_str())
            && fits(&self.host, &request.host)
            && fits(&self.path, &request.path)
            && self.path_regex.as_ref().is_none_or(|pattern| {
                Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(&request.path))
            })
            && self.query.as_ref().is_none_or(|pattern| {
                let mut pairs = request.query.iter();
                pairs.any(|(name, value)| glob(pattern, &format!("{name}={value}")))
            })
    }
}

/// Whether `text` is like `pattern`, where `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.any(|at| glob(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn request(method: &str, uri: &str) -> Request {
        let builder = axum::http::Request::builder().method(method).uri(uri);
        let (parts, ()) = builder.body(()).expect("a request").into_parts();
        Request::new(&parts, Bytes::new())
    }

    fn fired(rule: Value, requests: &[(&str, &str)]) -> Vec<bool> {
        let mut faults = Faults::default();
        let rule = serde_json::from_value(rule).expect("a rule");
        faults.add(rule).expect("a good rule");
        requests
            .iter()
            .map(|(verb, uri)| faults.pick(&request(verb, uri)).is_some())
            .collect()
    }

    #[test]
    fn globs() {
        assert!(glob(
            "/v2/*/services",
            "/v2/projects/p/locations/l/services"
        ));
        assert!(!glob(
            "/v2/*/services",
            "/v2/projects/p/locations/l/services/a"
        ));
        assert!(glob("*", ""));
        assert!(!glob("a", "ab"));
    }

    #[test]
    fn the_nth_match_fails_once() {
        let rule = json!({"match": {"method": "GET", "path": "/a*"}, "nth": 2, "then": {}});
        let seen = fired(
            rule,
            &[("GET", "/a"), ("POST", "/a"), ("GET", "/ab"), ("GET", "/a")],
        );
        assert_eq!(seen, [false, false, true, false]);
    }

    #[test]
    fn a_rule_can_look_at_the_query_and_at_a_regular_expression() {
        let rule = json!({
            "match": {"pathRegex": "services$", "query": "serviceId=chat*"}, "times": 1, "then": {},
        });
        let all = [
            ("POST", "/v2/services?serviceId=other"),
            ("POST", "/v2/services?serviceId=chat-1"),
            ("POST", "/v2/services?serviceId=chat-2"),
        ];
        assert_eq!(fired(rule, &all), [false, true, false]);
    }

    #[test]
    fn chance_is_drawn_from_the_seed() {
        let all = [("GET", "/"); 200];
        let rule = json!({"id": "r", "probability": 0.5, "seed": 7, "then": {}});
        let first = fired(rule.clone(), &all);
        assert_eq!(first, fired(rule, &all));
        let count = first.iter().filter(|fired| **fired).count();
        assert!((60..140).contains(&count), "half of 200, roughly: {count}");
    }

    #[test]
    fn a_rule_that_cannot_work_is_refused() {
        let mut faults = Faults::default();
        for bad in [
            json!({"match": {"pathRegex": "("}, "then": {}}),
            json!({"probability": 2, "then": {}}),
            json!({"nth": 0, "then": {}}),
        ] {
            let rule = serde_json::from_value(bad.clone()).expect("a rule");
            assert!(faults.add(rule).is_err(), "{bad}");
        }
        assert!(serde_json::from_value::<Rule>(json!({"then": {"explode": true}})).is_err());
    }
}
