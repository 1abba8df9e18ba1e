//! Which way is taken from a snapshot, and what the container is given for it.

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::Placement;
use openmodel_schemas::repository::{Gating, RepoFile};
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
    card.gating = Gating::Manual;
    assert!(placed(&testing::spec(&card, 8192, 8), &card).is_err());
    assert!(placed(&cached(&card, None), &card).is_ok());
}

/// A repository that keeps one model in several GGUF files, one of them in parts.
fn ggufs() -> ModelCard {
    let mut card = with_files(
        testing::llama_8b(),
        &[
            "config.json",
            "Llama-Q4_K_M.gguf",
            "Llama-Q6_K_L.gguf",
            "Q8_0/Llama-Q8_0-00001-of-00002.gguf",
            "Q8_0/Llama-Q8_0-00002-of-00002.gguf",
        ],
    );
    card.weights = None;
    card.parameters = None;
    for (file, gib) in card.files.iter_mut().skip(1).zip([4.58, 6.4, 4.0, 3.95]) {
        file.size = Bytes::from_gib(gib);
    }
    card
}

#[test]
fn of_several_gguf_models_the_one_that_is_asked_for_is_served() {
    let card = ggufs();
    let of = |mut spec: EndpointSpec, quantization| {
        spec.quantization = Some(quantization);
        picture(&spec, &card)
    };
    insta::assert_snapshot!([
        of(cached(&card, None), Quantization::GgufQ4KM),
        of(cached(&card, None), Quantization::GgufQ8_0),
        of(testing::spec(&card, 8192, 8), Quantization::GgufQ4KM),
    ].join("\n\n"), @r#"
    --n-gpu-layers all --model /mnt/models/cache/models/meta-llama/Llama-3.1-8B-Instruct/0e9e39f249a16976918f6564b8830bc894c89659/Llama-Q4_K_M.gguf --alias meta-llama/Llama-3.1-8B-Instruct --port 8080 --ctx-size 65536 --parallel 8 --ubatch-size 512
    HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
    /mnt/models-cache Memory { size: Bytes(5186256896) }
    /mnt/models Bucket { bucket: "acme", mount_options: ["implicit-dirs", "metadata-cache-ttl-secs=-1", "cache-dir=cr-volume:openmodel-cache", "file-cache-max-size-mb=4946", "file-cache-enable-parallel-downloads=true", "file-cache-cache-file-for-range-read=true"] }
    fuse: a start of about 48 s, $0.01; not the streamer: llama-cpp has none, or its image is not known to hold it
    Some(["Llama-Q4_K_M.gguf"])
    4.58 GiB of weights from the Hub at 0.04 to 0.6 GB/s, a mounted bucket at 0.1 to 1.6 GB/s
    cold start 14 to 166 s

    --n-gpu-layers all --model /mnt/models/cache/models/meta-llama/Llama-3.1-8B-Instruct/0e9e39f249a16976918f6564b8830bc894c89659/Q8_0/Llama-Q8_0-00001-of-00002.gguf --alias meta-llama/Llama-3.1-8B-Instruct --port 8080 --ctx-size 65536 --parallel 8 --ubatch-size 512
    HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
    /mnt/models-cache Memory { size: Bytes(8804892672) }
    /mnt/models Bucket { bucket: "acme", mount_options: ["implicit-dirs", "metadata-cache-ttl-secs=-1", "cache-dir=cr-volume:openmodel-cache", "file-cache-max-size-mb=8397", "file-cache-enable-parallel-downloads=true", "file-cache-cache-file-for-range-read=true"] }
    fuse: a start of about 57 s, $0.02; not the streamer: llama-cpp has none, or its image is not known to hold it
    Some(["Q8_0/Llama-Q8_0-00001-of-00002.gguf", "Q8_0/Llama-Q8_0-00002-of-00002.gguf"])
    7.95 GiB of weights from the Hub at 0.04 to 0.6 GB/s, a mounted bucket at 0.1 to 1.6 GB/s
    cold start 16 to 200 s

    --n-gpu-layers all --hf-repo meta-llama/Llama-3.1-8B-Instruct:Q4_K_M --alias meta-llama/Llama-3.1-8B-Instruct --port 8080 --ctx-size 65536 --parallel 8 --ubatch-size 512


    hub: from an openmodel_cache in the region it would take 3 to 46 s
    None
    4.58 GiB of weights from the Hub at 0.04 to 0.6 GB/s, a mounted bucket at 0.1 to 1.6 GB/s
    cold start 19 to 243 s
    "#);
}

#[test]
fn which_of_several_gguf_models_is_meant_must_be_known() {
    let card = ggufs();
    let refusal = |quantization, card: &ModelCard| {
        let mut spec = cached(card, None);
        spec.quantization = quantization;
        let error = placed(&spec, card).expect_err("it should be refused");
        assert_eq!(error.field, Field::Quantization);
        error.detail
    };
    let mut same = card.clone();
    same.files[2].path = "other/Llama-q4_k_m.gguf".to_owned();
    let q4 = Some(Quantization::GgufQ4KM);
    let mut parts = card.clone();
    parts.files.pop();
    let spec = EndpointSpec {
        quantization: Some(Quantization::GgufQ8_0),
        ..cached(&parts, None)
    };
    check_refused(
        &spec,
        &parts,
        Field::Model,
        "1 of the 2 files of Q8_0/Llama-Q8_0",
    );
    insta::assert_snapshot!([
        refusal(None, &card),
        refusal(Some(Quantization::GgufQ2K), &card),
        refusal(q4, &same),
        refusal(q4, &llama()),
    ].join("\n"), @r#"
    meta-llama/Llama-3.1-8B-Instruct keeps Llama-Q4_K_M, Llama-Q6_K_L, Q8_0/Llama-Q8_0 in GGUF files, and one of them must be chosen. Set quantization to gguf-q8_0 or gguf-q4_k_m.
    meta-llama/Llama-3.1-8B-Instruct keeps Llama-Q4_K_M, Llama-Q6_K_L, Q8_0/Llama-Q8_0 in GGUF files, and quantization = "gguf-q2_k" names none of them. Set quantization to gguf-q8_0 or gguf-q4_k_m.
    meta-llama/Llama-3.1-8B-Instruct keeps Llama-Q4_K_M, Q8_0/Llama-Q8_0, other/Llama-q4_k_m in GGUF files, and quantization = "gguf-q4_k_m" names 2 of them. Set quantization to gguf-q8_0.
    quantization = "gguf-q4_k_m" serves a model that is stored so, and meta-llama/Llama-3.1-8B-Instruct has no GGUF files. Set model to a repository that has them, or remove quantization.
    "#);
}
