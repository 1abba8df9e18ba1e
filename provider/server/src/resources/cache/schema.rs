//! The schema of `openmodel_cache`: what each attribute does, its format, default, and what a change of
//! it costs.

use std::time::Duration;

use openmodel_resolve::caching::engine::Engine;
use openmodel_schemas::name::{CommitSha, ProjectId, Region, Revision, Zone};
use openmodel_schemas::snapshot::RepositoryType;
use tfplug::framework::Timeouts;
use tfplug::schema::{
    Attribute, Schema, at_least, between, conflicts_with, each, item_count, length, one_of, regex,
};
use tfplug::value::Type;

use super::engine::BUILD;
use crate::deletion;
use crate::gates;
use crate::schema_parts::{SECRET_VERSION, checked, labels, model_id, no_nulls};

/// How long each operation may take. A create moves all files; a delete waits for Anywhere Caches, which go
/// an hour after they were told to.
pub(crate) const TIMEOUTS: Timeouts = Timeouts::new(&[
    ("create", Duration::from_hours(4)),
    ("update", Duration::from_hours(4)),
    ("delete", Duration::from_hours(2)),
]);

/// Cloud Storage's rule of names, without those that are domains.
const BUCKET: &str = r"^[a-z0-9][a-z0-9_.-]{1,220}[a-z0-9]$";

const KMS_KEY: &str = r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$";

/// The schema.
pub(crate) fn schema() -> Schema {
    Schema::new(
        "A repository of the Hugging Face Hub, mirrored into Cloud Storage at one commit: fetched once, verified \
         against the Hub's digests, and kept in every region that serves. `openmodel_endpoint.cache` serves from it.",
    )
    .attributes(repository())
    .attributes(place())
    .attributes(moving())
    .attributes(gates::attributes())
    .attributes(housekeeping())
    .attributes(results())
    .attributes(figures())
}

fn repository() -> [Attribute; 8] {
    [
        Attribute::string("id").computed_prefix("gs://").description(
            "Address of the snapshot in its first place: `gs://{bucket}/[{prefix}/]models/{repository}/{commit}`. What \
             `openmodel_endpoint.cache` takes.",
        ),
        Attribute::string("repository")
            .required()
            .requires_replace()
            .validate(model_id())
            .description("Repository on the Hub, such as `Qwen/Qwen2.5-7B-Instruct`. Adapters are repositories too."),
        Attribute::string("repository_type")
            .default(RepositoryType::default().as_str())
            .requires_replace()
            .validate(one_of(&RepositoryType::ALL.map(RepositoryType::as_str)))
            .description("What the repository is."),
        Attribute::string("revision")
            .default("main")
            .validate(checked::<Revision>("A branch, tag or commit."))
            .description(
                "Branch, tag or commit. Between a plan that looks a branch up and its apply it must not move: Terraform \
                 then refuses the plan as inconsistent, and a new one shows the move.",
            ),
        Attribute::string("resolved_revision")
            .computed()
            .never_null()
            .description("The commit that is kept."),
        Attribute::string("tracking")
            .default("pinned")
            .validate(one_of(&["pinned", "follow"]))
            .description(
                "What happens when a branch moves: `pinned` keeps the commit that was found first, until `revision` \
                 changes or the cache is replaced; with `follow` the next plan shows the new commit and the files that \
                 differ, and the apply moves those alone.",
            ),
        patterns(
            "include",
            "Files that are kept, such as `*.safetensors` or `original/`. Unset: those that serve; of a dataset \
             or a space, all. Where a model's weights are there as safetensors, that leaves out other formats, \
             `original/` and `consolidated` copies; `left_out` says how many bytes that saves.",
        ),
        patterns("exclude", "Files that are left out, whatever else says."),
    ]
}

fn patterns(name: &str, description: &str) -> Attribute {
    Attribute::list_of(name, Type::String)
        .optional()
        .validate(item_count(1, 100))
        .validate(no_nulls())
        .validate(each(length(1, 256)))
        .description(description)
}

