//! The schema of `openmodel_endpoint`: what each attribute does, its format, default, and what a
//! change of it costs.

use std::time::Duration;

use tfplug::Diagnostic;
use tfplug::framework::Timeouts;
use tfplug::schema::{
    Attribute, Schema, Validator, at_least, between, conflicts_with, each, length, one_of, regex,
    required_with,
};
use tfplug::value::Type;

use crate::deletion;
use crate::schema_parts::{SECRET_VERSION, checked, labels, model_id, money, no_nulls, snapshot};
use crate::show::performance_attribute;
use crate::{engines, gates, workload};
use openmodel_schemas::name::{EndpointName, Region, Revision};
use openmodel_schemas::spec::{Loader, Objective};

/// How long each operation may take. A create waits until the model is loaded and serves.
pub(crate) const TIMEOUTS: Timeouts = Timeouts::new(&[
    ("create", Duration::from_mins(30)),
    ("update", Duration::from_mins(30)),
    ("delete", Duration::from_mins(20)),
]);

/// The schema.
pub(crate) fn schema() -> Schema {
    Schema::new(
        "An open model, served over an OpenAI-compatible API. The plan chooses the cheapest shape that \
         holds the model under the given load, and shows its memory, its cost and the reasons.",
    )
    .attributes(identity())
    .attributes(model())
    .attributes(cache())
    .attributes(gates::attributes())
    .attributes(serving())
    .attributes(money_and_access())
    .attributes(token())
    .attributes(housekeeping())
    .attributes(results())
}

fn identity() -> [Attribute; 5] {
    [
        Attribute::string("id")
            .computed_prefix("projects/")
            .use_state_for_unknown()
            .description("Full name: `projects/{project}/locations/{region}/services/{name}`."),
        Attribute::string("name")
            .required()
            .requires_replace()
            .validate(checked::<EndpointName>(
                "1 to 48 lower-case letters, digits and `-`, starting with a letter.",
            ))
            .description("Name of the endpoint, unique in project and region."),
        Attribute::string("project")
            .optional()
            .computed()
            .requires_replace()
            .description("Google Cloud project. Default: the provider's."),
        Attribute::string("region")
            .optional()
            .computed()
            .requires_replace()
            .validate(checked::<Region>("A region such as `us-central1`."))
            .description("Google Cloud region. Default: the provider's."),
        Attribute::string("surface")
            .default("cloud_run")
            .requires_replace()
            .validate(one_of(&["cloud_run"]))
            .description("Where the model is served."),
    ]
}

fn model() -> [Attribute; 6] {
    [
        Attribute::string("model").required().validate(model_id()).description(
            "Repository on the Hugging Face Hub, such as `Qwen/Qwen2.5-7B-Instruct`. A change is rolled out \
             as a new revision of the service.",
        ),
        Attribute::string("revision")
            .default("main")
            .validate(checked::<Revision>("A branch, tag or commit."))
            .description(
                "Branch, tag or commit of the repository. When a branch moves upstream, the next plan shows \
                 the new `resolved_revision`; pin a commit to stay. Between a plan and its apply it must not move: \
                 Terraform then refuses the plan as inconsistent, and a new one shows the move.",
            ),
        Attribute::string("resolved_revision")
            .computed()
            .never_null()
            .description("The commit that is served."),
        Attribute::object(
            "workload",
            workload::attributes(),
        )
        .required()
        .description("The load one replica must hold; it decides how much KV cache is needed."),
        Attribute::string("objective")
            .default(Objective::default().as_str())
            .validate(one_of(&Objective::ALL.map(Objective::as_str)))
            .description(
                "What the best shape is the best at: the lowest expected `cost` of a month, the lowest \
                 `cost_per_token` when busy, the shortest time between tokens (`latency`), or the most tokens a \
                 second (`throughput`). The last two may choose far dearer shapes; `budget` bounds them.",
            ),
        Attribute::string("quantization")
            .optional()
            .validate(one_of(&engines::quantizations()))
            .description(
                "Hold the weights in fewer bits than the checkpoint has; made by the engine while loading. `fp8` \
                 halves 16-bit weights, `bitsandbytes` quarters them. `gguf-q4_k_m` and its like make nothing: they \
                 choose the model that is served where the repository keeps several in GGUF files, by their names. \
                 Unset: the checkpoint as it is, which may itself be quantized.",
            ),
    ]
}

fn cache() -> [Attribute; 3] {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    [
        Attribute::string("cache").optional().validate(snapshot()).description(
            "Snapshot in Cloud Storage to serve from: `openmodel_cache.x.id`, or \
             `openmodel_cache.x.uri[\"europe-west4\"]` for the endpoint's region. Replicas then never ask the Hub and \
             have no token of it. Where `revision` is unset, the snapshot's commit is served. The service's account may \
             read the bucket's objects from then on. A change is rolled out as a new revision of the service.",
        ),
        Attribute::string("loader")
            .optional()
            .computed()
            .validate(one_of(&Loader::ALL.map(Loader::as_str)))
            .validate(required_with(&["cache"]))
            .description(
                "How weights come from the snapshot: `fuse` mounts the bucket, `streamer` lets the engine read it in \
                 parallel. Default: the fastest that the engine supports; `load_time.reason` says why.",
            ),
        Attribute::object(
            "load_time",
            [
                text("hub", "From the Hub, such as `25 to 375 s`."),
                text("fuse", "From a mounted bucket of the region; null where the engine cannot."),
                text("streamer", "By the engine's streamer; null where it has none or cannot."),
                text("reason", "Which way is taken, and why; without `cache`, what one would save."),
                text("basis", "How the seconds were estimated."),
            ],
        )
        .computed()
        .never_null()
        .description(
            "Seconds that the weights of a starting replica take to load, by the way they come. Starting container and \
             engine is not in it: `cost.cold_start` is the whole.",
        ),
    ]
}

