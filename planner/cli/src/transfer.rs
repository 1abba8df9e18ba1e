//! `openmodel transfer`: the files of a Hub repository into a folder or into Cloud Storage, each verified
//! against the Hub's digest. What a run that was cut short has verified is not fetched again.
//!
//! ```text
//!   hf://org/name ──► FOLDER                 the files by their own names
//!                └──► gs://BUCKET/PREFIX     a snapshot: models/org/name/COMMIT/, its manifest last
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use clap::error::ErrorKind;
use openmodel_cloud::Hub;
use openmodel_cloud::huggingface::HubOptions;
use openmodel_schemas::name::Revision;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::RepositoryCard;
use openmodel_schemas::snapshot::{Repository, RepositoryType, SnapshotUri};
use openmodel_transfer::file::{How, Meter, Mover, Patience, SPAN};
use openmodel_transfer::folder::Folder;
use openmodel_transfer::hub::HubOrigin;
use openmodel_transfer::mirror::{Mirror, Task};
use openmodel_transfer::ports::{Kind, Trouble};
use openmodel_transfer::progress::{bar, progress};
use openmodel_transfer::repository::{Moved, PARALLELISM, bytes, move_all};
use openmodel_transfer::select::{Patterns, Selection, Why};
use openmodel_transfer::throttle::Throttle;

use crate::hub;

/// How often a running transfer says how far it is, on a terminal and elsewhere.
const REPORTS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Copy a repository's files from the Hub into a folder or into Cloud Storage, verified; of a model what serves, once
/// and in one format
#[derive(Debug, Clone, Args)]
pub struct Transfer {
    /// The repository, at a branch, tag or commit [default: main]
    #[arg(value_name = "hf://[datasets/|spaces/]ORG/NAME[@REVISION]", value_parser = source)]
    pub from: Source,
    /// The folder, made when it is not there; or the bucket, which must be there
    #[arg(value_name = "FOLDER|gs://BUCKET[/PREFIX]", value_parser = place)]
    pub to: Place,
    /// Files to copy, such as '*.safetensors' or original/; may be repeated [default: all that serve]
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,
    /// Files to leave out; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Files in flight at once; of those up to 256 KiB four in the place of one
    #[arg(long, value_name = "N", default_value_t = PARALLELISM, value_parser = parallel)]
    pub parallel: usize,
    /// Most MiB a second, of all files
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_bandwidth: Option<u32>,
    /// Storage class of the objects [default: the bucket's]
    #[arg(long, value_name = "CLASS", value_parser = ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"])]
    pub storage_class: Option<String>,
    /// Be one task of a Cloud Run job, which tells it its number: move its share of the files, and leave the manifest
    /// to who started the tasks
    #[arg(long)]
    pub task: bool,
}

/// Where files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, and what stands before the repository's folder in it.
    Bucket(String, String),
}

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The repository.
    pub repository: Repository,
    /// Branch, tag or commit.
    pub revision: Revision,
}

/// Copy, and say what was copied on the standard output. Progress goes to the standard error.
pub async fn run(asked: &Transfer) -> Result<()> {
    if matches!(asked.to, Place::Folder(_)) && (asked.task || asked.storage_class.is_some()) {
        let why = "--task and --storage-class are for gs://\n";
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, why).into());
    }
    let transport = hub::transport_of_environment()?;
    let Source {
        repository,
        revision,
    } = &asked.from;
    let reader = Hub::new(transport.clone(), HubOptions::default());
    let card = reader.repository(repository, revision).await;
    let card = card.map_err(|error| anyhow!(hub::in_flags(&error)))?;
    let access = reader.can_read(&card).await;
    access.map_err(|error| anyhow!(hub::in_flags(&error)))?;
    let patterns = Patterns {
        include: asked.include.clone(),
        exclude: asked.exclude.clone(),
    };
    let selection = patterns.select(card.repository.kind, &card.files)?;
    let mut out = io::stdout();
    writeln!(out, "{}", headline(&card, &selection))?;
    let mirror = Mirror {
        origin: Arc::new(HubOrigin {
            transport: transport.clone(),
            repository: card.repository.clone(),
            commit: card.commit.clone(),
        }),
        arrive: false,
        transport,
        repository: card.repository.clone(),
        license: card.licence.id().map(str::to_owned),
        files: selection.files.clone(),
        marks: BTreeMap::new(),
        parallelism: asked.parallel,
        throttle: asked
            .max_bandwidth
            .map(|mib| Arc::new(Throttle::new(u64::from(mib) << 20))),
        meter: Arc::new(Meter::default()),
    };
    let started = Instant::now();
    let moving = deliver(asked, &card, &selection, &mirror);
    let (moved, place) = watched(moving, &mirror.meter, selection.bytes()).await?;
    let read = Bytes(mirror.meter.read());
    let seconds = started.elapsed().as_secs_f64();
    let copied: Vec<Moved> = moved
        .iter()
        .filter(|one| one.how == How::Copied)
        .cloned()
        .collect();
    let copied = if copied.is_empty() {
        String::new()
    } else {
        format!("{} copied inside Cloud Storage, ", bytes(&copied))
    };
    writeln!(
        out,
        "{} files, {}, verified, in {place}: {copied}{} read in {seconds:.1} s",
        moved.len(),
        bytes(&moved),
        read,
    )?;
    Ok(())
}

