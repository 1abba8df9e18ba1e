//! Bundles as `model_signing` makes them, and as an attacker would: what passes, and the words for what does not.
//!
//! The fixtures were made by `model-signing` 1.1.1 of one folder, one for each curve:
//! `model_signing sign key tiny --private_key KEY --signature tiny/model.sig`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openmodel_schemas::repository::{Gating, Licence, ScanStatus};
use openmodel_schemas::snapshot::Repository;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../fixtures/signatures/", $name))
    };
}

const OFFICIAL: [(&str, &str); 3] = [
    (fixture!("p256.pub"), fixture!("p256.sig")),
    (fixture!("p384.pub"), fixture!("p384.sig")),
    (fixture!("p521.pub"), fixture!("p521.sig")),
];

/// The folder that the fixtures sign.
const TINY: [(&str, &str); 4] = [
    ("README.md", "readme\n"),
    ("config.json", "{}\n"),
    ("model.safetensors", "weights\n"),
    ("sub/a.txt", "a\n"),
];

fn sha256(content: &str) -> String {
    hex::encode(Sha256::digest(content))
}

/// Stands for Git's.
fn oid(content: &str) -> String {
    format!("id of {content:?}")
}

fn listed(path: &str, content: &str) -> RepoFile {
    let large = path.ends_with(".safetensors");
    RepoFile {
        path: path.to_owned(),
        size: Bytes(content.len() as u64),
        sha256: large.then(|| sha256(content)),
        git_oid: oid(content),
    }
}

/// A repository of these files beside their signature.
fn card(files: &[(&str, &str)]) -> RepositoryCard {
    let mut files: Vec<RepoFile> = files
        .iter()
        .map(|(path, content)| listed(path, content))
        .collect();
    files.push(listed("model.sig", "…"));
    RepositoryCard {
        repository: Repository::model("acme/tiny".parse().expect("an id")),
        commit: "0e9e39f249a16976918f6564b8830bc894c89659"
            .parse()
            .expect("a commit"),
        last_modified: None,
        files,
        licence: Licence::default(),
        gating: Gating::None,
        private: false,
        scan: ScanStatus::Unknown,
        scans: BTreeMap::new(),
        library: None,
        pipeline_tag: None,
        base_models: Vec::new(),
        custom_code: false,
    }
}

fn gate(keys: &[&str]) -> SignatureGate {
    SignatureGate {
        keys: keys
            .iter()
            .map(|key| PublicKey::from_pem(key).expect("a key"))
            .collect(),
        file: "model.sig".to_owned(),
    }
}

fn line(finding: &Finding) -> String {
    format!(
        "{}: {}: {}",
        finding.attribute, finding.summary, finding.detail
    )
}

/// What is said of files behind a signature, all of them kept.
fn said(gate: &SignatureGate, content: &str, files: &[(&str, &str)]) -> String {
    said_to(Asker::Cache, gate, content, files)
}

fn said_to(asker: Asker, gate: &SignatureGate, content: &str, files: &[(&str, &str)]) -> String {
    let card = card(files);
    let found = (|| {
        gate.bundle(&card)?;
        let signed = gate.verify(&card, content.as_bytes())?;
        let read = signed.to_read(&card, &card.files)?;
        let content_of = |file: &RepoFile| {
            let found = files
                .iter()
                .find(|(_, content)| file.git_oid == oid(content));
            (file.git_oid.clone(), sha256(found.expect("a file").1))
        };
        let digests = read.into_iter().map(content_of).collect();
        Ok(gate.judge(&signed, asker, &card, &card.files, &digests))
    })();
    let found: Vec<Finding> = found.unwrap_or_else(|finding| vec![finding]);
    if found.is_empty() {
        return "passes".to_owned();
    }
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Who signs in these tests.
struct Signatory(SigningKey);

impl Signatory {
    fn new() -> Self {
        Self(SigningKey::from_slice(&[7; 32]).expect("a scalar"))
    }

    fn gate(&self) -> SignatureGate {
        let key = self.0.verifying_key().to_public_key_pem(LineEnding::LF);
        gate(&[&key.expect("a PEM text")])
    }

    fn bundle(&self, payload_type: &str, payload: &str) -> Value {
        let message = [
            format!(
                "DSSEv1 {} {payload_type} {} ",
                payload_type.len(),
                payload.len()
            ),
            payload.to_owned(),
        ]
        .concat();
        let signature: Signature = self.0.sign(message.as_bytes());
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "publicKey": {"hint": self.gate().keys[0].fingerprint()}, "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": STANDARD.encode(signature.to_der()), "keyid": ""}],
            },
        })
    }

    /// A statement over files, as it is changed by `change` before it is signed.
    fn signs(&self, files: &[(&str, &str)], change: impl FnOnce(&mut Value)) -> String {
        let mut statement = statement(files);
        change(&mut statement);
        let payload = statement.to_string();
        self.bundle("application/vnd.in-toto+json", &payload)
            .to_string()
    }
}

