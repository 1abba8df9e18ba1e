//! Cloud Storage, JSON API v1: requests and answers of buckets and their policies.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::transport::{Api, Request, segment};

/// A bucket, as far as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Bucket {
    /// Name, one in all the world.
    pub name: String,
    /// `US-CENTRAL1`, `EU`, `NAM4`: upper case.
    pub location: String,
    /// `region`, `dual-region` or `multi-region`.
    pub location_type: String,
    /// The regions of a dual-region that its owner chose.
    pub custom_placement_config: Option<Placement>,
    /// Number of the project that owns it.
    pub project_number: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Storage class of objects that name none.
    pub storage_class: String,
    /// Key of objects that name none.
    pub encryption: Option<Encryption>,
    /// Who can be given access, and how.
    pub iam_configuration: IamConfiguration,
    /// Counts changes of the description.
    pub metageneration: String,
}

/// Where a dual-region lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Placement {
    /// Two regions, in upper case.
    pub data_locations: Vec<String>,
}

/// A bucket's key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Encryption {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub default_kms_key_name: String,
}

/// A bucket's rules of access.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IamConfiguration {
    /// `enforced` or `inherited`.
    pub public_access_prevention: String,
}

/// A bucket that is to be: closed to the public, with one way to give access, and with deleted objects
/// kept for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBucket<'a> {
    /// Project that owns it and pays.
    pub project: &'a str,
    /// Name.
    pub name: &'a str,
    /// Region, dual-region or multi-region.
    pub location: &'a str,
    /// Storage class of objects that name none.
    pub storage_class: &'a str,
    /// Labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Key of the user's, where one is given.
    pub kms_key: Option<&'a str>,
}

/// Reads a bucket.
#[must_use]
pub fn get_bucket(name: &str) -> Request {
    Request::get(Api::Storage, bucket_path(name))
}

/// One page of a project's buckets.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BucketPage {
    /// Buckets in the order of their names.
    pub items: Vec<Bucket>,
    /// Where the next page begins; empty: there is none.
    pub next_page_token: String,
}

/// Lists the buckets of a project whose names begin so.
#[must_use]
pub fn list_buckets(project: &str, prefix: &str, page_token: &str) -> Request {
    let request = Request::get(Api::Storage, "/storage/v1/b")
        .query("project", project)
        .query("prefix", prefix);
    if page_token.is_empty() {
        request
    } else {
        request.query("pageToken", page_token)
    }
}

/// Makes a bucket.
#[must_use]
pub fn insert_bucket(bucket: &NewBucket<'_>) -> Request {
    let mut body = json!({
        "name": bucket.name,
        "location": bucket.location,
        "storageClass": bucket.storage_class,
        "labels": bucket.labels,
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": true},
            "publicAccessPrevention": "enforced",
        },
        // Google's own default, written down: an object that is deleted by mistake can be restored
        // for 7 days. <https://cloud.google.com/storage/docs/soft-delete>
        "softDeletePolicy": {"retentionDurationSeconds": "604800"},
    });
    if let Some(key) = bucket.kms_key {
        body["encryption"] = json!({"defaultKmsKeyName": key});
    }
    Request::post(Api::Storage, "/storage/v1/b", body).query("project", bucket.project)
}

/// Sets labels of a bucket, beside those it has.
#[must_use]
pub fn label_bucket(name: &str, labels: &BTreeMap<String, String>) -> Request {
    Request::patch(Api::Storage, bucket_path(name), json!({"labels": labels})).repeatable()
}

/// Deletes a bucket, which must be empty.
#[must_use]
pub fn delete_bucket(name: &str) -> Request {
    Request::delete(Api::Storage, bucket_path(name))
}

/// Reads who has access to a bucket, conditions included.
#[must_use]
pub fn get_bucket_policy(name: &str) -> Request {
    Request::get(Api::Storage, format!("{}/iam", bucket_path(name)))
        .query("optionsRequestedPolicyVersion", "3")
}

/// Sets who has access to a bucket; the policy's etag says which it replaces.
#[must_use]
pub fn set_bucket_policy(name: &str, policy: &Value) -> Request {
    Request::put(Api::Storage, format!("{}/iam", bucket_path(name))).json(policy.clone())
}

fn bucket_path(name: &str) -> String {
    format!("/storage/v1/b/{}", segment(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_closed_from_its_first_moment() {
        let request = insert_bucket(&NewBucket {
            project: "acme-ml",
            name: "openmodel-acme-ml-us-central1",
            location: "us-central1",
            storage_class: "STANDARD",
            labels: &BTreeMap::from([("openmodel-managed".to_owned(), "true".to_owned())]),
            kms_key: Some("projects/p/locations/l/keyRings/r/cryptoKeys/k"),
        });
        insta::assert_snapshot!(request, @r#"
        POST storage /storage/v1/b?project=acme-ml
        {
          "encryption": {
            "defaultKmsKeyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k"
          },
          "iamConfiguration": {
            "publicAccessPrevention": "enforced",
            "uniformBucketLevelAccess": {
              "enabled": true
            }
          },
          "labels": {
            "openmodel-managed": "true"
          },
          "location": "us-central1",
          "name": "openmodel-acme-ml-us-central1",
          "softDeletePolicy": {
            "retentionDurationSeconds": "604800"
          },
          "storageClass": "STANDARD"
        }
        "#);
    }
}
