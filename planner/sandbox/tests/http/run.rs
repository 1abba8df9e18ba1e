//! Cloud Run as a client sees it: life of a service, operations, revisions, traffic, IAM, refusals.

use crate::common::{SERVICES, World, vllm};
use openmodel_sandbox::{ClockMode, Options};
use serde_json::{Value, json};

#[tokio::test]
async fn a_service_lives_and_dies() {
    let world = World::start();
    let operation = world
        .post(&format!("{SERVICES}?serviceId=chat"), vllm())
        .await
        .ok();
    assert_eq!(operation.get("done"), None, "an operation takes time");
    assert_eq!(operation["metadata"]["reconciling"], true);
    assert_eq!(
        operation["metadata"]["terminalCondition"]["state"],
        "CONDITION_RECONCILING"
    );
    assert_eq!(
        operation["metadata"].get("uri"),
        None,
        "no address before it is ready"
    );

    let done = world.finish(operation).await;
    let service = &done["response"];
    assert_eq!(
        service["@type"],
        "type.googleapis.com/google.cloud.run.v2.Service"
    );
    let name = "projects/acme-ml/locations/us-central1/services/chat";
    assert_eq!(service["name"], name);
    assert_eq!(service["generation"], "1");
    assert_eq!(service["observedGeneration"], "1");
    assert_eq!(service["terminalCondition"]["state"], "CONDITION_SUCCEEDED");
    assert_eq!(service["ingress"], "INGRESS_TRAFFIC_ALL");
    assert_eq!(service["template"]["timeout"], "300s");
    assert_eq!(
        service["template"]["containers"][0]["startupProbe"]["httpGet"]["port"],
        8000
    );
    let ready = service["latestReadyRevision"].as_str().expect("a revision");
    assert!(
        ready.starts_with(&format!("{name}/revisions/chat-00001-")),
        "{ready}"
    );

    let kinds: Vec<Value> = inventory_types(&world);
    assert_eq!(
        kinds,
        ["run.googleapis.com/Revision", "run.googleapis.com/Service"]
    );
    let again = world
        .post(&format!("{SERVICES}?serviceId=chat"), vllm())
        .await;
    assert_eq!(again.error().1, "ALREADY_EXISTS");

    let operation = world
        .call("DELETE", &format!("{SERVICES}/chat"), None)
        .await
        .ok();
    let done = world.finish(operation).await;
    assert!(done["response"]["deleteTime"].is_string());
    assert_eq!(world.get(&format!("{SERVICES}/chat")).await.status, 404);
    assert_eq!(world.sandbox.inventory(), json!([]));
}

fn inventory_types(world: &World) -> Vec<Value> {
    let inventory = world.sandbox.inventory();
    inventory
        .as_array()
        .expect("an array")
        .iter()
        .map(|asset| asset["type"].clone())
        .collect()
}

#[tokio::test]
async fn a_change_makes_a_revision_and_a_stale_etag_is_refused() {
    let world = World::start();
    let first = world.create("chat", vllm()).await;
    let chat = &format!("{SERVICES}/chat");

    // Labels only: no new revision.
    let mask = format!("{chat}?updateMask=labels");
    let operation = world
        .call("PATCH", &mask, Some(json!({"labels": {"team": "a"}})))
        .await
        .ok();
    let second = world.finish(operation).await["response"].clone();
    assert_eq!(second["generation"], "2");
    assert_eq!(second["labels"], json!({"team": "a"}));
    assert_eq!(second["latestReadyRevision"], first["latestReadyRevision"]);

    let mut body = vllm();
    body["template"]["maxInstanceRequestConcurrency"] = json!(32);
    body["etag"] = first["etag"].clone();
    let stale = world.call("PATCH", chat, Some(body.clone())).await;
    assert_eq!(stale.error().1, "ABORTED");

    body["etag"] = second["etag"].clone();
    body["template"]["revision"] = json!("chat-canary");
    body["traffic"] = json!([
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "percent": 90,
         "revision": first["latestReadyRevision"].as_str().expect("a name").rsplit('/').next()},
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "percent": 10,
         "revision": "chat-canary", "tag": "canary"},
    ]);
    let operation = world.call("PATCH", chat, Some(body.clone())).await.ok();
    let third = world.finish(operation).await["response"].clone();
    let statuses = &third["trafficStatuses"];
    assert_eq!(statuses[1]["percent"], 10);
    assert!(
        statuses[1]["uri"]
            .as_str()
            .expect("a tag URL")
            .contains("/run.app/canary---chat-")
    );
    let revisions = world.get(&format!("{chat}/revisions")).await.ok();
    assert_eq!(
        revisions["revisions"].as_array().expect("revisions").len(),
        2
    );

    // The name is taken now, by another configuration.
    body["etag"] = json!("");
    body["template"]["maxInstanceRequestConcurrency"] = json!(64);
    assert_eq!(
        world.call("PATCH", chat, Some(body)).await.error().1,
        "ALREADY_EXISTS"
    );

    // A revision that serves stays.
    let serving = world
        .call("DELETE", &format!("{chat}/revisions/chat-canary"), None)
        .await;
    assert_eq!(serving.error().1, "FAILED_PRECONDITION");
}

