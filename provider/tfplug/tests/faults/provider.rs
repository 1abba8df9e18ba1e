//! A provider on the bare wire, honest but for the fault of the case at hand.
//!
//! Every answer that it gives, faulty or not, also goes through the checked layer, and what that says
//! is noted beside the name of the case.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tfplug::check::{self, Action, Rule, Violation};
use tfplug::schema::Schema;
use tfplug::value::{CodecError, Dynamic, Path, Type};
use tfplug::value::{decode_json, decode_msgpack, encode_msgpack};
use tfplug::wire::provider_server::Provider;
use tfplug::wire::{self, DynamicValue};
use tonic::{Request, Response, Status, async_trait};

use crate::case::{Case, Fault, Moment};
use crate::honest::{complete, computed_while_unknown, loan, nothing_set, source, thing};

/// What the checked layer said to the answers of each case.
pub(crate) type Notes = Arc<Mutex<BTreeMap<String, Vec<Violation>>>>;

/// The provider.
pub(crate) struct Faulty {
    cases: Vec<&'static Case>,
    thing: Schema,
    source: Schema,
    loan: Schema,
    notes: Notes,
    /// Plans so far, by case; the last of each is what an apply is held against.
    plans: Mutex<BTreeMap<String, Vec<Planned>>>,
    /// The first result of the function, by case.
    results: Mutex<BTreeMap<String, Dynamic>>,
}

/// One plan as it was answered.
struct Planned {
    moment: Moment,
    value: Dynamic,
    action: Action,
}

impl Faulty {
    pub(crate) fn new(cases: impl IntoIterator<Item = &'static Case>) -> (Self, Notes) {
        let notes = Notes::default();
        let provider = Self {
            cases: cases.into_iter().collect(),
            thing: thing(),
            source: source(),
            loan: loan(),
            notes: Arc::clone(&notes),
            plans: Mutex::default(),
            results: Mutex::default(),
        };
        (provider, notes)
    }

    fn fault(&self, case: &str, moment: Moment) -> Option<Fault> {
        self.cases
            .iter()
            .find(|known| known.name == case)?
            .fault_at(moment)
    }

    fn note(&self, case: &str, notes: Vec<Violation>) {
        let mut all = self.notes.lock().expect("no test panicked with it");
        all.entry(case.to_owned()).or_default().extend(notes);
    }

    /// Encodes an answer with its fault, then reads it back as Terraform will, and has it checked.
    /// Gives the answer, and its value where it can be read.
    fn answer(
        &self,
        case: &str,
        moment: Moment,
        schema: &Schema,
        honest: Dynamic,
        check: impl FnOnce(&Dynamic) -> Vec<Violation>,
    ) -> (Option<DynamicValue>, Option<Dynamic>) {
        let mut value = honest;
        let mut shape = schema.implied_type();
        match self.fault(case, moment) {
            Some(Fault::Value(change)) => change(&mut value),
            Some(Fault::Shape(change)) => change(&mut shape, &mut value),
            Some(Fault::Missing) => {
                self.note(case, check(&Dynamic::Null));
                return (None, Some(Dynamic::Null));
            }
            Some(Fault::Deferred | Fault::Replace(_) | Fault::Error | Fault::ErrorAlone) | None => {
            }
        }
        let bytes = encode_msgpack(&value, &shape).expect("the case keeps to its shape");
        let read = decode_msgpack(&bytes, &schema.implied_type());
        match &read {
            Ok(value) => self.note(case, check(value)),
            Err(error) => self.note(case, undecodable(error)),
        }
        (
            Some(DynamicValue {
                msgpack: bytes.into(),
                ..DynamicValue::default()
            }),
            read.ok(),
        )
    }

    /// Which plan of this case it is.
    fn moment_of_plan(&self, case: &str, prior: &Dynamic, config: &Dynamic) -> Moment {
        let plans = self.plans.lock().expect("no test panicked with it");
        let so_far = plans.get(case).map_or(&[][..], Vec::as_slice);
        let updating = so_far.iter().any(|plan| plan.moment == Moment::UpdatePlan);
        match (prior.is_null(), config.is_null()) {
            (_, true) => Moment::DestroyPlan,
            (false, false) if updating => Moment::FinalUpdatePlan,
            (false, false) => Moment::UpdatePlan,
            (true, false) if updating => Moment::ReplacePlan,
            (true, false) if so_far.is_empty() => Moment::Plan,
            (true, false) => Moment::FinalPlan,
        }
    }
}

