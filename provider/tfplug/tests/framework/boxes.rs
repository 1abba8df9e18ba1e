//! A provider for tests: boxes on a shelf in memory, which fail when told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tfplug::check::Action;
use tfplug::framework::{MoveRequest, UpgradeRequest};
use tfplug::prelude::*;
use tfplug::schema::one_of;
use tfplug::testing::{Harness, ResourceHarness};

/// What is there: name to contents.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<BTreeMap<String, BoxModel>>>);

impl Shelf {
    pub(crate) fn names(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("no test panics with the lock")
            .keys()
            .cloned()
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<BoxModel> {
        self.0
            .lock()
            .expect("no test panics with the lock")
            .get(name)
            .cloned()
    }

    pub(crate) fn put(&self, model: BoxModel) {
        let name = model.name.clone().known_or(String::new());
        self.0
            .lock()
            .expect("no test panics with the lock")
            .insert(name, model);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0
            .lock()
            .expect("no test panics with the lock")
            .remove(name);
    }
}

pub(crate) struct Boxes {
    pub(crate) shelf: Shelf,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) room: Value<String>,
}

/// The configured provider.
pub(crate) struct Client {
    pub(crate) shelf: Shelf,
    pub(crate) room: Value<String>,
}

impl Provider for Boxes {
    const NAME: &'static str = "test";
    type Model = Settings;
    type Client = Client;

    fn schema(&self) -> Schema {
        Schema::new("Boxes.").attribute(Attribute::string("room").optional())
    }

    fn parts(&self) -> Parts<Client> {
        Parts::new()
            .resource(BoxResource)
            .data_source(BoxSource)
            .ephemeral_resource(Key)
            .function(Join)
    }

