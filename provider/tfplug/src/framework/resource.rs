//! A resource: something that Terraform creates, reads, updates and deletes.
//!
//! ```text
//!            schema ── validate                             no client, no network
//!  plan:     read ──► plan (create, update, no change) │ plan_destroy
//!  apply:    plan again ──► create │ update │ delete
//!  state:    import ──► read       upgrade_state       move_state
//! ```
//!
//! The framework does what is the same for every resource (defaults, validators, "known after
//! apply", plan modifiers, write-only values, state encoding); a resource says what is its own.

use std::future::Future;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Private};
use crate::check::Action;
use crate::schema::Schema;
use crate::value::Path;
use crate::{Diagnostic, Diagnostics};

/// A serde struct whose every field is a [`Value`](crate::value::Value), one for each attribute
/// and block of the schema. [`assert_model_matches_schema`](crate::testing::assert_model_matches_schema)
/// holds the two together.
pub trait Model: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<M: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Model for M {}

/// A resource type. Write the calls as `async fn`.
pub trait Resource: Send + Sync + 'static {
    /// The type's name without the provider's: `"note"` is `example_note` in Terraform.
    const TYPE: &'static str;
    /// What the provider's `configure` makes.
    type Client: Send + Sync + 'static;
    /// Configuration, plan and state as a struct.
    type Model: Model;

    /// Attributes and their rules. Called once per process, when first needed.
    fn schema(&self) -> Schema;

    /// Checks across attributes of the configuration, beyond the validators of the schema. Values
    /// may be unknown. Runs in `terraform validate`: no network.
    fn validate(&self, _config: &Self::Model) -> Diagnostics {
        Diagnostics::new()
    }

    /// Decides the planned values. The default takes what defaults and plan modifiers made.
    ///
    /// It must be deterministic: Terraform calls it again before apply and refuses a different
    /// answer. Configured values must stay as they are.
    fn plan(
        &self,
        _context: &Context<Self::Client>,
        request: PlanRequest<Self::Model>,
    ) -> impl Future<Output = Result<Plan<Self::Model>, Diagnostics>> + Send {
        async move { Ok(request.proposed.into()) }
    }

    /// Allows or refuses the deletion, while it is only planned. The default allows it.
    fn plan_destroy(
        &self,
        _context: &Context<Self::Client>,
        _request: &DeleteRequest<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        async { Ok(()) }
    }

    /// Creates the object. Where it fails half-way, the error carries what is there already
    /// ([`Failed::with_state`]), so that nothing is forgotten.
    fn create(
        &self,
        context: &Context<Self::Client>,
        request: CreateRequest<Self::Model>,
    ) -> impl Future<Output = Applied<Self::Model>> + Send;

    /// Reads the object as it is; `None`: it is gone, and the next plan creates it again.
    fn read(
        &self,
        context: &Context<Self::Client>,
        request: ReadRequest<Self::Model>,
    ) -> impl Future<Output = Found<Self::Model>> + Send;

    /// Changes the object in place. The default refuses: right where every attribute that the
    /// user may set requires replacement.
    fn update(
        &self,
        _context: &Context<Self::Client>,
        _request: UpdateRequest<Self::Model>,
    ) -> impl Future<Output = Applied<Self::Model>> + Send {
        async {
            Err(Diagnostic::error("Resource cannot be changed in place")
                .detail(
                    "The provider planned an update of a resource type that has none. This is a \
                     bug in the provider, please report it. `terraform apply -replace=…` gets by.",
                )
                .into())
        }
    }

    /// Deletes the object. An object that is already gone is no error. After an error it stays
    /// in the state.
    fn delete(
        &self,
        context: &Context<Self::Client>,
        request: DeleteRequest<Self::Model>,
    ) -> impl Future<Output = Deleted<Self::Model>> + Send;

    /// Turns an import id into a first state, of which `read` makes the full one. The default
    /// refuses.
    fn import(
        &self,
        _context: &Context<Self::Client>,
        _id: String,
    ) -> impl Future<Output = Imported<Self::Model>> + Send {
        async {
            Err(Diagnostic::error("Resource cannot be imported")
                .detail("This resource type has no import. Create it with Terraform instead.")
                .into())
        }
    }

    /// Rewrites state of an older schema version. Called only where the versions differ.
    fn upgrade_state(
        &self,
        request: UpgradeRequest,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send {
        async move {
            Err(Diagnostic::error("State is too old")
                .detail(format!(
                    "The state was written by version {} of the schema, from which this provider \
                     has no way up. Apply once with an older version of the provider that does, or \
                     remove the resource from the state and import it again.",
                    request.version
                ))
                .into())
        }
    }

    /// Takes over the state of another resource type (`moved { from = other.x, to = this.y }`);
    /// `None`: not from that type. The default takes over none.
    fn move_state(
        &self,
        _context: &Context<Self::Client>,
        _request: MoveRequest,
    ) -> impl Future<Output = Found<Self::Model>> + Send {
        async { Ok(None) }
    }
}

