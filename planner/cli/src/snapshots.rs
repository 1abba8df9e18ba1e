//! `openmodel snapshots`: what lies in Cloud Storage, what it costs, and what of it no Terraform state has.
//!
//! ```text
//!   buckets that openmodel made in a project, or one that is named ─► inventory ─┬─► list
//!                                                      states ─► addresses ──────┴─► orphans
//! ```

mod show;
mod state;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use openmodel_cloud::Transport;
use openmodel_cloud::google::MANAGED_LABEL;
use openmodel_cloud::google::anywhere::{AnywhereCache, AnywherePage, list_caches};
use openmodel_cloud::google::buckets::{Bucket, BucketPage, get_bucket, list_buckets};
use openmodel_resolve::Catalog;
use openmodel_resolve::caching::{CacheLoad, Origin, Place, cache_cost};
use openmodel_schemas::quantity::Usd;
use openmodel_transfer::inventory::{Found, inventory};
use tokio::time::Instant;

use crate::hub;

/// How the buckets are called that openmodel makes.
const MADE: &str = "openmodel-";

/// Bound of one request.
const REQUEST: Duration = Duration::from_mins(1);

/// Where the default project stands, the first that is set.
const PROJECT: [&str; 3] = ["GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"];

/// Snapshots of models in Cloud Storage: what there is, what it costs a month, and what nobody manages
#[derive(Debug, Clone, Subcommand)]
pub enum Snapshots {
    /// List snapshots, unfinished ones and Anywhere Caches, with what they cost
    List {
        /// Where to look.
        #[command(flatten)]
        place: Where,
    },
    /// List those that no Terraform state has, with the command that imports or removes each
    #[command(
        override_usage = "openmodel snapshots orphans [OPTIONS] [gs://BUCKET[/PREFIX]] --state <FILE>..."
    )]
    Orphans {
        /// Where to look.
        #[command(flatten)]
        place: Where,
        /// A state: what `terraform show -json` prints, or a .tfstate file; all that may have snapshots must be given
        #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
        state: Vec<PathBuf>,
    },
}

