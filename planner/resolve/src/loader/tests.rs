//! Which way is taken from a snapshot, and what the container is given for it.

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::Placement;
use openmodel_schemas::repository::RepoFile;
use openmodel_schemas::spec::{CacheBinding, EndpointSpec, Loader, Quantization};

use crate::error::ResolveError;
use crate::{Field, place, testing};

fn with_files(card: ModelCard, paths: &[&str]) -> ModelCard {
    let file = |path: &&str| RepoFile {
        path: (*path).to_owned(),
        size: Bytes(1),
        sha256: None,
        git_oid: String::new(),
    };
    ModelCard {
        files: paths.iter().map(file).collect(),
        ..card
    }
}

fn llama() -> ModelCard {
    with_files(
        testing::llama_8b(),
        &["config.json", "model.safetensors", "tokenizer.json"],
    )
}

fn cached(card: &ModelCard, loader: Option<Loader>) -> EndpointSpec {
    let uri = format!("gs://acme/cache/models/{}/{}", card.id, testing::COMMIT);
    EndpointSpec {
        cache: Some(CacheBinding {
            uri: uri.parse().expect("a snapshot"),
            loader,
        }),
        ..testing::spec(card, 8192, 8)
    }
}

fn placed(spec: &EndpointSpec, card: &ModelCard) -> Result<Placement, ResolveError> {
    place(spec, card, None, testing::catalog())
}

