//! The contract checker itself, on Google's own documents: it must see what is wrong.

use std::sync::LazyLock;

use acceptance::discovery::{Contracts, Exchange};
use acceptance::python::Python;
use serde_json::{Value, json};

static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| {
    let python = Python::shared().expect("a Python with google-api-python-client");
    let documents = python.discovery_documents().expect("Discovery documents");
    Contracts::load(&documents).expect("documents that can be read")
});

const SERVICES: &str = "/v2/projects/acme-ml/locations/us-central1/services";

/// A create that Cloud Run takes, and the answer it gives.
fn create() -> Exchange {
    Exchange {
        method: "POST".to_owned(),
        path: SERVICES.to_owned(),
        query: vec![("serviceId".to_owned(), "chat".to_owned())],
        request: Some(json!({
            "labels": {"openmodel-managed": "true"},
            "template": {
                "timeout": "3600s",
                "containers": [{"image": "vllm", "ports": [{"containerPort": 8000}]}],
            },
        })),
        status: 200,
        response: Some(json!({
            "name": "projects/acme-ml/locations/us-central1/operations/1",
            "metadata": {"@type": "type.googleapis.com/google.cloud.run.v2.Service", "generation": "1"},
        })),
    }
}

/// Checks a doctored create: where the complaints are, as `part place`.
#[track_caller]
fn doctored(doctor: impl FnOnce(&mut Exchange), expect: &[&str]) {
    let mut exchange = create();
    doctor(&mut exchange);
    let checked = CONTRACTS.check(&exchange);
    let places = checked
        .violations
        .iter()
        .map(|found| format!("{:?} {}", found.part, found.place));
    assert_eq!(
        places.collect::<Vec<_>>(),
        expect,
        "{:#?}",
        checked.violations
    );
}

fn put(body: &mut Option<Value>, pointer: &str, name: &str, value: Value) {
    let object = body
        .as_mut()
        .and_then(|body| body.pointer_mut(pointer))
        .expect("the place to doctor");
    object[name] = value;
}

#[test]
fn what_is_right_passes_and_is_known_by_its_method() {
    let checked = CONTRACTS.check(&create());
    assert_eq!(
        checked.method.as_deref(),
        Some("run.projects.locations.services.create")
    );
    assert_eq!(checked.violations, []);
    assert!(
        CONTRACTS
            .revisions()
            .values()
            .all(|revision| revision.len() == 8)
    );
}

#[test]
fn a_path_belongs_to_the_method_that_fits_it_best() {
    #[track_caller]
    fn check(verb: &str, path: &str, expect: Option<&str>) {
        let exchange = Exchange {
            method: verb.to_owned(),
            path: path.to_owned(),
            ..Exchange::default()
        };
        assert_eq!(CONTRACTS.check(&exchange).method.as_deref(), expect);
    }
    check(
        "GET",
        &format!("{SERVICES}/chat"),
        Some("run.projects.locations.services.get"),
    );
    check(
        "GET",
        &format!("{SERVICES}/chat:getIamPolicy"),
        Some("run.projects.locations.services.getIamPolicy"),
    );
    check(
        "GET",
        "/v1/projects/1/secrets/s/versions/2:access",
        Some("secretmanager.projects.secrets.versions.access"),
    );
    check(
        "POST",
        "/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken",
        Some("iamcredentials.projects.serviceAccounts.generateAccessToken"),
    );
    check("POST", "/v1/token", Some("sts.token"));
    check(
        "GET",
        "/v3/projects/acme-ml",
        Some("cloudresourcemanager.projects.get"),
    );
    check(
        "POST",
        "/upload/storage/v1/b/models/o",
        Some("storage.objects.insert"),
    );
    check(
        "GET",
        "/download/storage/v1/b/models/o/a%2Fb:c",
        Some("storage.objects.get"),
    );
    check("POST", "/upload/v2/projects/acme-ml", None);
    check("PUT", &format!("{SERVICES}/chat"), None);
    check("GET", "/v2/projects/acme-ml", None);
}

#[test]
fn unknown_fields_and_wrong_types_are_seen_on_the_way_in() {
    doctored(
        |e| put(&mut e.request, "", "model", json!("gemma")),
        &["Request /"],
    );
    doctored(
        |e| put(&mut e.request, "/template", "timeout", json!(3600)),
        &["Request /template/timeout"],
    );
    doctored(
        |e| put(&mut e.request, "/template", "timeout", json!("1h")),
        &["Request /template/timeout"],
    );
    let port = "/template/containers/0/ports/0";
    let at = "Request /template/containers/0/ports/0/containerPort";
    doctored(
        |e| put(&mut e.request, port, "containerPort", json!("8000")),
        &[at],
    );
    doctored(
        |e| put(&mut e.request, "", "ingress", json!("EVERYONE")),
        &["Request /ingress"],
    );
    doctored(
        |e| put(&mut e.request, "", "uri", json!("https://chat")),
        &["Request /uri"],
    );
}