#[tokio::test]
async fn validate_only_checks_and_keeps_nothing() {
    let world = World::start();
    let path = format!("{SERVICES}?serviceId=chat&validateOnly=true");
    let operation = world.post(&path, vllm()).await.ok();
    assert_eq!(operation["done"], true);
    assert_eq!(operation["response"]["template"]["timeout"], "300s");
    assert_eq!(world.sandbox.inventory(), json!([]));
    assert_eq!(world.post(&path, json!({"template": {}})).await.status, 400);
}

/// The id of a service, what is wrong with it, and words of the refusal.
type Case = (&'static str, fn(&mut Value), &'static str);

#[tokio::test]
async fn what_the_real_service_refuses_is_refused() {
    let world = World::start();
    let create = async |id: &str, change: fn(&mut Value)| {
        let mut body = vllm();
        change(&mut body);
        world
            .post(&format!("{SERVICES}?serviceId={id}"), body)
            .await
            .error()
    };
    let (code, status, text) = create("chat", |body| body["template"]["gpu"] = json!(1)).await;
    assert_eq!((code, status.as_str()), (400, "INVALID_ARGUMENT"));
    assert_eq!(
        text,
        "Invalid JSON payload received. Unknown name \"gpu\" at 'service.template': Cannot find field."
    );
    let cases: [Case; 7] = [
        ("Chat", |_| {}, "must start with a letter"),
        (
            "chat",
            |b| b["labels"]["run.googleapis.com/x"] = json!("y"),
            "not supported in the v2 API",
        ),
        (
            "chat",
            |b| b["template"]["nodeSelector"]["accelerator"] = json!("nvidia-t4"),
            "nvidia-l4",
        ),
        (
            "chat",
            |b| b["template"]["scaling"]["minInstanceCount"] = json!(5),
            "max_instance_count",
        ),
        (
            "chat",
            |b| b["template"]["containers"][0]["env"] = json!([{"name": "PORT", "value": "1"}]),
            "reserved",
        ),
        (
            "chat",
            |b| b["template"]["revision"] = json!("other-1"),
            "must start with 'chat-'",
        ),
        (
            "chat",
            |b| b["traffic"] = json!([{"type": 1, "percent": 50}]),
            "add up to 100",
        ),
    ];
    for (id, change, words) in cases {
        let (code, _, text) = create(id, change).await;
        assert_eq!(code, 400, "{words}");
        assert!(text.contains(words), "{text}\nlacks {words}");
    }
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn gpus_are_counted_against_the_quota() {
    let world = World::start();
    let quota = |limit: u64| json!([{"region": "us-central1", "accelerator": "nvidia-l4", "zonalRedundancy": false, "limit": limit}]);
    world
        .call("PUT", "/sandbox/run/quotas", Some(quota(0)))
        .await
        .ok();
    let path = format!("{SERVICES}?serviceId=chat");
    let create = || world.post(&path, vllm());
    let (code, _, text) = create().await.error();
    assert_eq!(code, 400);
    assert!(
        text.contains("You do not have quota for using GPUs without zonal redundancy."),
        "{text}"
    );
    world
        .call("PUT", "/sandbox/run/quotas", Some(quota(3)))
        .await
        .ok();
    create().await.ok();
    let other = world
        .post(&format!("{SERVICES}?serviceId=other"), vllm())
        .await
        .error();
    assert!(
        other
            .2
            .contains("NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion requested: 4 allowed: 3"),
        "{}",
        other.2
    );
}

#[tokio::test]
async fn an_operation_can_fail_and_the_service_says_why() {
    let world = World::start();
    let rule = json!({
        "match": {"method": "POST", "path": SERVICES},
        "times": 1,
        "then": {"operation": {
            "code": 9, "message": "The container failed to start.", "reason": "HEALTH_CHECK_CONTAINER_ERROR",
        }},
    });
    world.post("/sandbox/faults", rule).await.ok();
    let operation = world
        .post(&format!("{SERVICES}?serviceId=chat"), vllm())
        .await
        .ok();
    let failed = world.finish(operation).await;
    assert_eq!(failed["error"]["code"], 9);
    let service = world.get(&format!("{SERVICES}/chat")).await.ok();
    assert_eq!(service["terminalCondition"]["state"], "CONDITION_FAILED");
    assert_eq!(service["terminalCondition"]["reason"], "REVISION_FAILED");
    assert_eq!(service.get("latestReadyRevision"), None);
    let revisions = world.get(&format!("{SERVICES}/chat/revisions")).await.ok();
    let ready = &revisions["revisions"][0]["conditions"][0];
    assert_eq!(ready["revisionReason"], "HEALTH_CHECK_CONTAINER_ERROR");
}

#[tokio::test]
async fn manual_time_lets_a_test_look_at_what_is_under_way() {
    let world = World::with(Options {
        clock: ClockMode::Manual,
        ..Options::default()
    });
    let operation = world
        .post(&format!("{SERVICES}?serviceId=chat"), vllm())
        .await
        .ok();
    let name = operation["name"].as_str().expect("a name");
    for _ in 0..3 {
        assert_eq!(
            world.get(&format!("/v2/{name}")).await.ok().get("done"),
            None
        );
    }
    let waited = world
        .post(&format!("/v2/{name}:wait"), json!({"timeout": "0.05s"}))
        .await
        .ok();
    assert_eq!(waited.get("done"), None);
    world
        .post("/sandbox/clock/advance", json!({"seconds": 20}))
        .await
        .ok();
    let done = world
        .post(&format!("/v2/{name}:wait"), json!({}))
        .await
        .ok();
    assert_eq!(done["done"], true);
}

#[tokio::test]
async fn many_clients_at_once_get_each_their_own() {
    let world = World::start();
    let ids: Vec<String> = (0..24).map(|number| format!("chat-{number:02}")).collect();
    let create = ids.iter().map(|id| world.create(id, vllm()));
    let made = futures::future::join_all(create).await;
    for (id, service) in ids.iter().zip(&made) {
        assert!(
            service["name"]
                .as_str()
                .expect("a name")
                .ends_with(id.as_str()),
            "{service}"
        );
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = world
            .get(&format!("{SERVICES}?pageSize=10&pageToken={token}"))
            .await
            .ok();
        let services = page["services"].as_array().expect("services");
        seen.extend(services.iter().map(|service| service["name"].clone()));
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(seen.len(), 24);
}

#[tokio::test]
async fn who_may_call_is_a_policy_with_an_etag() {
    let world = World::start();
    let url = world.create("chat", vllm()).await["uri"]
        .as_str()
        .expect("an address")
        .to_owned();
    assert_eq!(world.anonymous(&format!("{url}/health")).await.status, 403);
    assert_eq!(world.get(&format!("{url}/health")).await.status, 200);

    let chat = format!("{SERVICES}/chat");
    let policy = world.get(&format!("{chat}:getIamPolicy")).await.ok();
    let bindings = json!([{"role": "roles/run.invoker", "members": ["allUsers"]}]);
    let body = json!({"policy": {"etag": policy["etag"], "bindings": bindings}});
    world
        .post(&format!("{chat}:setIamPolicy"), body.clone())
        .await
        .ok();
    assert_eq!(world.anonymous(&format!("{url}/health")).await.status, 200);
    assert_eq!(
        world
            .post(&format!("{chat}:setIamPolicy"), body)
            .await
            .error()
            .1,
        "ABORTED"
    );
    let asked = json!({"permissions": ["run.services.get"]});
    assert_eq!(
        world
            .post(&format!("{chat}:testIamPermissions"), asked.clone())
            .await
            .ok(),
        asked
    );
}

#[tokio::test]
async fn a_service_answers_like_an_inference_server() {
    let world = World::start();
    let service = world.create("chat", vllm()).await;
    let url = service["uri"].as_str().expect("an address");
    let models = world.get(&format!("{url}/v1/models")).await.ok();
    assert_eq!(models["data"][0]["id"], "Qwen/Qwen2.5-7B-Instruct");

    let mut question = json!({
        "model": "Qwen/Qwen2.5-7B-Instruct",
        "messages": [{"role": "user", "content": "What is a model?"}],
    });
    let path = format!("{url}/v1/chat/completions");
    let answer = world.post(&path, question.clone()).await.ok();
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .expect("a text");
    assert!(
        text.contains("openmodel sandbox") && text.contains("What is a model?"),
        "{text}"
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
    assert_eq!(
        answer,
        world.post(&path, question.clone()).await.ok(),
        "the same each time"
    );

    question["max_tokens"] = json!(3);
    let short = world.post(&path, question.clone()).await.ok();
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    assert_eq!(short["usage"]["completion_tokens"], 3);

    question["stream"] = json!(true);
    question["stream_options"] = json!({"include_usage": true});
    let stream = world.post(&path, question).await;
    assert_eq!(
        stream.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    let text = stream.text();
    let events: Vec<&str> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let words: String = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).expect("JSON"))
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(words, short["choices"][0]["message"]["content"]);

    let other = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "?"}]});
    assert_eq!(world.post(&path, other).await.status, 404);

    // The same by the host name of the real service.
    let host = service["urls"][1]
        .as_str()
        .expect("a host")
        .trim_start_matches("https://")
        .to_owned();
    let request = world
        .request("GET", "/v1/models")
        .bearer_auth("t")
        .header("host", host);
    assert_eq!(world.send(request).await.ok(), models);
}