/// Move the files to where they are wanted, and say where that is.
async fn deliver(
    asked: &Transfer,
    card: &RepositoryCard,
    selection: &Selection,
    mirror: &Mirror,
) -> Result<(Vec<Moved>, String)> {
    let (bucket, prefix) = match &asked.to {
        Place::Folder(folder) => {
            let store = Folder::new(folder);
            let held = store.hold(&mirror.files, &card.files).await?;
            let mover = Mover {
                origin: mirror.origin.clone(),
                store: Arc::new(store),
                span: SPAN,
                patience: Patience::default(),
                throttle: mirror.throttle.clone(),
                meter: mirror.meter.clone(),
            };
            let moved = move_all(&mover, &mirror.files, mirror.parallelism).await?;
            if !held.stale.is_empty() {
                let stale = held.stale.join(", ");
                let at = folder.display();
                let _ = writeln!(
                    io::stderr(),
                    "warning: {at} has files of an earlier transfer that are not of this commit: {stale}. Remove them: an \
                     engine that is pointed at the folder may load them"
                );
            }
            return Ok((moved, folder.display().to_string()));
        }
        Place::Bucket(bucket, prefix) => (bucket, prefix),
    };
    let repository = card.repository.clone();
    let choice = selection.digest(card.repository.kind, &card.files);
    let uri = SnapshotUri::new(bucket, prefix, repository, &card.commit, choice.as_deref());
    let (class, near) = (asked.storage_class.as_deref(), [bucket.clone()]);
    let moved = if asked.task {
        mirror.share(&uri, class, &near, task()?).await
    } else {
        let made = mirror.to(&uri, class, &near).await;
        made.map(|(_, moved)| moved)
    };
    Ok((
        moved.map_err(|trouble| no_bucket(bucket, trouble))?,
        uri.to_string(),
    ))
}

/// Which task this is, by the variables that Cloud Run jobs set.
fn task() -> Result<Task> {
    let number = |name: &str| -> Result<usize> {
        let text = std::env::var(name).with_context(|| format!("--task needs {name}"))?;
        text.parse()
            .with_context(|| format!("{name} is {text:?}, which is no number"))
    };
    let task = Task {
        index: number("CLOUD_RUN_TASK_INDEX")?,
        count: number("CLOUD_RUN_TASK_COUNT")?,
    };
    if task.index >= task.count {
        bail!("CLOUD_RUN_TASK_INDEX must be less than CLOUD_RUN_TASK_COUNT");
    }
    Ok(task)
}

/// A bucket that is not there is a matter of the command line, not of time.
fn no_bucket(bucket: &str, trouble: Trouble) -> anyhow::Error {
    if trouble.kind == Kind::NoBucket {
        return anyhow!(
            "{trouble}. Is gs://{bucket} there? `gcloud storage buckets create gs://{bucket}` makes it"
        );
    }
    trouble.into()
}

/// What is copied, and what is left out.
fn headline(card: &RepositoryCard, selection: &Selection) -> String {
    let kept = format!(
        "{} at {}: {} files, {}",
        card.repository.id,
        card.commit,
        selection.files.len(),
        selection.bytes()
    );
    let spared = |why: &Why| !matches!(why, Why::NotIncluded | Why::Excluded);
    let count = selection
        .left_out
        .iter()
        .filter(|file| spared(&file.why))
        .count();
    if count == 0 {
        return kept;
    }
    format!(
        "{kept}; {count} left out that serve nobody or are there in another form, {}",
        selection.saved()
    )
}

