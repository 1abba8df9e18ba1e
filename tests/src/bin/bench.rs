//! `just bench`: what a plan and an apply of endpoints cost beside the same count of Terraform's
//! built-in `terraform_data`, in the same run.
//!
//! ```text
//! bench ─► terraform (measured by `bench measure`, which waits for it and reads its rusage)
//!             └─► provider processes (their own CPU and memory sampled from /proc)
//! ```
//!
//! Wall and CPU time are medians; CPU is user and system time of terraform and all it started.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use acceptance::terraform::printed;
use acceptance::usage::{Usage, measure, megabytes};
use anyhow::{Context as _, Result, ensure};
use openmodel_cli::terraform::{Workspace, find_terraform, provider_binary};
use openmodel_sandbox::{Options, Sandbox};

/// Runs of each command; the median counts. An apply runs once: it is long, and leaves its state
/// for what follows.
const RUNS: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("measure") => measure(&arguments[1..]),
        _ => bench(&arguments),
    }
}

fn bench(arguments: &[String]) -> Result<()> {
    let counts: Vec<usize> = match arguments {
        [] => vec![1, 100, 1000],
        [list] => list
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context("counts such as 1,100")?,
        _ => anyhow::bail!("usage: bench [COUNT,COUNT,…]"),
    };
    let mut out = stdout();
    let terraform = find_terraform()?;
    let provider = provider_binary(|command| drop(writeln!(stdout(), "$ {command}")))?;
    writeln!(
        out,
        "provider binary: {:.1} MB (goal: under 15)\n",
        megabytes(fs::metadata(&provider)?.len())
    )?;
    schema(&mut out, &terraform, &provider)?;

    writeln!(
        out,
        "{:<28}{:>10}{:>10}{:>10}{:>10}   {:>7}{:>7}{:>7}   {:>10}{:>10}",
        "terraform",
        "wall s",
        "wall s",
        "CPU s",
        "CPU s",
        "wall",
        "CPU",
        "peak",
        "provider",
        "provider"
    )?;
    writeln!(
        out,
        "{:<28}{:>10}{:>10}{:>10}{:>10}   {:>7}{:>7}{:>7}   {:>10}{:>10}",
        "",
        "built-in",
        "endpoint",
        "built-in",
        "endpoint",
        "ratio",
        "ratio",
        "memory",
        "CPU share",
        "peak MB"
    )?;
    for count in counts {
        let built_in = series(&terraform, &provider, count, BUILT_IN)?;
        let endpoint = series(&terraform, &provider, count, ENDPOINT)?;
        for (name, reference) in &built_in {
            let ours = endpoint
                .get(name)
                .context("both series have the same steps")?;
            writeln!(
                out,
                "{:<28}{:>10.3}{:>10.3}{:>10.3}{:>10.3}   {:>6.2}x{:>6.2}x{:>6.2}x   {:>9.0}%{:>10.1}",
                format!("{name} x {count}"),
                reference.usage.wall,
                ours.usage.wall,
                reference.usage.cpu,
                ours.usage.cpu,
                ours.usage.wall / reference.usage.wall,
                ours.usage.cpu / reference.usage.cpu,
                ours.usage.peak / reference.usage.peak,
                100.0 * ours.provider_cpu / ours.usage.cpu,
                ours.provider_peak,
            )?;
        }
        if let Some(rpc) = endpoint.values().find_map(|measured| measured.rpc.as_ref()) {
            for (call, micros) in rpc {
                writeln!(
                    out,
                    "    {call}: median {micros:.0} us per call (goal: under 1000)"
                )?;
            }
        }
    }
    Ok(())
}

const BUILT_IN: &str =
    "resource \"terraform_data\" \"x\" {\n  count = COUNT\n  input = \"e-${count.index}\"\n}\n";

const ENDPOINT: &str = "terraform {\n  required_providers { openmodel = { source = \"openmodel/openmodel\" } }\n}\n\
    provider \"openmodel\" {\n  project = \"acme-ml\"\n  region  = \"us-central1\"\n}\n\
    resource \"openmodel_endpoint\" \"x\" {\n  count    = COUNT\n  name     = \"e-${count.index}\"\n  \
    model    = \"Qwen/Qwen2.5-7B-Instruct\"\n  workload = { context_length = 8192 }\n}\n";

/// What one command took.
#[derive(Clone, Debug, Default)]
struct Measured {
    usage: Usage,
    /// Seconds of CPU of the provider processes.
    provider_cpu: f64,
    /// Largest resident size of a provider process, MB.
    provider_peak: f64,
    /// Median microseconds per call, by call.
    rpc: Option<BTreeMap<String, f64>>,
}

/// First plan, apply, plan without changes.
fn series(
    terraform: &Path,
    provider: &Path,
    count: usize,
    configuration: &str,
) -> Result<BTreeMap<&'static str, Measured>> {
    let sandbox = Sandbox::start(Options::default())?;
    let mut workspace = Workspace::new(terraform, provider)?;
    workspace.set_env("OPENMODEL_SANDBOX", sandbox.url());
    workspace.write(
        "main.tf",
        &configuration.replace("COUNT", &count.to_string()),
    )?;
    let init = workspace.run(&["init"])?;
    ensure!(init.status.success(), "{}", printed(&init));

    // The first plan of all fills the cache of the Hub; what is measured is every later one.
    run(&workspace, &["plan"])?;
    let mut first = median(&workspace, &["plan"], RUNS)?;
    if configuration == ENDPOINT && count >= 100 {
        first.rpc = Some(calls(&mut workspace)?);
    }
    let apply = median(&workspace, &["apply", "-auto-approve"], 1)?;
    let again = median(&workspace, &["plan", "-detailed-exitcode"], RUNS)?;
    Ok(BTreeMap::from([
        ("1 first plan", first),
        ("2 apply", apply),
        ("3 plan without changes", again),
    ]))
}