#[tokio::test]
async fn traffic_is_split_as_the_service_says() {
    let world = World::start();
    let first = world.create("chat", vllm()).await;
    let old = first["latestReadyRevision"]
        .as_str()
        .expect("a name")
        .rsplit('/')
        .next()
        .expect("an id");
    let mut body = vllm();
    body["template"]["revision"] = json!("chat-new");
    body["template"]["timeout"] = json!("60s");
    body["traffic"] = json!([
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": old, "percent": 75},
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 25, "tag": "new"},
    ]);
    let operation = world
        .call("PATCH", &format!("{SERVICES}/chat"), Some(body))
        .await
        .ok();
    let service = world.finish(operation).await["response"].clone();
    let mut new = 0;
    for _ in 0..100 {
        let answer = world
            .get(&format!(
                "{}/health",
                service["uri"].as_str().expect("a URL")
            ))
            .await;
        new += u32::from(answer.header("x-sandbox-revision") == "chat-new");
    }
    assert_eq!(new, 25);
    let tagged = service["trafficStatuses"][1]["uri"]
        .as_str()
        .expect("a tag URL");
    let answer = world.get(&format!("{tagged}/health")).await;
    assert_eq!(answer.header("x-sandbox-revision"), "chat-new");
}

#[tokio::test]
async fn a_revision_needs_the_secrets_that_it_names() {
    let world = World::start();
    let mut body = vllm();
    body["template"]["containers"][0]["env"] = json!([
        {"name": "HF_TOKEN", "valueSource": {"secretKeyRef": {"secret": "hf-token", "version": "latest"}}},
    ]);
    let path = format!("{SERVICES}?serviceId=chat");
    let create = || world.post(&path, body.clone());
    let (code, _, text) = create().await.error();
    assert_eq!(code, 400);
    assert!(
        text.contains("/secrets/hf-token/versions/latest was not found"),
        "{text}"
    );
    let secrets = "/v1/projects/acme-ml/secrets";
    let replication = json!({"replication": {"automatic": {}}});
    world
        .post(&format!("{secrets}?secretId=hf-token"), replication)
        .await
        .ok();
    let payload = json!({"payload": {"data": "aGZfdG9rZW4="}});
    world
        .post(&format!("{secrets}/hf-token:addVersion"), payload)
        .await
        .ok();
    create().await.ok();
}