fn serving() -> [Attribute; 3] {
    [
        Attribute::object(
            "shape",
            [
                Attribute::string("accelerator")
                    .optional()
                    .computed()
                    .description("Accelerator by Cloud Run's name, such as `nvidia-l4`."),
                Attribute::number("accelerator_count")
                    .optional()
                    .computed()
                    .validate(at_least(1))
                    .description("Accelerators of one replica."),
                Attribute::number("cpu").optional().computed().validate(at_least(1)).description("vCPUs."),
                Attribute::number("memory_gib")
                    .optional()
                    .computed()
                    .validate(at_least(1))
                    .description("Host memory. Files the container writes count against it."),
            ],
        )
        .optional()
        .computed()
        .description(
            "Shape of one replica. Unset, or for the parts left unset: the cheapest that holds the load. \
             A part that is set wins, is checked, and is priced beside the recommendation.",
        ),
        Attribute::object(
            "engine",
            [
                Attribute::string("name").optional().computed().validate(one_of(&engines::names(engines::of_endpoints()))).description(
                    "Serving engine. Default: the first that serves the model, `vllm` for most.",
                ),
                Attribute::string("image").optional().computed().validate(length(1, 512)).description(
                    "Container image. Default: the engine's own, at the version the sizing assumes.",
                ),
                Attribute::list_of("args", Type::String)
                    .optional()
                    .validate(no_nulls())
                    .description("Arguments added after the generated ones; the engine takes the last of two."),
                Attribute::map_of("env", Type::String)
                    .optional()
                    .validate(no_nulls())
                    .description("Environment variables. Not for secrets: they are stored in the state."),
            ],
        )
        .optional()
        .computed()
        .description("The server that runs the model."),
        Attribute::object(
            "scaling",
            [
                Attribute::number("min_replicas").optional().computed().validate(between(0, 1000)).description(
                    "Replicas kept without traffic. Default: 0, which costs nothing and starts cold.",
                ),
                Attribute::number("max_replicas")
                    .optional()
                    .computed()
                    .validate(between(1, 1000))
                    .description("Most replicas; bounds the cost. Default: 1, or `min_replicas` where that is more."),
            ],
        )
        .optional()
        .computed()
        .description("How many replicas there may be."),
    ]
}

fn money_and_access() -> [Attribute; 2] {
    [
        Attribute::object(
            "access",
            [
                Attribute::bool("public").optional().computed().description(
                    "Let everyone call the endpoint without credentials. Default: `false`.",
                ),
                Attribute::set_of("invokers", Type::String).optional().computed().validate(no_nulls())
                    .validate(each(member())).description(
                    "IAM members that may call it, such as `serviceAccount:app@acme-ml.iam.gserviceaccount.com`.",
                ),
            ],
        )
        .optional()
        .computed()
        .description("Who may call the endpoint. Exactly these hold `roles/run.invoker` on the service."),
        Attribute::object(
            "budget",
            [
                Attribute::string("max_hourly_cost")
                    .optional()
                    .validate(money())
                    .description("Limit of the cost per hour at `max_replicas`, in US dollars, such as `\"2.50\"`."),
                Attribute::string("max_monthly_cost")
                    .optional()
                    .validate(money())
                    .description("Limit of 730 hours at `max_replicas`, in US dollars, such as `\"900.00\"`."),
            ],
        )
        .optional()
        .description("Limits of cost, gross of credits and discounts. A breach is an error of the plan."),
    ]
}

fn token() -> [Attribute; 3] {
    [
        Attribute::string("hugging_face_token_wo")
            .optional()
            .write_only()
            .sensitive()
            .validate(conflicts_with(&["hugging_face_token_secret", "cache"]))
            .validate(required_with(&["hugging_face_token_wo_version"]))
            .description(
                "Hub token with which the container downloads a gated or private model. It is put into a \
                 Secret Manager secret of the endpoint, and is never in plan or state.",
            ),
        Attribute::number("hugging_face_token_wo_version")
            .optional()
            .validate(at_least(1))
            .validate(required_with(&["hugging_face_token_wo"]))
            .description("Raise it to store a new value of `hugging_face_token_wo`."),
        Attribute::string("hugging_face_token_secret")
            .optional()
            .validate(conflicts_with(&["cache"]))
            .validate(regex(SECRET_VERSION, "have the form `projects/{project}/secrets/{secret}/versions/{version}`"))
            .description(
                "A Secret Manager secret version of yours that holds the token; the service's account must be \
                 allowed to read it.",
            ),
    ]
}