/// Where to look.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Environment: GOOGLE_PROJECT, GOOGLE_CLOUD_PROJECT (default of --project), \
                        GOOGLE_APPLICATION_CREDENTIALS, OPENMODEL_SANDBOX"
)]
pub struct Where {
    /// One bucket, or a folder in it [default: all buckets that openmodel made in the project]
    #[arg(value_name = "gs://BUCKET[/PREFIX]", value_parser = bucket)]
    pub bucket: Option<(String, String)>,
    /// The project [default: the environment's]
    #[arg(long, value_name = "PROJECT", conflicts_with = "bucket")]
    pub project: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A bucket, and what lies in it.
pub(crate) struct Kept {
    pub(crate) bucket: Bucket,
    pub(crate) snapshots: Vec<Priced>,
    /// `None`: they cannot be listed; why was said.
    pub(crate) anywhere_caches: Option<Vec<AnywhereCache>>,
}

/// A snapshot with its price.
pub(crate) struct Priced {
    pub(crate) found: Found,
    /// A month of storage; `None` where no price is known.
    pub(crate) monthly: Option<Usd>,
}

/// Look, and print what is there on the standard output.
///
/// # Errors
/// What cannot be listed, by name; a state that is none.
pub async fn run(asked: &Snapshots) -> Result<()> {
    let (Snapshots::List { place } | Snapshots::Orphans { place, .. }) = asked;
    // Before anything is asked: a wrong file must not cost a listing.
    let managed = match asked {
        Snapshots::List { .. } => None,
        Snapshots::Orphans { state, .. } => Some(state::snapshots(state)?),
    };
    let transport = hub::transport_of_environment()?;
    let mut kept = look(&transport, place).await?;
    if let Some(managed) = &managed {
        for bucket in &mut kept {
            bucket
                .snapshots
                .retain(|one| !managed.contains(&one.found.uri));
        }
    }
    let catalog = Catalog::embedded();
    let text = match (place.json, managed.is_some()) {
        (true, orphans) => show::json(&kept, orphans, catalog.date())?,
        (false, true) => show::orphans(&kept, catalog.date()),
        (false, false) => show::list(&kept, catalog.date()),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

async fn look(transport: &Transport, place: &Where) -> Result<Vec<Kept>> {
    let (buckets, prefix) = match &place.bucket {
        Some((name, prefix)) => {
            let request = get_bucket(name);
            let bucket = transport.json(&request, soon()).await;
            let bucket = bucket.map_err(|error| anyhow!("gs://{name} cannot be read: {error}"))?;
            (vec![bucket], prefix.as_str())
        }
        None => (made(transport, &project(place)?).await?, ""),
    };
    let mut kept = Vec::new();
    for bucket in buckets {
        let name = &bucket.name;
        let found = inventory(transport, name, prefix).await;
        let found = found.map_err(|error| anyhow!("gs://{name} cannot be listed: {error}"))?;
        let snapshots = found.into_iter().map(|found| Priced {
            monthly: monthly(&found, &bucket.location),
            found,
        });
        kept.push(Kept {
            snapshots: snapshots.collect(),
            anywhere_caches: anywhere_caches(transport, name).await,
            bucket,
        });
    }
    Ok(kept)
}

/// The buckets that openmodel made in a project.
async fn made(transport: &Transport, project: &str) -> Result<Vec<Bucket>> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let request = list_buckets(project, MADE, &token);
        let page: Result<BucketPage, _> = transport.json(&request, soon()).await;
        let page = page.map_err(|error| {
            anyhow!("the buckets of project {project} cannot be listed: {error}")
        })?;
        let ours =
            |bucket: &Bucket| bucket.labels.get(MANAGED_LABEL).map(String::as_str) == Some("true");
        all.extend(page.items.into_iter().filter(ours));
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        token = page.next_page_token;
    }
}

/// What cannot be listed hides no snapshot: it is said, and left out.
async fn anywhere_caches(transport: &Transport, bucket: &str) -> Option<Vec<AnywhereCache>> {
    let page = transport.json(&list_caches(bucket), soon()).await;
    match page {
        Ok(AnywherePage { items }) => Some(items),
        Err(error) => {
            // Nobody may be reading the standard error.
            let _ = writeln!(
                io::stderr(),
                "warning: Anywhere Caches of gs://{bucket} are not known: {error}"
            );
            None
        }
    }
}

/// A month of storage, as it lies there.
fn monthly(found: &Found, location: &str) -> Option<Usd> {
    let mut sum = Usd::default();
    for (class, bytes) in &found.bytes {
        let load = CacheLoad {
            bytes: *bytes,
            places: vec![Place {
                location: location.to_owned(),
                storage_class: class.clone(),
                earlier: Vec::new(),
            }],
            anywhere_cache: None,
            from: Origin::Hub,
        };
        sum.0 += cache_cost(Catalog::embedded(), &load).monthly?.0;
    }
    Some(sum)
}

fn project(place: &Where) -> Result<String> {
    let variable = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let project = place.project.clone();
    let project = project.or_else(|| PROJECT.iter().find_map(variable));
    project.context(
        "no project is known: set --project or GOOGLE_CLOUD_PROJECT, or name a bucket as gs://BUCKET",
    )
}

fn bucket(text: &str) -> Result<(String, String)> {
    let Some(rest) = text.strip_prefix("gs://") else {
        bail!("a bucket is expected, such as gs://acme-models/llms");
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        bail!("a bucket is expected, such as gs://acme-models/llms");
    }
    Ok((bucket.to_owned(), prefix.trim_matches('/').to_owned()))
}

fn soon() -> Instant {
    Instant::now() + REQUEST
}
