//! The `openmodel` binary: `recommend`, `transfer`, `snapshots`, `quickstart`, `sandbox`, `evaluate`.

use std::io::{self, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use openmodel_cli::evaluate::{self, Models, RowsFile, Show};
use openmodel_cli::hub;
use openmodel_cli::models_file::ModelsFile;
use openmodel_cli::quickstart;
use openmodel_cli::recommend::{self, Recommend};
use openmodel_cli::snapshots::{self, Snapshots};
use openmodel_cli::transfer::{self, Transfer};
use openmodel_resolve::Catalog;
use openmodel_sandbox::{Options, Sandbox};

/// Plan and run open models on Google Cloud.
#[derive(Debug, Parser)]
#[command(
    name = "openmodel",
    version,
    arg_required_else_help = true,
    after_help = recommend::EXIT_CODES
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Boxed: it has many flags.
    Recommend(Box<Recommend>),
    Transfer(Transfer),
    #[command(subcommand)]
    Snapshots(Snapshots),
    /// Run terraform init, plan, apply and destroy against a sandboxed cloud, and ask the model a question
    Quickstart,
    /// Serve the emulated Hugging Face Hub and Google Cloud until Ctrl-C
    Sandbox {
        /// Port on 127.0.0.1; 0 takes a free one
        #[arg(long, default_value_t = 8900)]
        port: u16,
        /// Keep all state in this file, and continue from it
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
    /// Hold our estimates against measured rows: one JSON line a row
    Evaluate {
        #[command(subcommand)]
        what: Evaluate,
    },
}

#[derive(Debug, Subcommand)]
enum Evaluate {
    /// Start-up logs: weights, KV cache, whether the engine starts
    Memory(EvaluateFile),
    /// Documented deployments: whether the shape holds the model, and what we would choose
    Shapes(EvaluateFile),
    /// Measured runs: time to the first token and between tokens
    Throughput(EvaluateFile),
}

#[derive(Debug, clap::Args)]
#[command(after_help = recommend::ENVIRONMENT)]
struct EvaluateFile {
    /// The rows, as CSV with a header
    file: PathBuf,
    /// Facts of the models the rows name, as a JSON list [default: the Hub's]
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// Add a line of error statistics
    #[arg(long)]
    summary: bool,
    /// Add to each line how its figures were made
    #[arg(long)]
    detail: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

/// Say what went wrong: a wrong flag as clap does, with code 2, all else with code 1.
fn failed(error: &anyhow::Error) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        let printed = usage.print();
        return ExitCode::from(if printed.is_ok() { 2 } else { 1 });
    }
    // Who reads no further has what they wanted.
    if let Some(io::ErrorKind::BrokenPipe) = error.downcast_ref().map(io::Error::kind) {
        return ExitCode::SUCCESS;
    }
    // There is nowhere left to say that it cannot be said.
    let _ = writeln!(stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

/// Most threads that move bytes: a transfer has eight files in flight where nobody says otherwise. On 16 cores eight
/// threads move 4.4 GiB a second over TLS, and two 1.7 (`just bench`, 2026-11).
const MOST_THREADS: usize = 8;

fn run(arguments: Arguments) -> Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, MOST_THREADS))
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Recommend(asked) => {
                let holds = recommend::run(&asked).await?;
                return Ok(if holds {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                });
            }
            Command::Transfer(asked) => transfer::run(&asked).await,
            Command::Snapshots(asked) => snapshots::run(&asked).await,
            Command::Quickstart => quickstart::run(&mut stdout()).await,
            Command::Sandbox { port, state } => sandbox(port, state).await,
            Command::Evaluate { what } => evaluate(&what).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn evaluate(what: &Evaluate) -> Result<()> {
    let (asked, column) = match what {
        Evaluate::Memory(asked) => (asked, evaluate::memory::MODEL),
        Evaluate::Shapes(asked) => (asked, evaluate::shapes::MODEL),
        Evaluate::Throughput(asked) => (asked, evaluate::throughput::MODEL),
    };
    let file = RowsFile::read(&asked.file)?;
    let models = match &asked.models {
        Some(path) => Models::File(ModelsFile::read(path)?),
        None => Models::on_hub(&file, column, &hub::of_environment()?).await?,
    };
    let catalog = Catalog::embedded();
    let show = Show {
        summary: asked.summary,
        detail: asked.detail,
    };
    let out = &mut stdout().lock();
    match what {
        Evaluate::Memory(_) => evaluate::memory::run(&file, &models, catalog, show, out),
        Evaluate::Shapes(_) => evaluate::shapes::run(&file, &models, catalog, show, out),
        Evaluate::Throughput(_) => evaluate::throughput::run(&file, &models, catalog, show, out),
    }
}

async fn sandbox(port: u16, state: Option<PathBuf>) -> Result<()> {
    let sandbox = Sandbox::start(Options {
        port,
        state_file: state,
        ..Options::default()
    })
    .with_context(|| format!("the sandbox cannot start on port {port}"))?;
    writeln!(
        stdout(),
        "The sandbox listens on {url}. Point Terraform and the Hub's clients at it:\n\n  \
         export OPENMODEL_SANDBOX={url}\n  export HF_ENDPOINT={url}\n\n\
         What exists: {url}/sandbox/inventory · requests: {url}/sandbox/requests · faults: {url}/sandbox/faults\n\
         Ctrl-C stops it.",
        url = sandbox.url()
    )?;
    tokio::signal::ctrl_c()
        .await
        .context("Ctrl-C cannot be awaited")?;
    sandbox.shutdown();
    Ok(())
}
