//! `just bench`: a repository of eight files moved from the Hub to Cloud Storage by `openmodel transfer`,
//! beside a bare copy loop, rclone, and the usual way: `hf download`, then Google's transfer manager.
//!
//! ```text
//!   transfer ─┬─► transfer serve            Hub and Cloud Storage, a process of their own, new for each run
//!             └─► transfer measure CLIENT   one client and its children
//! ```

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

mod clients;
mod content;
mod device;
mod floor;
mod hub;
mod link;
mod storage;
mod table;

/// Move a repository with each client in turn, and say what each took.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Size of the repository
    #[arg(long, default_value_t = 8)]
    gib: u64,
    /// Runs of each client but the usual way, which runs once; the fastest counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these clients, by the beginning of their names
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The program that is measured
    #[arg(long, default_value = "target/release/openmodel")]
    openmodel: PathBuf,
    /// Python's environment with the peers, by tests/bench/transfer.txt
    #[arg(long, default_value = "target/peers/transfer")]
    peers: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the Hub and Cloud Storage until the standard input ends
    Serve {
        /// Size of the repository
        #[arg(long)]
        mib: u64,
        /// Where its digests are kept
        #[arg(long)]
        digests: PathBuf,
        /// Look at what is uploaded
        #[arg(long)]
        look: bool,
        /// Over TLS; the certificate is written to this file
        #[arg(long)]
        tls: Option<PathBuf>,
    },
    /// Be the bare copy loop
    Copy {
        /// Where the device is
        url: String,
        /// Size of the repository
        #[arg(long)]
        mib: u64,
        /// Where its digests are kept
        #[arg(long)]
        digests: PathBuf,
        /// The device's certificate
        #[arg(long)]
        tls: Option<PathBuf>,
    },
    /// Run a command, and print what it took
    Measure {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> Result<()> {
    let asked = Arguments::parse();
    match &asked.command {
        Some(Command::Measure { command }) => acceptance::usage::measure(command),
        Some(Command::Serve {
            mib,
            digests,
            look,
            tls,
        }) => device::serve(*mib, digests, *look, tls.as_deref()),
        Some(Command::Copy {
            url,
            mib,
            digests,
            tls,
        }) => floor::copy(url, tls.as_deref(), &content::samples(*mib, digests)?),
        None => table::print(&asked).context("the benchmark of transfers"),
    }
}
