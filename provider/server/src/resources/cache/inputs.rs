//! From Terraform's words to ours: what is asked of a cache, as checked types.

use openmodel_resolve::gates::Asker;
use openmodel_schemas::name::{CommitSha, ProjectId, Region, Zone};
use openmodel_schemas::snapshot::{Repository, RepositoryType};
use openmodel_schemas::spec::{AnywhereCacheSpec, CacheSpec, TransferEngine, TransferSpec};
use openmodel_transfer::repository::PARALLELISM;
use openmodel_transfer::select::Patterns;
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};

use super::model::{AnywhereCacheModel, CacheModel, Texts, TransferModel};
use crate::gates::Asked;
use crate::schema_parts::named;
use crate::workload::known;

/// Checks of values against each other; what a single value must be stands in the schema.
pub(crate) fn validate(config: &CacheModel) -> Diagnostics {
    let mut found = Diagnostics::new();
    let follows = config.tracking.as_known().map(String::as_str) == Some("follow");
    let commit = config
        .revision
        .as_known()
        .filter(|text| super::schema::is_commit(text));
    if follows && let Some(commit) = commit {
        found.push(Diagnostic::error("A commit does not move").at("tracking").detail(format!(
            "revision is the commit {commit}, which tracking = \"follow\" would follow nowhere. Name a branch, or leave \
             tracking out."
        )));
    }
    found.extend(super::engine::validate(config));
    found
}

/// The repository, where it is known.
pub(crate) fn repository(
    planned: &CacheModel,
    waiting: &mut Option<&'static str>,
) -> Result<Option<Repository>, Diagnostics> {
    let id = known(&planned.repository, "repository", waiting);
    let word = known(&planned.repository_type, "repository_type", waiting);
    let (Some(id), Some(word)) = (id, word) else {
        return Ok(None);
    };
    let id = id.parse().map_err(|error| invalid("repository", &error))?;
    let kind = named(&RepositoryType::ALL, RepositoryType::as_str, word);
    Ok(Some(Repository {
        kind: kind.unwrap_or_default(),
        id,
    }))
}

/// Which files are kept.
pub(crate) fn patterns(planned: &CacheModel, waiting: &mut Option<&'static str>) -> Patterns {
    Patterns {
        include: texts(&planned.include, "include", waiting),
        exclude: texts(&planned.exclude, "exclude", waiting),
    }
}

/// What is said of the gates.
pub(crate) fn asked(planned: &CacheModel) -> Asked<'_> {
    Asked {
        asker: Asker::Cache,
        licenses: &planned.licenses,
        formats: &planned.formats,
        scan: &planned.scan,
        signature: &planned.require_signature,
    }
}

/// All but what the Hub says: `digest` and `selection` are still empty.
pub(crate) fn spec(
    planned: &CacheModel,
    repository: Repository,
    commit: CommitSha,
    waiting: &mut Option<&'static str>,
) -> Result<Option<CacheSpec>, Diagnostics> {
    let project = known(&planned.project, "project", waiting);
    let location = known(&planned.location, "location", waiting);
    let prefix = known(&planned.prefix, "prefix", waiting);
    let patterns = patterns(planned, waiting);
    let mut regions = Vec::new();
    for region in texts(&planned.regions, "regions", waiting) {
        let region = region.parse::<Region>();
        regions.push(region.map_err(|error| invalid("regions", &error))?);
    }
    regions.sort();
    let anywhere_cache = anywhere_cache(&planned.anywhere_cache, waiting)?;
    let transfer = transfer(&planned.transfer, waiting);
    let bucket = optional(&planned.bucket, "bucket", waiting);
    let storage_class = optional(&planned.storage_class, "storage_class", waiting);
    let kms_key = optional(&planned.kms_key, "kms_key", waiting);
    let (Some(project), Some(location), Some(prefix), None) = (project, location, prefix, &waiting)
    else {
        return Ok(None);
    };
    let project = project.parse::<ProjectId>();
    Ok(Some(CacheSpec {
        project: project.map_err(|error| invalid("project", &error))?,
        repository,
        commit,
        include: patterns.include,
        exclude: patterns.exclude,
        selection: None,
        digest: String::new(),
        bucket,
        prefix: prefix.clone(),
        location: location.to_ascii_lowercase(),
        regions,
        storage_class,
        kms_key,
        anywhere_cache,
        transfer,
        labels: std::collections::BTreeMap::new(),
    }))
}

fn anywhere_cache(
    value: &Value<AnywhereCacheModel>,
    waiting: &mut Option<&'static str>,
) -> Result<Option<AnywhereCacheSpec>, Diagnostics> {
    let Some(model) = known(value, "anywhere_cache", waiting) else {
        return Ok(None);
    };
    let mut zones = Vec::new();
    for zone in texts(&model.zones, "anywhere_cache.zones", waiting) {
        let zone = zone.parse::<Zone>();
        zones.push(zone.map_err(|error| invalid("anywhere_cache.zones", &error))?);
    }
    zones.sort();
    let hours = known(&model.ttl_hours, "anywhere_cache.ttl_hours", waiting);
    let policy = known(
        &model.admission_policy,
        "anywhere_cache.admission_policy",
        waiting,
    );
    Ok(Some(AnywhereCacheSpec {
        zones,
        ttl_seconds: hours
            .and_then(|hours| u64::try_from(*hours).ok())
            .unwrap_or(24)
            * 3600,
        admission_policy: policy.cloned().unwrap_or_default(),
    }))
}

fn transfer(value: &Value<TransferModel>, waiting: &mut Option<&'static str>) -> TransferSpec {
    let model = known(value, "transfer", waiting)
        .cloned()
        .unwrap_or_default();
    let words = [
        (&model.engine, "transfer.engine"),
        (&model.image, "transfer.image"),
        (&model.service_account, "transfer.service_account"),
        (
            &model.hugging_face_token_secret,
            "transfer.hugging_face_token_secret",
        ),
    ];
    for (word, path) in words {
        known(word, path, waiting);
    }
    known(&model.tasks, "transfer.tasks", waiting);
    let number = |value: &Value<i64>| {
        value
            .as_known()
            .and_then(|number| u32::try_from(*number).ok())
    };
    TransferSpec {
        parallelism: number(&model.parallelism)
            .unwrap_or_else(|| u32::try_from(PARALLELISM).unwrap_or(1)),
        max_bandwidth_mib: number(&model.max_bandwidth_mib),
        // By size, which is not known yet.
        engine: TransferEngine::Local,
    }
}

fn optional(
    value: &Value<String>,
    path: &'static str,
    waiting: &mut Option<&'static str>,
) -> Option<String> {
    known(value, path, waiting).cloned()
}

/// Known texts of a list or set.
pub(crate) fn texts(
    value: &Value<Texts>,
    path: &'static str,
    waiting: &mut Option<&'static str>,
) -> Vec<String> {
    let items = known(value, path, waiting).cloned().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| known(item, path, waiting).cloned())
        .collect()
}

fn invalid(path: &'static str, error: &dyn std::fmt::Display) -> Diagnostics {
    Diagnostic::error("Invalid value")
        .at(path)
        .detail(format!("{error}."))
        .into()
}
