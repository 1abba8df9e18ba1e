//! Cloud Storage: buckets, objects and their generations, listings.

use crate::common::{Answer, World};
use serde_json::{Value, json};

pub(crate) const BUCKET: &str = "/storage/v1/b/models";

impl World {
    /// With a bucket of this name in a region.
    pub(crate) async fn with_bucket(self, name: &str, location: &str) -> Self {
        let body = json!({"name": name, "location": location});
        self.post("/storage/v1/b?project=acme-ml", body).await.ok();
        self
    }

    /// Upload in one request; the query may hold conditions.
    pub(crate) async fn put(&self, bucket: &str, name: &str, content: &[u8], more: &str) -> Answer {
        let path = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}{more}");
        let request = self.request("POST", &path).bearer_auth("t");
        let request = request.header("content-type", "text/x-test");
        self.send(request.body(content.to_vec())).await
    }

    /// What an object holds.
    pub(crate) async fn content(&self, bucket: &str, name: &str) -> Answer {
        self.get(&format!("/storage/v1/b/{bucket}/o/{name}?alt=media"))
            .await
    }
}

/// Code and reason of an error in the shape of Cloud Storage.
#[track_caller]
pub(crate) fn refused(answer: &Answer) -> (u16, String) {
    let error = &answer.json()["error"];
    assert_eq!(error["code"], answer.status, "{}", answer.text());
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let reason = error["errors"][0]["reason"].as_str().unwrap_or_default();
    (answer.status, reason.to_owned())
}

#[track_caller]
pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect()
}

#[tokio::test]
async fn a_bucket_is_made_changed_and_deleted() {
    let world = World::start();
    let body = json!({
        "name": "models",
        "location": "us-central1",
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": true},
            "publicAccessPrevention": "enforced",
        },
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
        "labels": {"team": "search"},
        "encryption": {"defaultKmsKeyName": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"},
        "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30}}]},
    });
    let made = world
        .post("/storage/v1/b?project=acme-ml", body.clone())
        .await
        .ok();
    assert_eq!(made["location"], "US-CENTRAL1");
    assert_eq!(made["locationType"], "region");
    assert_eq!(
        made["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"],
        true
    );
    assert_eq!(
        made["softDeletePolicy"],
        json!({"retentionDurationSeconds": "0"})
    );
    assert_eq!(made["lifecycle"], body["lifecycle"]);
    assert_eq!(made["encryption"], body["encryption"]);
    let again = world
        .post("/storage/v1/b?project=acme-ml", body.clone())
        .await;
    assert_eq!(refused(&again), (409, "conflict".to_owned()));
    assert!(
        again.text().contains("you already own it"),
        "{}",
        again.text()
    );
    let other = world.post("/storage/v1/b?project=another", body).await;
    assert!(other.status == 409 && other.text().contains("not available"));

    // A patch merges, and null takes a label away.
    let patch = json!({"labels": {"team": null, "phase": "ready"}});
    let stale = format!("{BUCKET}?ifMetagenerationMatch=9");
    assert_eq!(
        world
            .call("PATCH", &stale, Some(patch.clone()))
            .await
            .status,
        412
    );
    let patched = world.call("PATCH", BUCKET, Some(patch)).await.ok();
    assert_eq!(patched["labels"], json!({"phase": "ready"}));
    assert_eq!(patched["metageneration"], "2");

    let key = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
    let object = world.put("models", "a", b"a", "").await.ok();
    assert_eq!(object["kmsKeyName"], key);
    let full = world.call("DELETE", BUCKET, None).await;
    assert_eq!(refused(&full), (409, "conflict".to_owned()));
    assert_eq!(
        world
            .call("DELETE", &format!("{BUCKET}/o/a"), None)
            .await
            .status,
        204
    );
    assert_eq!(world.call("DELETE", BUCKET, None).await.status, 204);
    assert_eq!(world.sandbox.inventory(), json!([]));
    assert_eq!(
        refused(&world.get(BUCKET).await),
        (404, "notFound".to_owned())
    );
}