    async fn configure(
        &self,
        context: &Context<()>,
        request: ConfigureRequest<Settings>,
    ) -> Configured<Client> {
        if request
            .config
            .room
            .as_known()
            .is_some_and(|room| room == "cellar")
        {
            context.warn(Diagnostic::warning("It is dark there").at("room"));
        }
        Ok(Client {
            shelf: self.shelf.clone(),
            room: request.config.room,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lid {
    pub(crate) color: Value<String>,
    pub(crate) lock: Value<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BoxModel {
    pub(crate) id: Value<String>,
    pub(crate) name: Value<String>,
    pub(crate) size: Value<i64>,
    pub(crate) behaviour: Value<String>,
    pub(crate) policy: Value<String>,
    pub(crate) lids: Value<Vec<Value<Lid>>>,
    pub(crate) labels: Value<BTreeMap<String, Value<String>>>,
    pub(crate) secret_wo: Value<String>,
    pub(crate) secret_wo_version: Value<i64>,
    pub(crate) secret_length: Value<i64>,
    pub(crate) weight: Value<i64>,
    pub(crate) timeouts: Value<TimeoutsModel>,
}

const TIMEOUTS: Timeouts = Timeouts::new(&[("create", Duration::from_mins(1))]);

#[derive(Default)]
pub(crate) struct BoxResource;

impl BoxResource {
    fn finish(client: &Client, mut model: BoxModel, secret: &Value<String>) -> BoxModel {
        let name = model.name.clone().known_or(String::new());
        model.id = format!("box/{name}").into();
        model.secret_length = secret
            .as_known()
            .map(|secret| i64::try_from(secret.len()).unwrap_or(i64::MAX))
            .into();
        if let Value::Known(lids) = &mut model.lids {
            for (index, lid) in lids.iter_mut().enumerate() {
                if let Value::Known(lid) = lid {
                    lid.lock = format!("lock-{index}").into();
                }
            }
        }
        client.shelf.put(model.clone());
        model
    }
}

impl Resource for BoxResource {
    const TYPE: &'static str = "box";
    type Client = Client;
    type Model = BoxModel;

    fn schema(&self) -> Schema {
        let behaviours = ["ok", "refuse", "break", "panic", "lie", "wait", "slow"];
        let lid = [
            Attribute::string("color").optional().default("red"),
            Attribute::string("lock").computed().use_state_for_unknown(),
        ];
        Schema::new("A box.")
            .version(2)
            .attribute(
                Attribute::string("id")
                    .computed_prefix("box/")
                    .use_state_for_unknown(),
            )
            .attribute(Attribute::string("name").required().requires_replace())
            .attribute(Attribute::number("size").optional().default(1))
            .attribute(
                Attribute::string("behaviour")
                    .optional()
                    .validate(one_of(&behaviours)),
            )
            .attribute(Attribute::string("policy").optional().default("DELETE"))
            .attribute(Attribute::list_of_objects("lids", lid).optional())
            .attribute(Attribute::map_of("labels", Type::String).optional())
            .attribute(Attribute::string("secret_wo").optional().write_only())
            .attribute(Attribute::number("secret_wo_version").optional())
            .attribute(Attribute::number("secret_length").computed())
            .attribute(Attribute::number("weight").computed())
            .attribute(TIMEOUTS.attribute())
    }

    fn validate(&self, config: &BoxModel) -> Diagnostics {
        let too_large = config.size.as_known().is_some_and(|size| *size > 100);
        let error = || {
            Diagnostic::error("Too large")
                .at("size")
                .detail("At most 100.")
        };
        too_large.then(error).into_iter().collect()
    }

    /// The weight follows from the size, so it is known in the plan.
    async fn plan(
        &self,
        _: &Context<Client>,
        request: PlanRequest<BoxModel>,
    ) -> Result<Plan<BoxModel>, Diagnostics> {
        let mut planned = request.proposed;
        let mut private = request.private;
        if request.action != Action::NoOp {
            planned.weight = planned.size.clone().map(|size| size * 10);
            private.set("planned_by", "plan")?;
        }
        Ok(Plan {
            planned,
            requires_replace: Vec::new(),
            private: Some(private),
        })
    }

    async fn plan_destroy(
        &self,
        _: &Context<Client>,
        request: &DeleteRequest<BoxModel>,
    ) -> Result<(), Diagnostics> {
        if request
            .state
            .policy
            .as_known()
            .is_some_and(|policy| policy == "PREVENT")
        {
            let error = Diagnostic::error("Deletion is prevented").at("policy");
            return Err(error
                .detail("Set `policy` to \"DELETE\" and apply first.")
                .into());
        }
        Ok(())
    }

    async fn create(
        &self,
        context: &Context<Client>,
        request: CreateRequest<BoxModel>,
    ) -> Applied<BoxModel> {
        let client = context.client()?;
        let mut private = request.private;
        private.set(
            "limit",
            &TIMEOUTS.of(&request.planned.timeouts, "create").as_secs(),
        )?;
        let behaviour = request.planned.behaviour.clone().known_or("ok".to_owned());
        if behaviour == "refuse" {
            return Err(Diagnostic::error("No space")
                .detail("Clear the shelf.")
                .into());
        }
        if behaviour == "wait" {
            context.stop().requested().await;
            return Err(Diagnostic::error("Stopped").into());
        }
        let mut model = Self::finish(client, request.planned, &request.config.secret_wo);
        match behaviour.as_str() {
            "break" => {
                let error = Diagnostic::error("Label fell off").detail("Apply again.");
                return Err(Failed::with_state(model, error));
            }
            "panic" => panic!("a hole in the shelf"),
            "lie" => model.size = 99.into(),
            _ => {}
        }
        Ok(State::with_private(model, private))
    }

    async fn read(
        &self,
        context: &Context<Client>,
        request: ReadRequest<BoxModel>,
    ) -> Found<BoxModel> {
        let name = request.state.name.clone().known_or(String::new());
        let Some(model) = context.client()?.shelf.get(&name) else {
            return Ok(None);
        };
        if model
            .labels
            .as_known()
            .is_some_and(|labels| labels.contains_key("fragile"))
        {
            context.warn(Diagnostic::warning("Handle with care").at("labels"));
        }
        Ok(Some(model.into()))
    }

    async fn update(
        &self,
        context: &Context<Client>,
        request: UpdateRequest<BoxModel>,
    ) -> Applied<BoxModel> {
        match request.planned.behaviour.as_known().map(String::as_str) {
            Some("refuse") => Err(Diagnostic::error("No space").into()),
            Some("panic") => panic!("a hole in the shelf"),
            _ => Ok(Self::finish(
                context.client()?,
                request.planned,
                &request.config.secret_wo,
            )
            .into()),
        }
    }

    async fn delete(
        &self,
        context: &Context<Client>,
        request: DeleteRequest<BoxModel>,
    ) -> Deleted<BoxModel> {
        if request.private.get::<String>("planned_by")?.is_none() && request.state.weight.is_known()
        {
            return Err(Diagnostic::error("Private state was lost").into());
        }
        context
            .client()?
            .shelf
            .remove(&request.state.name.known_or(String::new()));
        Ok(())
    }

    async fn import(&self, context: &Context<Client>, id: String) -> Imported<BoxModel> {
        let name = id.strip_prefix("box/").ok_or_else(|| {
            Diagnostic::error("Not the id of a box").detail("An id looks like `box/<name>`.")
        })?;
        let mut private = Private::new();
        private.set("planned_by", "import")?;
        let _ = context.client()?;
        let model = BoxModel {
            id: id.clone().into(),
            name: name.into(),
            ..BoxModel::default()
        };
        Ok(State::with_private(model, private))
    }

    async fn upgrade_state(&self, request: UpgradeRequest) -> Result<BoxModel, Diagnostics> {
        #[derive(Deserialize)]
        struct Version1 {
            title: String,
        }
        let old: Version1 = request.state()?;
        Ok(BoxModel {
            id: format!("box/{}", old.title).into(),
            name: old.title.into(),
            ..BoxModel::default()
        })
    }

    async fn move_state(
        &self,
        _: &Context<Client>,
        request: MoveRequest,
    ) -> Result<Option<State<BoxModel>>, Diagnostics> {
        #[derive(Deserialize)]
        struct Crate {
            label: String,
        }
        if request.type_name != "other_crate" {
            return Ok(None);
        }
        let from: Crate = request.state()?;
        let id = format!("box/{}", from.label).into();
        Ok(Some(
            BoxModel {
                id,
                name: from.label.into(),
                ..BoxModel::default()
            }
            .into(),
        ))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FoundBox {
    pub(crate) name: Value<String>,
    pub(crate) size: Value<i64>,
    pub(crate) room: Value<String>,
}

#[derive(Default)]
pub(crate) struct BoxSource;

impl DataSource for BoxSource {
    const TYPE: &'static str = "box";
    type Client = Client;
    type Model = FoundBox;

    fn schema(&self) -> Schema {
        Schema::new("A box that is there.")
            .attribute(Attribute::string("name").optional().default("first"))
            .attribute(Attribute::number("size").computed())
            .attribute(Attribute::string("room").computed())
    }

    async fn read(
        &self,
        context: &Context<Client>,
        config: FoundBox,
    ) -> Result<FoundBox, Diagnostics> {
        let client = context.client()?;
        let name = config.name.clone().known_or(String::new());
        let found = client.shelf.get(&name).ok_or_else(|| {
            Diagnostic::error("No such box")
                .at("name")
                .detail("Create it first, or mend the name.")
        })?;
        Ok(FoundBox {
            size: found.size,
            room: client.room.clone(),
            ..config
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyModel {
    pub(crate) name: Value<String>,
    pub(crate) code: Value<String>,
}

#[derive(Default)]
pub(crate) struct Key;

impl EphemeralResource for Key {
    const TYPE: &'static str = "key";
    type Client = Client;
    type Model = KeyModel;

    fn schema(&self) -> Schema {
        Schema::new("A key that is given back.")
            .attribute(Attribute::string("name").required())
            .attribute(Attribute::string("code").computed().sensitive())
    }

    async fn open(
        &self,
        context: &Context<Client>,
        config: KeyModel,
    ) -> Result<Opened<KeyModel>, Diagnostics> {
        let name = config.name.clone().known_or(String::new());
        context.client()?.shelf.put(BoxModel {
            name: format!("key {name}").into(),
            ..BoxModel::default()
        });
        let mut private = Private::new();
        private.set("name", &name)?;
        let result = KeyModel {
            code: format!("code of {name}").into(),
            ..config
        };
        let renew_at = Some(SystemTime::now() + Duration::from_hours(1));
        Ok(Opened {
            result,
            renew_at,
            private,
        })
    }

    async fn close(&self, context: &Context<Client>, private: Private) -> Result<(), Diagnostics> {
        let name: Option<String> = private.get("name")?;
        context
            .client()?
            .shelf
            .remove(&format!("key {}", name.unwrap_or_default()));
        Ok(())
    }
}

#[derive(Deserialize)]
pub(crate) struct JoinArguments {
    separator: String,
    parts: Vec<String>,
}

pub(crate) struct Join;

impl Function for Join {
    const NAME: &'static str = "join";
    type Arguments = JoinArguments;
    type Output = String;

    fn signature(&self) -> Signature {
        Signature::new("Texts as one.", Type::String)
            .parameter(Parameter::new("separator", Type::String))
            .variadic(Parameter::new("parts", Type::String))
    }

    fn call(&self, arguments: JoinArguments) -> Result<String, FunctionError> {
        if let Some(index) = arguments.parts.iter().position(String::is_empty) {
            return Err(
                FunctionError::new("A part is empty. Leave it out.").at_element("parts", index)
            );
        }
        assert_ne!(arguments.separator, "panic", "no glue");
        Ok(arguments.parts.join(&arguments.separator))
    }
}

/// A configured provider, and its shelf.
pub(crate) async fn harness() -> (Harness<Boxes>, Shelf) {
    let shelf = Shelf::default();
    let harness = Harness::new(Boxes {
        shelf: shelf.clone(),
    });
    harness
        .configure(&Settings::default())
        .await
        .expect("there is nothing to configure");
    (harness, shelf)
}

pub(crate) fn boxes(harness: &Harness<Boxes>) -> ResourceHarness<'_, Boxes, BoxResource> {
    harness.resource()
}

pub(crate) fn named(name: &str) -> BoxModel {
    BoxModel {
        name: name.into(),
        ..BoxModel::default()
    }
}

pub(crate) fn behaving(name: &str, behaviour: &str) -> BoxModel {
    BoxModel {
        behaviour: behaviour.into(),
        ..named(name)
    }
}
