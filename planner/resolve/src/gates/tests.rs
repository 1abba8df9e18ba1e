//! What passes the gates, and the words for what does not.

use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::{
    FileScan, Gating, Licence, PickleImport, ScanStatus, ScannerReport,
};
use openmodel_schemas::snapshot::Repository;

use super::*;

fn file(path: &str) -> RepoFile {
    RepoFile {
        path: path.to_owned(),
        size: Bytes(1),
        sha256: None,
        git_oid: String::new(),
    }
}

/// A repository of these files, each with the Hub's word on it; an empty word: the Hub says nothing.
fn card(files: &[(&str, &str)]) -> RepositoryCard {
    let scan = |state| FileScan {
        state,
        scanners: Vec::new(),
        imports: Vec::new(),
    };
    RepositoryCard {
        repository: Repository::model("acme/tiny".parse().expect("an id")),
        commit: "0e9e39f249a16976918f6564b8830bc894c89659"
            .parse()
            .expect("a commit"),
        last_modified: None,
        files: files.iter().map(|(path, _)| file(path)).collect(),
        licence: Licence {
            ids: vec!["apache-2.0".to_owned()],
            ..Licence::default()
        },
        gating: Gating::None,
        private: false,
        scan: ScanStatus::Unknown,
        scans: files
            .iter()
            .filter_map(|(path, word)| Some(((*path).to_owned(), scan(ScanState::of(word)?))))
            .collect(),
        library: None,
        pipeline_tag: None,
        base_models: Vec::new(),
        custom_code: false,
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn gate(on_unsafe: OnUnsafe, on_unscanned: OnUnscanned) -> Gates {
    Gates {
        scan: ScanGate {
            on_unsafe,
            on_unscanned,
        },
        ..Gates::default()
    }
}

/// All files kept; a line for each finding.
fn said(gates: &Gates, card: &RepositoryCard) -> String {
    said_of(gates, card, &card.files)
}

fn said_of(gates: &Gates, card: &RepositoryCard, kept: &[RepoFile]) -> String {
    let verdict = judge(gates, card, kept);
    let lines = |word: &'static str, findings: &[Finding]| {
        let line = |finding: &Finding| {
            format!(
                "{word} {}: {}: {}",
                finding.attribute, finding.summary, finding.detail
            )
        };
        findings.iter().map(line).collect::<Vec<_>>()
    };
    let all = [
        lines("refused", &verdict.refused),
        lines("waiting", &verdict.waiting),
        lines("warning", &verdict.warnings),
    ];
    let all = all.concat();
    if all.is_empty() {
        assert!(verdict.passes());
        return "passes".to_owned();
    }
    format!(
        "{}\n{}",
        if verdict.passes() {
            "passes"
        } else {
            "does not pass"
        },
        all.join("\n")
    )
}

#[test]
fn what_is_clean_passes() {
    let card = card(&[
        ("README.md", "safe"),
        ("config.json", "safe"),
        ("model.safetensors", "safe"),
        ("embeddings.npz", "safe"),
        ("openvino/openvino_model.bin", "safe"),
    ]);
    assert_eq!(said(&Gates::default(), &card), "passes");
}

#[test]
fn a_pickle_is_refused_unless_it_is_named() {
    let mut repository = card(&[
        ("model.safetensors", "safe"),
        ("optimizer.PT", "safe"),
        ("notes.dat", "safe"),
        ("pytorch_model.bin", "safe"),
    ]);
    let found = repository.scans.get_mut("notes.dat").expect("a scan");
    found.imports.push(PickleImport {
        name: "collections.OrderedDict".to_owned(),
        safety: "innocuous".to_owned(),
    });
    insta::assert_snapshot!(said(&Gates::default(), &repository), @r#"
    does not pass
    refused formats: A pickle runs code when it is loaded: optimizer.PT, notes.dat, pytorch_model.bin are pickles, by name or by what the Hub found inside. Leave them out with exclude if safetensors are there too, choose a repository or revision with safetensors, or add "pickle" to formats if you trust acme/tiny.
    "#);
    let formats = |list: &[&str]| Gates {
        formats: Some(words(list)),
        ..Gates::default()
    };
    assert_eq!(
        said(&formats(&["safetensors", "pickle"]), &repository),
        "passes"
    );
    // An ending alone lets in what has that ending.
    insta::assert_snapshot!(said(&formats(&["safetensors", "bin", "dat"]), &repository), @r#"
    does not pass
    refused formats: A pickle runs code when it is loaded: optimizer.PT is a pickle, by name or by what the Hub found inside. Leave it out with exclude if safetensors are there too, choose a repository or revision with safetensors, or add "pickle" to formats if you trust acme/tiny.
    "#);
    // What is not kept is not asked about.
    assert_eq!(
        said_of(&Gates::default(), &repository, &repository.files[..1]),
        "passes"
    );
}

#[test]
fn other_formats_are_as_the_list_says() {
    let repository = card(&[
        ("config.json", "safe"),
        ("m-q4.gguf", "safe"),
        ("rows.csv", "safe"),
    ]);
    let gates = Gates {
        formats: Some(words(&["safetensors"])),
        ..Gates::default()
    };
    insta::assert_snapshot!(said(&gates, &repository), @"
    does not pass
    refused formats: Format is not allowed: formats allows safetensors; not among them: m-q4.gguf, rows.csv. Leave out with exclude what is not needed, or add its format.
    ");
    assert!(
        ["pickle", "pt", "safetensors", "parquet"]
            .into_iter()
            .all(is_format)
    );
    assert!(!is_format("docx"));
}

#[test]
fn licences() {
    let of = |ids: &[&str], name: Option<&str>, allowed: &[&str]| {
        let mut card = card(&[]);
        card.licence = Licence {
            ids: ids.iter().map(ToString::to_string).collect(),
            name: name.map(str::to_owned),
            link: None,
        };
        let gates = Gates {
            licenses: Some(words(allowed)),
            ..Gates::default()
        };
        said(&gates, &card)
    };
    assert_eq!(of(&["mit"], None, &["apache-2.0", "mit"]), "passes");
    assert_eq!(of(&["other"], Some("gemma"), &["gemma"]), "passes");
    assert_eq!(of(&["mit", "cc0-1.0"], None, &["cc0-1.0", "mit"]), "passes");
    let refused = [
        of(&["llama3.1"], None, &["apache-2.0", "mit"]),
        of(&["other"], Some("nvidia-open-model"), &["mit"]),
        of(&["mit", "gpl-3.0"], None, &["mit"]),
        of(&[], None, &["mit"]),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r#"
    does not pass
    refused licenses: Licence is not allowed: The licence of acme/tiny is llama3.1; licenses allows apache-2.0, mit. Choose another repository, or add "llama3.1" if its terms suit you.
    does not pass
    refused licenses: Licence is not allowed: The licence of acme/tiny is other (nvidia-open-model); licenses allows mit. Choose another repository, or add "nvidia-open-model" if its terms suit you.
    does not pass
    refused licenses: Licence is not allowed: The licence of acme/tiny is mit, gpl-3.0; licenses allows mit. Choose another repository, or add "gpl-3.0" if its terms suit you.
    does not pass
    refused licenses: Licence is not known: acme/tiny states no licence, and licenses allows mit only. Ask its authors, choose another repository, or leave licenses out.
    "#);
}

#[test]
fn what_a_scanner_reports_is_refused_with_its_words() {
    let mut repository = card(&[
        ("a.safetensors", "unsafe"),
        ("b.safetensors", "safe"),
        ("c.json", "caution"),
    ]);
    let scan = repository.scans.get_mut("b.safetensors").expect("a scan");
    scan.scanners.push(ScannerReport {
        scanner: "VirusTotal".to_owned(),
        state: ScanState::Suspicious,
        message: Some("3/62 vendors".to_owned()),
    });
    scan.imports.push(PickleImport {
        name: "os.system".to_owned(),
        safety: "dangerous".to_owned(),
    });
    let formats = Some(words(&["safetensors", "pickle"]));
    let strict = Gates {
        formats: formats.clone(),
        ..Gates::default()
    };
    insta::assert_snapshot!(said(&strict, &repository), @r#"
    does not pass
    refused scan.on_unsafe: A scanner reports the file: a.safetensors is unsafe by the Hub's scanners. See https://huggingface.co/acme/tiny/blob/0e9e39f249a16976918f6564b8830bc894c89659/a.safetensors before anything else: leave it out with exclude, or take another revision; only if the report is known to be wrong, set scan.on_unsafe = "warn".
    refused scan.on_unsafe: A scanner reports the file: b.safetensors is suspicious by VirusTotal (3/62 vendors); it imports os.system. See https://huggingface.co/acme/tiny/blob/0e9e39f249a16976918f6564b8830bc894c89659/b.safetensors before anything else: leave it out with exclude, or take another revision; only if the report is known to be wrong, set scan.on_unsafe = "warn".
    warning scan.on_unsafe: A scanner advises caution: c.json by the Hub's scanners: see https://huggingface.co/acme/tiny/blob/0e9e39f249a16976918f6564b8830bc894c89659/c.json.
    "#);
    let warn = Gates {
        formats,
        ..gate(OnUnsafe::Warn, OnUnscanned::Warn)
    };
    assert!(judge(&warn, &repository, &repository.files).passes());
    // A left-out one does not decide, and is not passed over in silence.
    insta::assert_snapshot!(said_of(&Gates::default(), &repository, &[file("d.json")]), @r#"
    passes
    warning scan.on_unscanned: No scanner has a verdict: The Hub gives no verdict on d.json (its scanners failed, it is a mirror, or it was read offline). Set scan.on_unscanned to "wait" or "fail" to be stricter.
    warning scan.on_unsafe: A scanner reports a file that is left out: Scanners report a.safetensors, b.safetensors. It is not kept; but look whether you trust acme/tiny.
    "#);
}

#[test]
fn what_is_not_scanned_is_as_the_gate_says() {
    let repository = card(&[
        ("a.safetensors", "queued"),
        ("b.safetensors", "unscanned"),
        ("c.safetensors", "error"),
        ("d.safetensors", ""),
    ]);
    let all = [OnUnscanned::Warn, OnUnscanned::Wait, OnUnscanned::Fail]
        .map(|on_unscanned| said(&gate(OnUnsafe::Fail, on_unscanned), &repository));
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    passes
    warning scan.on_unscanned: The Hub's scanners are not done: Not scanned yet: a.safetensors, b.safetensors. Set scan.on_unscanned to "wait" or "fail" to be stricter.
    warning scan.on_unscanned: No scanner has a verdict: The Hub gives no verdict on c.safetensors, d.safetensors (its scanners failed, it is a mirror, or it was read offline). Set scan.on_unscanned to "wait" or "fail" to be stricter.

    does not pass
    refused scan.on_unscanned: No scanner has a verdict: The Hub gives no verdict on c.safetensors, d.safetensors (its scanners failed, it is a mirror, or it was read offline). There is nothing to wait for: look at https://huggingface.co/acme/tiny/blob/0e9e39f249a16976918f6564b8830bc894c89659/c.safetensors, and set scan.on_unscanned = "warn" to go on.
    waiting scan.on_unscanned: The Hub's scanners are not done: Not scanned yet: a.safetensors, b.safetensors. The apply waits for them, as scan.on_unscanned = "wait" asks.

    does not pass
    refused scan.on_unscanned: The Hub's scanners are not done: Not scanned yet: a.safetensors, b.safetensors. Apply later, or set scan.on_unscanned = "wait" or "warn".
    refused scan.on_unscanned: No scanner has a verdict: The Hub gives no verdict on c.safetensors, d.safetensors (its scanners failed, it is a mirror, or it was read offline). There is nothing to wait for: look at https://huggingface.co/acme/tiny/blob/0e9e39f249a16976918f6564b8830bc894c89659/c.safetensors, and set scan.on_unscanned = "warn" to go on.
    "#);
    let coming = &repository.files[..2];
    let wait = judge(
        &gate(OnUnsafe::Fail, OnUnscanned::Wait),
        &repository,
        coming,
    );
    assert!(wait.refused.is_empty() && !wait.passes());
    let pickles = Gates {
        formats: Some(words(&["safetensors", "pt"])),
        ..Gates::default()
    };
    insta::assert_snapshot!(said_of(&pickles, &repository, coming), @r#"
    passes
    warning scan.on_unscanned: The Hub's scanners are not done: Not scanned yet: a.safetensors, b.safetensors. formats lets pickles in, which run code when they are loaded: set scan.on_unscanned = "fail" or "wait".
    "#);
}

#[test]
fn a_file_of_which_the_hub_says_nothing_is_as_its_repository() {
    let gates = gate(OnUnsafe::Fail, OnUnscanned::Fail);
    let with = |scan| RepositoryCard {
        scan,
        ..card(&[("a.safetensors", ""), ("b.safetensors", "safe")])
    };
    assert_eq!(said(&gates, &with(ScanStatus::Safe)), "passes");
    let files = vec!["a.safetensors".to_owned(), "b.safetensors".to_owned()];
    let verdict = |scan| judge(&gates, &with(scan), &with(ScanStatus::Safe).files);
    let refused = verdict(ScanStatus::Unsafe { files }).refused;
    assert_eq!(
        refused
            .iter()
            .filter(|finding| finding.attribute == ON_UNSAFE)
            .count(),
        2
    );
    assert!(!verdict(ScanStatus::Pending).passes());
    assert!(!verdict(ScanStatus::Unknown).passes());
}

#[test]
fn code_of_its_own_is_a_warning() {
    let mut repository = card(&[("modeling_tiny.py", "safe"), ("model.safetensors", "safe")]);
    insta::assert_snapshot!(said(&Gates::default(), &repository), @"
    passes
    warning repository: The repository brings code of its own: acme/tiny brings code: modeling_tiny.py. An engine runs it only with --trust-remote-code; read it before you set that.
    ");
    repository.files.remove(0);
    assert_eq!(said(&Gates::default(), &repository), "passes");
    repository.custom_code = true;
    assert!(said(&Gates::default(), &repository).contains("brings code"));
}

#[test]
fn an_endpoint_is_told_what_it_can_do() {
    let mut repository = card(&[
        ("a.bin", "safe"),
        ("m.gguf", "safe"),
        ("x.safetensors", "unsafe"),
    ]);
    repository.custom_code = true;
    let gates = Gates {
        asker: Asker::Endpoint,
        formats: Some(words(&["safetensors"])),
        ..Gates::default()
    };
    insta::assert_snapshot!(said(&gates, &repository), @r#"
    does not pass
    refused formats: A pickle runs code when it is loaded: a.bin is a pickle, by name or by what the Hub found inside. Choose a repository or revision with safetensors, or add "pickle" to formats if you trust acme/tiny.
    refused formats: Format is not allowed: formats allows safetensors; not among them: m.gguf. Choose another repository or revision, or add its format.
    refused scan.on_unsafe: A scanner reports the file: x.safetensors is unsafe by the Hub's scanners. See https://huggingface.co/acme/tiny/blob/0e9e39f249a16976918f6564b8830bc894c89659/x.safetensors before anything else: take another revision; only if the report is known to be wrong, set scan.on_unsafe = "warn".
    warning model: The repository brings code of its own: acme/tiny brings code: its configuration names classes elsewhere. An engine runs it only with --trust-remote-code; read it before you set that.
    "#);
    let text = said_of(&gates, &repository, &[file("config.json")]);
    assert!(text.contains("It is not loaded"), "{text}");
}

#[test]
fn files_that_nobody_looked_up_are_as_the_gate_says() {
    let unasked = Unasked {
        paths: words(&["a.safetensors", "b.safetensors"]),
        why: "its quota is used up".to_owned(),
    };
    let all = [OnUnscanned::Warn, OnUnscanned::Wait, OnUnscanned::Fail].map(|on_unscanned| {
        let mut verdict = Verdict::default();
        verdict.unasked(&gate(OnUnsafe::Fail, on_unscanned), &unasked);
        let said = |findings: &[Finding]| {
            findings
                .iter()
                .map(|one| one.detail.clone())
                .collect::<String>()
        };
        format!(
            "refused {}, waiting {}, warning {}",
            said(&verdict.refused),
            said(&verdict.waiting),
            said(&verdict.warnings)
        )
    });
    insta::assert_snapshot!(all.join("\n"), @r#"
    refused , waiting , warning Not looked up: a.safetensors, b.safetensors: its quota is used up. Set scan.on_unscanned to "wait" or "fail" to be stricter.
    refused , waiting Not looked up: a.safetensors, b.safetensors: its quota is used up. The apply waits for them, as scan.on_unscanned = "wait" asks., warning 
    refused Not looked up: a.safetensors, b.safetensors: its quota is used up. Apply later, or set scan.on_unscanned = "wait" or "warn"., waiting , warning
    "#);
}
