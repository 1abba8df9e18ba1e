//! What one provider process costs: started, called and shut down as Terraform does it.
//!
//! ```text
//! exec ─► handshake line ─► TLS + HTTP/2 answer ─► schema ─► schema again ─► at rest ─► Shutdown ─► exit
//! ```
//!
//! `cargo bench -p tfplug --bench process -- PROVIDER [REFERENCE]`, for instance with the example
//! `note` as the reference: the two take turns, so that a busy machine slows both alike. Times are
//! wall time at the client, whose own work (see the row of its signature) is part of them.

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/serve_process/client/mod.rs"]
mod client;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use client::health::health_client::HealthClient;
use client::plugin::grpc_controller_client::GrpcControllerClient;
use client::tfplugin6::provider_client::ProviderClient;
use client::{Handshake, Identity, Process};
use prost::Message;
use rustls::sign::Signer;
use tfplug::wire::get_provider_schema;
use tfplug::wire::health::HealthCheckRequest;
use tfplug::wire::plugin::Empty;
use tokio::process::Command;

/// Starts of each provider; the median counts.
const RUNS: usize = 15;

/// After the last call and before the look at the memory: what the calls left to do is done.
const REST: Duration = Duration::from_millis(50);

const USAGE: &str = "usage: cargo bench -p tfplug --bench process -- PROVIDER [REFERENCE]\n\
    PROVIDER and REFERENCE are provider binaries built with --release. Give absolute paths:\n\
    cargo runs a bench in the folder of its package.";

/// One line of the table: its name, its goal, and the number of one run.
type Row = (&'static str, &'static str, fn(&Sample) -> Option<f64>);

/// The goals are those of the project; a row without one explains another.
const ROWS: [Row; 11] = [
    ("exec to handshake line, ms", "5", |s| ms(s.line)),
    ("line to TLS + HTTP/2 answer, ms", "", |s| ms(s.ready)),
    (
        "  the client's own P-521 signature",
        "",
        |s| ms(s.signature),
    ),
    ("first GetProviderSchema, ms", "10", |s| ms(s.first)),
    ("  counted from exec", "", |s| {
        ms(s.line + s.ready + s.first)
    }),
    ("second GetProviderSchema, ms", "", |s| ms(s.second)),
    ("Shutdown to exit, ms", "10", |s| ms(s.exit)),
    ("schema, KB", "", |s| Some(s.schema / 1e3)),
    ("resident at rest (VmRSS), MB", "under 15", |s| {
        s.memory.map(|(rest, _)| rest)
    }),
    ("resident at most (VmHWM), MB", "", |s| {
        s.memory.map(|(_, most)| most)
    }),
    ("binary, MB", "under 15", |s| Some(s.binary / 1e6)),
];

/// What one start took.
struct Sample {
    line: Duration,
    ready: Duration,
    signature: Duration,
    first: Duration,
    second: Duration,
    exit: Duration,
    /// Bytes of the schema as a message.
    schema: f64,
    /// MB at rest and at most; none where there is no `/proc`.
    memory: Option<(f64, f64)>,
    /// Bytes of the file.
    binary: f64,
}

