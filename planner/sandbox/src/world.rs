//! Everything a sandbox knows, behind one lock: clock, rules, resources, repositories.
//!
//! One lock makes every request atomic, as a client of the real services may assume of one
//! resource. The whole world is serialisable; that is the state file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Options;
use crate::clock::{Clock, ClockMode, Time};
use crate::faults::{Faults, OperationPlan};
use crate::google::run::Run;
use crate::google::secret_manager::Secrets;
use crate::google::storage::Storage;
use crate::google::{self, Api};
use crate::http::{Reply, Request};
use crate::hub::{self, Hub};
use crate::ids;
use crate::run_app;
use crate::virus_total::{self, VirusTotal};

/// The state of a sandbox.
#[derive(Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    /// Virtual time that a long-running operation takes.
    pub(crate) operation_time: Duration,
    /// Whether Google's APIs answer without a bearer token.
    pub(crate) anonymous: bool,
    pub(crate) strict_secret_access: bool,
    pub(crate) faults: Faults,
    pub(crate) projects: Projects,
    pub(crate) run: Run,
    pub(crate) secrets: Secrets,
    #[serde(default)]
    pub(crate) storage: Storage,
    pub(crate) hub: Hub,
    #[serde(default)]
    pub(crate) virus_total: VirusTotal,
    uses: BTreeMap<String, u64>,
    /// Counts changes, so that the writer of the state file knows what it has written.
    #[serde(skip)]
    pub(crate) version: u64,
}

/// What a handler is told beside the request.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    /// The sandbox's own base URL.
    pub(crate) base: &'a str,
    /// What a fault rule wants of the operation that this request starts.
    pub(crate) plan: Option<&'a OperationPlan>,
    /// False when the caller has waited long enough and wants the state as it is.
    pub(crate) may_wait: bool,
}

/// What a handler says.
pub(crate) enum Answer {
    Reply(Reply),
    /// Nothing yet: ask again a little later (`operations.wait`), for at most this long.
    Later(Duration),
}

/// The service that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Google(Api),
    Hub,
    VirusTotal,
    RunApp,
}

impl Service {
    /// By host where the host says it, else by path.
    pub(crate) fn of(request: &Request) -> Self {
        if let Some(api) = Api::of_host(&request.host) {
            return Self::Google(api);
        }
        if matches!(
            request.host.as_str(),
            "huggingface.co" | "hf.co" | "www.huggingface.co"
        ) {
            return Self::Hub;
        }
        if request.host == "www.virustotal.com" || virus_total::is_path(request) {
            return Self::VirusTotal;
        }
        if request.host.ends_with(".run.app")
            || request.segments.first().is_some_and(|s| s == "run.app")
        {
            return Self::RunApp;
        }
        if hub::is_hub_path(request) {
            Self::Hub
        } else {
            Self::Google(Api::of_path(request))
        }
    }

    /// The name in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Google(api) => api.name(),
            Self::Hub => "hub",
            Self::VirusTotal => "virustotal",
            Self::RunApp => "run.app",
        }
    }
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            seed: options.seed,
            clock: Clock::new(options.clock, &options.start, options.poll_time),
            operation_time: options.operation_time,
            anonymous: options.allow_anonymous,
            strict_secret_access: options.strict_secret_access,
            faults: Faults::default(),
            projects: Projects::default(),
            run: Run::default(),
            secrets: Secrets::default(),
            storage: Storage::default(),
            hub: Hub::default(),
            virus_total: VirusTotal::default(),
            uses: BTreeMap::new(),
            version: 0,
        }
    }

    /// Answer a request; the only way into the emulated services.
    pub(crate) fn answer(&mut self, call: &Call<'_>) -> Answer {
        let before = self.clock.now();
        let waits = call.request.path.ends_with(":wait");
        if !call.request.is_read() && !waits {
            self.clock.tick();
        }
        let answer = match Service::of(call.request) {
            Service::Google(api) => google::answer(self, api, call),
            Service::Hub => Answer::Reply(hub::answer(self, call)),
            Service::VirusTotal => Answer::Reply(self.virus_total.answer(call.request)),
            Service::RunApp => Answer::Reply(run_app::answer(self, call)),
        };
        // A read changes something only where it lets time pass; real time passes by itself.
        let passed = self.clock.mode() == ClockMode::Auto && self.clock.now() != before;
        if passed || !call.request.is_read() {
            self.version += 1;
        }
        answer
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// A new id for another use of this name: the first, the second, … each its own.
    pub(crate) fn fresh(&mut self, kind: &str, name: &str) -> String {
        let count = self.uses.entry(format!("{kind} {name}")).or_default();
        *count += 1;
        ids::uuid(self.seed, &[kind, name, &count.to_string()])
    }

    /// Everything that clients have made, sorted by type and name, without times and ids.
    pub(crate) fn inventory(&mut self) -> Value {
        let now = self.now();
        self.run.settle(now);
        let mut assets = self.run.inventory();
        assets.extend(self.secrets.inventory());
        assets.extend(self.storage.inventory(now));
        assets.sort_by_key(|asset| {
            let text = |member: &str| asset[member].as_str().unwrap_or_default().to_owned();
            (text("type"), text("name"))
        });
        Value::Array(assets)
    }
}

/// One entry of the inventory, named after Cloud Asset Inventory's types.
pub(crate) fn asset(kind: &str, name: &str, data: &Value) -> Value {
    json!({"type": kind, "name": name, "data": data})
}

/// Projects exist as soon as they are named; each has a number.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Projects {
    ids: BTreeMap<String, String>,
}

impl Projects {
    /// The id of a project given by id or number; a number never seen stays as it is.
    pub(crate) fn id(&mut self, project: &str) -> String {
        if let Some(id) = self.ids.get(project) {
            return id.clone();
        }
        if !project.is_empty() && !project.bytes().all(|byte| byte.is_ascii_digit()) {
            self.ids
                .insert(ids::project_number(project).to_string(), project.to_owned());
        }
        project.to_owned()
    }
}

/// The number of a project given by id or number.
pub(crate) fn number_of(project: &str) -> String {
    if project.bytes().all(|byte| byte.is_ascii_digit()) {
        project.to_owned()
    } else {
        ids::project_number(project).to_string()
    }
}
