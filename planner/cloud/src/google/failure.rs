//! An API's error as a failure: what happened, and the next move.

use openmodel_apply::cloud::{Failure, Outcome};
use openmodel_graph::operation::EndpointIdentity;

use crate::transport::{ApiError, Effect};

/// The failure a user reads.
pub(crate) fn failure(error: &ApiError) -> Failure {
    let verb = if error.status.is_some() {
        "refused"
    } else {
        "could not be asked for"
    };
    let reason = error
        .reason
        .as_ref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    Failure {
        code: error.code.clone(),
        message: format!(
            "{} {verb} {}: {}{reason}",
            error.api.title(),
            error.call,
            error.message
        ),
        request_id: error.request_id.clone(),
        // A grant on a secret takes some minutes to be seen everywhere.
        transient: error.transient || error.message.contains("Permission denied on secret"),
        retry_after: error.retry_after,
        hint: hint(error),
    }
}

/// The outcome of a call that was to have an effect.
pub(crate) fn outcome(error: &ApiError) -> Outcome {
    match error.effect {
        Effect::None => Outcome::Refused(failure(error)),
        Effect::Unknown => Outcome::Unknown(failure(error)),
    }
}

/// The object that a later step works on is gone.
pub(crate) fn gone(name: &str) -> Failure {
    let mut failure = Failure::lasting(
        "NOT_FOUND",
        format!("{name} is not there: it was deleted outside of openmodel"),
    );
    failure.hint = Some(
        "Run `terraform apply` again: the next plan sees what is there and makes what is missing."
            .to_owned(),
    );
    failure
}

/// Something with the name of an endpoint's service stands in the way of making it.
pub(crate) fn taken(identity: &EndpointIdentity, what: Obstacle) -> Failure {
    let name = identity.service();
    let (state, next) = match what {
        Obstacle::Unfinished => (
            "it is unfinished, and was begun with another configuration",
            format!(
                "Restore that configuration and apply again to finish it, or delete it: \
                 gcloud run services delete {} --project {} --region {}",
                identity.name, identity.project, identity.region
            ),
        ),
        Obstacle::Finished => ("it is a finished openmodel endpoint", import(identity)),
        Obstacle::Foreign => (
            "it was not made by openmodel",
            "Choose another name for the endpoint, or delete the service if nothing uses it."
                .to_owned(),
        ),
    };
    let mut failure = Failure::lasting(
        "ALREADY_EXISTS",
        format!("the Cloud Run service {name} exists already; {state}"),
    );
    failure.hint = Some(next);
    failure
}

/// A service that is to be deleted, and does not say that openmodel made it.
pub(crate) fn not_ours(identity: &EndpointIdentity) -> Failure {
    let name = identity.service();
    let mut failure = Failure::lasting(
        "FAILED_PRECONDITION",
        format!(
            "the Cloud Run service {name} does not bear the label openmodel-managed=true, and is not deleted"
        ),
    );
    failure.hint = Some(
        "If it is this endpoint, put the label back and try again; if not, forget it with `terraform state rm`."
            .to_owned(),
    );
    failure
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Ours, of another step.
    Unfinished,
    /// Ours, in use.
    Finished,
    /// Somebody else's.
    Foreign,
}

fn import(identity: &EndpointIdentity) -> String {
    format!(
        "Choose another name, or manage it from this configuration:\n\n  import {{\n    to = openmodel_endpoint.{}\n    id = \"{}\"\n  }}",
        identity.name,
        identity.service()
    )
}

/// The next move after an API's error, where one is known.
fn hint(error: &ApiError) -> Option<String> {
    let fact = |key: &str| error.metadata.get(key).and_then(serde_json::Value::as_str);
    match error.reason.as_deref() {
        Some("SERVICE_DISABLED") => {
            let service = fact("service").unwrap_or("run.googleapis.com");
            let project = fact("consumer")
                .unwrap_or("projects/YOUR-PROJECT")
                .replace("projects/", "");
            return Some(format!(
                "Enable it, wait a minute, and apply again: gcloud services enable {service} --project {project}"
            ));
        }
        Some("IAM_PERMISSION_DENIED") => {
            let permission = fact("permission").unwrap_or("the permission named above");
            let resource = fact("resource").unwrap_or("the project");
            return Some(format!(
                "Ask for a role that holds {permission} on {resource}."
            ));
        }
        _ => {}
    }
    text_hint(&error.message).or_else(|| match error.code.as_str() {
        "UNAUTHENTICATED" if error.status.is_some() => {
            Some("Sign in again: gcloud auth application-default login".to_owned())
        }
        "PERMISSION_DENIED" => {
            Some("Ask for a role that holds the permission named above.".to_owned())
        }
        _ => None,
    })
}