fn housekeeping() -> [Attribute; 3] {
    [
        Attribute::map_of("labels", Type::String)
            .optional()
            .validate(labels())
            .description("Labels. Those set on the service by others are left alone."),
        deletion::attribute(
            "What `terraform destroy` does: `DELETE` the endpoint, `PREVENT` the plan, or `ABANDON` it: \
             forget it and let it run and cost.",
        ),
        TIMEOUTS.attribute(),
    ]
}

fn results() -> [Attribute; 8] {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    [
        Attribute::string("url")
            .computed_prefix("http")
            .use_non_null_state_for_unknown()
            .description("Base URL of the endpoint."),
        Attribute::string("openai_base_url")
            .computed_prefix("http")
            .use_non_null_state_for_unknown()
            .description("`base_url` for OpenAI clients: the URL with `/v1`."),
        text("status", "`ready`, `provisioning`, `failed`, or `drifted` where something without an attribute of its own was changed by others. Any but `ready` is mended by the next apply.").never_null(),
        Attribute::object(
            "memory",
            [
                text(
                    "usable_gib",
                    "What the engine sees of one accelerator, below its nominal size.",
                ),
                text("weights_gib", "The weights as loaded."),
                text("kv_cache_gib", "The KV cache the workload needs."),
                text("activations_gib", "Peak activations."),
                text(
                    "overhead_gib",
                    "CUDA context and graphs, allocator, runtime.",
                ),
                text("headroom_gib", "What is left."),
                Attribute::number("kv_capacity_tokens")
                    .computed()
                    .description(
                        "Tokens the KV cache can hold once the engine has taken its share.",
                    ),
                text("basis", "How the figures were made."),
            ],
        )
        .computed()
        .never_null()
        .description("Accelerator memory of one replica, in GiB with two decimals."),
        performance_attribute(),
        Attribute::object(
            "cost",
            [
                text("currency", "ISO code."),
                text(
                    "hourly",
                    "One replica for an hour; null where no price is known.",
                ),
                text(
                    "monthly_min",
                    "730 hours at `min_replicas`: the cost without traffic.",
                ),
                text(
                    "monthly_expected",
                    "730 hours of the replicas that `requests_per_second` needs; of one where that is unset. It counts \
                     `starts_per_month` like the others.",
                ),
                text("monthly_max", "730 hours at `max_replicas`."),
                text(
                    "per_million_output_tokens",
                    "A million answer tokens when a replica is busy, their prompts included.",
                ),
                text(
                    "per_million_input_tokens",
                    "The same cost, by a million prompt tokens: not to be added to the other.",
                ),
                text("price_date", "Day the prices were read."),
                Attribute::list_of("lines", Type::String)
                    .computed()
                    .description("The parts of the hourly cost, each with its unit price and where that stands."),
                Attribute::object(
                    "marginal",
                    [
                        text("monthly_min", "What `monthly_min` adds to the bill."),
                        text("monthly_expected", "What `monthly_expected` adds to it."),
                        text("monthly_max", "What `monthly_max` adds to it."),
                        Attribute::list_of("lines", Type::String)
                            .computed()
                            .description("What each term takes off an hour of the expected replicas."),
                    ],
                )
                .computed()
                .description("The cost less what the provider's `discounts` take off; null without them."),
                text(
                    "cold_start",
                    "How long a replica takes from nothing to its first answer, and what that time costs: \
                     `36 to 495 s, $0.0387 at 133 s`.",
                ),
            ],
        )
        .computed()
        .never_null()
        .description("Gross cost in US dollars, as decimal text; null where a price or speed is not known. It is frozen until an input changes."),
        Attribute::object(
            "recommendation",
            [
                text("chosen", "The recommended shape."),
                text("reason", "Why."),
                Attribute::map_of("runners_up", Type::String)
                    .computed()
                    .description("Shapes that hold the load too, each with reason code, reason and price."),
                Attribute::map_of("rejected", Type::String)
                    .computed()
                    .description("Shapes that do not, each with reason code (such as `too_small`), reason and price."),
            ],
        )
        .computed()
        .never_null()
        .description("The choice of shape, explained."),
        Attribute::map_of("effective_labels", Type::String)
            .computed()
            .never_null()
            .description("`labels` with the provider's `default_labels` under them."),
    ]
}

/// An IAM member; everyone has an attribute of its own.
fn member() -> Validator {
    Validator::new(
        "An IAM member such as `user:jane@example.com`.",
        |args, found| {
            let Some(member) = args.value.as_str() else {
                return;
            };
            if member == "allUsers" {
                found.push(Diagnostic::error("Everyone is not an invoker").at(args.path.clone()).detail(
                "`allUsers` makes the endpoint public. Set access.public = true instead.",
            ));
            } else if member != "allAuthenticatedUsers" && !member.contains(':') {
                found.push(Diagnostic::error("Not an IAM member").at(args.path.clone()).detail(format!(
                "{member:?} has no type. Write it as user:…, group:…, serviceAccount:… or domain:….",
            )));
            }
        },
    )
}
