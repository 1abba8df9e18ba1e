//! From the sandbox's Hub into a folder: what arrives is what the Hub lists, whatever happens on the way.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openmodel_cloud::huggingface::{Hub, HubOptions};
use openmodel_cloud::transport::{Endpoints, Options};
use openmodel_cloud::{Transport, auth};
use openmodel_sandbox::Sandbox;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::snapshot::Repository;
use openmodel_transfer::file::{Meter, Mover, Patience};
use openmodel_transfer::folder::Folder;
use openmodel_transfer::hub::HubOrigin;
use openmodel_transfer::pieces::Cutting;
use openmodel_transfer::ports::Trouble;
use openmodel_transfer::repository::{Moved, bytes, move_all};
use openmodel_transfer::select::Patterns;
use serde_json::json;

const MODEL: &str = "openmodel/tiny-random-llama";

struct World {
    sandbox: Sandbox,
    transport: Transport,
    card: ModelCard,
}

impl World {
    async fn start() -> Self {
        let sandbox = Sandbox::start(openmodel_sandbox::Options::default()).expect("it starts");
        let transport = Transport::new(Options {
            endpoints: Endpoints::sandbox(sandbox.url()).expect("an address"),
            auth: auth::Options {
                sandbox: true,
                ..auth::Options::default()
            },
            ..Options::default()
        });
        let hub = Hub::new(transport.clone(), HubOptions::default());
        let (id, revision) = (
            MODEL.parse().expect("an id"),
            "main".parse().expect("a revision"),
        );
        let card = hub.card(&id, &revision).await.expect("the Hub has it");
        Self {
            sandbox,
            transport,
            card: ModelCard::clone(&card),
        }
    }

    fn mover(&self, folder: &Path) -> Mover {
        Mover {
            origin: Arc::new(HubOrigin {
                transport: self.transport.clone(),
                repository: Repository::model(self.card.id.clone()),
                commit: self.card.commit.clone(),
            }),
            store: Arc::new(Folder::new(folder)),
            // Small files, so that they are cut.
            cutting: Cutting {
                whole: 64 << 10,
                least: 64 << 10,
                unit: 4 << 10,
            },
            patience: Patience {
                first: Duration::from_millis(1),
                longest: Duration::from_millis(20),
            },
            meter: Arc::new(Meter::default()),
        }
    }

    async fn run(&self, folder: &Path) -> Result<Vec<Moved>, Trouble> {
        let selected = Patterns::default()
            .select(&self.card.files)
            .expect("files that serve");
        move_all(&self.mover(folder), &selected.files, 4).await
    }

    async fn fault(&self, rule: serde_json::Value) {
        let url = format!("{}/sandbox/faults", self.sandbox.url());
        let answer = reqwest::Client::new().post(url).json(&rule).send().await;
        let status = answer.expect("it answers").status();
        assert!(status.is_success(), "{status}");
    }
}

/// Everything below a folder but our notes.
fn listing(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != ".openmodel" {
            names.push(name);
        }
    }
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_that_serve_arrive_and_are_not_fetched_twice() {
    let world = World::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let moved = world.run(folder.path()).await.expect("nothing is wrong");
    let names: Vec<&str> = moved.iter().map(|one| one.file.path.as_str()).collect();
    assert_eq!(listing(folder.path()), names);
    assert!(
        names.contains(&"model.safetensors") && names.contains(&"config.json"),
        "{names:?}"
    );
    for one in &moved {
        let there = std::fs::metadata(folder.path().join(&one.file.path)).expect("it is there");
        assert_eq!(there.len(), one.file.size.0, "{}", one.file.path);
    }
    assert!(bytes(&moved).0 > 0);
    let mover = world.mover(folder.path());
    move_all(&mover, &world.card.files, 4)
        .await
        .expect("they are there");
    let rest: u64 = world
        .card
        .files
        .iter()
        .filter(|file| !names.contains(&file.path.as_str()))
        .map(|file| file.size.0)
        .sum();
    assert_eq!(mover.meter.read(), rest, "only what was left out is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_for_a_while_is_waited_for() {
    let world = World::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let busy = json!({"status": 429, "headers": {"Retry-After": "0"}});
    world
        .fault(json!({"match": {"path": "*/resolve/*"}, "times": 5, "then": {"respond": busy}}))
        .await;
    world.run(folder.path()).await.expect("it passes");
    assert!(listing(folder.path()).contains(&"model.safetensors".to_owned()));
}
