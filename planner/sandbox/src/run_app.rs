//! What a deployed service answers: the API of an OpenAI-compatible inference server.
//!
//! Reached at `/run.app/{service}-{project number}-{region}/…` or by Host
//! `{service}-{project number}.{region}.run.app`. Traffic is split as the service says. The text
//! is made up, always the same for the same question, and says that it comes from the sandbox.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::google::run::{Revision, Service};
use crate::http::{Reply, Request};
use crate::ids;
use crate::world::{Call, World};

/// Answer a request to a service's URL.
pub(crate) fn answer(world: &mut World, call: &Call<'_>) -> Reply {
    let request = call.request;
    let (host, path) = host_and_path(request);
    let (tag, host) = match host.split_once("---") {
        Some((tag, host)) => (Some(tag.to_owned()), host.to_owned()),
        None => (None, host),
    };
    let now = world.now();
    world.run.settle(now);
    let turn = world.run.turn();
    let found = world.run.services().find(|service| {
        host == format!("{}-{}", service.host_label(), service.location)
            || host == format!("{}.{}", service.host_label(), service.location)
    });
    let Some(service) = found else {
        return page(
            StatusCode::NOT_FOUND,
            "The requested URL was not found on this server.",
        );
    };
    if !service.is_public() && request.token().is_none() {
        let text = "Your client does not have permission to get this URL from this server.";
        return page(StatusCode::FORBIDDEN, text);
    }
    let Some(revision) = pick(service, tag.as_deref(), turn) else {
        return page(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service has no revision that is ready.",
        );
    };
    let engine = Engine {
        model: model_of(revision),
        question: request,
    };
    engine
        .answer(&path)
        .with("x-sandbox-revision", revision.name())
}

/// The host part of the address without `.run.app`, and the path that the container sees.
fn host_and_path(request: &Request) -> (String, Vec<String>) {
    if let Some(host) = request.host.strip_suffix(".run.app") {
        return (host.to_owned(), request.segments.clone());
    }
    let mut segments = request.segments.iter().skip(1).cloned();
    (segments.next().unwrap_or_default(), segments.collect())
}

/// The revision of a tag, or the one whose share of the traffic this request falls into.
fn pick<'a>(service: &'a Service, tag: Option<&str>, turn: u64) -> Option<&'a Revision> {
    // 37 has no divisor in common with 100: every hundred requests fall once on each percent,
    // and a small share is not kept waiting for the end of the hundred.
    let mut place = turn.wrapping_mul(37) % 100;
    let route = service.traffic.iter().find(|route| {
        if tag.is_some() {
            return route.tag.as_deref() == tag;
        }
        let here = place < route.percent;
        place = place.saturating_sub(route.percent);
        here
    })?;
    service.revisions.get(&route.revision)
}

/// The name under which a container serves its model: from its arguments or its environment.
fn model_of(revision: &Revision) -> String {
    let container = &revision.template["containers"][0];
    let words = |member: &str| container[member].as_array().cloned().unwrap_or_default();
    let words: Vec<String> = words("command")
        .into_iter()
        .chain(words("args"))
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    let after = |flag: &str| {
        let joined = format!("{flag}=");
        let mut pairs = words.iter().enumerate();
        pairs.find_map(|(at, word)| {
            let value = word.strip_prefix(&joined).map(str::to_owned);
            value.or_else(|| (word == flag).then(|| words.get(at + 1).cloned()).flatten())
        })
    };
    let variable = |name: &str| {
        let mut all = container["env"].as_array().into_iter().flatten();
        let found = all.find(|variable| variable["name"] == name)?;
        found["value"].as_str().map(str::to_owned)
    };
    let served = [
        "--served-model-name",
        "--model",
        "--model-id",
        "--model-path",
    ];
    let named = ["SERVED_MODEL_NAME", "MODEL_ID", "MODEL", "HF_MODEL_ID"];
    served
        .iter()
        .find_map(|flag| after(flag))
        .or_else(|| named.iter().find_map(|name| variable(name)))
        .unwrap_or_else(|| "sandbox-model".to_owned())
}

/// An inference server with one model and one question.
struct Engine<'a> {
    model: String,
    question: &'a Request,
}

