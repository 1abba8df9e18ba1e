//! The Hub's description and listing of a repository put together into its card.

use openmodel_schemas::name::ModelId;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::{
    FileScan, Gating, Licence, PickleImport, RepoFile, RepositoryCard, ScanState, ScanStatus,
    ScannerReport,
};
use openmodel_schemas::snapshot::Repository;
use serde_json::Value;

use super::calls::{Info, SecurityStatus, TreeEntry};

/// Verdicts that mean "not known" rather than "found something".
const UNDECIDED_LEVELS: [&str; 4] = ["unscanned", "queued", "error", "safe"];

/// The scanners by the Hub's names, and as people call them.
const SCANNERS: [(&str, &str); 5] = [
    ("avScan", "ClamAV"),
    ("pickleImportScan", "picklescan"),
    ("protectAiScan", "Protect AI"),
    ("jFrogScan", "JFrog"),
    ("virusTotalScan", "VirusTotal"),
];

/// The card, but for what scanners say of each file.
pub(crate) fn repository_card(
    asked: &Repository,
    info: &Info,
    files: Vec<RepoFile>,
) -> RepositoryCard {
    RepositoryCard {
        repository: Repository {
            kind: asked.kind,
            id: info.id.clone().unwrap_or_else(|| asked.id.clone()),
        },
        commit: info.sha.clone(),
        last_modified: info.last_modified.clone(),
        files,
        licence: licence(info),
        gating: match info.gated.as_str() {
            Some("auto") => Gating::Auto,
            Some(_) => Gating::Manual,
            None if info.gated == Value::Bool(true) => Gating::Manual,
            None => Gating::None,
        },
        private: info.private,
        scan: scan(info.security_repo_status.as_ref()),
        scans: std::collections::BTreeMap::new(),
        library: info.library_name.clone(),
        pipeline_tag: info.pipeline_tag.clone(),
        base_models: base_models(info),
        custom_code: info.tags.iter().any(|tag| tag == "custom_code"),
    }
}

