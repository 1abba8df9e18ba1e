//! The part of a service that a client sets: the server's defaults, merging by field mask, rules.

use serde_json::{Map, Value, json};

use super::super::discovery;
use super::super::error::Error;
use super::super::schema;
use super::super::secret_manager::Secrets;
use super::{Place, default_account, limits, volumes};

const SCHEMA: &str = "GoogleCloudRunV2Service";
/// Label and annotation namespaces that v2 refuses (Discovery, `Service.labels`).
const SYSTEM: [&str; 4] = [
    "run.googleapis.com",
    "cloud.googleapis.com",
    "serving.knative.dev",
    "autoscaling.knative.dev",
];
/// Environment variables that Cloud Run sets itself in a service.
const RESERVED: [&str; 4] = ["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"];

/// A service id: a letter first, no hyphen last, fewer than 50 characters (Discovery, `serviceId`).
pub(super) fn check_service_id(id: &str) -> Result<(), Error> {
    if is_name(id) && id.len() < 50 {
        return Ok(());
    }
    Err(Error::field(
        "service_id",
        "must start with a letter, cannot end with a hyphen, and must contain fewer than 50 \
         lowercase letters, digits and hyphens",
    ))
}

/// A new spec from an old one and a body, replacing what the mask names; all of it without a mask.
pub(super) fn merge(old: &Value, body: &Value, mask: &str) -> Result<Value, Error> {
    let mut paths = Vec::new();
    for path in mask
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty() && *path != "*")
    {
        let known = discovery::document("run.v2")
            .and_then(|document| schema::field_path(document, SCHEMA, path))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "Invalid update_mask: field '{path}' does not exist."
                ))
            })?;
        paths.push(known);
    }
    if paths.is_empty() {
        return Ok(body.clone());
    }
    let mut merged = old.clone();
    for path in &paths {
        let value = path
            .iter()
            .try_fold(body, |value, name| value.get(name))
            .cloned();
        put(&mut merged, path, value);
    }
    Ok(merged)
}

fn put(target: &mut Value, path: &[String], value: Option<Value>) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(members) = target.as_object_mut() else {
        return;
    };
    match (rest.is_empty(), value) {
        (true, None) => drop(members.remove(name)),
        (true, Some(value)) => drop(members.insert(name.clone(), value)),
        (false, value) => put(
            members.entry(name.clone()).or_insert_with(|| json!({})),
            rest,
            value,
        ),
    }
}

/// The spec with the values that the server fills in.
pub(super) fn complete(body: &Value, project: &str) -> Value {
    let mut spec = body.as_object().cloned().unwrap_or_default();
    spec.remove("name");
    spec.remove("etag");
    default(&mut spec, "ingress", json!("INGRESS_TRAFFIC_ALL"));
    default(&mut spec, "launchStage", json!("GA"));
    let latest = json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100});
    default(&mut spec, "traffic", json!([latest]));
    if spec["traffic"].as_array().is_some_and(Vec::is_empty) {
        spec.insert("traffic".to_owned(), json!([latest]));
    }
    let mut template = spec
        .remove("template")
        .and_then(|t| t.as_object().cloned())
        .unwrap_or_default();
    default(&mut template, "timeout", json!("300s"));
    default(
        &mut template,
        "serviceAccount",
        json!(default_account(project)),
    );
    if template
        .get("maxInstanceRequestConcurrency")
        .and_then(Value::as_i64)
        .unwrap_or(0)
        == 0
    {
        template.insert("maxInstanceRequestConcurrency".to_owned(), json!(80));
    }
    default(&mut template, "scaling", json!({}));
    if let Some(scaling) = template.get_mut("scaling").and_then(Value::as_object_mut) {
        default(scaling, "maxInstanceCount", json!(100));
    }
    let containers = template.get_mut("containers").and_then(Value::as_array_mut);
    for (at, container) in containers.into_iter().flatten().enumerate() {
        if let Some(container) = container.as_object_mut() {
            complete_container(container, at == 0);
        }
    }
    prune(&mut template);
    drop_empty_maps(&mut template);
    drop_empty_maps(&mut spec);
    spec.insert("template".to_owned(), template.into());
    prune(&mut spec);
    spec.into()
}

fn complete_container(container: &mut Map<String, Value>, first: bool) {
    default(
        container,
        "resources",
        json!({"cpuIdle": true, "startupCpuBoost": true}),
    );
    if let Some(resources) = container
        .get_mut("resources")
        .and_then(Value::as_object_mut)
    {
        default(resources, "limits", json!({}));
        if let Some(limits) = resources.get_mut("limits").and_then(Value::as_object_mut) {
            default(limits, "cpu", json!("1000m"));
            default(limits, "memory", json!("512Mi"));
        }
    }
    if !first && !container.contains_key("ports") {
        return;
    }
    default(
        container,
        "ports",
        json!([{"name": "http1", "containerPort": 8080}]),
    );
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        default(port, "name", json!("http1"));
        default(port, "containerPort", json!(8080));
    }
    let port = container["ports"][0]["containerPort"].clone();
    let probe = json!({
        "timeoutSeconds": 240,
        "periodSeconds": 240,
        "failureThreshold": 1,
        "tcpSocket": {"port": port},
    });
    default(container, "startupProbe", probe);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            default(probe, "timeoutSeconds", json!(1));
            default(probe, "periodSeconds", json!(10));
            default(probe, "failureThreshold", json!(3));
            for action in ["httpGet", "tcpSocket", "grpc"] {
                if let Some(action) = probe.get_mut(action).and_then(Value::as_object_mut) {
                    default(action, "port", port.clone());
                }
            }
            if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
                default(get, "path", json!("/"));
            }
        }
    }
}