fn statement(files: &[(&str, &str)]) -> Value {
    let mut all = Sha256::new();
    let resource = |(path, content): &(&str, &str)| {
        all.update(Sha256::digest(content));
        json!({"name": path, "algorithm": "sha256", "digest": sha256(content)})
    };
    let resources: Vec<Value> = files.iter().map(resource).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "tiny", "digest": {"sha256": hex::encode(all.finalize())}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": false,
                "ignore_paths": ["model.sig", ".git", ".gitattributes", ".github", ".gitignore"],
            },
            "resources": resources,
        },
    })
}

#[test]
fn what_the_official_tool_signed_passes_on_every_curve() {
    for (at, (key, bundle)) in OFFICIAL.iter().enumerate() {
        assert_eq!(said(&gate(&[key]), bundle, &TINY), "passes");
        let hint: Value = serde_json::from_str(bundle).expect("JSON");
        let hint = &hint["verificationMaterial"]["publicKey"]["hint"];
        assert_eq!(hint, gate(&[key]).keys[0].fingerprint());
        // One of several is enough.
        let all = OFFICIAL.map(|(key, _)| key);
        assert_eq!(said(&gate(&all), bundle, &TINY), "passes");
        let others: Vec<&str> = all.into_iter().filter(|other| other != key).collect();
        let said = said(&gate(&others), bundle, &TINY);
        assert!(said.contains("Signed with another key"), "{at}: {said}");
        if at == 0 {
            insta::assert_snapshot!(said, @"require_signature.public_keys: Signed with another key: model.sig of acme/tiny at 0e9e39f249a1 was not signed with a key of public_keys: it names 3f822f899ca5143b; public_keys has 2dc57fa6aa0d7e73, 7f5ba5b5413d45b0. If who signed may, add that key: `openssl pkey -pubin -in KEY | sha256sum` prints what begins so. Otherwise do not use these files.");
        }
    }
}