#[tokio::test]
async fn a_bucket_that_cannot_be_is_refused() {
    let world = World::start();
    world
        .call("PUT", "/sandbox/storage/foreign/theirs", Some(json!({})))
        .await
        .ok();
    for (body, code) in [
        (json!({"name": "Models"}), 400),
        (json!({"name": "models", "location": "mars"}), 400),
        (json!({"name": "models", "storageClass": "GLACIER"}), 400),
        (
            json!({"name": "models", "softDeletePolicy": {"retentionDurationSeconds": "60"}}),
            400,
        ),
        (json!({"name": "models", "labels": {"Team": "x"}}), 400),
        (
            json!({"name": "models", "encryption": {"defaultKmsKeyName": "k"}}),
            400,
        ),
        (json!({"name": "models", "nonsense": 1}), 400),
        (json!({"name": "theirs"}), 409),
    ] {
        let answer = world
            .post("/storage/v1/b?project=acme-ml", body.clone())
            .await;
        assert_eq!(refused(&answer).0, code, "{body}: {}", answer.text());
    }
    assert_eq!(
        refused(&world.get("/storage/v1/b/theirs").await),
        (403, "forbidden".to_owned())
    );
    assert_eq!(world.put("theirs", "a", b"a", "").await.status, 403);
    assert_eq!(
        world.sandbox.inventory(),
        json!([]),
        "nothing of ours was made"
    );
    let anonymous = world.anonymous(BUCKET).await;
    assert_eq!(refused(&anonymous), (401, "required".to_owned()));
}

#[tokio::test]
async fn buckets_have_policies_and_are_listed_by_project() {
    let world = World::start().with_bucket("models-1", "US").await;
    let world = world.with_bucket("models-2", "EU").await;
    let path = "/storage/v1/b/models-1/iam";
    let mut policy = world.get(path).await.ok();
    assert_eq!(
        policy["bindings"][0]["role"],
        "roles/storage.legacyBucketOwner"
    );
    let binding = json!({"role": "roles/storage.objectViewer", "members": ["serviceAccount:a@b.iam.gserviceaccount.com"]});
    policy["bindings"] = json!([binding]);
    world.call("PUT", path, Some(policy.clone())).await.ok();
    assert_eq!(world.get(path).await.ok()["bindings"], json!([binding]));
    assert_eq!(
        world.call("PUT", path, Some(policy)).await.status,
        409,
        "its etag is old"
    );
    let asked = format!(
        "{path}/testPermissions?permissions=storage.objects.get&permissions=storage.objects.list"
    );
    let may = world.get(&asked).await.ok();
    assert_eq!(
        may["permissions"],
        json!(["storage.objects.get", "storage.objects.list"])
    );

    let page = world
        .get("/storage/v1/b?project=acme-ml&maxResults=1")
        .await
        .ok();
    assert_eq!(names(&page), ["models-1"]);
    let token = page["nextPageToken"].as_str().expect("a second page");
    let page = world
        .get(&format!("/storage/v1/b?project=acme-ml&pageToken={token}"))
        .await
        .ok();
    assert_eq!(
        (names(&page), &page["nextPageToken"]),
        (vec!["models-2"], &Value::Null)
    );
    let other = world.get("/storage/v1/b?project=another").await.ok();
    assert!(names(&other).is_empty());
    let prefix = world
        .get("/storage/v1/b?project=acme-ml&prefix=models-2&fields=items(name,location)")
        .await
        .ok();
    assert_eq!(
        prefix,
        json!({"items": [{"name": "models-2", "location": "EU"}]})
    );
}