#[test]
fn unknown_fields_and_wrong_types_are_seen_on_the_way_out() {
    doctored(
        |e| put(&mut e.response, "", "finished", json!(true)),
        &["Response /"],
    );
    doctored(
        |e| put(&mut e.response, "/metadata", "model", json!("x")),
        &["Response /metadata/"],
    );
    let number = "Response /metadata/generation";
    doctored(
        |e| put(&mut e.response, "/metadata", "generation", json!(1)),
        &[number],
    );
    let unknown = json!({"@type": "type.googleapis.com/google.cloud.run.v2.Model"});
    doctored(
        |e| put(&mut e.response, "", "metadata", unknown),
        &["Response /metadata"],
    );
    doctored(
        |e| put(&mut e.response, "", "metadata", json!({"generation": "1"})),
        &["Response /metadata"],
    );
    doctored(|e| e.response = None, &["Response /"]);
}

#[test]
fn the_query_is_held_to_the_methods_parameters() {
    let query = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    doctored(|e| e.query.push(query("alt", "json")), &[]);
    doctored(|e| e.query.push(query("service_id", "x")), &["Query "]);
    doctored(
        |e| e.query.push(query("serviceId", "x")),
        &["Query ", "Query "],
    );
    doctored(|e| e.query.push(query("validateOnly", "yes")), &["Query "]);
    doctored(|e| e.query.push(query("alt", "yaml")), &["Query "]);
}

#[test]
fn a_refusal_is_held_to_googles_shape_and_a_redirect_is_none_of_it() {
    let refusal =
        json!({"error": {"code": 409, "message": "it exists", "status": "ALREADY_EXISTS"}});
    let refused =
        |status: u16| move |e: &mut Exchange| (e.status, e.response) = (status, Some(refusal));
    doctored(refused.clone()(409), &[]);
    doctored(
        refused(404),
        &["Response /error/code", "Response /error/status"],
    );
    doctored(|e| e.status = 302, &["Response "]);
}

#[test]
fn what_a_log_has_redacted_is_taken_on_trust_but_its_name_is_not() {
    let add_version = |request: Value| Exchange {
        method: "POST".to_owned(),
        path: "/v1/projects/acme-ml/secrets/token:addVersion".to_owned(),
        request: Some(request),
        status: 200,
        response: Some(json!({"name": "projects/1/secrets/token/versions/1", "state": "ENABLED"})),
        ..Exchange::default()
    };
    let checked = CONTRACTS.check(&add_version(json!({"payload": {"data": "[redacted]"}})));
    assert_eq!(checked.violations, []);
    let checked = CONTRACTS.check(&add_version(json!({"payload": {"token": "[redacted]"}})));
    assert_eq!(checked.violations.len(), 1, "{:#?}", checked.violations);
}

#[test]
fn cloud_storage_is_held_to_its_own_older_ways() {
    #[track_caller]
    fn check(doctor: impl FnOnce(&mut Exchange), expect: &[&str]) {
        // A patch that removes a label, refused because somebody was faster.
        let error = json!({"message": "no", "domain": "global", "reason": "conditionNotMet"});
        let mut exchange = Exchange {
            method: "PATCH".to_owned(),
            path: "/storage/v1/b/models".to_owned(),
            query: vec![("ifMetagenerationMatch".to_owned(), "1".to_owned())],
            request: Some(json!({"labels": {"team": null, "phase": "ready"}})),
            status: 412,
            response: Some(json!({"error": {"code": 412, "message": "no", "errors": [error]}})),
        };
        doctor(&mut exchange);
        let checked = CONTRACTS.check(&exchange);
        let places = checked
            .violations
            .iter()
            .map(|found| format!("{:?} {}", found.part, found.place));
        assert_eq!(places.collect::<Vec<_>>(), expect, "{checked:#?}");
    }
    check(|_| {}, &[]);
    check(
        |exchange| put(&mut exchange.request, "", "colour", json!("red")),
        &["Request /"],
    );
    check(
        |exchange| put(&mut exchange.request, "/labels", "phase", json!(1)),
        &["Request /labels/phase"],
    );
    check(
        |exchange| {
            put(
                &mut exchange.response,
                "/error/errors/0",
                "reason",
                json!(""),
            );
        },
        &["Response /error/errors/0"],
    );
    // Contents and "not modified" are no JSON; everything else is.
    let content = |exchange: &mut Exchange, status, media: &str| {
        exchange.method = "GET".to_owned();
        exchange.path = "/download/storage/v1/b/models/o/a".to_owned();
        exchange.query = vec![("alt".to_owned(), media.to_owned())];
        (exchange.request, exchange.response) = (None, None);
        exchange.status = status;
    };
    check(|exchange| content(exchange, 206, "media"), &[]);
    check(|exchange| content(exchange, 304, "json"), &[]);
    check(|exchange| content(exchange, 200, "json"), &["Response /"]);
}