/// Drive a transfer, and say now and then how far it is.
async fn watched<T>(moving: impl Future<Output = T>, meter: &Meter, all: Bytes) -> T {
    let terminal = io::stderr().is_terminal();
    let every = if terminal { REPORTS.0 } else { REPORTS.1 };
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let started = Instant::now();
    tokio::pin!(moving);
    loop {
        tokio::select! {
            done = &mut moving => {
                if terminal {
                    // The line of progress has had its time.
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick() => {
                let there = meter.moved();
                let mut line = progress(there, meter.read(), all, started.elapsed());
                if let left @ 1.. = meter.left_to_others() {
                    let _infallible = write!(line, "; another run has claimed {left} of the files");
                }
                // That nobody reads it is no reason to stop.
                let _ = if terminal {
                    write!(io::stderr(), "\r\x1b[K{} {line}", bar(there, all))
                } else {
                    writeln!(io::stderr(), "{line}")
                };
                let _ = io::stderr().flush();
            }
        }
    }
}

/// As the Hub's own tools write it: `hf://org/name`, `hf://datasets/org/name@rev`, `hf://spaces/…`.
fn source(text: &str) -> Result<Source, String> {
    let Some(rest) = text.strip_prefix("hf://") else {
        return Err("a repository of the Hub is expected, such as hf://org/name@main".to_owned());
    };
    let (name, revision) = rest.split_once('@').unwrap_or((rest, "main"));
    let typed = name.split_once('/').and_then(|(word, id)| {
        let mut kinds = RepositoryType::ALL.into_iter();
        Some((kinds.find(|kind| kind.plural() == word)?, id))
    });
    let (kind, id) = typed.unwrap_or((RepositoryType::Model, name));
    Ok(Source {
        repository: Repository {
            kind,
            id: id.parse().map_err(|error| format!("{error}"))?,
        },
        revision: revision.parse().map_err(|error| format!("{error}"))?,
    })
}

fn place(text: &str) -> Result<Place, String> {
    if let Some(rest) = text.strip_prefix("gs://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        // What lies under such a name is not found again.
        let odd = |part: &str| ["", ".", ".."].contains(&part);
        if bucket.is_empty() || !prefix.is_empty() && prefix.split('/').any(odd) {
            return Err("a bucket is expected, such as gs://acme-models/llms".to_owned());
        }
        return Ok(Place::Bucket(bucket.to_owned(), prefix.to_owned()));
    }
    if text.contains("://") {
        return Err("a folder of this machine or gs://BUCKET/PREFIX is expected".to_owned());
    }
    Ok(Place::Folder(PathBuf::from(text)))
}

fn parallel(text: &str) -> Result<usize> {
    match text.parse() {
        Ok(number) if (1..=64).contains(&number) => Ok(number),
        _ => bail!("a number from 1 to 64 is expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_repository_and_a_revision() {
        let read = |text: &str| {
            source(text).map(|source| format!("{} {}", source.repository, source.revision.as_str()))
        };
        for (text, expected) in [
            ("hf://acme/tiny", "models/acme/tiny main"),
            ("hf://models/acme/tiny", "models/acme/tiny main"),
            ("hf://gpt2", "models/gpt2 main"),
            ("hf://acme/tiny@refs/pr/7", "models/acme/tiny refs/pr/7"),
            ("hf://datasets/acme/rows@v1", "datasets/acme/rows v1"),
            ("hf://datasets/squad", "datasets/squad main"),
            ("hf://spaces/acme/app", "spaces/acme/app main"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()));
        }
        for nothing in [
            "acme/tiny",
            "gs://acme/tiny",
            "hf://",
            "hf://a b",
            "hf://datasets/a/b/c",
        ] {
            assert!(read(nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket_whose_prefix_has_no_odd_part() {
        let bucket = |prefix: &str| Ok(Place::Bucket("acme".to_owned(), prefix.to_owned()));
        assert_eq!(place("gs://acme"), bucket(""));
        assert_eq!(place("gs://acme/"), bucket(""));
        assert_eq!(place("gs://acme/a/b/"), bucket("a/b"));
        assert_eq!(place("a//b"), Ok(Place::Folder(PathBuf::from("a//b"))));
        for odd in [
            "gs://",
            "gs:///a",
            "gs://acme//a",
            "gs://acme/a//b",
            "gs://acme/a//",
            "gs://acme/a/./b",
            "gs://acme/..",
            "s3://acme/a",
        ] {
            assert!(place(odd).is_err(), "{odd}");
        }
    }
}