#[tokio::test]
async fn a_generation_guards_against_the_others() {
    let world = World::start().with_bucket("models", "US").await;
    let first = world
        .put("models", "a", b"one", "&ifGenerationMatch=0")
        .await
        .ok();
    let taken = world
        .put("models", "a", b"two", "&ifGenerationMatch=0")
        .await;
    assert_eq!(refused(&taken), (412, "conditionNotMet".to_owned()));
    assert_eq!(world.content("models", "a").await.text(), "one");
    let generation = first["generation"].as_str().expect("a number");
    let second = world
        .put(
            "models",
            "a",
            b"two",
            &format!("&ifGenerationMatch={generation}"),
        )
        .await
        .ok();
    assert_ne!(second["generation"], first["generation"]);

    let object = format!("{BUCKET}/o/a");
    let now = second["generation"].as_str().expect("a number");
    let unchanged = world
        .get(&format!("{object}?ifGenerationNotMatch={now}"))
        .await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(
        world
            .get(&format!("{object}?ifGenerationMatch={generation}"))
            .await
            .status,
        412
    );
    assert_eq!(
        world
            .get(&format!("{object}?generation={generation}"))
            .await
            .status,
        404,
        "overwritten"
    );
    let patch = json!({"metadata": {"hf-sha256": "00"}, "contentType": "text/plain"});
    let stale = format!("{object}?ifMetagenerationMatch=2");
    assert_eq!(
        world
            .call("PATCH", &stale, Some(patch.clone()))
            .await
            .status,
        412
    );
    let patched = world.call("PATCH", &object, Some(patch)).await.ok();
    assert_eq!(
        (&patched["metageneration"], &patched["generation"]),
        (&json!("2"), &second["generation"])
    );
    let less = world
        .call(
            "PATCH",
            &object,
            Some(json!({"metadata": {"hf-sha256": null}})),
        )
        .await
        .ok();
    assert_eq!(less["metadata"], Value::Null);
    let wrong = format!("{object}?ifGenerationMatch={generation}");
    assert_eq!(world.call("DELETE", &wrong, None).await.status, 412);
    let right = format!("{object}?ifGenerationMatch={now}");
    assert_eq!(world.call("DELETE", &right, None).await.status, 204);
    assert_eq!(world.call("DELETE", &object, None).await.status, 404);
}

#[tokio::test]
async fn a_download_has_ranges_and_says_what_it_is() {
    let world = World::start().with_bucket("models", "US").await;
    let object = world.put("models", "a%2Fb:c", b"123456789", "").await.ok();
    assert_eq!(
        (&object["name"], &object["size"]),
        (&json!("a/b:c"), &json!("9"))
    );
    // The check values of CRC-32C and MD5 for these nine digits.
    assert_eq!(object["crc32c"], "4waSgw==");
    assert_eq!(object["md5Hash"], "JfnnlDI7RTiF9RgfG2JNCw==");
    let whole = world.content("models", "a%2Fb:c").await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "123456789"));
    assert_eq!(
        whole.header("x-goog-hash"),
        "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw=="
    );
    assert_eq!(whole.header("x-goog-generation"), object["generation"]);
    assert_eq!(whole.header("x-goog-stored-content-length"), "9");
    assert_eq!(whole.header("content-type"), "text/x-test");
    let link = object["mediaLink"].as_str().expect("a URL");
    for (range, status, text) in [
        ("bytes=2-4", 206, "345"),
        ("bytes=-2", 206, "89"),
        ("bytes=7-99", 206, "89"),
    ] {
        let request = world
            .request("GET", link)
            .bearer_auth("t")
            .header("range", range);
        let part = world.send(request).await;
        assert_eq!(
            (part.status, part.text().as_str()),
            (status, text),
            "{range}"
        );
        assert!(part.header("content-range").ends_with("/9"), "{range}");
        assert_eq!(part.header("x-goog-stored-content-length"), "9", "{range}");
    }
    let after = world.request("GET", link).bearer_auth("t");
    let after = world.send(after.header("range", "bytes=9-")).await;
    assert_eq!(refused(&after).0, 416);
    assert_eq!(after.header("content-range"), "bytes */9");
    let missing = world.content("models", "b").await;
    assert_eq!(refused(&missing), (404, "notFound".to_owned()));
}

