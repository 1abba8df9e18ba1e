//! Google Cloud: requests and answers of each API, and the adapter that performs operations.
//!
//! | file | holds |
//! |---|---|
//! | `adapter.rs` | [`GoogleCloud`]: which operation is which steps below |
//! | `services.rs` | making, changing, finishing and deleting a Cloud Run service |
//! | `secrets.rs` | the secret that holds an endpoint's Hub token |
//! | `access.rs` | who may call a service, who may read a secret or a bucket |
//! | `snapshots.rs` | whether a snapshot is complete, near, and of use |
//! | `run.rs`, `service_body.rs` | Cloud Run: requests, answers, the body of a service |
//! | `live.rs` | [`LiveService`]: a service as it is, for Terraform's read |
//! | `storage.rs`, `buckets.rs` | Cloud Storage: objects and uploads, buckets |
//! | `secret_manager.rs`, `resource_manager.rs`, `policy.rs`, `lro.rs` | the other requests and answers |
//! | `jobs.rs`, `job_calls.rs` | the Cloud Run job that moves the files of a snapshot |
//! | `storage_transfer.rs`, `storage_transfer_calls.rs` | the Storage Transfer job that fetches them |
//! | `caches.rs`, `anywhere.rs` | buckets that hold snapshots, and their Anywhere Caches |
//! | `marks.rs` | the labels by which openmodel knows its own |
//! | `failure.rs` | an API's error as a failure with its next move |

mod access;

mod adapter;
pub mod anywhere;
pub mod buckets;
mod caches;
mod failure;
mod job_calls;
mod jobs;
mod live;
mod lro;
mod marks;
mod policy;
mod resource_manager;
mod run;
mod secret_manager;
mod secrets;
mod service_body;
mod services;
mod snapshots;
pub mod storage;
mod storage_transfer;
mod storage_transfer_calls;
#[cfg(test)]
mod testing;

pub use adapter::GoogleCloud;
pub use buckets::Bucket;
pub use live::{LiveService, Readiness};
pub use marks::{KEY_LABEL, MANAGED_LABEL, NAME_LABEL, NEAR_LABEL, PHASE_LABEL, Phase, near};
pub use snapshots::SnapshotState;
