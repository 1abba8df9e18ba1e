//! What is kept of which kind of repository, and how the bucket and its objects are made.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::world::{BUCKET, ENDPOINT, TINY, World, computed, configuration};

#[test]
fn a_dataset_a_space_and_an_adapter_lie_in_folders_of_their_kind() -> Result<()> {
    let world = World::new()?;
    // Beside safetensors, what is another format of the same in a model is data of its own here.
    let files = [
        ("README.md", 100, 1),
        ("arrays.npz", 2_000, 2),
        ("clips/train.parquet", 3_000, 3),
        ("index.bin", 4_000, 4),
        ("voices.safetensors", 5_000, 5),
    ];
    let commit = world.repository("datasets", "acme/speech", &computed(&files))?;
    let dataset = world.apply(
        "acme/speech",
        "repository_type = \"dataset\"\nformats = [\"bin\", \"numpy\", \"parquet\", \"safetensors\"]",
    )?;
    let uri = format!("gs://{BUCKET}/datasets/acme/speech/{commit}");
    assert_eq!(dataset["id"], uri);
    assert_eq!(dataset["left_out"], Value::Null);
    assert_eq!(dataset["bytes"], 14_100);
    assert_eq!(world.paths(&dataset["id"]), files.map(|(path, _, _)| path));
    world.bench.assert_plan_is_empty()?;

    let files = [
        ("app.py", 300, 1),
        ("voices.npz", 2_000, 2),
        ("voices.safetensors", 5_000, 3),
    ];
    let commit = world.repository("spaces", "acme/demo", &computed(&files))?;
    let space = world.apply("acme/demo", "repository_type = \"space\"")?;
    let uri = format!("gs://{BUCKET}/spaces/acme/demo/{commit}");
    assert_eq!(space["id"], uri);
    assert_eq!(space["left_out"], Value::Null);
    assert_eq!(world.paths(&space["id"]), files.map(|(path, _, _)| path));
    assert_eq!(
        world.snapshots().into_iter().collect::<Vec<_>>(),
        [uri],
        "the dataset was replaced"
    );

    let mut files = computed(&[
        ("adapter_model.safetensors", 5_000, 1),
        ("adapter_model.bin", 2_048, 2),
    ]);
    let adapts = json!({"peft_type": "LORA", "base_model_name_or_path": TINY});
    files["adapter_config.json"] = json!({"text": adapts.to_string()});
    let commit = world.repository("models", "acme/lora", &files)?;
    let adapter = world.apply("acme/lora", "")?;
    let uri = format!("gs://{BUCKET}/models/acme/lora/{commit}");
    assert_eq!(adapter["id"], uri);
    assert_eq!(
        world.paths(&adapter["id"]),
        ["adapter_config.json", "adapter_model.safetensors"]
    );
    assert_eq!(
        adapter["left_out"],
        "1 file, 2.0 KiB: the same weights in another format (1)"
    );
    world.bench.assert_plan_is_empty()?;
    world.destroy()
}

