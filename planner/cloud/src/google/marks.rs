//! The labels by which openmodel knows its own objects: the cloud is the journal.

use openmodel_graph::key::StepKey;
use openmodel_graph::operation::Tags;

/// `true` on everything openmodel made or took over.
pub const MANAGED_LABEL: &str = "openmodel-managed";
/// The endpoint's name.
pub const NAME_LABEL: &str = "openmodel-name";
/// The key of the step that last shaped the object.
pub const KEY_LABEL: &str = "openmodel-key";
/// How far the object is: see [`Phase`].
pub const PHASE_LABEL: &str = "openmodel-phase";
/// Zones in which an Anywhere Cache was made for a snapshot, with commas, or `none`: on its manifest.
pub const NEAR_LABEL: &str = "openmodel-anywhere-cache";

/// Annotation that lists the user's label keys on a service, so that an update removes those
/// that left the configuration and keeps what others have put there.
pub(crate) const LABEL_KEYS_ANNOTATION: &str = "openmodel.dev/label-keys";

/// What all our annotations begin with: those no longer wanted are removed, others are not ours.
pub(crate) const ANNOTATION_PREFIX: &str = "openmodel.dev/";

/// How far an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A run is making or changing it; a later run with the same key continues.
    Provisioning,
    /// It is finished and in use.
    Ready,
}

impl Phase {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Ready => "ready",
        }
    }

    /// The phase that these labels name.
    #[must_use]
    pub fn of(labels: &Tags) -> Option<Self> {
        match labels.get(PHASE_LABEL)?.as_str() {
            "provisioning" => Some(Self::Provisioning),
            "ready" => Some(Self::Ready),
            _ => None,
        }
    }
}

/// The value of [`NEAR_LABEL`]: a note is replaced, not removed.
#[must_use]
pub fn near(zones: &[&str]) -> String {
    if zones.is_empty() {
        "none".to_owned()
    } else {
        zones.join(",")
    }
}

/// Whether openmodel made the object or took it over.
pub(crate) fn is_managed(labels: &Tags) -> bool {
    labels
        .get(MANAGED_LABEL)
        .is_some_and(|value| value == "true")
}

/// Whether the step with this key last shaped the object.
pub(crate) fn bears(labels: &Tags, key: &StepKey) -> bool {
    is_managed(labels)
        && labels
            .get(KEY_LABEL)
            .is_some_and(|value| value == key.as_str())
}

/// The user's labels and ours, which win. `name` is the endpoint's, where the object is one.
pub(crate) fn labels(user: &Tags, name: Option<&str>, key: &StepKey) -> Tags {
    let mut labels = user.clone();
    labels.insert(MANAGED_LABEL.to_owned(), "true".to_owned());
    labels.insert(KEY_LABEL.to_owned(), key.to_string());
    labels.insert(
        PHASE_LABEL.to_owned(),
        Phase::Provisioning.as_str().to_owned(),
    );
    if let Some(name) = name {
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
    }
    labels
}
