//! The clients that are measured, each against a device of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use acceptance::usage::{Usage, megabytes};
use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::statvfs::statvfs;

use crate::Arguments;
use crate::content::NAME;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    Openmodel,
    Floor,
    OpenmodelTls,
    FloorTls,
    Rclone,
    Usual,
    UsualChecked,
}

impl Client {
    pub(crate) const ALL: [Self; 7] = [
        Self::Openmodel,
        Self::Floor,
        Self::OpenmodelTls,
        Self::FloorTls,
        Self::Rclone,
        Self::Usual,
        Self::UsualChecked,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Openmodel => "openmodel",
            Self::Floor => "bare copy loop",
            Self::OpenmodelTls => "openmodel, TLS",
            Self::FloorTls => "bare copy loop, TLS",
            Self::Rclone => "rclone (no SHA-256)",
            Self::Usual => "hf + transfer manager",
            Self::UsualChecked => "the same + sha256sum",
        }
    }

    /// Slow, and far from any goal: once is enough.
    pub(crate) const fn once(self) -> bool {
        matches!(self, Self::Usual | Self::UsualChecked)
    }

    const fn tls(self) -> bool {
        matches!(self, Self::OpenmodelTls | Self::FloorTls)
    }

    /// Move a repository of so many MiB, and tell what it took.
    pub(crate) fn run(self, asked: &Arguments, mib: u64, look: bool) -> Result<Usage> {
        // On the disk, not in a temporary folder that may be memory.
        let scratch = Scratch::new(&asked.peers)?;
        if self.once() {
            scratch.must_hold(mib << 20)?;
        }
        let digests = asked.peers.join("digests");
        let certificate = scratch.0.join("certificate.pem");
        let own = std::env::current_exe()?;
        let mut serve = Command::new(&own);
        serve
            .arg("serve")
            .arg("--digests")
            .arg(&digests)
            .args(["--mib", &mib.to_string()]);
        if look {
            serve.arg("--look");
        }
        if self.tls() {
            serve.arg("--tls").arg(&certificate);
        }
        let device = Served::start(serve)?;
        let mut client = Command::new(&own);
        client.args(["measure", "--"]);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let of_a_client = [
                "GOOGLE_",
                "CLOUDSDK_",
                "HF_",
                "PYTHON",
                "RCLONE_",
                "OPENMODEL_",
            ];
            if of_a_client.iter().any(|prefix| text.starts_with(prefix)) {
                client.env_remove(&name);
            }
        }
        self.command(&mut client, &device.url, asked, &scratch.0);
        if matches!(self, Self::Floor | Self::FloorTls) {
            client
                .arg(&own)
                .args(["copy", &device.url, "--mib", &mib.to_string()])
                .arg("--digests")
                .arg(&digests);
            if self.tls() {
                client.arg("--tls").arg(&certificate);
            }
        }
        if self.tls() {
            client.env("SSL_CERT_FILE", &certificate);
        }
        measured(client).with_context(|| self.name())
    }

    fn command(self, client: &mut Command, url: &str, asked: &Arguments, scratch: &Path) {
        let program = |name: &str| asked.peers.join("bin").join(name);
        match self {
            Self::Floor | Self::FloorTls => {}
            Self::Openmodel | Self::OpenmodelTls => {
                client.env("OPENMODEL_SANDBOX", url);
                client.arg(&asked.openmodel).args([
                    "transfer",
                    &format!("hf://{NAME}"),
                    "gs://bench",
                ]);
            }
            Self::Rclone => {
                client.arg(program("rclone")).arg("copy");
                client.args([
                    "--config",
                    "/dev/null",
                    "--http-url",
                    &format!("{url}/{NAME}/resolve/main/"),
                ]);
                client.args([
                    "--gcs-endpoint",
                    &format!("{url}/storage/v1/"),
                    "--gcs-anonymous",
                ]);
                client.args(["--transfers", "8", ":http:", ":gcs:bench/rclone"]);
            }
            Self::Usual | Self::UsualChecked => {
                client.arg(program("python3")).arg("tests/bench/usual.py");
                client.args([url, NAME]).arg(scratch);
                if self == Self::UsualChecked {
                    client.arg("--check");
                }
            }
        }
    }
}

fn measured(mut client: Command) -> Result<Usage> {
    let child = client
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let done = Arc::new(AtomicBool::new(false));
    let sampler = {
        let (done, root) = (Arc::clone(&done), child.id());
        thread::spawn(move || peak_of_all(root, &done))
    };
    let output = child.wait_with_output()?;
    done.store(true, Ordering::Relaxed);
    let peak = sampler.join().map_err(|_| anyhow!("the sampler failed"))?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let usage: Usage = serde_json::from_slice(&output.stdout)?;
    Ok(Usage {
        peak: usage.peak.max(peak),
        ..usage
    })
}

/// The most memory that all processes under one have at a time, in millions of bytes; what they share
/// counts once.
fn peak_of_all(root: u32, done: &AtomicBool) -> f64 {
    let mut peak = 0.0_f64;
    while !done.load(Ordering::Relaxed) {
        let pss = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        };
        let all = below(root);
        peak = peak.max(megabytes(all.iter().filter_map(pss).sum::<u64>() * 1024));
        thread::sleep(Duration::from_millis(100));
    }
    peak
}

fn below(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok();
        let stat = fs::read_to_string(entry.path().join("stat")).ok();
        let parent = stat.and_then(|stat| {
            stat.rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()
        });
        if let (Some(pid), Some(parent)) = (pid, parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        let those = children.remove(&next).unwrap_or_default();
        open.extend(&those);
        found.extend(those);
    }
    found
}

/// A device that runs.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let printed = child.stdout.take().context("its output")?;
        BufReader::new(printed).read_line(&mut url)?;
        ensure!(!url.is_empty(), "the device did not start");
        Ok(Self {
            child,
            url: url.trim_end().to_owned(),
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder that is gone afterwards, whatever happens.
struct Scratch(PathBuf);

impl Scratch {
    fn new(peers: &Path) -> Result<Self> {
        let folder = peers.join(format!("scratch-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder.canonicalize()?))
    }

    /// Refuse to fill a disk that others need: what is downloaded must leave as much again.
    fn must_hold(&self, bytes: u64) -> Result<()> {
        let disk = statvfs(&self.0)?;
        let free = disk.blocks_available() * disk.fragment_size();
        ensure!(
            free / 2 >= bytes,
            "the usual way downloads {:.0} MB, and the disk of {} has only {:.0} MB free: make room, use a \
             smaller --gib, or leave it out with --only openmodel,bare,rclone",
            megabytes(bytes),
            self.0.display(),
            megabytes(free)
        );
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
