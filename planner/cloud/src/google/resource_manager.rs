//! Resource Manager: the number of a project, which names its default service accounts.

use serde::Deserialize;

use crate::transport::{Api, Request, segment};

/// A project, as far as we read it.
#[derive(Debug, Deserialize)]
pub(crate) struct Project {
    /// `projects/NUMBER`.
    pub(crate) name: String,
}

/// Reads a project by id or number.
pub(crate) fn get_project(project: &str) -> Request {
    // `example.com:id` keeps its colon: it is one segment all the same.
    Request::get(
        Api::ResourceManager,
        format!("/v3/projects/{}", segment(project)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_by_its_id() {
        assert_eq!(
            get_project("acme-ml").to_string(),
            "GET resource_manager /v3/projects/acme-ml"
        );
    }
}