/// What a user would see of it.
fn picture(spec: &EndpointSpec, card: &ModelCard) -> String {
    let placement = placed(spec, card).expect("it fits");
    let Placement {
        serving,
        load_time,
        loading,
        cost,
        ..
    } = placement;
    let volumes: Vec<String> = serving
        .volumes
        .iter()
        .map(|volume| format!("{} {:?}", volume.mount_path, volume.source))
        .collect();
    let env: Vec<String> = serving
        .env
        .iter()
        .filter(|(name, _)| name.contains("OFFLINE") || name.contains("STREAMER"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "{}\n{}\n{}\n{}\n{:?}\n{}\ncold start {:.0} to {:.0} s",
        serving.args.join(" "),
        env.join(" "),
        volumes.join("\n"),
        load_time.reason,
        loading.map(|loading| loading.files),
        load_time.basis,
        cost.cold_start
            .as_ref()
            .map_or(0.0, |start| start.seconds.low),
        cost.cold_start
            .as_ref()
            .map_or(0.0, |start| start.seconds.high),
    )
}

#[test]
fn the_engines_streamer_is_taken_where_it_has_one() {
    insta::assert_snapshot!(picture(&cached(&llama(), None), &llama()), @r#"
    --model gs://acme/cache/models/meta-llama/Llama-3.1-8B-Instruct/0e9e39f249a16976918f6564b8830bc894c89659 --served-model-name meta-llama/Llama-3.1-8B-Instruct --port 8000 --max-model-len 8192 --max-num-seqs 8 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92 --load-format runai_streamer
    HF_HUB_OFFLINE=1 RUNAI_STREAMER_MEMORY_LIMIT=20401094656 TRANSFORMERS_OFFLINE=1

    streamer: a start of about 60 s, $0.02; fuse: a start of about 75 s, $0.03
    Some(["config.json", "model.safetensors", "tokenizer.json"])
    14.96 GiB of weights from the Hub at 0.04 to 0.6 GB/s, a mounted bucket at 0.1 to 1.6 GB/s, the streamer at 0.3 to 1.6 GB/s
    cold start 21 to 171 s
    "#);
}

#[test]
fn a_mounted_bucket_is_cached_in_the_memory_that_is_left() {
    insta::assert_snapshot!(picture(&cached(&llama(), Some(Loader::Fuse)), &llama()), @r#"
    --model /mnt/models/cache/models/meta-llama/Llama-3.1-8B-Instruct/0e9e39f249a16976918f6564b8830bc894c89659 --served-model-name meta-llama/Llama-3.1-8B-Instruct --port 8000 --max-model-len 8192 --max-num-seqs 8 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92
    HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
    /mnt/models-cache Memory { size: Bytes(16329474048) }
    /mnt/models Bucket { bucket: "acme", mount_options: ["implicit-dirs", "metadata-cache-ttl-secs=-1", "cache-dir=cr-volume:openmodel-cache", "file-cache-max-size-mb=15573", "file-cache-enable-parallel-downloads=true", "file-cache-cache-file-for-range-read=true"] }
    fuse: a start of about 75 s, $0.03; loader asks for it
    Some(["config.json", "model.safetensors", "tokenizer.json"])
    14.96 GiB of weights from the Hub at 0.04 to 0.6 GB/s, a mounted bucket at 0.1 to 1.6 GB/s, the streamer at 0.3 to 1.6 GB/s
    cold start 21 to 270 s
    "#);
}

#[test]
fn without_a_snapshot_all_is_as_it_was_and_a_line_says_what_one_saves() {
    insta::assert_snapshot!(picture(&testing::spec(&llama(), 8192, 8), &llama()), @"
    --model meta-llama/Llama-3.1-8B-Instruct --revision 0e9e39f249a16976918f6564b8830bc894c89659 --served-model-name meta-llama/Llama-3.1-8B-Instruct --port 8000 --max-model-len 8192 --max-num-seqs 8 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92


    hub: from an openmodel_cache in the region it would take 10 to 51 s
    None
    14.96 GiB of weights from the Hub at 0.04 to 0.6 GB/s, a mounted bucket at 0.1 to 1.6 GB/s, the streamer at 0.3 to 1.6 GB/s
    cold start 38 to 522 s
    ");
}

#[test]
fn what_the_streamer_cannot_read_is_mounted() {
    let mut spec = cached(&llama(), None);
    spec.quantization = Some(Quantization::Bnb4);
    let pickles = with_files(llama(), &["config.json", "pytorch_model.bin"]);
    let mut sglang = cached(&llama(), None);
    sglang.engine.name = Some("sglang".to_owned());
    let reason = |spec: &EndpointSpec, card: &ModelCard| {
        let placement = placed(spec, card).expect("it fits");
        placement.load_time.reason
    };
    insta::assert_snapshot!([
        reason(&spec, &llama()),
        reason(&cached(&pickles, None), &pickles),
        reason(&sglang, &llama()),
    ].join("\n"), @"
    fuse: a start of about 75 s, $0.03; not the streamer: bitsandbytes weights have a loader of their own
    fuse: a start of about 75 s, $0.03; not the streamer: it reads safetensors, and meta-llama/Llama-3.1-8B-Instruct has none
    fuse: a start of about 75 s, $0.03; not the streamer: sglang has none, or its image is not known to hold it
    ");
}

#[track_caller]
fn check_refused(spec: &EndpointSpec, card: &ModelCard, field: Field, words: &str) {
    let error = placed(spec, card).expect_err("it should be refused");
    assert_eq!(error.field, field, "{error}");
    assert!(error.detail.contains(words), "{error}");
}

#[test]
fn a_loader_that_cannot_serve_is_refused_with_the_reason() {
    let mut spec = cached(&llama(), Some(Loader::Streamer));
    spec.quantization = Some(Quantization::Bnb4);
    check_refused(&spec, &llama(), Field::Loader, "a loader of their own");
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    let of = |uri: &str| {
        let mut spec = cached(&llama(), None);
        if let Some(cache) = &mut spec.cache {
            cache.uri = uri.parse().expect("a snapshot");
        }
        spec
    };
    let commit = testing::COMMIT;
    let other = commit.replace('0', "1");
    let model = "meta-llama/Llama-3.1-8B-Instruct";
    for (uri, words) in [
        (format!("gs://a/datasets/{model}/{commit}"), "of a dataset"),
        (
            format!("gs://a/models/Qwen/Qwen3-8B/{commit}"),
            "of Qwen/Qwen3-8B",
        ),
        (format!("gs://a/models/{model}/{other}"), other.as_str()),
        (format!("gs://a/models/{model}/{other}"), commit),
    ] {
        check_refused(&of(&uri), &llama(), Field::Cache, words);
    }
}

#[test]
fn a_gated_model_needs_no_token_where_a_snapshot_is_served() {
    let mut card = llama();
    card.gating = openmodel_schemas::repository::Gating::Manual;
    assert!(placed(&testing::spec(&card, 8192, 8), &card).is_err());
    assert!(placed(&cached(&card, None), &card).is_ok());
}