#[tokio::test]
async fn a_listing_folds_pages_and_filters() {
    let world = World::start().with_bucket("models", "US").await;
    for name in ["a/1.json", "a/2.bin", "a/b/3.json", "c.json", "d/4.bin"] {
        world
            .put("models", &name.replace('/', "%2F"), b"x", "")
            .await
            .ok();
    }
    let list = async |query: &str| world.get(&format!("{BUCKET}/o?{query}")).await.ok();
    let top = list("delimiter=/").await;
    assert_eq!(
        (names(&top), &top["prefixes"]),
        (vec!["c.json"], &json!(["a/", "d/"]))
    );
    let inner = list("prefix=a/&delimiter=/").await;
    assert_eq!(
        (names(&inner), &inner["prefixes"]),
        (vec!["a/1.json", "a/2.bin"], &json!(["a/b/"]))
    );
    assert_eq!(
        names(&list("startOffset=a/2.bin&endOffset=d").await),
        ["a/2.bin", "a/b/3.json", "c.json"]
    );
    assert_eq!(
        names(&list("matchGlob=**.json").await),
        ["a/1.json", "a/b/3.json", "c.json"]
    );
    assert_eq!(names(&list("matchGlob=a/*.json").await), ["a/1.json"]);
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(&format!("maxResults=2&delimiter=/&pageToken={token}")).await;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let folders = page["prefixes"].as_array().cloned().unwrap_or_default();
        seen.extend(
            folders
                .iter()
                .filter_map(|one| one.as_str().map(str::to_owned)),
        );
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["a/", "c.json", "d/"]);
    assert_eq!(
        list("fields=items/name,prefixes&prefix=c").await,
        json!({"items": [{"name": "c.json"}]})
    );
    let bad = world.get(&format!("{BUCKET}/o?pageToken=%21")).await;
    assert_eq!(refused(&bad).0, 400);
}

#[tokio::test]
async fn what_is_deleted_can_be_restored_for_a_week() {
    let world = World::start().with_bucket("models", "US").await;
    let made = world.put("models", "a", b"one", "").await.ok();
    let generation = made["generation"].as_str().expect("a number");
    world.call("DELETE", &format!("{BUCKET}/o/a"), None).await;
    let list = async |query: &str| world.get(&format!("{BUCKET}/o?{query}")).await.ok();
    assert!(names(&list("").await).is_empty());
    let soft = list("softDeleted=true").await;
    assert_eq!(names(&soft), ["a"]);
    assert!(soft["items"][0]["hardDeleteTime"].is_string());
    let gone = format!("{BUCKET}/o/a?softDeleted=true&generation={generation}");
    assert_eq!(world.get(&gone).await.ok()["generation"], generation);
    let restore = format!("{BUCKET}/o/a/restore?generation={generation}");
    let back = world.post(&restore, json!({})).await.ok();
    assert_ne!(back["generation"], generation);
    assert_eq!(world.content("models", "a").await.text(), "one");
    world.call("DELETE", &format!("{BUCKET}/o/a"), None).await;
    world
        .post("/sandbox/clock/advance", json!({"seconds": 604_801}))
        .await
        .ok();
    assert!(names(&list("softDeleted=true").await).is_empty());

    // With versions, an overwritten generation stays readable.
    let versioning = json!({"versioning": {"enabled": true}});
    world.call("PATCH", BUCKET, Some(versioning)).await.ok();
    let first = world.put("models", "v", b"one", "").await.ok();
    world.put("models", "v", b"two", "").await.ok();
    let old = first["generation"].as_str().expect("a number");
    let path = format!("{BUCKET}/o/v?generation={old}");
    assert_eq!(world.get(&format!("{path}&alt=media")).await.text(), "one");
    assert_eq!(names(&list("versions=true").await), ["v", "v"]);
    assert_eq!(world.call("DELETE", BUCKET, None).await.status, 409);
    assert_eq!(world.call("DELETE", &path, None).await.status, 204);
    assert_eq!(world.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_managed_folder_goes_when_it_is_empty() {
    let world = World::start().with_bucket("models", "US").await;
    let folders = format!("{BUCKET}/managedFolders");
    let made = world.post(&folders, json!({"name": "team/a"})).await.ok();
    assert_eq!(made["name"], "team/a/");
    let again = world.post(&folders, json!({"name": "team/a/"})).await;
    assert_eq!(refused(&again).0, 409);
    world.put("models", "team%2Fa%2Fx", b"x", "").await.ok();
    let list = world.get(&format!("{folders}?prefix=team/")).await.ok();
    assert_eq!(names(&list), ["team/a/"]);
    let folder = format!("{folders}/team%2Fa%2F");
    assert_eq!(world.get(&folder).await.ok()["name"], "team/a/");
    assert_eq!(world.call("DELETE", &folder, None).await.status, 409);
    let anyway = format!("{folder}?allowNonEmpty=true");
    assert_eq!(world.call("DELETE", &anyway, None).await.status, 204);
    assert_eq!(refused(&world.get(&folder).await).0, 404);
}
