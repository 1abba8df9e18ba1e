//! A sandbox with a repository of a few files, and the ways to move it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openmodel_cloud::huggingface::{Hub, HubOptions};
use openmodel_cloud::transport::{Endpoints, Options};
use openmodel_cloud::{Transport, auth};
use openmodel_sandbox::Sandbox;
use openmodel_schemas::repository::RepositoryCard;
use openmodel_schemas::snapshot::{Manifest, Repository, RepositoryType, SnapshotUri};
use openmodel_transfer::bucket::BucketStore;
use openmodel_transfer::file::{Meter, Mover, Patience};
use openmodel_transfer::hub::HubOrigin;
use openmodel_transfer::mirror::Mirror;
use openmodel_transfer::ports::{Store, Trouble};
use openmodel_transfer::repository::{Moved, move_all};
use openmodel_transfer::select::Patterns;
use openmodel_transfer::snapshot::{manifest, sources};
use serde_json::{Value, json};

pub(crate) const BUCKET: &str = "acme-models";

/// Bytes between two seals: the unit of Cloud Storage's uploads.
pub(crate) const SPAN: u64 = 256 << 10;

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) transport: Transport,
    pub(crate) card: RepositoryCard,
}

/// What a run did.
pub(crate) struct Run {
    pub(crate) moved: Vec<Moved>,
    pub(crate) manifest: Manifest,
    /// Bytes read from the Hub.
    pub(crate) read: u64,
}

impl World {
    /// With the model that the sandbox brings with it.
    pub(crate) async fn start() -> Self {
        let sandbox = Sandbox::start(openmodel_sandbox::Options::default()).expect("it starts");
        let transport = transport(&sandbox);
        let world = Self {
            card: card(&transport, "openmodel/tiny-random-llama").await,
            sandbox,
            transport,
        };
        let bucket = json!({"name": BUCKET, "location": "us-central1"});
        world
            .send("POST", "/storage/v1/b?project=acme-ml", bucket)
            .await;
        world
    }

    /// With a model of these files beside it: `{"path": {"computed": {…}}}`.
    pub(crate) async fn with(id: &str, files: Value) -> Self {
        let mut world = Self::start().await;
        world
            .send(
                "PUT",
                &format!("/sandbox/hub/models/{id}"),
                json!({"files": files}),
            )
            .await;
        world.card = card(&world.transport, id).await;
        world
    }

    /// The newest commit on the main branch.
    pub(crate) async fn follow(&mut self) {
        self.card = card(&self.transport, self.card.repository.id.as_str()).await;
    }

    pub(crate) fn repository(&self) -> Repository {
        self.card.repository.clone()
    }

    pub(crate) fn uri(&self, prefix: &str) -> SnapshotUri {
        SnapshotUri::new(BUCKET, prefix, self.repository(), &self.card.commit, None)
    }

    pub(crate) async fn store(&self, prefix: &str) -> BucketStore {
        let store = BucketStore::open(self.transport.clone(), self.uri(prefix));
        store
            .await
            .expect("the bucket is there")
            .with_lease(Duration::from_millis(300))
    }

    pub(crate) fn origin(&self) -> HubOrigin {
        HubOrigin {
            transport: self.transport.clone(),
            repository: self.repository(),
            commit: self.card.commit.clone(),
        }
    }

    pub(crate) fn mover(&self, store: Arc<dyn Store>) -> Mover {
        Mover {
            origin: Arc::new(self.origin()),
            store,
            span: SPAN,
            patience: Patience {
                first: Duration::from_millis(1),
                longest: Duration::from_millis(20),
            },
            throttle: None,
            meter: Arc::new(Meter::default()),
        }
    }

    /// Move the snapshot into the bucket, all of it.
    pub(crate) async fn run(&self, prefix: &str) -> Result<Run, Trouble> {
        let buckets = [BUCKET.to_owned()];
        let known = sources(&self.transport, &self.uri(prefix), &buckets).await?;
        let store = Arc::new(self.store(prefix).await.with_sources(known));
        let mover = self.mover(store.clone());
        let selected = Patterns::default()
            .select(self.card.repository.kind, &self.card.files)
            .expect("files that serve");
        let moved = move_all(&mover, &selected.files, 4).await?;
        let manifest = manifest(store.uri(), None, &moved);
        store.publish(&manifest, &BTreeMap::new()).await?;
        Ok(Run {
            moved,
            manifest,
            read: mover.meter.read(),
        })
    }

    /// The way that a cache makes its snapshots.
    pub(crate) fn mirror(&self) -> Mirror {
        let selected = Patterns::default().select(self.card.repository.kind, &self.card.files);
        Mirror {
            transport: self.transport.clone(),
            origin: Arc::new(self.origin()),
            arrive: false,
            repository: self.repository(),
            license: None,
            files: selected.expect("files that serve").files,
            marks: BTreeMap::new(),
            parallelism: 4,
            throttle: None,
            meter: Arc::new(Meter::default()),
        }
    }

    /// Names of all objects in the bucket.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let list = self
            .send("GET", &format!("/storage/v1/b/{BUCKET}/o"), Value::Null)
            .await;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let names = items.iter().map(|item| item["name"].as_str());
        names.flatten().map(str::to_owned).collect()
    }

    /// The bytes of an object.
    pub(crate) async fn content(&self, name: &str) -> Vec<u8> {
        let name = name.replace('/', "%2F");
        let url = format!(
            "{}/storage/v1/b/{BUCKET}/o/{name}?alt=media",
            self.sandbox.url()
        );
        let request = reqwest::Client::new().get(url).bearer_auth("t");
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
        answer.bytes().await.expect("a body").to_vec()
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.send("POST", "/sandbox/faults", rule).await;
    }

    pub(crate) async fn send(&self, verb: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.sandbox.url());
        let verb = verb.parse::<reqwest::Method>().expect("a method");
        let mut request = reqwest::Client::new().request(verb, url).bearer_auth("t");
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("it answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// A path of the Hub's listing and a size, as the sandbox computes bytes.
pub(crate) fn computed(size: u64, seed: u64) -> Value {
    json!({"computed": {"size": size, "seed": seed}})
}

fn transport(sandbox: &Sandbox) -> Transport {
    Transport::new(Options {
        endpoints: Endpoints::sandbox(sandbox.url()).expect("an address"),
        auth: auth::Options {
            sandbox: true,
            ..auth::Options::default()
        },
        ..Options::default()
    })
}

async fn card(transport: &Transport, id: &str) -> RepositoryCard {
    let hub = Hub::new(transport.clone(), HubOptions::default());
    let repository = Repository {
        kind: RepositoryType::Model,
        id: id.parse().expect("an id"),
    };
    let revision = "main".parse().expect("a revision");
    let card = hub.repository(&repository, &revision).await;
    let card = card.expect("the Hub has it");
    RepositoryCard::clone(&card)
}
