//! How weights that lie in Cloud Storage reach an engine, and what its container needs for it.
//!
//! ```text
//!   ways the engine can load ─► asked for? ─► else the least estimated seconds ─► Loader
//!                                                                                   │
//!         volumes, model's path ◄── fuse ──┬────────────────────────────────────────┘
//!   words, variable, gs:// address ◄── streamer
//! ```
//!
//! A replica costs by the second while it loads, so the fastest way is the cheapest too.

use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::gguf::GgufModel;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::report::{LoadTime, Range, Volume, VolumeSource};
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_schemas::spec::Loader;

use crate::engines::reached;
use crate::error::{Fault, Field};
use crate::fit::Fit;
use crate::format::Format;
use crate::gguf;
use crate::need::Need;
use crate::needed::has_safetensors;
use crate::start::{Origin, Start, load};

/// Where the bucket is seen in the container.
const MODELS: &str = "/mnt/models";

/// The volume that holds the files while they are read. Its memory must be mounted, though nobody looks
/// into it.
const CACHE: &str = "openmodel-cache";
const CACHE_MOUNT: &str = "/mnt/models-cache";

/// Beside the weights: tokenizer and configuration.
const BESIDE: Bytes = Bytes(256 << 20);

/// The way from Cloud Storage that a loader is.
pub(crate) const fn origin(loader: Loader) -> Origin {
    match loader {
        Loader::Fuse => Origin::Fuse,
        Loader::Streamer => Origin::Streamer,
    }
}

/// What is against a loader, where something is.
pub(crate) fn against(loader: Loader, need: &Need, fit: &Fit) -> Option<String> {
    let (engine, version) = (fit.engine, need.version(fit.engine));
    let (name, card) = (&engine.name, need.card);
    match loader {
        Loader::Fuse if gguf::reads(engine) && model(need, fit).is_none() => Some(format!(
            "{name} is started with a GGUF model, and which of {} that is, is not known",
            card.id
        )),
        Loader::Fuse => None,
        Loader::Streamer => {
            let Some(row) = &engine.streamer else {
                return Some(format!(
                    "{name} has none, or its image is not known to hold it"
                ));
            };
            let format = need.variants[fit.variant].weights.format;
            if !reached(&row.from, version) {
                Some(format!(
                    "{name} {version} has none: it came with {}",
                    row.from
                ))
            } else if !has_safetensors(card) {
                Some(format!("it reads safetensors, and {} has none", card.id))
            } else if matches!(format, Format::Bnb4 | Format::Bnb8) {
                Some("bitsandbytes weights have a loader of their own".to_owned())
            } else if need.architecture.once {
                // run-ai/runai-model-streamer#95: the folder of a pooling layer is not read.
                Some(format!("it does not read the folders of {}", card.id))
            } else {
                None
            }
        }
    }
}

/// The best way from Cloud Storage: the one that is asked for, else the fastest.
pub(crate) fn choose(need: &Need, fit: &Fit, asked: Option<Loader>) -> Result<Loader, Fault> {
    let files = need.files(fit.variant);
    if let Some(asked) = asked {
        return match against(asked, need, fit) {
            None => Ok(asked),
            Some(why) => Err(Fault {
                field: Field::Loader,
                code: "loader_unsupported",
                summary: "Snapshot cannot be loaded so",
                detail: format!(
                    "loader = \"{}\" does not serve {}: {why}. Remove loader, and the fastest way is chosen.",
                    asked.as_str(),
                    need.card.id
                ),
            }),
        };
    }
    let able = Loader::ALL
        .into_iter()
        .filter(|loader| against(*loader, need, fit).is_none());
    let best = able.min_by_key(|loader| Start::of(files, origin(*loader)).whole());
    best.ok_or_else(|| Fault {
        field: Field::Cache,
        code: "cache_unsupported",
        summary: "Engine cannot serve from a snapshot",
        detail: format!(
            "{}. Remove cache, and the engine downloads it from the Hub; or set engine.name to another one.",
            against(Loader::Fuse, need, fit).unwrap_or_default()
        ),
    })
}

/// How long the weights take to load, each way, and why one of them is taken.
pub(crate) fn load_time(
    need: &Need,
    fit: &Fit,
    taken: Option<(Loader, bool)>,
    hourly: Option<UsdPerHour>,
) -> LoadTime {
    let files = need.files(fit.variant);
    let by = |loader| {
        against(loader, need, fit)
            .is_none()
            .then(|| load(files, origin(loader)))
    };
    let hub = load(files, Origin::Hub);
    let (fuse, streamer) = (by(Loader::Fuse), by(Loader::Streamer));
    let ways = [Origin::Hub]
        .into_iter()
        .chain(fuse.is_some().then_some(Origin::Fuse))
        .chain(streamer.is_some().then_some(Origin::Streamer));
    let words: Vec<&str> = ways.map(Origin::words).collect();
    LoadTime {
        hub,
        fuse,
        streamer,
        reason: match taken {
            Some((loader, asked)) => reason(need, fit, loader, asked, hourly),
            None => advice(fuse, streamer),
        },
        basis: format!("{files} of weights from {}", words.join(", ")),
    }
}