#[test]
fn what_is_kept_must_be_what_was_signed() {
    let (key, bundle) = OFFICIAL[0];
    let gate = gate(&[key]);
    let with = |more: &[(&'static str, &'static str)]| {
        let mut files: BTreeMap<&str, &str> = TINY.into_iter().collect();
        files.extend(more.iter().copied());
        files.into_iter().collect::<Vec<_>>()
    };
    insta::assert_snapshot!(said(&gate, bundle, &with(&[("model.safetensors", "changed"), ("config.json", "[]")])), @"require_signature: Files differ from what was signed: acme/tiny at 0e9e39f249a1: config.json was signed with SHA-256 ca3d163bab055381… and has 4f53cda18c2baa0c…; model.safetensors was signed with SHA-256 1b465fa6b6bcbc06… and has d67e2e944994496c…. Take the revision that was signed, or have this one signed; if nobody of yours changed them, do not use them.");
    insta::assert_snapshot!(said(&gate, bundle, &with(&[("modeling.py", "x"), ("tokenizer.json", "{}"), ("a\u{202e}\n.json", ""), ("z.bin", "")])), @r"require_signature: Files are not signed: model.sig of acme/tiny at 0e9e39f249a1 does not sign a\u{202e}\n.json, modeling.py, tokenizer.json and 1 more. Have them signed, or leave out with exclude what is not needed; if nobody of yours added them, do not use them.");
    insta::assert_snapshot!(said_to(Asker::Endpoint, &gate, bundle, &with(&[("chat_template.jinja", "{{ }}")])), @"require_signature: Files are not signed: model.sig of acme/tiny at 0e9e39f249a1 does not sign chat_template.jinja. Have them signed, or serve from an openmodel_cache that leaves out what is not needed and has require_signature itself; if nobody of yours added them, do not use them.");
    // Another text that looks the same is another name.
    assert!(
        said(&gate, bundle, &with(&[("confıg.json", "{}\n")])).contains("Files are not signed")
    );
    assert!(
        said(&gate, bundle, &with(&[("../config.json", "{}\n")])).contains("Files are not signed")
    );
    // A listing that names a file twice.
    let twice = [&TINY[..], &[("config.json", "[]")]].concat();
    assert!(said(&gate, bundle, &twice).contains("config.json was signed with"));
    // What is signed and left out by patterns is no matter; what the repository has no more is.
    let card = card(&TINY);
    let signed = gate.verify(&card, bundle.as_bytes()).expect("it is signed");
    let (kept, digests) = (&card.files[..0], BTreeMap::new());
    let found = gate.judge(&signed, Asker::Cache, &card, kept, &digests);
    assert_eq!(found, Vec::new());
    insta::assert_snapshot!(said(&gate, bundle, &TINY[..2]), @"require_signature: Signed files are missing: model.sig of acme/tiny at 0e9e39f249a1 signs model.safetensors, sub/a.txt, and the repository has them no more: without them it may serve otherwise. Take the revision that was signed, or have this one signed.");
    // Git's own is not signed; what only looks like it is.
    let git = [
        (".gitattributes", "x"),
        (".gitignore", "x"),
        (".github/workflows/ci.yml", "x"),
    ];
    assert_eq!(said(&gate, bundle, &with(&git)), "passes");
    insta::assert_snapshot!(said(&gate, bundle, &with(&[(".github/modeling.py", "x"), (".gitignore2", "x")])), @"
    require_signature: Files are not signed: model.sig of acme/tiny at 0e9e39f249a1 does not sign .gitignore2. Have them signed, or leave out with exclude what is not needed; if nobody of yours added them, do not use them.
    require_signature: The signature leaves out files that serve: ignore_paths in model.sig of acme/tiny at 0e9e39f249a1 leaves out .github/modeling.py. Only pages and pictures may be left out: have the folder signed with them, or leave out with exclude what is not needed.
    ");
}

#[test]
fn ignore_paths_excuse_pages_and_nothing_that_serves() {
    let signatory = Signatory::new();
    let ignoring = |paths: &[&str]| {
        signatory.signs(&[("config.json", "{}")], |statement| {
            statement["predicate"]["serialization"]["ignore_paths"] = json!(paths);
        })
    };
    let files = [
        ("config.json", "{}"),
        ("README.md", "x"),
        ("docs/logo.png", "x"),
        ("LICENSE", "x"),
    ];
    let gate = signatory.gate();
    assert_eq!(
        said(&gate, &ignoring(&["README.md", "docs/", "LICENSE"]), &files),
        "passes"
    );
    insta::assert_snapshot!(said(&gate, &ignoring(&["README", "doc", "", ".", "/"]), &files), @"require_signature: Files are not signed: model.sig of acme/tiny at 0e9e39f249a1 does not sign README.md, docs/logo.png, LICENSE. Have them signed, or leave out with exclude what is not needed; if nobody of yours added them, do not use them.");
    let files = [
        ("config.json", "{}"),
        ("code/modeling.py", "x"),
        ("model.safetensors", "x"),
        ("vocab.txt", "x"),
        ("extra", "x"),
    ];
    insta::assert_snapshot!(said(&gate, &ignoring(&["code", "model.safetensors", "vocab.txt", "extra"]), &files), @"require_signature: The signature leaves out files that serve: ignore_paths in model.sig of acme/tiny at 0e9e39f249a1 leaves out code/modeling.py, model.safetensors, vocab.txt and 1 more. Only pages and pictures may be left out: have the folder signed with them, or leave out with exclude what is not needed.");
}

#[test]
fn bundles_that_sign_nothing_are_refused_by_name() {
    let signatory = Signatory::new();
    let gate = signatory.gate();
    let files = [("config.json", "{}"), ("model.safetensors", "x")];
    let refused = |content: &str| said(&gate, content, &files);
    let bundle: Value = serde_json::from_str(&signatory.signs(&files, |_| ())).expect("JSON");
    assert_eq!(refused(&bundle.to_string()), "passes");
    let changed = |pointer: &str, value: Value| {
        let mut changed = bundle.clone();
        *changed.pointer_mut(pointer).expect("a member") = value;
        refused(&changed.to_string())
    };
    let signature = bundle["dsseEnvelope"]["signatures"][0].clone();
    let other = STANDARD
        .encode(statement(&[("config.json", "[]"), ("model.safetensors", "x")]).to_string());
    insta::assert_snapshot!([
        refused("weights"),
        refused("{}"),
        changed("/mediaType", json!("application/vnd.dev.sigstore.bundle+json;version=0.2")),
        changed("/verificationMaterial", json!({"certificate": {"rawBytes": "…"}})),
        changed("/verificationMaterial", json!({"x509CertificateChain": {"certificates": []}})),
        changed("/verificationMaterial", json!({})),
        changed("/verificationMaterial/publicKey/hint", json!("12".repeat(32))),
        changed("/dsseEnvelope/payloadType", json!("text/plain\u{1b}[31m")),
        changed("/dsseEnvelope/signatures", json!([])),
        changed("/dsseEnvelope/signatures", json!([signature, signature])),
        changed("/dsseEnvelope/payload", json!(other)),
        changed("/dsseEnvelope/payload", json!("%")),
        changed("/dsseEnvelope/signatures/0/sig", json!("")),
    ].join("\n"), @r"
    require_signature.file: Signature cannot be read: model.sig of acme/tiny at 0e9e39f249a1 is not a bundle of model_signing: expected value at line 1 column 1. Sign the folder again with `model_signing sign key`, or set require_signature.file to the bundle's path.
    require_signature.file: Signature cannot be read: model.sig of acme/tiny at 0e9e39f249a1 is not a bundle of model_signing: missing field `mediaType` at line 1 column 2. Sign the folder again with `model_signing sign key`, or set require_signature.file to the bundle's path.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: its form is application/vnd.dev.sigstore.bundle+json;version=0.2, not application/vnd.dev.sigstore.bundle.v0.3+json. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed with Sigstore's short-lived certificate (keyless) or a certificate, which is not verified here: only signatures of plain keys are. Sign the folder again with `model_signing sign key` (or pkcs11-key, for a key in an HSM or a KMS).
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed with a certificate, which is not verified here: only signatures of plain keys are. Sign the folder again with `model_signing sign key` (or pkcs11-key, for a key in an HSM or a KMS).
    require_signature.file: Signature cannot be read: model.sig of acme/tiny at 0e9e39f249a1 is not a bundle of model_signing: it has no publicKey, or no dsseEnvelope. Sign the folder again with `model_signing sign key`, or set require_signature.file to the bundle's path.
    passes
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: its payload is text/plain\u{1b}[31m, not application/vnd.in-toto+json. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: it has 0 signatures, and a bundle has one. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: it has 2 signatures, and a bundle has one. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 names the key d9edd6aae988ddc8, and that key did not make its signature: the bundle was altered, or model_signing before 1.0 made it. Take the revision that was signed, or have this one signed.
    require_signature.file: Signature cannot be read: model.sig of acme/tiny at 0e9e39f249a1 is not a bundle of model_signing: its Base64 is broken. Sign the folder again with `model_signing sign key`, or set require_signature.file to the bundle's path.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 names the key d9edd6aae988ddc8, and that key did not make its signature: the bundle was altered, or model_signing before 1.0 made it. Take the revision that was signed, or have this one signed.
    ");
    // The hint is not signed, and nothing hangs on it: without one, and with a wrong one, the right key is found.
    for hint in [
        json!({}),
        json!({"hint": "ab".repeat(32)}),
        json!({"hint": "your key"}),
    ] {
        let mut bundle = bundle.clone();
        bundle["verificationMaterial"]["publicKey"] = hint;
        assert_eq!(refused(&bundle.to_string()), "passes");
        bundle["dsseEnvelope"]["payload"] = json!(other);
        let said = refused(&bundle.to_string());
        assert!(
            said.contains("Signed with another key") && !said.contains("your key"),
            "{said}"
        );
    }
    // A signature over the same payload as another type is none over this one.
    let mut confused = signatory.bundle("text/plain", &statement(&files).to_string());
    confused["dsseEnvelope"]["payloadType"] = json!("application/vnd.in-toto+json");
    assert!(refused(&confused.to_string()).contains("Signature is wrong"));
    // A member that is there twice: readers differ in which they take.
    let twice = bundle.to_string().replacen("{\"dsseEnvelope\":", "{\"dsseEnvelope\":{\"payload\":\"\",\"payloadType\":\"\",\"signatures\":[]},\"dsseEnvelope\":", 1);
    assert!(
        refused(&twice).contains("duplicate field"),
        "{}",
        refused(&twice)
    );
}

#[test]
fn statements_that_contradict_themselves_are_refused_though_they_are_signed() {
    let signatory = Signatory::new();
    let gate = signatory.gate();
    let files = [("config.json", "{}"), ("model.safetensors", "x")];
    let refused = |change: fn(&mut Value)| said(&gate, &signatory.signs(&files, change), &files);
    let named = |name: &str| {
        let files = [("config.json", "{}"), (name, "x")];
        said(&gate, &signatory.signs(&files, |_| ()), &files)
    };
    insta::assert_snapshot!([
        refused(|it| it["predicateType"] = json!("https://model_signing/Digests/v0.1")),
        refused(|it| it["_type"] = json!("https://in-toto.io/Statement/v0.1")),
        refused(|it| it["predicate"]["serialization"]["method"] = json!("shards")),
        refused(|it| it["predicate"]["serialization"]["hash_type"] = json!("blake3")),
        refused(|it| it["predicate"]["resources"][1]["algorithm"] = json!("blake2b")),
        refused(|it| it["predicate"]["resources"][1]["digest"] = json!("+1".repeat(32))),
        refused(|it| it["predicate"]["resources"] = json!([])),
        refused(|it| it["subject"] = json!([])),
        refused(|it| it["subject"][0]["digest"]["sha256"] = json!("00".repeat(32))),
        // Another order is another subject.
        refused(|it| it["predicate"]["resources"].as_array_mut().expect("a list").reverse()),
        refused(|it| it["predicate"] = json!(null)),
        named("config.json"),
        named("../config.json"),
        named("/etc/passwd"),
        named("a//b"),
        named("a\\b"),
        named("."),
    ].join("\n"), @r"
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: it states https://model_signing/Digests/v0.1 as https://in-toto.io/Statement/v1, not https://model_signing/signature/v1.0 as https://in-toto.io/Statement/v1. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: it states https://model_signing/signature/v1.0 as https://in-toto.io/Statement/v0.1, not https://model_signing/signature/v1.0 as https://in-toto.io/Statement/v1. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: it signs shards of files, not whole files. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: its files are hashed with blake3, and the Hub lists SHA-256. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature.file: Signature is of a kind that is not verified: model.sig of acme/tiny at 0e9e39f249a1 was signed in a form that is not verified here: its files are hashed with blake2b, and the Hub lists SHA-256. Sign the folder again with `model_signing sign key` and its defaults.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: model.safetensors has a digest that is no SHA-256. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: it signs no file. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: it is about 0 subjects, not one. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: the digest of its subject is not that of the files it lists. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: the digest of its subject is not that of the files it lists. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: invalid type: null, expected struct Predicate at line 1 column 59. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: config.json is listed twice. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: ../config.json is not the path of a file inside the folder. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: /etc/passwd is not the path of a file inside the folder. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: a//b is not the path of a file inside the folder. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: a\\b is not the path of a file inside the folder. Sign the folder again with `model_signing sign key`.
    require_signature: Signature is wrong: model.sig of acme/tiny at 0e9e39f249a1 contradicts itself, although the signature is right: . is not the path of a file inside the folder. Sign the folder again with `model_signing sign key`.
    ");
}

#[test]
fn a_repository_without_a_signature_and_one_that_is_none() {
    let gate = SignatureGate {
        file: "signatures/release.sig".to_owned(),
        ..gate(&[OFFICIAL[0].0])
    };
    insta::assert_snapshot!(line(&gate.bundle(&card(&TINY)).expect_err("it is not there")), @"require_signature.file: There is no signature: acme/tiny at 0e9e39f249a1 has no signatures/release.sig. Who releases it signs the folder with `model_signing sign key FOLDER --private_key KEY --signature FOLDER/model.sig` and uploads that too. Choose a repository or revision that is signed, or set file to where its signature lies.");
    let mut large = card(&TINY);
    large.files.push(RepoFile {
        size: Bytes::gib(5),
        ..listed("signatures/release.sig", "")
    });
    insta::assert_snapshot!(line(&gate.bundle(&large).expect_err("too large")), @"require_signature.file: Signature is too large: signatures/release.sig of acme/tiny at 0e9e39f249a1 has 5368709120 bytes, and no signature has more than 8388608. Set file to the path of the signature.");
}

#[test]
fn more_than_a_plan_reads_is_refused_before_it_is_read() {
    let signatory = Signatory::new();
    let paths: Vec<String> = (0..=MOST_READ).map(|n| format!("{n}.csv")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "x")).collect();
    insta::assert_snapshot!(said(&signatory.gate(), &signatory.signs(&files, |_| ()), &files), @"require_signature: Too many files to compare: acme/tiny at 0e9e39f249a1 keeps 1001 files of 1001 bytes in Git itself, where the Hub knows no SHA-256 and each has to be read; a plan reads at most 1000 files and 268435456 bytes. Put large files in LFS or Xet, or keep fewer in an openmodel_cache with exclude.");
    let files = &files[1..];
    assert_eq!(
        said(&signatory.gate(), &signatory.signs(files, |_| ()), files),
        "passes"
    );
}

#[test]
fn keys_that_sign_nothing_are_named() {
    let key = OFFICIAL[0].0;
    let refused = |text: &str| PublicKey::from_pem(text).expect_err(text).to_string();
    let body = key.lines().nth(1).expect("a line");
    let mut bytes = STANDARD
        .decode(
            key.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .expect("Base64");
    *bytes.last_mut().expect("a byte") ^= 1;
    let altered = STANDARD.encode(bytes);
    let (one, other) = altered.split_at(64);
    let off_its_curve =
        format!("-----BEGIN PUBLIC KEY-----\n{one}\n{other}\n-----END PUBLIC KEY-----\n");
    insta::assert_snapshot!([
        refused(""),
        refused("release.pub"),
        refused(body),
        refused(&[key, key].concat()),
        refused(&key.replace("PUBLIC KEY", "EC PARAMETERS")),
        refused(&key.replace("PUBLIC KEY", "EC PRIVATE KEY")),
        refused(&key.replace("PUBLIC KEY", "CERTIFICATE")),
        // Ed25519.
        refused("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"),
        refused(&off_its_curve),
    ].join("\n"), @r#"
    It is not the text of one public key, which begins with -----BEGIN PUBLIC KEY-----. Give the content of the key's file, as file("release.pub") reads it.
    It is not the text of one public key, which begins with -----BEGIN PUBLIC KEY-----. Give the content of the key's file, as file("release.pub") reads it.
    It is not the text of one public key, which begins with -----BEGIN PUBLIC KEY-----. Give the content of the key's file, as file("release.pub") reads it.
    It is the text of several keys, and only one of them would count. Give each an element of its own.
    It is not the text of one public key, which begins with -----BEGIN PUBLIC KEY-----. Give the content of the key's file, as file("release.pub") reads it.
    It is a private key, which must stay with who signs. Take it out of the configuration, and give its public half: openssl pkey -in KEY -pubout.
    It is a certificate, and only plain public keys are compared. Give the key in it: openssl x509 -in FILE -noout -pubkey.
    It is a key of a kind that model_signing does not sign with: ECDSA on P-256, P-384 or P-521. Make one with openssl ecparam -name prime256v1 -genkey -noout.
    It is damaged: what it holds is no point of its curve. Export it again.
    "#);
    // As an editor of Windows leaves it.
    let same = PublicKey::from_pem(&format!("\n{}\n", key.replace('\n', "\r\n"))).expect("a key");
    assert_eq!(same, PublicKey::from_pem(key).expect("a key"));
}