/// The next move after a message or reason of Cloud Run.
pub(crate) fn text_hint(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let hint = if lower.contains("quota")
        && (lower.contains("gpu") || lower.contains("zonal redundancy"))
    {
        "Ask for Cloud Run GPU quota in this region at https://console.cloud.google.com/iam-admin/quotas \
         (without zonal redundancy: 3 GPUs are usually granted at once), lower scaling.max_replicas, or choose \
         another region."
    } else if lower.contains("permitted customer") || lower.contains("domain restricted") {
        "An organisation policy (iam.allowedPolicyMemberDomains) forbids these members: set access.public = false, or \
         name invokers of your own domain."
    } else if lower.contains("health_check_container_error")
        || lower.contains("failed to start and listen")
    {
        "The container did not become healthy in time. Its log says why (out of memory, no access to the model, a wrong \
         engine argument): gcloud run services logs read, or the Logs tab of the service."
    } else if lower.contains("min_instances_not_provisioned") {
        "Cloud Run could not start the minimum number of instances: there is no free GPU of this type in the region \
         now. Try again later, set scaling.min_replicas = 0, or choose another region."
    } else if lower.contains("secrets_access_check_failed")
        || lower.contains("permission denied on secret")
    {
        "The service's account must hold roles/secretmanager.secretAccessor on the secret. A grant takes effect within \
         some minutes: apply again."
    } else if lower.contains("container_image_unauthorized")
        || lower.contains("container_permission_denied")
    {
        "The service's account cannot pull the image: check engine.image, and grant roles/artifactregistry.reader."
    } else if lower.contains("container_missing") {
        "There is no such image: check engine.image and its tag."
    } else {
        return None;
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transport::{Api, Request};

    fn error(body: &serde_json::Value) -> ApiError {
        let request = Request::post(
            Api::Run,
            "/v2/projects/acme-ml/locations/us-central1/services",
            json!({}),
        );
        let body = body.to_string();
        ApiError::refused(
            &request,
            http::StatusCode::FORBIDDEN,
            &http::HeaderMap::new(),
            body.as_bytes(),
        )
    }

    #[test]
    fn a_disabled_api_says_how_to_enable_it() {
        let body = json!({"error": {"status": "PERMISSION_DENIED", "message": "API has not been used", "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED",
            "metadata": {"service": "run.googleapis.com", "consumer": "projects/acme-ml"}}]}});
        insta::assert_snapshot!(failure(&error(&body)), @r"
        PERMISSION_DENIED: Cloud Run refused POST /v2/projects/acme-ml/locations/us-central1/services: API has not been used (SERVICE_DISABLED)
        Enable it, wait a minute, and apply again: gcloud services enable run.googleapis.com --project acme-ml
        ");
    }

    #[test]
    fn a_missing_gpu_quota_says_how_to_raise_it() {
        let body = json!({"error": {"status": "INVALID_ARGUMENT",
            "message": "You do not have quota for using GPUs without zonal redundancy."}});
        let hint = failure(&error(&body)).hint.expect("a hint");
        assert!(hint.contains("iam-admin/quotas"), "{hint}");
    }

    #[test]
    fn every_reason_of_a_failed_container_has_a_next_move() {
        for reason in [
            "HEALTH_CHECK_CONTAINER_ERROR",
            "MIN_INSTANCES_NOT_PROVISIONED",
            "SECRETS_ACCESS_CHECK_FAILED",
            "CONTAINER_IMAGE_UNAUTHORIZED",
            "CONTAINER_MISSING",
        ] {
            assert!(text_hint(reason).is_some(), "{reason}");
        }
        assert_eq!(text_hint("all is well"), None);
    }

    #[test]
    fn a_finished_service_is_refused_with_the_import_block() {
        let identity = EndpointIdentity {
            project: "acme-ml".parse().expect("a project"),
            region: "us-central1".parse().expect("a region"),
            name: "chat".parse().expect("a name"),
        };
        insta::assert_snapshot!(taken(&identity, Obstacle::Finished), @r#"
        ALREADY_EXISTS: the Cloud Run service projects/acme-ml/locations/us-central1/services/chat exists already; it is a finished openmodel endpoint
        Choose another name, or manage it from this configuration:

          import {
            to = openmodel_endpoint.chat
            id = "projects/acme-ml/locations/us-central1/services/chat"
          }
        "#);
    }
}
