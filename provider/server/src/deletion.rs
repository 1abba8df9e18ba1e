//! `deletion_policy`: whether a resource may go, and what stays of it.

use tfplug::Diagnostic;
use tfplug::schema::{Attribute, one_of};
use tfplug::value::Value;

/// `deletion_policy`; `what`: what the words mean for the resource.
pub(crate) fn attribute(what: &str) -> Attribute {
    Attribute::string("deletion_policy")
        .default("DELETE")
        .validate(one_of(&["DELETE", "PREVENT", "ABANDON"]))
        .description(what)
}

/// Refuses a plan that deletes or replaces what is to stay. `who`: its id or name, where the state has one.
pub(crate) fn allow(policy: &Value<String>, who: &Value<String>) -> Result<(), Diagnostic> {
    if policy.as_known().map(String::as_str) != Some("PREVENT") {
        return Ok(());
    }
    let who = who.as_known().map_or("The resource", String::as_str);
    Err(Diagnostic::error("Deletion is prevented").at("deletion_policy").detail(format!(
        "{who} has deletion_policy = \"PREVENT\", and this plan deletes or replaces it. To go on, set it to \"DELETE\", \
         apply that, and plan again."
    )))
}

/// Whether what is there stays when the resource is forgotten.
pub(crate) fn abandons(policy: &Value<String>) -> bool {
    policy.as_known().map(String::as_str) == Some("ABANDON")
}
