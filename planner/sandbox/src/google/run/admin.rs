//! What may be set of Cloud Run from outside, under `/sandbox/run`: quotas, images, kills; and the
//! output of tasks.

use serde_json::{Value, json};

use crate::admin::{Refusal, body};
use crate::http::Request;
use crate::world::World;

/// Requests under `/sandbox/run`.
pub(crate) fn administer(
    world: &mut World,
    verb: &str,
    path: &[&str],
    request: &Request,
) -> Result<Value, Refusal> {
    let run = &mut world.run;
    match (verb, path) {
        ("PUT", ["quotas"]) => {
            run.quotas = body(request)?;
            Ok(json!(run.quotas))
        }
        ("PUT", ["images"]) => {
            run.jobs.images = body(request)?;
            Ok(json!({}))
        }
        ("PUT", ["kills"]) => {
            run.jobs.kills = body(request)?;
            Ok(json!({}))
        }
        ("GET", ["executions", name @ .., "logs"]) => {
            let name = name.join("/");
            let task = request.query("task").map(str::parse).transpose();
            let task = task.map_err(|_| Refusal::Bad("task is a number".to_owned()))?;
            run.jobs.logs(&name, task).ok_or_else(|| {
                Refusal::Bad(format!(
                    "there is no execution {name}; its full name begins with projects/"
                ))
            })
        }
        _ => Err(Refusal::NoRoute),
    }
}
