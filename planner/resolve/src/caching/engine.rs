//! Who moves a cache's files: the process that asks, tasks of a Cloud Run job beside the bucket, or Storage
//! Transfer Service.
//!
//! ```text
//!   asked for ──────────────────────────────────► that one
//!   unset ─► more than LOCAL_MOST? ─no──────────► local
//!                  │yes
//!                  └─► an image, and a token where one is needed? ─no─► local, and why
//!                                       └─yes─► cloud_run_job
//! ```
//!
//! Storage Transfer Service is only chosen by name: what it brings is read back once by the process, as it
//! knows no SHA-256.

use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::Bytes;

/// Assumed of the machine that runs Terraform: a line of 1 Gbit/s, of which 0.8 carry files. Bytes a second.
const UPLINK: u64 = 100_000_000;

/// How long an apply may move files before a job is worth its start: a quarter of an hour, in seconds.
const PATIENCE: u64 = 15 * 60;

/// Most bytes that the process moves itself, where nobody asks: what its line carries in that time.
pub const LOCAL_MOST: Bytes = Bytes(UPLINK * PATIENCE);

/// What one task moves where nobody says how many there are: some minutes of a task's line.
pub const TASK_SHARE: Bytes = Bytes::gib(32);

/// Most tasks where nobody says how many: the Hub limits the requests of all of them together.
pub const MOST_TASKS: u32 = 64;

/// Who moves files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The provider's own process.
    Local,
    /// Tasks of a Cloud Run job.
    CloudRunJob,
    /// Storage Transfer Service, by a list of addresses.
    StorageTransfer,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Local, Self::CloudRunJob, Self::StorageTransfer];

    /// The word of configurations: `cloud_run_job`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::CloudRunJob => "cloud_run_job",
            Self::StorageTransfer => "storage_transfer",
        }
    }
}

/// What is known of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of the files.
    pub bytes: Bytes,
    /// How many files.
    pub files: usize,
    /// The engine that the user names.
    pub engine: Option<Engine>,
    /// The tasks that the user names.
    pub tasks: Option<u32>,
    /// Most MiB a second of all tasks together, where the user says so; each has one at least.
    pub max_bandwidth_mib: Option<u32>,
    /// Whether an image is given that a job can run.
    pub has_image: bool,
    /// Whether the Hub asks for a token, and none is given that a job can read.
    pub lacks_token: bool,
}

/// The engine, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// Tasks of the job; 1 where there is none.
    pub tasks: u32,
    /// Why, in a line.
    pub reason: String,
}

/// Choose the engine of a transfer.
///
/// ```
/// use openmodel_resolve::caching::engine::{Engine, Load, choose};
/// use openmodel_schemas::quantity::Bytes;
///
/// let load = Load {
///     bytes: Bytes::gib(200),
///     files: 40,
///     engine: None,
///     tasks: None,
///     max_bandwidth_mib: None,
///     has_image: true,
///     lacks_token: false,
/// };
/// let choice = choose(&load);
/// assert_eq!((choice.engine, choice.tasks), (Engine::CloudRunJob, 7));
/// ```
#[must_use]
pub fn choose(load: &Load) -> Choice {
    let bytes = load.bytes;
    let alone = |engine, reason| Choice {
        engine,
        tasks: 1,
        reason,
    };
    let local = |reason| alone(Engine::Local, reason);
    let minutes = PATIENCE / 60;
    let large = bytes > LOCAL_MOST;
    match load.engine {
        Some(Engine::Local) => local("asked for".to_owned()),
        Some(Engine::CloudRunJob) => job(load, "asked for".to_owned()),
        Some(Engine::StorageTransfer) => alone(
            Engine::StorageTransfer,
            format!("asked for; this process reads the {bytes} back once, for their SHA-256"),
        ),
        None if !large => local(format!(
            "{bytes} need no more than {minutes} minutes at 800 Mbit/s"
        )),
        None if !load.has_image => local(format!(
            "{bytes} would go faster by a Cloud Run job, for which image is not set"
        )),
        None if load.lacks_token => local(format!(
            "{bytes} would go faster by a Cloud Run job, for which hugging_face_token_secret is not set"
        )),
        None => job(
            load,
            format!("{bytes} need more than {minutes} minutes at 800 Mbit/s"),
        ),
    }
}