pub(super) fn default(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.entry(name.to_owned()).or_insert(value);
}

/// Members at protobuf's default are not shown: false, zero, empty text, empty list, empty map.
pub(super) fn prune(members: &mut Map<String, Value>) {
    members.retain(|_, value| {
        if let Some(inner) = value.as_object_mut() {
            prune(inner);
        }
        for inner in value
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            prune(inner);
        }
        match value {
            Value::Null | Value::Bool(false) => false,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        }
    });
}

/// A map of texts that is empty is not shown, unlike a message that is empty.
pub(super) fn drop_empty_maps(members: &mut Map<String, Value>) {
    members.retain(|name, value| {
        !matches!(name.as_str(), "labels" | "annotations") || *value != json!({})
    });
}

/// Refuse a spec that Cloud Run would refuse.
pub(super) fn check(
    spec: &Value,
    place: &Place,
    secrets: &Secrets,
    strict: bool,
) -> Result<(), Error> {
    let template = &spec["template"];
    check_marks(spec, "")?;
    check_marks(template, "template.")?;
    if spec["description"]
        .as_str()
        .is_some_and(|text| text.chars().count() > 512)
    {
        return Err(Error::field(
            "description",
            "must have at most 512 characters",
        ));
    }
    check_revision_name(template, place)?;
    check_scaling(template)?;
    volumes::check(template)?;
    let containers = template["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if containers.is_empty() {
        return Err(Error::field(
            "template.containers",
            "must contain at least one container",
        ));
    }
    let serving = containers
        .iter()
        .filter(|container| container.get("ports").is_some())
        .count();
    if serving != 1 {
        return Err(Error::field(
            "template.containers",
            "exactly one container must have a port",
        ));
    }
    for (at, container) in containers.iter().enumerate() {
        check_container(
            container,
            &format!("template.containers[{at}]"),
            template,
            place,
            secrets,
            strict,
            &RESERVED,
        )?;
    }
    limits::check_template(template, &place.location)
}

fn check_revision_name(template: &Value, place: &Place) -> Result<(), Error> {
    let Some(name) = template["revision"]
        .as_str()
        .filter(|name| !name.is_empty())
    else {
        return Ok(());
    };
    if is_name(name) && name.len() <= 63 && name.starts_with(&format!("{}-", place.id)) {
        return Ok(());
    }
    Err(Error::field(
        "template.revision",
        format!(
            "'{name}' must start with '{}-' and contain at most 63 lowercase letters, digits and \
             hyphens",
            place.id
        ),
    ))
}

fn check_scaling(template: &Value) -> Result<(), Error> {
    let count = |member: &str| template["scaling"][member].as_i64().unwrap_or(0);
    let (least, most) = (count("minInstanceCount"), count("maxInstanceCount"));
    if least < 0 || most < 1 {
        return Err(Error::field(
            "template.scaling",
            "instance counts must not be negative",
        ));
    }
    if least > most {
        return Err(Error::field(
            "template.scaling.min_instance_count",
            format!("must be at most max_instance_count, which is {most}"),
        ));
    }
    let concurrency = template["maxInstanceRequestConcurrency"]
        .as_i64()
        .unwrap_or(80);
    if !(1..=1000).contains(&concurrency) {
        return Err(Error::field(
            "template.max_instance_request_concurrency",
            "must be from 1 to 1000",
        ));
    }
    let timeout = template["timeout"]
        .as_str()
        .and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
    if !timeout.is_some_and(|seconds| seconds > 0.0 && seconds <= 3600.0) {
        return Err(Error::field("template.timeout", "must be from 1s to 3600s"));
    }
    Ok(())
}