#[async_trait]
impl Provider for Faulty {
    async fn get_provider_schema(
        &self,
        _: Request<wire::get_provider_schema::Request>,
    ) -> Result<Response<wire::get_provider_schema::Response>, Status> {
        let one = |name: &str, schema: &Schema| [(name.to_owned(), schema.into())].into();
        let text = |name: &str| wire::function::Parameter {
            name: name.to_owned(),
            r#type: Type::String.to_json().into(),
            ..Default::default()
        };
        let echo = wire::Function {
            parameters: vec![text("case")],
            r#return: Some(wire::function::Return {
                r#type: Type::String.to_json().into(),
            }),
            ..Default::default()
        };
        Ok(Response::new(wire::get_provider_schema::Response {
            provider: Some((&Schema::new("")).into()),
            resource_schemas: one("fault_thing", &self.thing),
            data_source_schemas: one("fault_source", &self.source),
            ephemeral_resource_schemas: one("fault_loan", &self.loan),
            functions: [("echo".to_owned(), echo)].into(),
            server_capabilities: Some(wire::ServerCapabilities {
                plan_destroy: true,
                get_provider_schema_optional: true,
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn validate_provider_config(
        &self,
        _: Request<wire::validate_provider_config::Request>,
    ) -> Result<Response<wire::validate_provider_config::Response>, Status> {
        Ok(nothing_to_say())
    }

    async fn validate_resource_config(
        &self,
        _: Request<wire::validate_resource_config::Request>,
    ) -> Result<Response<wire::validate_resource_config::Response>, Status> {
        Ok(nothing_to_say())
    }

    async fn validate_data_resource_config(
        &self,
        _: Request<wire::validate_data_resource_config::Request>,
    ) -> Result<Response<wire::validate_data_resource_config::Response>, Status> {
        Ok(nothing_to_say())
    }

    async fn validate_ephemeral_resource_config(
        &self,
        _: Request<wire::validate_ephemeral_resource_config::Request>,
    ) -> Result<Response<wire::validate_ephemeral_resource_config::Response>, Status> {
        Ok(nothing_to_say())
    }

    async fn configure_provider(
        &self,
        _: Request<wire::configure_provider::Request>,
    ) -> Result<Response<wire::configure_provider::Response>, Status> {
        Ok(nothing_to_say())
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<wire::upgrade_resource_state::Request>,
    ) -> Result<Response<wire::upgrade_resource_state::Response>, Status> {
        let raw = request
            .into_inner()
            .raw_state
            .expect("Terraform sends the state");
        let stored = decode_json(&raw.json, &self.thing.implied_type()).expect("as we wrote it");
        let case = name_of(&stored);
        let (state, _) = self.answer(&case, Moment::Upgrade, &self.thing, stored, |upgraded| {
            check::upgraded(&self.thing, upgraded)
        });
        Ok(Response::new(wire::upgrade_resource_state::Response {
            upgraded_state: state,
            ..Default::default()
        }))
    }

    async fn read_resource(
        &self,
        request: Request<wire::read_resource::Request>,
    ) -> Result<Response<wire::read_resource::Response>, Status> {
        let request = request.into_inner();
        let current = decode(&self.thing, request.current_state.as_ref());
        if current.is_null() {
            // What an import without a result leads to.
            let new_state = request.current_state;
            return Ok(Response::new(wire::read_resource::Response {
                new_state,
                ..Default::default()
            }));
        }
        let case = name_of(&current);
        let (state, _) = self.answer(&case, Moment::Read, &self.thing, current, |read| {
            check::read(&self.thing, read)
        });
        Ok(Response::new(wire::read_resource::Response {
            new_state: state,
            private: request.private,
            ..Default::default()
        }))
    }

    async fn plan_resource_change(
        &self,
        request: Request<wire::plan_resource_change::Request>,
    ) -> Result<Response<wire::plan_resource_change::Response>, Status> {
        let request = request.into_inner();
        let prior = decode(&self.thing, request.prior_state.as_ref());
        let config = decode(&self.thing, request.config.as_ref());
        let mut planned = decode(&self.thing, request.proposed_new_state.as_ref());
        let case = name_of(if config.is_null() { &prior } else { &config });
        let moment = self.moment_of_plan(&case, &prior, &config);

        if !planned.is_null() {
            complete(&mut planned, &mut |name| computed_while_unknown(name));
            *planned.attribute_mut("secret").expect("of the schema") = Dynamic::Null;
        }
        let fault = self.fault(&case, moment);
        let deferred = matches!(fault, Some(Fault::Deferred)).then(|| wire::Deferred {
            reason: wire::deferred::Reason::ResourceConfigUnknown.into(),
        });
        let replace = match fault {
            Some(Fault::Replace(name)) => vec![Path::attribute(name)],
            _ => Vec::new(),
        };

        let (planned_state, value) = self.answer(&case, moment, &self.thing, planned, |planned| {
            // In the order of the core, which stops at the first kind of fault.
            if deferred.is_some() {
                return check::deferral(false, true);
            }
            if moment == Moment::ReplacePlan {
                return check::replacement(&self.thing, planned);
            }
            let found = check::plan(&self.thing, &prior, &config, planned);
            if found.is_empty() {
                check::replace_paths(&prior, planned, &replace)
            } else {
                found
            }
        });
        if let Some(value) = value {
            let action = check::action(&self.thing, &prior, &value, &replace);
            let mut plans = self.plans.lock().expect("no test panicked with it");
            let so_far = plans.entry(case.clone()).or_default();
            if let (Moment::FinalPlan | Moment::FinalUpdatePlan, Some(first)) =
                (moment, so_far.last())
            {
                let (first, second) = ((first.action, &first.value), (action, &value));
                self.note(&case, check::final_plan(&self.thing, first, second));
            }
            so_far.push(Planned {
                moment,
                value,
                action,
            });
        }

        Ok(Response::new(wire::plan_resource_change::Response {
            planned_state,
            requires_replace: replace.iter().map(on_the_wire).collect(),
            planned_private: request.prior_private,
            deferred,
            ..Default::default()
        }))
    }

    async fn apply_resource_change(
        &self,
        request: Request<wire::apply_resource_change::Request>,
    ) -> Result<Response<wire::apply_resource_change::Response>, Status> {
        let request = request.into_inner();
        let prior = decode(&self.thing, request.prior_state.as_ref());
        let planned = decode(&self.thing, request.planned_state.as_ref());
        let case = name_of(if planned.is_null() { &prior } else { &planned });
        let moment = if planned.is_null() {
            Moment::Destroy
        } else {
            Moment::Create
        };

        let mut new = planned.clone();
        complete(&mut new, &mut |_| Dynamic::from("thing-1"));
        let fault = self.fault(&case, moment);
        if matches!(fault, Some(Fault::ErrorAlone)) {
            new = Dynamic::Null;
        }
        let failed = matches!(fault, Some(Fault::Error | Fault::ErrorAlone));
        let (new_state, _) = self.answer(&case, moment, &self.thing, new, |new| {
            if failed {
                Vec::new()
            } else {
                check::applied(&self.thing, &planned, new)
            }
        });
        let diagnostics = if failed {
            vec![out_of_luck()]
        } else {
            Vec::new()
        };
        Ok(Response::new(wire::apply_resource_change::Response {
            new_state,
            private: request.planned_private,
            diagnostics,
            ..Default::default()
        }))
    }

    async fn import_resource_state(
        &self,
        request: Request<wire::import_resource_state::Request>,
    ) -> Result<Response<wire::import_resource_state::Response>, Status> {
        let request = request.into_inner();
        let case = request.id;
        let mut found = nothing_set(&self.thing);
        found.extend([
            ("case".to_owned(), case.as_str().into()),
            ("id".to_owned(), "thing-1".into()),
        ]);
        let (state, _) = self.answer(
            &case,
            Moment::Import,
            &self.thing,
            Dynamic::Object(found),
            |found| check::imported(&self.thing, found),
        );
        let resource = wire::import_resource_state::ImportedResource {
            type_name: request.type_name,
            state,
            ..Default::default()
        };
        Ok(Response::new(wire::import_resource_state::Response {
            imported_resources: vec![resource],
            ..Default::default()
        }))
    }

    async fn read_data_source(
        &self,
        request: Request<wire::read_data_source::Request>,
    ) -> Result<Response<wire::read_data_source::Response>, Status> {
        let config = decode(&self.source, request.into_inner().config.as_ref());
        let case = name_of(&config);
        let mut read = config.clone();
        complete(&mut read, &mut |_| Dynamic::from("read"));
        let (state, _) = self.answer(&case, Moment::Data, &self.source, read, |read| {
            check::data(&self.source, read)
        });
        Ok(Response::new(wire::read_data_source::Response {
            state,
            ..Default::default()
        }))
    }

    async fn open_ephemeral_resource(
        &self,
        request: Request<wire::open_ephemeral_resource::Request>,
    ) -> Result<Response<wire::open_ephemeral_resource::Response>, Status> {
        let config = decode(&self.loan, request.into_inner().config.as_ref());
        let case = name_of(&config);
        let mut opened = config.clone();
        complete(&mut opened, &mut |_| Dynamic::from("opened"));
        let (result, _) = self.answer(&case, Moment::Open, &self.loan, opened, |opened| {
            check::ephemeral(&self.loan, &config, opened)
        });
        Ok(Response::new(wire::open_ephemeral_resource::Response {
            result,
            ..Default::default()
        }))
    }

    async fn close_ephemeral_resource(
        &self,
        _: Request<wire::close_ephemeral_resource::Request>,
    ) -> Result<Response<wire::close_ephemeral_resource::Response>, Status> {
        Ok(nothing_to_say())
    }

    /// `echo` gives its argument, the name of the case.
    async fn call_function(
        &self,
        request: Request<wire::call_function::Request>,
    ) -> Result<Response<wire::call_function::Response>, Status> {
        let argument = &request.into_inner().arguments[0];
        let mut value = decode_msgpack(&argument.msgpack, &Type::String).expect("a text");
        let case = value.as_str().expect("a known text").to_owned();
        let mut results = self.results.lock().expect("no test panicked with it");
        let moment = if results.contains_key(&case) {
            Moment::CallAgain
        } else {
            Moment::Call
        };
        let mut shape = Type::String;
        match self.fault(&case, moment) {
            Some(Fault::Value(change)) => change(&mut value),
            Some(Fault::Shape(change)) => change(&mut shape, &mut value),
            _ => {}
        }
        let bytes = encode_msgpack(&value, &shape).expect("the case keeps to its shape");
        match decode_msgpack(&bytes, &Type::String) {
            Ok(value) => {
                let first = results.entry(case.clone()).or_insert_with(|| value.clone());
                self.note(&case, check::function(&Type::String, first, &value));
            }
            Err(error) => self.note(&case, undecodable(&error)),
        }
        Ok(Response::new(wire::call_function::Response {
            result: Some(DynamicValue {
                msgpack: bytes.into(),
                ..DynamicValue::default()
            }),
            error: None,
        }))
    }

    async fn stop_provider(
        &self,
        _: Request<wire::stop_provider::Request>,
    ) -> Result<Response<wire::stop_provider::Response>, Status> {
        Ok(nothing_to_say())
    }
}

fn decode(schema: &Schema, value: Option<&DynamicValue>) -> Dynamic {
    let value = value.expect("Terraform sends every value");
    decode_msgpack(&value.msgpack, &schema.implied_type())
        .expect("Terraform sends what the schema says")
}

/// An answer without content.
fn nothing_to_say<T: Default>() -> Response<T> {
    Response::new(T::default())
}

fn name_of(value: &Dynamic) -> String {
    value
        .attribute("case")
        .and_then(Dynamic::as_str)
        .expect("every block has its case")
        .to_owned()
}

/// Bytes that are no value of the schema's type break the rule of the type.
fn undecodable(error: &CodecError) -> Vec<Violation> {
    vec![Violation {
        rule: Rule::Type,
        path: error.path.clone(),
        message: error.message.clone(),
    }]
}

fn on_the_wire(path: &Path) -> wire::AttributePath {
    use wire::attribute_path::{Step, step::Selector};
    let steps = path.steps().iter().map(|step| match step {
        tfplug::value::Step::Attribute(name) => Step {
            selector: Some(Selector::AttributeName(name.clone())),
        },
        other => panic!("the cases use attributes only: {other:?}"),
    });
    wire::AttributePath {
        steps: steps.collect(),
    }
}

fn out_of_luck() -> wire::Diagnostic {
    wire::Diagnostic {
        severity: wire::diagnostic::Severity::Error.into(),
        summary: "Out of luck".to_owned(),
        detail: "The case asked for it.".to_owned(),
        attribute: None,
    }
}