fn place() -> [Attribute; 8] {
    [
        Attribute::string("project")
            .optional()
            .computed()
            .requires_replace()
            .validate(checked::<ProjectId>("A project id."))
            .description("Google Cloud project of the buckets that are made. Default: the provider's."),
        Attribute::string("bucket")
            .optional()
            .requires_replace()
            .validate(regex(BUCKET, "be the name of a bucket, without `gs://`"))
            .description(
                "A bucket of yours for the first place; it is never deleted. Unset: `openmodel-{project}-{location}`, \
                 shared by the caches of the project in that place. It is made with uniform access, public access \
                 prevention and soft delete, and goes when nothing is in it any more.",
            ),
        Attribute::string("prefix")
            .default("")
            .requires_replace()
            .validate(regex(
                r"^([A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*)?$",
                "be a path of letters, digits, `_`, `.` and `-`, without slashes at its ends",
            ))
            .description("What stands before the repository's folder."),
        Attribute::string("location")
            .optional()
            .computed()
            .requires_replace()
            .description(
                "First place: a region, a dual-region such as `nam4`, or a multi-region (`us`, `eu`, `asia`). Default: \
                 the place of `bucket`, else the provider's region.",
            ),
        Attribute::set_of("regions", Type::String)
            .optional()
            .validate(no_nulls())
            .validate(each(checked::<Region>("A region such as `europe-west4`.")))
            .description(
                "Further regions, each with a bucket that is made. The files are copied there inside Cloud Storage.",
            ),
        Attribute::string("storage_class")
            .optional()
            .requires_replace()
            .validate(one_of(&["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"]))
            .description(
                "Class of the objects. Default: `STANDARD` in buckets that are made, in yours the bucket's own. The \
                 others cost more the more often a replica starts.",
            ),
        Attribute::string("kms_key")
            .optional()
            .requires_replace()
            .validate(regex(
                KMS_KEY,
                "have the form `projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{key}`",
            ))
            .validate(conflicts_with(&["regions", "bucket"]))
            .description(
                "Key (CMEK) of the bucket that is made, in its location. Cloud Storage's service agent must be allowed \
                 to use it. Keys lie in one location, so further `regions` cannot have it.",
            ),
        Attribute::object(
            "anywhere_cache",
            [
                Attribute::set_of("zones", Type::String)
                    .required()
                    .validate(item_count(1, 20))
                    .validate(no_nulls())
                    .validate(each(checked::<Zone>("A zone such as `us-central1-a`.")))
                    .description("Zones of the accelerators, each in a place of the cache."),
                Attribute::number("ttl_hours")
                    .default(24)
                    .validate(between(1, 168))
                    .description("Hours that an object stays which nobody reads."),
                Attribute::string("admission_policy")
                    .default("admit-on-first-miss")
                    .validate(one_of(&["admit-on-first-miss", "admit-on-second-miss"]))
                    .description("Which read brings an object into the cache."),
            ],
        )
        .optional()
        .description(
            "Anywhere Cache: an SSD cache of the bucket in a zone. It is of the whole bucket, so it goes once no cache \
             in the bucket asks for it; Google takes about an hour for that.",
        ),
    ]
}

fn moving() -> [Attribute; 1] {
    let [engine, image, tasks, account, token, reason] = engine();
    [Attribute::object(
        "transfer",
        [
            Attribute::number("parallelism")
                .optional()
                .computed()
                .validate(between(1, 64))
                .description(
                    "Files in flight at once, in each task of a job; of those up to 256 KiB four in the place of one. \
                     Each holds some MiB of memory at most, whatever the size of the file. Default: 8.",
                ),
            Attribute::number("max_bandwidth_mib")
                .optional()
                .validate(at_least(1))
                .description(
                    "Most MiB a second, of all files. Unset: no limit. Not with `storage_transfer`, which has none.",
                ),
            engine,
            image,
            tasks,
            account,
            token,
            reason,
        ],
    )
    .optional()
    .computed()
    .description(
        "How files are moved, in streams that touch no disk. What another snapshot of the repository has in one of the \
         buckets is copied inside Cloud Storage.",
    )]
}

fn engine() -> [Attribute; 6] {
    [
        Attribute::string("engine")
            .optional()
            .computed()
            .never_null()
            .validate(one_of(&Engine::ALL.map(Engine::as_str)))
            .description(
                "Who moves them: `local`, the machine that runs Terraform; `cloud_run_job`, tasks of a Cloud Run job \
                 beside the bucket, which the provider starts, awaits, verifies and deletes; `storage_transfer`, \
                 Storage Transfer Service, which needs no image, reads only what is public on the Hub, and knows no \
                 SHA-256: the provider lets its agent write to the bucket, and reads each file back once to verify it. \
                 Default: `local` up to 84 GiB, which a line of 1 Gbit/s carries in a quarter of an hour; above that \
                 the job, if `image` is set. `cost` does not count the vCPU seconds of a job, nor the traffic of \
                 reading back.",
            ),
        Attribute::string("image")
            .optional()
            .validate(length(1, 512))
            .description(format!(
                "Image of the job. It and the other settings of a job are refused where no job can run. {BUILD}"
            )),
        Attribute::number("tasks")
            .optional()
            .computed()
            .validate(between(1, 1000))
            .description(
                "Tasks of the job, which share the files. A failed one alone is started again. Default: one for each 32 \
                 GiB, at most 64, and no more than there are files. The Hub's limit of requests counts all of them \
                 together.",
            ),
        Attribute::string("service_account")
            .optional()
            .validate(regex(r"^[^@\s]+@[^@\s]+$", "be the e-mail of a service account"))
            .description(
                "Account that the job runs as. It must hold `roles/storage.objectUser` on the bucket. Default: the \
                 project's default compute account.",
            ),
        Attribute::string("hugging_face_token_secret")
            .optional()
            .validate(regex(
                SECRET_VERSION,
                "have the form `projects/{project}/secrets/{secret}/versions/{version}`",
            ))
            .description(
                "A Secret Manager secret version that holds the Hub token of the job, for gated and private \
                 repositories; the job's account must be allowed to read it \
                 (`roles/secretmanager.secretAccessor`). The provider's own token never goes into a job.",
            ),
        Attribute::string("reason")
            .computed()
            .never_null()
            .description("Why this engine."),
    ]
}

