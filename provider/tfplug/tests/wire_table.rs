//! Holds `proto/tfplugin6.proto` equal to the field table `proto/fields.tsv`: nothing missing, nothing
//! more, each with its number, type and label.
//!
//! Both are turned into the same lines of text, and the two sets of lines must be one.

use std::collections::BTreeSet;
use std::path::Path;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    ServiceDescriptorProto,
};

#[test]
fn the_proto_is_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let table = std::fs::read_to_string(root.join("fields.tsv")).expect("the table is there");
    let expected: BTreeSet<String> = table.lines().skip(1).map(from_row).collect();

    let set = protox::compile(["tfplugin6.proto"], [&root]).expect("the proto compiles");
    let file = set
        .file
        .iter()
        .find(|file| file.package() == "tfplugin6")
        .expect("the package is tfplugin6");
    let found = from_file(file);

    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing: {missing:#?}\nsurplus: {surplus:#?}"
    );
    // The table as it was taken: 36 calls, and every row is a line of its own.
    assert_eq!(
        found.iter().filter(|line| line.starts_with("rpc")).count(),
        36
    );
    assert_eq!(expected.len(), table.lines().count() - 1);
}

/// A row of the table: kind, in, name, number, type, note, then where it first appeared.
fn from_row(row: &str) -> String {
    let columns: Vec<&str> = row.split('\t').collect();
    let [kind, within, name, number, kind_of_value, note, ..] = columns[..] else {
        panic!("a row has eight columns: {row:?}");
    };
    line([kind, within, name, number, kind_of_value, note])
}

fn line(parts: [&str; 6]) -> String {
    parts.join(" | ")
}

fn from_file(file: &FileDescriptorProto) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for message in &file.message_type {
        from_message(message, "", &mut lines);
    }
    for kind in &file.enum_type {
        from_enum(kind, "", &mut lines);
    }
    for service in &file.service {
        from_service(service, &mut lines);
    }
    lines
}

fn from_message(message: &DescriptorProto, prefix: &str, lines: &mut BTreeSet<String>) {
    let name = format!("{prefix}{}", message.name());
    let map_entry = message
        .options
        .as_ref()
        .is_some_and(prost_types::MessageOptions::map_entry);
    lines.insert(line([
        "message",
        &name,
        "",
        "",
        "",
        if map_entry { "map entry" } else { "" },
    ]));
    for field in &message.field {
        let note = match field.oneof_index {
            Some(index) if !field.proto3_optional() => {
                let index = usize::try_from(index).expect("an index is not negative");
                format!("oneof {}", message.oneof_decl[index].name())
            }
            _ => String::new(),
        };
        let number = field.number().to_string();
        lines.insert(line([
            "field",
            &name,
            field.name(),
            &number,
            &type_of(field),
            &note,
        ]));
    }
    let prefix = format!("{name}.");
    for nested in &message.nested_type {
        from_message(nested, &prefix, lines);
    }
    for kind in &message.enum_type {
        from_enum(kind, &prefix, lines);
    }
}

fn from_enum(kind: &EnumDescriptorProto, prefix: &str, lines: &mut BTreeSet<String>) {
    for value in &kind.value {
        let name = format!("{prefix}{}", kind.name());
        lines.insert(line([
            "enum",
            &name,
            value.name(),
            &value.number().to_string(),
            "",
            "",
        ]));
    }
}

fn from_service(service: &ServiceDescriptorProto, lines: &mut BTreeSet<String>) {
    for method in &service.method {
        let stream = if method.server_streaming() {
            "stream "
        } else {
            ""
        };
        let note = if method.client_streaming() {
            "client-stream"
        } else {
            ""
        };
        let shape = format!(
            "{} -> {stream}{}",
            local(method.input_type()),
            local(method.output_type())
        );
        lines.insert(line([
            "rpc",
            service.name(),
            method.name(),
            "",
            &shape,
            note,
        ]));
    }
}

/// The type as the table writes it: label first, names without the package.
fn type_of(field: &FieldDescriptorProto) -> String {
    let label = match (field.label(), field.proto3_optional()) {
        (Label::Repeated, _) => "repeated ",
        (_, true) => "optional ",
        _ => "",
    };
    let name = match field.r#type() {
        Type::Message | Type::Enum => local(field.type_name()),
        Type::Bool => "bool",
        Type::Bytes => "bytes",
        Type::Int64 => "int64",
        Type::String => "string",
        other => panic!("the table has no {other:?}: {field:?}"),
    };
    format!("{label}{name}")
}

fn local(name: &str) -> &str {
    let name = name.trim_start_matches('.');
    name.strip_prefix("tfplugin6.").unwrap_or(name)
}
