//! Volumes of a Cloud Run service: a bucket that is mounted, and what is refused.

use serde_json::{Value, json};

use crate::common::{SERVICES, World, vllm};

/// A server that reads its model from a bucket, by way of a cache in memory.
fn mounted() -> Value {
    let mut body = vllm();
    body["template"]["executionEnvironment"] = "EXECUTION_ENVIRONMENT_GEN2".into();
    body["template"]["volumes"] = json!([
        {"name": "cache", "emptyDir": {"medium": "MEMORY", "sizeLimit": "512Mi"}},
        {"name": "models", "gcs": {"bucket": "acme-models", "readOnly": true,
            "mountOptions": ["implicit-dirs", "cache-dir=cr-volume:cache"]}},
    ]);
    body["template"]["containers"][0]["volumeMounts"] = json!([
        {"name": "cache", "mountPath": "/mnt/cache"},
        {"name": "models", "mountPath": "/mnt/models"},
    ]);
    body
}

#[tokio::test]
async fn a_bucket_is_mounted_where_the_services_account_may_read_it() {
    let world = World::start();
    let failed = |operation: Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&operation["error"]["message"]),
            operation["metadata"].clone(),
        )
    };
    let operation = world
        .post(&format!("{SERVICES}?serviceId=a"), mounted())
        .await
        .ok();
    let (message, service) = failed(world.finish(operation).await);
    assert!(
        message.contains("bucket acme-models does not exist"),
        "{message}"
    );
    assert_eq!(service["terminalCondition"]["state"], "CONDITION_FAILED");

    let bucket = json!({"name": "acme-models", "location": "US-CENTRAL1"});
    world
        .post("/storage/v1/b?project=acme-ml", bucket)
        .await
        .ok();
    let operation = world
        .post(&format!("{SERVICES}?serviceId=b"), mounted())
        .await
        .ok();
    let (message, service) = failed(world.finish(operation).await);
    assert!(message.contains("storage.objects.list"), "{message}");

    let account = service["template"]["serviceAccount"]
        .as_str()
        .expect("an account");
    let mut policy = world.get("/storage/v1/b/acme-models/iam").await.ok();
    policy["bindings"]
        .as_array_mut()
        .expect("bindings")
        .push(json!({
            "role": "roles/storage.objectViewer", "members": [format!("serviceAccount:{account}")],
        }));
    world
        .call("PUT", "/storage/v1/b/acme-models/iam", Some(policy))
        .await
        .ok();
    let service = world.create("c", mounted()).await;
    assert_eq!(service["terminalCondition"]["state"], "CONDITION_SUCCEEDED");
    assert_eq!(
        service["template"]["volumes"],
        mounted()["template"]["volumes"]
    );
}

#[tokio::test]
async fn a_volume_that_cannot_be_is_refused() {
    let world = World::start();
    let wrong = [
        ("/template/volumes/1/name", json!("cache"), "used once"),
        ("/template/volumes/1/gcs/bucket", json!(""), "is required"),
        (
            "/template/volumes/1/gcs/mountOptions/0",
            json!("--implicit-dirs"),
            "leading dashes",
        ),
        (
            "/template/volumes/1/gcs/mountOptions/1",
            json!("cache-dir=/tmp"),
            "cr-volume",
        ),
        (
            "/template/volumes/0/emptyDir/sizeLimit",
            json!("much"),
            "not a quantity",
        ),
        (
            "/template/containers/0/volumeMounts/0/mountPath",
            json!("/proc/x"),
            "mounted",
        ),
        (
            "/template/containers/0/volumeMounts/0/name",
            json!("other"),
            "no volume",
        ),
    ];
    for (pointer, value, words) in wrong {
        let mut body = mounted();
        *body.pointer_mut(pointer).expect("a member") = value;
        let answer = world
            .post(&format!("{SERVICES}?serviceId=chat"), body)
            .await;
        let (code, _, message) = answer.error();
        assert_eq!(code, 400, "{pointer}");
        assert!(message.contains(words), "{pointer}: {message}");
    }
}