fn main() -> ExitCode {
    // Cargo itself adds `--bench`.
    let arguments: Vec<OsString> = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let done = match arguments.as_slice() {
        // `cargo bench --workspace` knows of no provider, and is no mistake.
        [] => writeln!(stderr(), "nothing is measured without a provider\n{USAGE}")
            .map_err(Into::into),
        [_] | [_, _] => bench(&arguments),
        _ => Err(format!("too many arguments\n{USAGE}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is gone, the exit code alone tells.
            let _told = writeln!(stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[OsString]) -> Result<(), Box<dyn Error>> {
    let providers: Vec<PathBuf> = arguments.iter().map(PathBuf::from).collect();
    if let Some(missing) = providers.iter().find(|path| !path.is_file()) {
        let missing = missing.display();
        return Err(format!("there is no file {missing}\n{USAGE}").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let identity = Identity::new(7);
    let mut samples: Vec<Vec<Sample>> = providers.iter().map(|_| Vec::new()).collect();
    for _ in 0..RUNS {
        for (provider, samples) in providers.iter().zip(&mut samples) {
            let sample = runtime.block_on(measure(provider, &identity));
            samples.push(sample.map_err(|error| format!("{}: {error}", provider.display()))?);
        }
    }
    table(&providers, &samples)?;
    Ok(())
}

/// One start, from exec to exit.
async fn measure(provider: &Path, identity: &Identity) -> Result<Sample, Box<dyn Error>> {
    let start = Instant::now();
    let mut process = Process::plugin_of(Command::new(provider), identity, &[]);
    let text = process.line().await;
    let line = start.elapsed();
    if !text.starts_with("1|6|") {
        let (_, _, err) = process.end().await;
        return Err(format!("no handshake line of protocol 6 but {text:?}; it said: {err}").into());
    }

    // In TLS 1.3 the client is done before the server has looked at its certificate; the first
    // answer shows that both are.
    let start = Instant::now();
    let channel = Handshake::parse(&text).connect(Some(identity)).await?;
    HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await?;
    let ready = start.elapsed();

    let mut calls = ProviderClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let start = Instant::now();
    let schema = calls
        .get_provider_schema(get_provider_schema::Request::default())
        .await?
        .into_inner();
    let first = start.elapsed();
    // A refusal is quick, and no schema.
    if let Some(diagnostic) = schema.diagnostics.first() {
        return Err(format!("its schema comes with a diagnostic: {}", diagnostic.summary).into());
    }
    let start = Instant::now();
    calls
        .get_provider_schema(get_provider_schema::Request::default())
        .await?;
    let second = start.elapsed();

    tokio::time::sleep(REST).await;
    let memory = process.child.id().and_then(resident);

    // Terraform closes the connection once Shutdown is answered.
    drop(calls);
    let start = Instant::now();
    GrpcControllerClient::new(channel)
        .shutdown(Empty {})
        .await?;
    let (status, _, err) = process.end().await;
    let exit = start.elapsed();
    if !status.success() {
        return Err(format!("after Shutdown: {status}; it said: {err}").into());
    }

    let start = Instant::now();
    black_box(identity.sign(&[0; 130])?);
    let signature = start.elapsed();
    Ok(Sample {
        line,
        ready,
        signature,
        first,
        second,
        exit,
        schema: bytes(schema.encoded_len() as u64),
        memory,
        binary: bytes(fs::metadata(provider)?.len()),
    })
}

/// MB at rest and at most, as Linux counts them.
fn resident(id: u32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

fn table(providers: &[PathBuf], samples: &[Vec<Sample>]) -> io::Result<()> {
    let mut out = stdout();
    write!(
        out,
        "{:<38}{:>10}",
        format!("medians of {RUNS} starts"),
        "goal"
    )?;
    for provider in providers {
        let name = provider.file_name().unwrap_or_default().to_string_lossy();
        write!(out, "  {name:>14}")?;
    }
    writeln!(out)?;
    for (name, goal, value) in ROWS {
        write!(out, "{name:<38}{goal:>10}")?;
        for (provider, samples) in providers.iter().zip(samples) {
            let name = provider.file_name().unwrap_or_default().to_string_lossy();
            let width = name.chars().count().max(14);
            let shown = median(samples.iter().filter_map(value).collect()).map_or_else(
                || "not measured".to_owned(),
                |median| format!("{median:.2}"),
            );
            write!(out, "  {shown:>width$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[expect(clippy::unnecessary_wraps, reason = "a row may have no number")]
fn ms(time: Duration) -> Option<f64> {
    Some(time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn bytes(count: u64) -> f64 {
    count as f64
}
