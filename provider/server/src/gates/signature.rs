//! The gate `require_signature`: its attribute, and what is read of a repository to judge it.
//!
//! ```text
//!   listing ─► signature's file ─► keys ─► files in Git, hashed ─► each file held against what was signed
//! ```

use openmodel_cloud::HubError;
use openmodel_resolve::gates::signature::{PublicKey, SignatureGate, is_plain, must_be_signed};
use openmodel_resolve::gates::{Asker, Finding};
use openmodel_schemas::repository::{RepoFile, RepositoryCard};
use serde::{Deserialize, Serialize};
use tfplug::schema::{Attribute, Validator, each, item_count, length};
use tfplug::value::{Type, Value};
use tfplug::{Diagnostic, Diagnostics};

use super::Texts;
use crate::client::Client;
use crate::schema_parts::no_nulls;
use crate::workload::known;

/// `require_signature`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignatureModel {
    pub(crate) public_keys: Value<Texts>,
    pub(crate) file: Value<String>,
}

/// `require_signature`.
pub(super) fn attribute() -> Attribute {
    Attribute::object(
        "require_signature",
        [
            Attribute::list_of("public_keys", Type::String)
                .required()
                .validate(item_count(1, 20))
                .validate(no_nulls())
                .validate(each(public_key()))
                .description(
                    "Keys of which one must have signed, as `file(\"release.pub\")` reads them: PEM, ECDSA on P-256, \
                     P-384 or P-521.",
                ),
            Attribute::string("file")
                .default("model.sig")
                .validate(length(1, 512))
                .validate(plain_path())
                .description("Path of the signature in the repository."),
        ],
    )
    .optional()
    .description(
        "Only files that were signed with one of these keys (OpenSSF Model Signing: `model_signing sign key`). Another \
         key, a file that was not signed or that differs is an error of the plan. A cache compares the files that it \
         keeps, an endpoint all files of the repository and of its draft model's.",
    )
}

/// Whose signature is asked for.
pub(super) fn gate(
    value: &Value<SignatureModel>,
    waiting: &mut Option<&'static str>,
) -> Option<SignatureGate> {
    let model = known(value, "require_signature", waiting)?;
    let path = "require_signature.public_keys";
    let keys = known(&model.public_keys, path, waiting)?;
    let texts: Vec<&String> = keys
        .iter()
        .filter_map(|key| known(key, path, waiting))
        .collect();
    let file = known(&model.file, "require_signature.file", waiting)?;
    Some(SignatureGate {
        // The schema has looked at each, and a key less can only refuse more.
        keys: texts
            .into_iter()
            .filter_map(|text| PublicKey::from_pem(text).ok())
            .collect(),
        file: file.clone(),
    })
}

/// What is against the files of a repository: reads the signature, and of what it signs the files in Git.
pub(super) async fn judge(
    client: &Client,
    gate: &SignatureGate,
    asker: Asker,
    card: &RepositoryCard,
    kept: &[RepoFile],
    unread: impl Fn(HubError) -> Diagnostics,
) -> Result<Vec<Finding>, Diagnostics> {
    let files = must_be_signed(asker, card, kept);
    let file = match gate.bundle(card) {
        Ok(file) => file,
        Err(finding) => return Ok(vec![finding]),
    };
    let content = client.hub().signature(card, file).await.map_err(&unread)?;
    let signed = gate.verify(card, &content);
    let read = signed.and_then(|signed| Ok((signed.to_read(card, files)?, signed)));
    let (read, signed) = match read {
        Ok(read) => read,
        Err(finding) => return Ok(vec![finding]),
    };
    let digests = client.hub().digests(card, &read).await.map_err(&unread)?;
    Ok(gate.judge(&signed, asker, card, files, &digests))
}

fn public_key() -> Validator {
    Validator::new("A public key in PEM.", |args, found| {
        let Some(text) = args.value.as_str() else {
            return;
        };
        if let Err(error) = PublicKey::from_pem(text) {
            // Terraform shows the line, on which there may be several.
            found.push(
                Diagnostic::error("Not a public key that signs models")
                    .at(args.path.clone())
                    .detail(format!("{}: {error}", args.path)),
            );
        }
    })
}

fn plain_path() -> Validator {
    Validator::new("A path inside the repository.", |args, found| {
        let Some(path) = args.value.as_str() else {
            return;
        };
        if !is_plain(path) {
            found.push(
                Diagnostic::error("Not a path inside a repository")
                    .at(args.path.clone())
                    .detail(format!(
                        "{path:?} is not written as the Hub lists files. Write it from the repository's root with `/`, \
                         such as \"model.sig\" or \"signatures/release.sig\"."
                    )),
            );
        }
    })
}