fn median(workspace: &Workspace, arguments: &[&str], runs: usize) -> Result<Measured> {
    let mut measured = (0..runs)
        .map(|_| run(workspace, arguments))
        .collect::<Result<Vec<_>>>()?;
    measured.sort_by(|a, b| a.usage.cpu.total_cmp(&b.usage.cpu));
    Ok(measured.swap_remove(runs / 2))
}

/// Runs one terraform command in a process of its own, whose children are that command alone.
fn run(workspace: &Workspace, arguments: &[&str]) -> Result<Measured> {
    let inner = workspace.command(arguments);
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("measure")
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(workspace.folder());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let done = Arc::new(AtomicBool::new(false));
    let sampler = {
        let (done, folder) = (done.clone(), workspace.folder());
        thread::spawn(move || sample_providers(&folder, &done))
    };
    let output = command.stdin(Stdio::null()).output()?;
    done.store(true, Ordering::Relaxed);
    let (provider_cpu, provider_peak) = sampler
        .join()
        .map_err(|_| anyhow::anyhow!("the sampler failed"))?;
    ensure!(
        output.status.success(),
        "terraform {} failed:\n{}",
        arguments.join(" "),
        printed(&output)
    );
    Ok(Measured {
        usage: serde_json::from_slice(&output.stdout)?,
        provider_cpu,
        provider_peak,
        rpc: None,
    })
}

/// CPU seconds of all provider processes that ran in `folder`, and the largest resident size.
fn sample_providers(folder: &Path, done: &AtomicBool) -> (f64, f64) {
    let mut processes: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        for (pid, process) in providers(folder) {
            if let Some(sample) = sample(&process) {
                processes.insert(pid, sample);
            }
        }
        thread::sleep(Duration::from_millis(4));
    }
    (
        processes.values().map(|(cpu, _)| cpu).sum(),
        processes
            .values()
            .map(|(_, peak)| *peak)
            .fold(0.0, f64::max),
    )
}

fn providers(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = entries.filter_map(Result::ok).map(|entry| entry.path());
    let ours = processes.filter(|process| {
        fs::read(process.join("comm")).is_ok_and(|name| name.starts_with(b"terraform-provi"))
            && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
    });
    ours.map(|process| (process.to_string_lossy().into_owned(), process))
        .collect()
}

/// CPU seconds and peak MB of a process, from `/proc/PID/stat` (fields 14 and 15, in hundredths of
/// a second) and `/proc/PID/status` (`VmHWM`, in KiB).
fn sample(process: &Path) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = fs::read_to_string(process.join("status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((ticks / 100.0, kib * 1024.0 / 1e6))
}

/// Median microseconds per call, as the provider logs them at level debug.
fn calls(workspace: &mut Workspace) -> Result<BTreeMap<String, f64>> {
    let mut command = workspace.command(&["plan"]);
    let output = command.env("TF_LOG_PROVIDER", "DEBUG").output()?;
    ensure!(output.status.success(), "{}", printed(&output));
    let mut calls: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let Some((_, done)) = line.split_once(": done ") else {
            continue;
        };
        let Some((_, number)) = line.split_once("milliseconds=") else {
            continue;
        };
        let call: String = done.chars().take_while(char::is_ascii_alphabetic).collect();
        let number: String = number
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        if let Ok(milliseconds) = number.parse::<f64>() {
            calls.entry(call).or_default().push(milliseconds * 1e3);
        }
    }
    Ok(calls
        .into_iter()
        .map(|(call, mut times)| {
            times.sort_by(f64::total_cmp);
            (call, times[times.len() / 2])
        })
        .collect())
}

/// What Terraform needs to learn the schema; a process by itself is measured by `tfplug`'s own
/// benchmark, `benches/process.rs`.
fn schema(out: &mut impl Write, terraform: &Path, provider: &Path) -> Result<()> {
    let mut workspace = Workspace::new(terraform, provider)?;
    workspace.set_env("OPENMODEL_SANDBOX", "http://127.0.0.1:9");
    workspace.write("main.tf", &ENDPOINT.replace("COUNT", "1"))?;
    let init = workspace.run(&["init"])?;
    ensure!(init.status.success(), "{}", printed(&init));
    let answer = workspace.run(&["providers", "schema", "-json"])?;
    ensure!(answer.status.success(), "{}", printed(&answer));
    let times = median(&workspace, &["providers", "schema", "-json"], RUNS)?;
    let version = median(&workspace, &["version"], RUNS)?;
    writeln!(
        out,
        "providers schema -json: {} KB, {:.3} s wall beside {:.3} s of `terraform version`\n",
        answer.stdout.len() / 1000,
        times.usage.wall,
        version.usage.wall
    )?;
    Ok(())
}