fn reason(
    need: &Need,
    fit: &Fit,
    taken: Loader,
    asked: bool,
    hourly: Option<UsdPerHour>,
) -> String {
    let files = need.files(fit.variant);
    let start = |loader| {
        let start = Start::of(files, origin(loader));
        let usd = hourly.and_then(|hourly| start.cost(hourly, 1)).map(Usd);
        let usd = usd.map_or_else(String::new, |usd| format!(", {usd}"));
        format!("a start of about {} s{usd}", start.whole())
    };
    let other = match taken {
        Loader::Fuse => Loader::Streamer,
        Loader::Streamer => Loader::Fuse,
    };
    let words = |loader| match loader {
        Loader::Fuse => "fuse",
        Loader::Streamer => "the streamer",
    };
    let why = match (asked, against(other, need, fit)) {
        (true, _) => "loader asks for it".to_owned(),
        (false, Some(why)) => format!("not {}: {why}", words(other)),
        (false, None) => format!("{}: {}", words(other), start(other)),
    };
    format!("{}: {}; {why}", taken.as_str(), start(taken))
}

/// The one line for who serves from the Hub.
fn advice(fuse: Option<Range>, streamer: Option<Range>) -> String {
    let ways = [fuse, streamer].into_iter().flatten();
    let best = ways.min_by(|a, b| a.estimate.total_cmp(&b.estimate));
    best.map_or_else(
        || "hub: this engine cannot load it from a snapshot".to_owned(),
        |best| {
            format!(
                "hub: from an openmodel_cache in the region it would take {:.0} to {:.0} s",
                best.low, best.high
            )
        },
    )
}

/// A snapshot and the way its weights take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) uri: &'a SnapshotUri,
    pub(crate) loader: Loader,
    /// Memory of the instance beside the engine's processes.
    pub(crate) room: Bytes,
}

impl Source<'_> {
    /// What the engine is told its model is.
    pub(crate) fn model(&self, need: &Need, fit: &Fit) -> String {
        match self.loader {
            Loader::Streamer => self.uri.to_string(),
            Loader::Fuse => {
                let folder = format!("{MODELS}/{}", self.uri.folder());
                match model(need, fit).and_then(|model| model.files.first().copied()) {
                    Some(file) => format!("{folder}/{}", file.path),
                    None => folder,
                }
            }
        }
    }

    /// Words that make the engine load so.
    pub(crate) fn arguments<'e>(&self, engine: &'e EngineRow) -> &'e [String] {
        match (self.loader, &engine.streamer) {
            (Loader::Streamer, Some(row)) => &row.arguments,
            _ => &[],
        }
    }

    /// Variables that make the engine load so, and never ask the Hub.
    pub(crate) fn env(&self, engine: &EngineRow) -> Vec<(String, String)> {
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .map(|name| (name.to_owned(), "1".to_owned()));
        let bound = match (self.loader, &engine.streamer) {
            (Loader::Streamer, Some(row)) => {
                Some((row.memory_variable.clone(), self.room.0.to_string()))
            }
            _ => None,
        };
        offline.into_iter().chain(bound).collect()
    }

    /// What is mounted for so many bytes of weights.
    ///
    /// Plain mounts are read page by page, as engines map their files: minutes a gigabyte. Google's way
    /// around it on Cloud Run is a file cache in a volume of memory, filled by parallel downloads
    /// (<https://docs.cloud.google.com/run/docs/configuring/services/gpu-best-practices>); a snapshot
    /// never changes, so what is known of its files stays known
    /// (<https://docs.cloud.google.com/storage/docs/cloud-storage-fuse/performance>). The host is chosen
    /// to hold the weights, so the cache does not take more than there is.
    pub(crate) fn volumes(&self, files: Bytes) -> Vec<Volume> {
        const MIB: u64 = 1 << 20;
        if self.loader == Loader::Streamer {
            return Vec::new();
        }
        let wanted = (files + BESIDE).0.div_ceil(MIB);
        let mib = wanted.min(self.room.0 / MIB);
        let options = [
            "implicit-dirs".to_owned(),
            "metadata-cache-ttl-secs=-1".to_owned(),
            format!("cache-dir=cr-volume:{CACHE}"),
            format!("file-cache-max-size-mb={mib}"),
            "file-cache-enable-parallel-downloads=true".to_owned(),
            "file-cache-cache-file-for-range-read=true".to_owned(),
        ];
        vec![
            Volume {
                name: CACHE.to_owned(),
                mount_path: CACHE_MOUNT.to_owned(),
                source: VolumeSource::Memory {
                    size: Bytes(mib * MIB),
                },
            },
            Volume {
                name: "openmodel-models".to_owned(),
                mount_path: MODELS.to_owned(),
                source: VolumeSource::Bucket {
                    bucket: self.uri.bucket().to_owned(),
                    mount_options: options.into(),
                },
            },
        ]
    }
}

/// The GGUF model that an engine of such models is started with.
fn model<'a>(need: &Need<'a>, fit: &Fit) -> Option<GgufModel<'a>> {
    let asked = need.variants[fit.variant].quantization;
    gguf::served(need.card, asked).filter(|_| gguf::reads(fit.engine))
}

#[cfg(test)]
mod tests;