fn job(load: &Load, why: String) -> Choice {
    let (tasks, reason) = if let Some(tasks) = load.tasks {
        (tasks, why)
    } else {
        let by_size = load.bytes.0.div_ceil(TASK_SHARE.0);
        let files = u64::try_from(load.files).unwrap_or(u64::MAX);
        let most = u64::from(MOST_TASKS).min(files).max(1);
        let tasks = u32::try_from(by_size.clamp(1, most)).unwrap_or(1);
        match load.max_bandwidth_mib {
            Some(limit) if limit < tasks => (limit, format!("{why}; a task for each MiB/s")),
            _ => (tasks, format!("{why}; a task for each {TASK_SHARE}")),
        }
    };
    Choice {
        engine: Engine::CloudRunJob,
        tasks,
        reason,
    }
}

/// The region of the job that moves files to a place of Cloud Storage: the place itself, or a region inside
/// it; none where the place is not known.
/// <https://cloud.google.com/storage/docs/locations>, 2026.
#[must_use]
pub fn job_region(location: &str) -> Option<Region> {
    let region = match location {
        "us" | "nam4" => "us-central1",
        "eu" | "eur4" => "europe-west4",
        "asia" => "asia-east1",
        "asia1" => "asia-northeast1",
        "eur5" => "europe-west1",
        "eur7" | "eur8" => "europe-west3",
        region => region,
    };
    region.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(gib: u64) -> Load {
        Load {
            bytes: Bytes::gib(gib),
            files: 100,
            engine: None,
            tasks: None,
            max_bandwidth_mib: None,
            has_image: true,
            lacks_token: false,
        }
    }

    fn line(load: &Load) -> String {
        let Choice {
            engine,
            tasks,
            reason,
        } = choose(load);
        format!("{} x {tasks}: {reason}", engine.as_str())
    }

    #[test]
    fn size_decides_where_nobody_does() {
        let cases = [
            load(80),
            load(90),
            Load {
                has_image: false,
                ..load(1_300)
            },
            Load {
                lacks_token: true,
                ..load(1_300)
            },
            load(1_300),
            load(9_000),
            Load {
                files: 3,
                ..load(1_300)
            },
            Load {
                max_bandwidth_mib: Some(10),
                ..load(1_300)
            },
        ];
        let lines: Vec<String> = cases.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        local x 1: 80.00 GiB need no more than 15 minutes at 800 Mbit/s
        cloud_run_job x 3: 90.00 GiB need more than 15 minutes at 800 Mbit/s; a task for each 32.00 GiB
        local x 1: 1300.00 GiB would go faster by a Cloud Run job, for which image is not set
        local x 1: 1300.00 GiB would go faster by a Cloud Run job, for which hugging_face_token_secret is not set
        cloud_run_job x 41: 1300.00 GiB need more than 15 minutes at 800 Mbit/s; a task for each 32.00 GiB
        cloud_run_job x 64: 9000.00 GiB need more than 15 minutes at 800 Mbit/s; a task for each 32.00 GiB
        cloud_run_job x 3: 1300.00 GiB need more than 15 minutes at 800 Mbit/s; a task for each 32.00 GiB
        cloud_run_job x 10: 1300.00 GiB need more than 15 minutes at 800 Mbit/s; a task for each MiB/s
        ");
    }

    #[test]
    fn what_is_asked_for_wins() {
        let asked = |engine, tasks| {
            line(&Load {
                engine: Some(engine),
                tasks,
                ..load(1)
            })
        };
        assert_eq!(asked(Engine::Local, Some(3)), "local x 1: asked for");
        assert_eq!(
            asked(Engine::CloudRunJob, Some(3)),
            "cloud_run_job x 3: asked for"
        );
        assert!(asked(Engine::CloudRunJob, None).starts_with("cloud_run_job x 1: asked for; "));
        assert_eq!(
            asked(Engine::StorageTransfer, Some(3)),
            "storage_transfer x 1: asked for; this process reads the 1.00 GiB back once, for their SHA-256"
        );
    }

    #[test]
    fn a_job_runs_inside_of_its_place() {
        let region = |place| job_region(place).map(|region| region.to_string());
        assert_eq!(region("europe-west9").as_deref(), Some("europe-west9"));
        assert_eq!(region("nam4").as_deref(), Some("us-central1"));
        assert_eq!(region("mars"), None);
    }
}