/// A change to plan.
#[derive(Clone, Debug)]
pub struct PlanRequest<M> {
    /// What Terraform will do, unless the answer makes it something else; never a delete.
    pub action: Action,
    /// The state before; `None`: there is none, it will be created.
    pub prior: Option<M>,
    /// The configuration; the only place where write-only values are.
    pub config: M,
    /// The plan so far: configuration, defaults and plan modifiers; computed values are unknown
    /// where something changes.
    pub proposed: M,
    /// What was kept beside the state.
    pub private: Private,
}

/// A planned change.
#[derive(Clone, Debug)]
pub struct Plan<M> {
    /// The state as it will be; unknown where only apply will tell.
    pub planned: M,
    /// Attributes whose change replaces the resource, besides those that the schema names.
    pub requires_replace: Vec<Path>,
    /// Handed to create or update; `None`: as it was.
    pub private: Option<Private>,
}

impl<M> From<M> for Plan<M> {
    fn from(planned: M) -> Self {
        Self {
            planned,
            requires_replace: Vec::new(),
            private: None,
        }
    }
}

/// An object to create.
#[derive(Clone, Debug)]
pub struct CreateRequest<M> {
    /// The plan; what is known in it must come out so.
    pub planned: M,
    /// The configuration; the only place where write-only values are.
    pub config: M,
    /// What the plan put aside.
    pub private: Private,
}

/// An object to change in place.
#[derive(Clone, Debug)]
pub struct UpdateRequest<M> {
    /// The state before.
    pub prior: M,
    /// The plan; what is known in it must come out so.
    pub planned: M,
    /// The configuration; the only place where write-only values are.
    pub config: M,
    /// What the plan put aside.
    pub private: Private,
}

/// An object to read.
#[derive(Clone, Debug)]
pub struct ReadRequest<M> {
    /// The state before.
    pub state: M,
    /// What was kept beside it.
    pub private: Private,
}

/// An object to delete.
#[derive(Clone, Debug)]
pub struct DeleteRequest<M> {
    /// The state before.
    pub state: M,
    /// What was kept beside it.
    pub private: Private,
}

/// State of an older schema version.
pub struct UpgradeRequest {
    /// The version that wrote it.
    pub version: i64,
    /// The attributes as JSON.
    pub json: Bytes,
}

impl UpgradeRequest {
    /// Reads the old state as a struct of then.
    pub fn state<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        read_json(&self.json)
    }
}

/// State of another resource type.
pub struct MoveRequest {
    /// The provider it is from: `registry.terraform.io/hashicorp/google`.
    pub provider: String,
    /// The resource type it is of.
    pub type_name: String,
    /// The version of the schema that wrote it.
    pub version: i64,
    /// The attributes as JSON.
    pub json: Bytes,
    /// What that provider kept beside it, in its own encoding.
    pub private: Bytes,
}

impl MoveRequest {
    /// Reads the state as a struct of the other type.
    pub fn state<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        read_json(&self.json)
    }
}

fn read_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Diagnostic> {
    serde_json::from_slice(json).map_err(|error| {
        Diagnostic::error("Stored state is unreadable").detail(format!(
            "The state is not what its version should contain: {error}. If it was not edited by \
             hand, this is a bug in the provider, please report it."
        ))
    })
}

/// The state of an object, and what to keep beside it.
#[derive(Clone, Debug)]
pub struct State<M> {
    /// The state, wholly known.
    pub model: M,
    /// Kept beside it; `None`: as it was.
    pub private: Option<Private>,
}

impl<M> State<M> {
    /// The state, and something new to keep beside it.
    pub fn with_private(model: M, private: Private) -> Self {
        Self {
            model,
            private: Some(private),
        }
    }
}

impl<M> From<M> for State<M> {
    fn from(model: M) -> Self {
        Self {
            model,
            private: None,
        }
    }
}

/// How a create or update ends.
pub type Applied<M> = Result<State<M>, Failed<M>>;

/// How a delete ends.
pub type Deleted<M> = Result<(), Failed<M>>;

/// How a read ends; `None`: the object is gone.
pub type Found<M> = Result<Option<State<M>>, Diagnostics>;

/// How an import ends.
pub type Imported<M> = Result<State<M>, Diagnostics>;

/// A create, update or delete that did not succeed.
///
/// `?` on a [`Diagnostic`] or [`Diagnostics`] makes one without state: nothing was created, or
/// everything is as before. Where something was done, say so with [`Failed::with_state`]:
/// Terraform saves that state beside the error, and marks a new resource tainted.
#[derive(Clone, Debug)]
pub struct Failed<M> {
    /// Why.
    pub diagnostics: Diagnostics,
    /// What is there now; `None`: as before. Boxed, because an error should be small.
    pub state: Option<Box<State<M>>>,
}

impl<M> Failed<M> {
    /// An error, and what is there nevertheless. Unknown values in it become null.
    pub fn with_state(state: impl Into<State<M>>, why: impl Into<Diagnostics>) -> Self {
        Self {
            diagnostics: why.into(),
            state: Some(Box::new(state.into())),
        }
    }
}

impl<M> From<Diagnostics> for Failed<M> {
    fn from(diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            state: None,
        }
    }
}

impl<M> From<Diagnostic> for Failed<M> {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostics: diagnostic.into(),
            state: None,
        }
    }
}
