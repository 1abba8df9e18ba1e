//! The file beside the weights: a Sigstore bundle around a DSSE envelope around an in-toto statement, read
//! into the files that were signed.
//!
//! ```text
//!   bundle (JSON) ─► one DSSE signature ─► made by a key of ours? ─► statement ─► resources ─► Signed
//!                                                                      └ subject: SHA-256 of their digests
//! ```
//!
//! Nothing of the payload is believed before the signature over it is verified. What an older or another
//! tool writes in another form is refused by name: a part that is not understood could be the one that matters.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest as _, Sha256};

use super::key::PublicKey;
use super::{Signed, is_plain, short, shown};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// Next move where the file itself is not what is verified here.
const SIGN_AGAIN: &str = "Sign the folder again with `model_signing sign key`";

/// Why a bundle signs nothing. Full sentences, with the next move, of a subject that the caller names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BundleError {
    #[error(
        "is not a bundle of model_signing: {0}. {SIGN_AGAIN}, or set require_signature.file to the bundle's path."
    )]
    NotABundle(String),
    #[error(
        "was signed with {0}, which is not verified here: only signatures of plain keys are. {SIGN_AGAIN} (or \
         pkcs11-key, for a key in an HSM or a KMS)."
    )]
    Keyless(&'static str),
    #[error("was signed in a form that is not verified here: {0}. {SIGN_AGAIN} and its defaults.")]
    Form(String),
    #[error(
        "was not signed with a key of public_keys: {by}; public_keys has {keys}. If who signed may, add that key: \
         `openssl pkey -pubin -in KEY | sha256sum` prints what begins so. Otherwise do not use these files."
    )]
    OtherKey { by: String, keys: String },
    #[error(
        "names the key {key}, and that key did not make its signature: the bundle was altered, or model_signing \
         before 1.0 made it. Take the revision that was signed, or have this one signed."
    )]
    Wrong { key: String },
    #[error("contradicts itself, although the signature is right: {0}. {SIGN_AGAIN}.")]
    Inconsistent(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<Hint>,
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Hint {
    hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(rename = "_type")]
    form: String,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Statement {
    subject: Vec<Subject>,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: String,
}

#[derive(Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

/// The files that one of the keys signed.
pub(super) fn open(bytes: &[u8], keys: &[PublicKey]) -> Result<Signed, BundleError> {
    let bundle: Bundle = read(bytes).map_err(BundleError::NotABundle)?;
    let material = &bundle.verification_material;
    if material.certificate.is_some() {
        return Err(BundleError::Keyless(
            "Sigstore's short-lived certificate (keyless) or a certificate",
        ));
    }
    if material.x509_certificate_chain.is_some() {
        return Err(BundleError::Keyless("a certificate"));
    }
    if bundle.media_type != BUNDLE {
        let form = format!("its form is {}, not {BUNDLE}", shown(&bundle.media_type));
        return Err(BundleError::Form(form));
    }
    let (Some(hint), Some(envelope)) = (&material.public_key, &bundle.dsse_envelope) else {
        let missing = "it has no publicKey, or no dsseEnvelope".to_owned();
        return Err(BundleError::NotABundle(missing));
    };
    if envelope.payload_type != PAYLOAD {
        let form = format!(
            "its payload is {}, not {PAYLOAD}",
            shown(&envelope.payload_type)
        );
        return Err(BundleError::Form(form));
    }
    let [signature] = envelope.signatures.as_slice() else {
        let count = envelope.signatures.len();
        return Err(BundleError::Form(format!(
            "it has {count} signatures, and a bundle has one"
        )));
    };
    let decode = |text: &str| {
        let decoded = STANDARD.decode(text);
        decoded.map_err(|_| BundleError::NotABundle("its Base64 is broken".to_owned()))
    };
    let (payload, signature) = (decode(&envelope.payload)?, decode(&signature.sig)?);
    let message = envelope_text(&payload);
    if !keys.iter().any(|key| key.made(&signature, &message)) {
        return Err(not_ours(hint.hint.as_deref(), keys));
    }
    signed(&payload)
}

/// What DSSE signs: type and payload, each with its length, so that one cannot be taken for the other.
fn envelope_text(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The hint is not signed: it only helps to say what went wrong.
fn not_ours(hint: Option<&str>, keys: &[PublicKey]) -> BundleError {
    let known = |hint: &str| keys.iter().any(|key| key.fingerprint() == hint);
    match hint {
        Some(hint) if known(hint) => BundleError::Wrong {
            key: short(hint).to_owned(),
        },
        hint => {
            let of = |hint: &str| format!("it names {}", short(hint));
            let hint = hint.filter(|hint| parse_hex(hint).is_some());
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            BundleError::OtherKey {
                by: hint.map_or_else(|| "it does not say with which".to_owned(), of),
                keys: keys.join(", "),
            }
        }
    }
}

/// What a verified payload says.
fn signed(payload: &[u8]) -> Result<Signed, BundleError> {
    let head: Head = read(payload).map_err(BundleError::Inconsistent)?;
    if head.form != STATEMENT || head.predicate_type != PREDICATE {
        return Err(BundleError::Form(format!(
            "it states {} as {}, not {PREDICATE} as {STATEMENT}",
            shown(&head.predicate_type),
            shown(&head.form)
        )));
    }
    let statement: Statement = read(payload).map_err(BundleError::Inconsistent)?;
    let Predicate {
        serialization,
        resources,
    } = statement.predicate;
    if serialization.method != "files" {
        return Err(BundleError::Form(format!(
            "it signs {} of files, not whole files",
            shown(&serialization.method)
        )));
    }
    let hashes = resources.iter().map(|resource| &resource.algorithm);
    let other = |hash: &&String| hash.as_str() != "sha256";
    if let Some(hash) = hashes.chain([&serialization.hash_type]).find(other) {
        return Err(BundleError::Form(format!(
            "its files are hashed with {}, and the Hub lists SHA-256",
            shown(hash)
        )));
    }
    let mut files = BTreeMap::new();
    let mut all = Sha256::new();
    for Resource { name, digest, .. } in resources {
        let wrong = |what: &str| BundleError::Inconsistent(format!("{} {what}", shown(&name)));
        if !is_plain(&name) {
            return Err(wrong("is not the path of a file inside the folder"));
        }
        let bytes = parse_hex(&digest).ok_or_else(|| wrong("has a digest that is no SHA-256"))?;
        all.update(bytes);
        if files.contains_key(&name) {
            return Err(wrong("is listed twice"));
        }
        files.insert(name, hex::encode(bytes));
    }
    if files.is_empty() {
        return Err(BundleError::Inconsistent("it signs no file".to_owned()));
    }
    let [subject] = statement.subject.as_slice() else {
        let count = statement.subject.len();
        return Err(BundleError::Inconsistent(format!(
            "it is about {count} subjects, not one"
        )));
    };
    if parse_hex(&subject.digest.sha256) != Some(all.finalize().into()) {
        return Err(BundleError::Inconsistent(
            "the digest of its subject is not that of the files it lists".to_owned(),
        ));
    }
    Ok(Signed {
        files,
        ignored: serialization.ignore_paths,
    })
}

/// JSON. A member that is there twice is an error: readers differ in which of the two they take.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| shown(&error.to_string()))
}

/// A SHA-256 in hexadecimal.
fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