/// Refuse a container that no instance or task can have; `reserved` are names of variables.
pub(super) fn check_container(
    container: &Value,
    path: &str,
    template: &Value,
    place: &Place,
    secrets: &Secrets,
    strict: bool,
    reserved: &[&str],
) -> Result<(), Error> {
    if container["image"].as_str().unwrap_or_default().is_empty() {
        return Err(Error::field(&format!("{path}.image"), "is required"));
    }
    if container["ports"]
        .as_array()
        .is_some_and(|ports| ports.len() > 1)
    {
        return Err(Error::field(
            &format!("{path}.ports"),
            "only one port can be specified",
        ));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (at, variable) in container["env"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let name = variable["name"].as_str().unwrap_or_default();
        let path = format!("{path}.env[{at}]");
        if name.is_empty() {
            return Err(Error::field(&path, "name is required"));
        }
        if reserved.contains(&name) {
            return Err(Error::field(
                &path,
                format!(
                    "The following reserved env names were provided: {name}. These values are \
                     automatically set by the system."
                ),
            ));
        }
        if !seen.insert(name) {
            return Err(Error::field(
                &path,
                format!("the name {name} is used twice"),
            ));
        }
        let wanted = &variable["valueSource"]["secretKeyRef"];
        if let Some(secret) = wanted["secret"].as_str() {
            let version = wanted["version"].as_str().unwrap_or("latest");
            let account = template["serviceAccount"].as_str().unwrap_or_default();
            secrets
                .check_reference(&place.project, secret, version, strict.then_some(account))
                .map_err(|reason| {
                    Error::field(&format!("{path}.value_source.secret_key_ref"), reason)
                })?;
        }
    }
    volumes::check_mounts(container, template, path)
}

/// Labels by the rules of Google Cloud's labels; neither they nor annotations of the system's.
pub(super) fn check_marks(holder: &Value, path: &str) -> Result<(), Error> {
    for kind in ["labels", "annotations"] {
        for (key, value) in holder[kind].as_object().into_iter().flatten() {
            let space = key.split_once('/').map_or("", |(space, _)| space);
            if SYSTEM
                .iter()
                .any(|name| space == *name || space.ends_with(&format!(".{name}")))
            {
                return Err(Error::field(
                    &format!("{path}{kind}"),
                    format!("'{key}': the namespace {space} is not supported in the v2 API"),
                ));
            }
            let fits = |text: &str| {
                text.chars().count() <= 63
                    && text.chars().all(|c| {
                        c.is_numeric()
                            || "_-".contains(c)
                            || (c.is_alphabetic() && !c.is_uppercase())
                    })
            };
            let starts = key
                .chars()
                .next()
                .is_some_and(|c| c.is_alphabetic() && !c.is_uppercase());
            if kind == "labels" && !(starts && fits(key) && value.as_str().is_some_and(fits)) {
                return Err(Error::field(
                    &format!("{path}labels"),
                    format!(
                        "'{key}' = {value}: keys and values have at most 63 lowercase letters, \
                         digits, underscores and hyphens; a key starts with a letter"
                    ),
                ));
            }
        }
        if kind == "labels"
            && holder[kind]
                .as_object()
                .is_some_and(|labels| labels.len() > 64)
        {
            return Err(Error::field(
                &format!("{path}labels"),
                "at most 64 labels are allowed",
            ));
        }
    }
    Ok(())
}

/// Lowercase letters, digits and hyphens; a letter first, no hyphen last.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_replaces_what_it_names_and_removes_what_is_absent() {
        let old = json!({"labels": {"a": "1", "b": "2"}, "description": "x", "template": {"timeout": "5s"}});
        let body =
            json!({"labels": {"a": "3"}, "template": {"timeout": "9s", "sessionAffinity": true}});
        let merged = merge(&old, &body, "labels,description,template.session_affinity");
        let expect =
            json!({"labels": {"a": "3"}, "template": {"timeout": "5s", "sessionAffinity": true}});
        assert_eq!(merged.expect("a good mask"), expect);
        assert_eq!(merge(&old, &body, "").expect("no mask"), body);
        merge(&old, &body, "template.nonsense").expect_err("no such field");
    }

    #[test]
    fn defaults_are_those_of_the_service() {
        let body = json!({"template": {"containers": [{"image": "a"}]}, "name": "x", "etag": "y"});
        let spec = complete(&body, "acme-ml");
        assert_eq!(spec["ingress"], "INGRESS_TRAFFIC_ALL");
        assert_eq!(spec["traffic"][0]["percent"], 100);
        let template = &spec["template"];
        assert_eq!(template["timeout"], "300s");
        assert_eq!(template["maxInstanceRequestConcurrency"], 80);
        assert_eq!(
            template["containers"][0]["resources"]["limits"]["memory"],
            "512Mi"
        );
        assert_eq!(
            template["containers"][0]["startupProbe"]["tcpSocket"]["port"],
            8080
        );
        assert_eq!(spec.get("etag"), None);
        // Completing twice changes nothing: a second apply of the same body finds no difference.
        assert_eq!(complete(&spec, "acme-ml"), spec);
    }

    #[test]
    fn names_and_labels() {
        for good in ["a", "chat-1"] {
            check_service_id(good).expect(good);
        }
        for bad in ["", "1a", "a-", "Chat", "a_b", &"a".repeat(50)] {
            check_service_id(bad).expect_err(bad);
        }
        check_marks(&json!({"labels": {"team": "a-1"}}), "").expect("a good label");
        for bad in [
            json!({"labels": {"run.googleapis.com/x": "y"}}),
            json!({"annotations": {"serving.knative.dev/x": "y"}}),
            json!({"labels": {"Team": "a"}}),
            json!({"labels": {"team": "A"}}),
        ] {
            check_marks(&bad, "").expect_err(&bad.to_string());
        }
        check_marks(&json!({"annotations": {"example.com/Any": "Thing"}}), "")
            .expect("a free annotation");
    }
}