/// The files of a listing, by path.
pub(crate) fn files(tree: Vec<TreeEntry>) -> Vec<RepoFile> {
    let mut files: Vec<RepoFile> = tree
        .into_iter()
        .filter(|entry| entry.kind == "file")
        .map(repo_file)
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn repo_file(entry: TreeEntry) -> RepoFile {
    let (size, sha256) = match entry.lfs {
        Some(lfs) => (lfs.size, Some(lfs.oid)),
        None => (entry.size, None),
    };
    RepoFile {
        path: entry.path,
        size: Bytes(size),
        sha256,
        git_oid: entry.oid,
    }
}

/// What the scanners say of a file, from its `securityFileStatus`; `None` where the Hub says nothing, or
/// nothing that is understood.
pub(crate) fn file_scan(status: &Value) -> Option<FileScan> {
    let state = |value: &Value| value["status"].as_str().and_then(ScanState::of);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let scanners = SCANNERS.iter().filter_map(|(field, scanner)| {
        let report = &status[*field];
        // VirusTotal's finding is in the label of its link: `2/60 vendors`.
        let message = ["message", "reportLabel"].map(|field| text(&report[field]));
        Some(ScannerReport {
            scanner: (*scanner).to_owned(),
            state: state(report)?,
            message: message.into_iter().flatten().find(|text| !text.is_empty()),
        })
    });
    let imports = status["pickleImportScan"]["pickleImports"].as_array();
    let import = |import: &Value| {
        Some(PickleImport {
            name: format!(
                "{}.{}",
                import["module"].as_str()?,
                import["name"].as_str()?
            ),
            safety: text(&import["safety"]).unwrap_or_default(),
        })
    };
    Some(FileScan {
        state: state(status)?,
        scanners: scanners.collect(),
        imports: imports.into_iter().flatten().filter_map(import).collect(),
    })
}

fn licence(info: &Info) -> Licence {
    let Some(data) = &info.card_data else {
        return Licence {
            ids: tagged(&info.tags, "license:"),
            ..Licence::default()
        };
    };
    let stated = texts(&data.license);
    let (name, link) = (texts(&data.license_name), texts(&data.license_link));
    Licence {
        ids: if stated.is_empty() {
            tagged(&info.tags, "license:")
        } else {
            stated
        },
        name: name.into_iter().next(),
        link: link.into_iter().next(),
    }
}

/// From the card's metadata; a name there that is none of the Hub's is left out.
fn base_models(info: &Info) -> Vec<ModelId> {
    let stated = info.card_data.as_ref().map(|data| texts(&data.base_model));
    let ids = stated.unwrap_or_default();
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}

fn scan(status: Option<&SecurityStatus>) -> ScanStatus {
    let Some(status) = status else {
        return ScanStatus::Unknown;
    };
    let mut files: Vec<String> = status.files_with_issues.iter().filter_map(issue).collect();
    files.sort();
    files.dedup();
    if !files.is_empty() {
        ScanStatus::Unsafe { files }
    } else if status.scans_done {
        ScanStatus::Safe
    } else {
        ScanStatus::Pending
    }
}

/// The path of a file with an issue; a scanner that has not decided is no issue.
fn issue(file: &Value) -> Option<String> {
    let level = file["level"].as_str().unwrap_or_default();
    let path = file["path"].as_str().or(file.as_str())?;
    (!UNDECIDED_LEVELS.contains(&level)).then(|| path.to_owned())
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn tagged(tags: &[String], prefix: &str) -> Vec<String> {
    tags.iter()
        .filter_map(|tag| tag.strip_prefix(prefix))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use openmodel_schemas::snapshot::RepositoryType;
    use serde_json::json;

    use super::*;

    const SHA: &str = "0e9e39f249a16976918f6564b8830bc894c89659";

    /// A repository of large files.
    pub(crate) fn of_files(files: &[(&str, u64)]) -> RepositoryCard {
        let entry = |(path, size): &(&str, u64)| {
            json!({"type": "file", "oid": "o", "path": path, "size": 134,
            "lfs": {"oid": format!("sha-{path}"), "size": size, "pointerSize": 134}})
        };
        let mut tree: Vec<Value> = files.iter().map(entry).collect();
        tree.push(json!({"type": "directory", "oid": "d", "path": "original", "size": 0}));
        card(&json!({}), &tree)
    }

    fn card(info: &Value, tree: &[Value]) -> RepositoryCard {
        let mut full = json!({"id": "a/b", "sha": SHA});
        full.as_object_mut()
            .expect("an object")
            .extend(info.as_object().expect("an object").clone());
        let asked = Repository {
            kind: RepositoryType::Model,
            id: "a/old".parse().expect("an id"),
        };
        let tree = tree
            .iter()
            .map(|entry| serde_json::from_value(entry.clone()).expect("an entry"));
        repository_card(
            &asked,
            &serde_json::from_value(full).expect("an info"),
            files(tree.collect()),
        )
    }

    #[test]
    fn terms_and_licence() {
        let of = |info: Value| {
            let card = card(&info, &[]);
            format!("{} {:?}, {}", card.repository, card.gating, card.licence)
        };
        let text = [
            of(json!({"gated": "manual", "cardData": {"license": "llama3.1"}})),
            of(json!({"gated": false, "tags": ["license:mit"], "cardData": {"license": null}})),
            of(json!({"gated": true, "tags": ["license:mit"]})),
            of(json!({"cardData": {"license": ["mit", "cc0-1.0"]}})),
            of(
                json!({"cardData": {"license": "other", "license_name": "nvidia-open-model",
                "license_link": "https://developer.nvidia.com/open"}}),
            ),
            of(json!({})),
        ];
        insta::assert_snapshot!(text.join("\n"), @"
        models/a/b Manual, llama3.1
        models/a/b None, mit
        models/a/b Manual, mit
        models/a/b None, mit, cc0-1.0
        models/a/b None, other (nvidia-open-model, https://developer.nvidia.com/open)
        models/a/b None, unknown
        ");
    }

    #[test]
    fn an_adapter_names_what_it_adapts() {
        let of = |base: Value| card(&json!({"cardData": {"base_model": base}}), &[]).base_models;
        let ids =
            |base: Value| -> Vec<String> { of(base).iter().map(ToString::to_string).collect() };
        assert_eq!(ids(json!("acme/base")), ["acme/base"]);
        assert_eq!(
            ids(json!(["acme/base", "not a name", "gpt2"])),
            ["acme/base", "gpt2"]
        );
        assert!(ids(json!(null)).is_empty());
    }

    #[test]
    fn the_verdict_on_a_repository() {
        let of = |status: Value| card(&json!({"securityRepoStatus": status}), &[]).scan;
        let files = json!([{"path": "a.pkl", "level": "unsafe"}, {"path": "b", "level": "queued"}]);
        let unsafe_files = ScanStatus::Unsafe {
            files: vec!["a.pkl".to_owned()],
        };
        assert_eq!(
            of(json!({"scansDone": true, "filesWithIssues": files})),
            unsafe_files
        );
        assert_eq!(of(json!({"scansDone": true})), ScanStatus::Safe);
        assert_eq!(of(json!({"scansDone": false})), ScanStatus::Pending);
        assert_eq!(of(Value::Null), ScanStatus::Unknown);
    }

    #[test]
    fn the_verdict_on_a_file_is_the_worst_of_those_who_looked() {
        let status = json!({
            "status": "safe", "avScan": {"status": "safe", "version": "1.4"},
            "jFrogScan": {"status": "unscanned"},
            "virusTotalScan": {"status": "suspicious", "message": "", "reportLabel": "3/62 vendors"},
            "pickleImportScan": {"status": "safe", "pickleImports": [
                {"module": "os", "name": "system", "safety": "dangerous"}]},
        });
        let scan = file_scan(&status).expect("a scan");
        assert_eq!(
            (scan.state, scan.worst()),
            (ScanState::Safe, ScanState::Suspicious)
        );
        let by: Vec<String> = scan
            .scanners
            .iter()
            .map(|report| {
                let message = report.message.as_deref().unwrap_or("-");
                format!("{} {} {message}", report.scanner, report.state)
            })
            .collect();
        insta::assert_snapshot!(by.join("\n"), @"
        ClamAV safe -
        picklescan safe -
        JFrog unscanned -
        VirusTotal suspicious 3/62 vendors
        ");
        assert_eq!(scan.imports[0].name, "os.system");
        for nothing in [json!(null), json!({}), json!({"status": "sparkling"})] {
            assert_eq!(file_scan(&nothing), None);
        }
    }
}
