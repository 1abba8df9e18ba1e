//! `openmodel quickstart`: the whole way on the sandbox, each command shown with its real output.

use std::io::{IsTerminal as _, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use openmodel_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::terraform::{Workspace, find_terraform, provider_binary};

/// The configuration of `examples/quickstart`, as it stands in the repository.
const CONFIGURATION: &str = include_str!("../../../examples/quickstart/main.tf");

/// Runs the quickstart and writes what a user would see to `out`.
///
/// # Errors
/// The first step that fails, with its output already written.
pub async fn run(out: &mut (dyn Write + Send)) -> Result<()> {
    let terraform = find_terraform()?;
    let provider = provider_binary(|command| announce(out, command))?;

    let sandbox = Sandbox::start(Options::default()).context("the sandbox")?;
    writeln!(
        out,
        "# A sandboxed Hugging Face Hub and Google Cloud listens on {}.",
        sandbox.url()
    )?;
    writeln!(out, "# No account, no network, no cost.\n")?;

    let mut workspace = Workspace::new(&terraform, &provider)?;
    workspace.set_colour(std::io::stdout().is_terminal());
    workspace.write("main.tf", CONFIGURATION)?;
    workspace.set_env("OPENMODEL_SANDBOX", sandbox.url());
    writeln!(out, "$ cat main.tf\n{CONFIGURATION}")?;

    show(out, &workspace, &["init"])?;
    show(out, &workspace, &["plan", "-out=tfplan"])?;
    show(out, &workspace, &["apply", "tfplan"])?;
    ask(out, &workspace).await?;
    show(out, &workspace, &["plan"])?;
    show(out, &workspace, &["destroy", "-auto-approve"])?;

    writeln!(
        out,
        "# Done; everything was destroyed and the sandbox is gone.\n\
         #\n\
         # On a real project: keep main.tf, take OPENMODEL_SANDBOX out of the environment, and\n\
         #   gcloud auth application-default login\n\
         #   export GOOGLE_PROJECT=your-project GOOGLE_REGION=us-central1\n\
         #   terraform plan      # reads the Hub only; buys nothing\n\
         # The provider is built here: {}\n\
         # README.md shows how to point Terraform at it.",
        provider.display()
    )?;
    sandbox.shutdown();
    Ok(())
}

fn announce(out: &mut (dyn Write + Send), command: &str) {
    // A line that cannot be shown is no reason to stop; the next `writeln!` says so.
    let _ = writeln!(out, "$ {command}");
    let _ = out.flush();
}

/// Shows a terraform command, then its output as it comes.
fn show(out: &mut (dyn Write + Send), workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    writeln!(out, "$ terraform {}", arguments.join(" "))?;
    out.flush()?;
    let mut child = workspace
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("terraform's stdout")?;
    let mut stderr = child.stderr.take().context("terraform's stderr")?;
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut stderr, &mut text).map(|_| text)
    });
    std::io::copy(&mut stdout, out)?;
    let status = child.wait()?;
    if let Ok(Ok(text)) = errors.join() {
        out.write_all(&text)?;
    }
    writeln!(out)?;
    ensure!(status.success(), "terraform {} failed", arguments.join(" "));
    Ok(())
}

/// Asks the endpoint a question the way an application does.
async fn ask(out: &mut (dyn Write + Send), workspace: &Workspace) -> Result<()> {
    let base = output(workspace, "openai_base_url")?;
    let model = output(workspace, "model")?;
    let question = json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Say hello in one sentence." }],
    });
    writeln!(
        out,
        "$ curl -s {base}/chat/completions \\\n    -H \"Authorization: Bearer $TOKEN\" \\\n    \
         -H 'Content-Type: application/json' \\\n    -d '{question}'"
    )?;
    let answer = client()?
        .post(format!("{base}/chat/completions"))
        .bearer_auth("sandbox")
        .json(&question)
        .send()
        .await
        .context("the endpoint does not answer")?;
    let status = answer.status();
    let answer: Value = answer
        .json()
        .await
        .context("the endpoint's answer is not JSON")?;
    writeln!(out, "{}\n", serde_json::to_string_pretty(&answer)?)?;
    ensure!(status.is_success(), "the endpoint answered {status}");
    Ok(())
}

fn output(workspace: &Workspace, name: &str) -> Result<String> {
    let mut command: Command = workspace.command(&["output", "-raw", name]);
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "terraform output -raw {name} failed"
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn client() -> Result<reqwest::Client> {
    let roots = rustls::RootCertStore::empty();
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()?
    .with_root_certificates(roots)
    .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()?)
}
