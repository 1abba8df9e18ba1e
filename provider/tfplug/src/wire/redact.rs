//! `Debug` without content for the messages that may carry secrets.
//!
//! Values of users and private bytes of a provider must not reach a log by an innocent `{:?}`.

use std::fmt;

use super::{
    DynamicValue, RawState, apply_resource_change, close_ephemeral_resource, import_resource_state,
    move_resource_state, open_ephemeral_resource, plan_resource_change, plugin, read_resource,
    read_state_bytes, renew_ephemeral_resource, write_state_bytes,
};

/// Writes the name of a message and which of its harmless fields say what it is about.
macro_rules! opaque {
    ($($message:ty => $name:literal $(, $field:ident)*;)*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name)
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    )*};
}

opaque! {
    DynamicValue => "DynamicValue";
    RawState => "RawState";
    read_resource::Request => "ReadResource.Request", type_name;
    read_resource::Response => "ReadResource.Response", diagnostics, deferred;
    plan_resource_change::Request => "PlanResourceChange.Request", type_name;
    plan_resource_change::Response => "PlanResourceChange.Response", requires_replace, diagnostics, deferred;
    apply_resource_change::Request => "ApplyResourceChange.Request", type_name;
    apply_resource_change::Response => "ApplyResourceChange.Response", diagnostics;
    import_resource_state::ImportedResource => "ImportResourceState.ImportedResource", type_name;
    move_resource_state::Request => "MoveResourceState.Request", source_type_name, target_type_name;
    move_resource_state::Response => "MoveResourceState.Response", diagnostics;
    open_ephemeral_resource::Response => "OpenEphemeralResource.Response", diagnostics, renew_at, deferred;
    renew_ephemeral_resource::Request => "RenewEphemeralResource.Request", type_name;
    renew_ephemeral_resource::Response => "RenewEphemeralResource.Response", diagnostics, renew_at;
    close_ephemeral_resource::Request => "CloseEphemeralResource.Request", type_name;
    read_state_bytes::Response => "ReadStateBytes.Response", total_length, range, diagnostics;
    write_state_bytes::RequestChunk => "WriteStateBytes.RequestChunk", meta, total_length, range;
    plugin::StdioData => "StdioData", channel;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_request_shows_its_type_and_not_its_values() {
        let request = plan_resource_change::Request {
            type_name: "openmodel_endpoint".into(),
            config: Some(DynamicValue {
                msgpack: "hf_secret".into(),
                ..Default::default()
            }),
            prior_private: "hf_secret".into(),
            ..Default::default()
        };
        let open = open_ephemeral_resource::Response {
            result: Some(DynamicValue {
                json: "hf_secret".into(),
                ..Default::default()
            }),
            private: Some("hf_secret".into()),
            ..Default::default()
        };
        let text = format!("{request:?} {open:?} {:?}", open.result);
        assert!(!text.contains("hf_secret"), "{text}");
        assert!(
            text.contains(r#"PlanResourceChange.Request { type_name: "openmodel_endpoint", .. }"#),
            "{text}"
        );
    }
}