impl Engine<'_> {
    fn answer(&self, path: &[String]) -> Reply {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let read = self.question.is_read();
        match path.as_slice() {
            ["health" | "ping" | "healthz"] | [] if read => Reply::empty(StatusCode::OK),
            ["version"] if read => Reply::ok(json!({"version": "0.0.0+openmodel-sandbox"})),
            ["v1", "models"] if read => Reply::ok(json!({"object": "list", "data": [self.card()]})),
            ["v1", "models", name @ ..] if read && name.join("/") == self.model => {
                Reply::ok(self.card())
            }
            ["v1", "chat", "completions"] if self.question.method == Method::POST => {
                self.complete(true)
            }
            ["v1", "completions"] if self.question.method == Method::POST => self.complete(false),
            _ => Reply::json(StatusCode::NOT_FOUND, json!({"detail": "Not Found"})),
        }
    }

    fn card(&self) -> Value {
        json!({"id": self.model, "object": "model", "created": CREATED, "owned_by": "openmodel-sandbox"})
    }

    fn complete(&self, chat: bool) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&self.question.body) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "BadRequestError",
                "The body is not JSON.",
                None,
            );
        };
        if let Some(model) = body["model"].as_str().filter(|model| *model != self.model) {
            let text = format!("The model `{model}` does not exist.");
            return refuse(StatusCode::NOT_FOUND, "NotFoundError", &text, Some("model"));
        }
        let Some(prompt) = prompt(&body, chat) else {
            let member = if chat { "messages" } else { "prompt" };
            let text = format!("{member} is missing or empty.");
            return refuse(
                StatusCode::BAD_REQUEST,
                "BadRequestError",
                &text,
                Some(member),
            );
        };
        let limit = body["max_completion_tokens"]
            .as_u64()
            .or_else(|| body["max_tokens"].as_u64());
        let mut words: Vec<String> = self
            .text(&prompt)
            .split_inclusive(' ')
            .map(str::to_owned)
            .collect();
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        let cut = words.len() > limit;
        words.truncate(limit);
        let finish = if cut { "length" } else { "stop" };
        let asked = prompt.split_whitespace().count();
        let usage = json!({
            "prompt_tokens": asked,
            "completion_tokens": words.len(),
            "total_tokens": asked + words.len(),
        });
        let whole = Completion {
            chat,
            model: &self.model,
            id: self.id(&prompt, chat),
            words,
            finish,
            usage,
        };
        if body["stream"] == true {
            return Reply::events(whole.events(body["stream_options"]["include_usage"] == true));
        }
        Reply::ok(whole.document())
    }

    fn text(&self, prompt: &str) -> String {
        let start: String = prompt.chars().take(200).collect();
        format!(
            "This is the openmodel sandbox speaking in place of {}; no model was run. You asked: {}",
            self.model,
            start.trim()
        )
    }

    fn id(&self, prompt: &str, chat: bool) -> String {
        let kind = if chat { "chatcmpl" } else { "cmpl" };
        format!(
            "{kind}-{}",
            ids::uuid(0, &[&self.model, prompt]).replace('-', "")
        )
    }
}

/// `created` of every answer, in Unix seconds: 2026-01-01. A true time would differ in each run.
const CREATED: u64 = 1_767_225_600;

/// A finished answer.
struct Completion<'a> {
    chat: bool,
    model: &'a str,
    id: String,
    words: Vec<String>,
    finish: &'static str,
    usage: Value,
}

impl Completion<'_> {
    fn document(&self) -> Value {
        let text = self.words.concat();
        let mut choice = json!({"index": 0, "finish_reason": self.finish, "logprobs": null});
        if self.chat {
            choice["message"] = json!({"role": "assistant", "content": text});
        } else {
            choice["text"] = text.into();
        }
        let object = if self.chat {
            "chat.completion"
        } else {
            "text_completion"
        };
        json!({
            "id": self.id,
            "object": object,
            "created": CREATED,
            "model": self.model,
            "choices": [choice],
            "usage": self.usage,
        })
    }

    fn events(&self, with_usage: bool) -> Vec<String> {
        let mut events = Vec::new();
        if self.chat {
            events.push(self.chunk(json!({"role": "assistant", "content": ""}), None));
        }
        events.extend(
            self.words
                .iter()
                .map(|word| self.chunk(json!({"content": word}), None)),
        );
        events.push(self.chunk(json!({}), Some(self.finish)));
        if with_usage {
            let mut last = self.envelope();
            last["choices"] = json!([]);
            last["usage"] = self.usage.clone();
            events.push(last.to_string());
        }
        events.push("[DONE]".to_owned());
        events
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> String {
        let mut chunk = self.envelope();
        let mut choice = json!({"index": 0, "finish_reason": finish});
        if self.chat {
            choice["delta"] = delta;
        } else {
            choice["text"] = delta.get("content").cloned().unwrap_or_else(|| "".into());
        }
        chunk["choices"] = json!([choice]);
        chunk.to_string()
    }

    fn envelope(&self) -> Value {
        let object = if self.chat {
            "chat.completion.chunk"
        } else {
            "text_completion"
        };
        json!({"id": self.id, "object": object, "created": CREATED, "model": self.model})
    }
}

/// The last message, or the prompt.
fn prompt(body: &Value, chat: bool) -> Option<String> {
    if !chat {
        return match &body["prompt"] {
            Value::Array(prompts) => prompts.first()?.as_str().map(str::to_owned),
            prompt => prompt.as_str().map(str::to_owned),
        };
    }
    match &body["messages"].as_array()?.last()?["content"] {
        Value::Array(parts) => Some(
            parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect::<Vec<_>>()
                .join(" "),
        ),
        content => content.as_str().map(str::to_owned),
    }
}

fn refuse(status: StatusCode, kind: &str, message: &str, member: Option<&str>) -> Reply {
    let error = json!({"message": message, "type": kind, "param": member, "code": status.as_u16()});
    Reply::json(status, json!({"error": error}))
}

fn page(status: StatusCode, text: &str) -> Reply {
    let reason = status.canonical_reason().unwrap_or_default();
    let html = format!(
        "<html><head><title>{} {reason}</title></head><body>{text}</body></html>\n",
        status.as_u16()
    );
    Reply::text(status, "text/html; charset=utf-8", html)
}