#[test]
fn class_key_and_labels_are_those_of_the_configuration() -> Result<()> {
    const KEY: &str = "projects/acme-ml/locations/us/keyRings/models/cryptoKeys/cache";
    let world = World::new()?;
    let attributes = format!(
        "location = \"us\"\nstorage_class = \"NEARLINE\"\nkms_key = \"{KEY}\"\nlabels = {{ team = \"search\" }}\n\
         include = [\"*.safetensors\", \"config.json\"]"
    );
    let defaults = "  default_labels = { env = \"prod\", team = \"platform\" }\n  region";
    let text = configuration(TINY, &attributes).replacen("  region", defaults, 1);
    world.bench.workspace.write("main.tf", &text)?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;

    let state = world.state()?;
    let labels = json!({"env": "prod", "team": "search"});
    assert_eq!(state["effective_labels"], labels);
    let buckets = world.assets("Bucket");
    let [(name, bucket)] = buckets.as_slice() else {
        panic!("one bucket, not {buckets:#?}");
    };
    assert_eq!(
        (name.as_str(), &bucket["location"]),
        ("openmodel-acme-ml-us", &json!("US"))
    );
    assert_eq!(bucket["encryption"]["defaultKmsKeyName"], KEY);
    for label in ["env", "team"] {
        assert_eq!(bucket["labels"][label], labels[label], "{label}");
    }

    // A part of the files is a snapshot of its own, beside the one of all that serve.
    assert_eq!(state["files"], 2);
    let left_out = state["left_out"].as_str().context("what is left out")?;
    assert!(left_out.ends_with("not in include (5)"), "{left_out}");
    let commit = state["resolved_revision"].as_str().context("a commit")?;
    let choice = format!("gs://{name}/models/{TINY}/{commit}-");
    let uri = &state["uri"]["us"];
    assert!(
        uri.as_str().is_some_and(|uri| uri.starts_with(&choice)),
        "{uri}"
    );
    assert_eq!(world.paths(uri), ["config.json", "model.safetensors"]);
    for (name, object) in world.assets("Object") {
        assert_eq!(object["kmsKeyName"], KEY, "{name}");
        if !name.contains("/.openmodel/") {
            assert_eq!(object["storageClass"], "NEARLINE", "{name}");
        }
    }
    world.destroy()
}

#[test]
fn an_endpoint_serves_the_one_gguf_model_that_its_cache_keeps() -> Result<()> {
    const REPOSITORY: &str = "acme/tiny-gguf";
    let world = World::new()?;
    let config = world.url(&format!("/{TINY}/resolve/main/config.json"));
    let config = world.http.get(&config)?;
    let mut files = computed(&[
        ("tiny-Q4_K_M.gguf", 400_000, 1),
        ("tiny-Q6_K.gguf", 600_000, 2),
        ("tiny-Q8_0.gguf", 800_000, 3),
    ]);
    files["config.json"] = json!({"text": config.to_string()});
    let commit = world.repository("models", REPOSITORY, &files)?;
    let endpoint = |quantization: &str| {
        format!("  include = [\"config.json\", \"*Q4_K_M.gguf\"]\n{ENDPOINT}{quantization}\n")
    };
    world.set(REPOSITORY, "")?;
    let said = world.plan_says()?;
    assert!(
        said.contains("Several GGUF models are kept") && said.contains("1.7 MiB together"),
        "{said}"
    );
    // Of the three one is meant, and of those that are kept it must be that one.
    world.set(REPOSITORY, &endpoint(""))?;
    world.refuses(
        &["plan"],
        &[
            "GGUF model is not chosen",
            "tiny-Q4_K_M, tiny-Q6_K, tiny-Q8_0",
            "Set quantization to gguf-q8_0 or gguf-q6_k or gguf-q4_k_m.",
        ],
    )?;
    world.set(REPOSITORY, &endpoint("  quantization = \"gguf-q8_0\""))?;
    world.refuses(&["apply", "-auto-approve"], &["tiny-Q8_0.gguf"])?;

    world.set(REPOSITORY, &endpoint("  quantization = \"gguf-q4_k_m\""))?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!(world.reads_of("Q4_K_M.gguf"), 1);
    assert_eq!(world.reads_of("Q8_0.gguf"), 0);
    let service = "/v2/projects/acme-ml/locations/us-central1/services/chat";
    let service = world.http.get(&world.url(service))?;
    let args = &service["template"]["containers"][0]["args"];
    let args: Vec<&str> = args
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let path = args
        .iter()
        .skip_while(|word| **word != "--model")
        .nth(1)
        .context("the model's path")?;
    let folder = format!("/mnt/models/models/{REPOSITORY}/{commit}-");
    assert!(
        path.starts_with(&folder) && path.ends_with("/tiny-Q4_K_M.gguf"),
        "{path}"
    );
    world.destroy()
}