fn housekeeping() -> [Attribute; 4] {
    [
        Attribute::number("retention")
            .default(1)
            .validate(between(0, 100))
            .description(
                "Earlier snapshots that stay beside the newest, in each place. With 0 an endpoint that still serves the \
                 earlier one loses its files before it is brought to the new one.",
            ),
        Attribute::map_of("labels", Type::String)
            .optional()
            .validate(labels())
            .description("Labels of the buckets that are made; those of a bucket that is there stay as they are."),
        deletion::attribute(
            "What `terraform destroy` does: `DELETE` what the manifests list, `PREVENT` the plan, or `ABANDON` \
             them: forget them and let them cost.",
        ),
        TIMEOUTS.attribute(),
    ]
}

fn results() -> [Attribute; 12] {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    let number = |name: &str, text: &str| {
        Attribute::number(name)
            .computed()
            .never_null()
            .description(text)
    };
    [
        Attribute::map_of("uri", Type::String)
            .computed()
            .never_null()
            .description("Address of the snapshot by its place, such as `uri[\"europe-west4\"]`."),
        number("files", "Files that are kept."),
        number("bytes", "Bytes of them."),
        text("left_out", "Files that are not kept, their size, and why."),
        text(
            "manifest_digest",
            "SHA-256 over digest, size and path of each file: equal where two snapshots are.",
        )
        .never_null(),
        text("license", "Licence as the repository's card states it; null where it states none."),
        text("scan_status", "What the Hub's scanners say of the repository: `safe`, `unsafe`, `pending` or `unknown`."),
        Attribute::list_of("drift", Type::String)
            .computed()
            .never_null()
            .description(
                "Files that are missing or altered, by the last look. The next apply fetches those alone again.",
            ),
        Attribute::list_of("foreign_objects", Type::String)
            .computed()
            .never_null()
            .description("Objects in the snapshot's folder that no manifest lists. They are left alone, and warned of."),
        Attribute::list_of("snapshots", Type::String)
            .computed()
            .never_null()
            .description("Addresses of all snapshots of this cache, the earlier ones that are retained included."),
        Attribute::object(
            "last_change",
            [
                text("from", "The commit before."),
                text("to", "The commit after."),
                Attribute::list_of("files", Type::String)
                    .computed()
                    .description("Files that differ: `+` new, `~` changed, `-` gone."),
            ],
        )
        .computed()
        .description("The last move to another commit; null before there was one."),
        Attribute::map_of("effective_labels", Type::String)
            .computed()
            .never_null()
            .description("`labels` with the provider's `default_labels` under them."),
    ]
}

fn figures() -> [Attribute; 2] {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    let way = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    [
        Attribute::object(
            "cost",
            [
                text("currency", "ISO code."),
                text("monthly", "A month of storage in all places; null where a price is not known."),
                text("monthly_known", "The parts of it whose prices are known: it costs at least this."),
                text("one_time", "Moving the files there, once; null where a price is not known."),
                text("one_time_known", "The parts of it whose prices are known."),
                Attribute::map_of("monthly_by_place", Type::String)
                    .computed()
                    .description("A month of storage in each place; unknown prices are left out."),
                text("anywhere_cache_monthly", "Anywhere Cache while it holds all files; null without it."),
                text("price_date", "When the oldest of the prices was read: a day, or the year where its source says no more."),
                text("basis", "What is counted, and what is not."),
                Attribute::list_of("lines", Type::String)
                    .computed()
                    .description("The parts, each with its unit price and where that stands."),
            ],
        )
        .computed()
        .never_null()
        .description("Gross cost in US dollars, as decimal text. It is frozen until an input changes."),
        Attribute::object(
            "load_time",
            [
                way("hub", "From the Hub, without the cache."),
                way("fuse", "From the bucket, mounted."),
                way("streamer", "From the bucket, by the engine's streamer."),
                way("anywhere_cache", "From Anywhere Cache, once it is filled."),
                way("hyperdisk_ml", "From a Hyperdisk ML volume."),
                way("local_ssd", "From the machine's own SSDs."),
                Attribute::map_of("basis", Type::String)
                    .computed()
                    .description("What each estimate rests on."),
            ],
        )
        .computed()
        .never_null()
        .description("Seconds until an engine has read the files, each way: `25 to 375 s`; null where nobody knows."),
    ]
}

/// A commit as a configuration writes it.
pub(crate) fn is_commit(text: &str) -> bool {
    text.parse::<CommitSha>().is_ok()
}
