//! The checked layer beside the real Terraform: one fault per rule, and both must see it.
//!
//! ```text
//!   case ──► block of HCL ──► terraform ──► provider.rs, honest but for the fault
//!                                 │                │ each answer also through tfplug::check
//!                                 ▼                ▼
//!                        error at the block   violation at the case
//!                                 └── must agree ──┘
//! ```
//!
//! One run of Terraform meets all cases of a stage, each as a block of its own.

mod case;
mod cases;
mod honest;
mod provider;
mod terraform;

use case::{Case, Expect};
use provider::{Faulty, Notes};
use terraform::{Run, Workspace};
use tfplug::serve::ServeOptions;
use tfplug::serve::debug::{Attached, attach};

/// The function, in HCL.
const CALL: &str = "provider::fault::echo";

const OPTIONS: ServeOptions = ServeOptions {
    address: "registry.terraform.io/openmodel/fault",
    version: "0.1.0",
};

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_what_is_not_there() {
    agree(cases::CREATE_PLANS, async |stage| {
        stage.resources("\"a\"").run("plan", &[]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creations() {
    agree(cases::CREATES, async |stage| {
        // Unknown at plan, so that the plan is asked for once more with more known.
        stage
            .resources("terraform_data.late.output")
            .run("apply", &["-auto-approve"])
            .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_changes() {
    agree(cases::UPDATE_PLANS, async |stage| {
        stage.existing().await.run("plan", &["-var=size=2"]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes() {
    agree(cases::UPDATES, async |stage| {
        stage
            .existing()
            .await
            .run("apply", &["-auto-approve", "-var=size=2"])
            .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_and_upgrades() {
    agree(cases::READS, async |stage| {
        stage.existing().await.run("plan", &[]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn destructions() {
    agree(cases::DESTROY_PLANS, async |stage| {
        stage.existing().await.run("plan", &["-destroy"]).await
    })
    .await;
    agree(cases::DESTROYS, async |stage| {
        stage
            .existing()
            .await
            .run("apply", &["-destroy", "-auto-approve"])
            .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports() {
    agree(cases::IMPORTS, async |stage| {
        let blocks = stage.blocks(|case| {
            let name = case.name;
            format!(
                "import {{\n  to = fault_thing.{name}\n  id = \"{name}\"\n}}\n{}",
                case.resource()
            )
        });
        stage.workspace("\"a\"", &blocks).run("plan", &[]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_sources() {
    agree(cases::DATA, async |stage| {
        let blocks = stage.blocks(|case| small("data", "fault_source", case.name));
        stage.workspace("\"a\"", &blocks).run("plan", &[]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_resources() {
    agree(cases::LOANS, async |stage| {
        let blocks = stage.blocks(|case| small("ephemeral", "fault_loan", case.name));
        stage.workspace("\"a\"", &blocks).run("plan", &[]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions() {
    agree(cases::CALLS, async |stage| {
        let blocks = stage.blocks(|case| {
            let name = case.name;
            format!(
                "output \"{name}\" {{
  value = [{CALL}(\"{name}\"), {CALL}(\"{name}\")]
}}
"
            )
        });
        stage.workspace("\"a\"", &blocks).run("plan", &[]).await
    })
    .await;
}

/// Rule 14: what a failed creation leaves in the state decides what the next command can do.
#[tokio::test(flavor = "multi_thread")]
async fn failed_creations() {
    let stage = Stage::new(cases::FAILURES);
    let workspace = stage.resources("\"a\"");
    let run = workspace.run("apply", &["-auto-approve"]).await;
    assert!(
        !run.succeeded && run.output.contains("Out of luck"),
        "{}",
        run.output
    );
    let state = workspace.state();
    let resources = state["resources"].as_array().expect("resources");
    let status = |name: &str| {
        let resource = resources.iter().find(|resource| resource["name"] == name)?;
        Some(
            resource["instances"][0]["status"]
                .as_str()
                .unwrap_or("whole")
                .to_owned(),
        )
    };
    assert_eq!(status("fail_with_state").as_deref(), Some("tainted"));
    assert_eq!(status("fail_without_state"), None);
    assert_eq!(status("fail_not").as_deref(), Some("whole"));
}

/// Runs the cases of a stage, and holds what Terraform said against what the checked layer said.
async fn agree(cases: &'static [Case], run: impl AsyncFn(&Stage) -> Run) {
    let (alone, together): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| case.needs_own_run());
    let mut wrong = Vec::new();
    for cases in alone.into_iter().map(|case| vec![case]).chain([together]) {
        let stage = Stage::new(cases);
        let run = run(&stage).await;
        wrong.extend(stage.disagreements(&run));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Cases that one run of Terraform meets together.
struct Stage {
    cases: Vec<&'static Case>,
    provider: Attached,
    notes: Notes,
}

impl Stage {
    fn new(cases: impl IntoIterator<Item = &'static Case>) -> Self {
        let cases: Vec<&Case> = cases.into_iter().collect();
        let (provider, notes) = Faulty::new(cases.clone());
        Self {
            cases,
            provider: attach(provider, &OPTIONS).expect("the provider is served"),
            notes,
        }
    }

    fn blocks(&self, block: impl Fn(&Case) -> String) -> String {
        self.cases.iter().map(|case| block(case)).collect()
    }

    /// A folder with these blocks; `name` is an expression for every `name` argument.
    fn workspace(&self, name: &str, blocks: &str) -> Workspace {
        configuration(&self.provider, name, blocks)
    }

    /// A folder with a resource for each case.
    fn resources(&self, name: &str) -> Workspace {
        self.workspace(name, &self.blocks(Case::resource))
    }

    /// The same, where all of them were made before by a provider without fault.
    async fn existing(&self) -> Workspace {
        let (honest, _) = Faulty::new([]);
        let honest = attach(honest, &OPTIONS).expect("the provider is served");
        let before = configuration(&honest, "\"a\"", &self.blocks(Case::resource));
        let run = before.run("apply", &["-auto-approve"]).await;
        assert!(run.succeeded, "without faults all is well:\n{}", run.output);
        self.resources("\"a\"").with_state_of(&before)
    }

    /// The cases that came out otherwise than expected, on either side.
    fn disagreements(&self, run: &Run) -> Vec<String> {
        let notes = self.notes.lock().expect("no test panicked with it");
        let alone = self.cases.len() == 1;
        let disagreement = |case: &&'static Case| {
            let theirs = if alone {
                run.errors()
            } else {
                run.errors_about(case.name)
            };
            let ours = notes.get(case.name).map_or(&[][..], Vec::as_slice);
            let agreed = match case.expect {
                Expect::Accepted => theirs.is_empty() && ours.is_empty(),
                Expect::Refused(text, rule) => {
                    theirs.iter().any(|error| error.contains(text))
                        && ours.iter().any(|violation| violation.rule == rule)
                }
            };
            let name = case.name;
            let expected = case.expect;
            (!agreed).then(|| {
                format!("{name}: {expected:?}\n  terraform: {theirs:#?}\n  ours: {ours:#?}")
            })
        };
        let wrong: Vec<String> = self.cases.iter().filter_map(disagreement).collect();
        // A run that broke down as a whole has no errors about any case; its output tells why.
        if wrong.is_empty() {
            wrong
        } else {
            [wrong, vec![run.output.clone()]].concat()
        }
    }
}

/// A block with a case and one argument.
fn small(kind: &str, r#type: &str, name: &str) -> String {
    format!("{kind} \"{type}\" \"{name}\" {{\n  case = \"{name}\"\n  text = \"t\"\n}}\n")
}

fn configuration(provider: &Attached, name: &str, blocks: &str) -> Workspace {
    let text = format!(
        r#"
terraform {{
  required_providers {{
    fault = {{ source = "openmodel/fault" }}
  }}
}}
variable "size" {{
  type    = number
  default = 1
}}
resource "terraform_data" "late" {{
  input = "a"
}}
locals {{
  name = {name}
}}
{blocks}"#
    );
    Workspace::new(provider, &text)
}
