//! Where a page is printed: how wide it is, and whether colours are wanted.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Columns of a page where nothing says how wide the terminal is.
const WIDTH: usize = 120;

/// The narrowest and the widest page that reads well.
const LEAST: usize = 40;
const MOST: usize = 140;

/// Columns of the standard output: of the terminal it is, else as `COLUMNS` says.
#[must_use]
pub fn width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    let stated = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(stated).unwrap_or(WIDTH).clamp(LEAST, MOST)
}

/// Print a page to the standard output, with colours where they are wanted.
pub fn print(page: &str, color: Color) -> io::Result<()> {
    let stdout = io::stdout();
    let choice = match color {
        Color::Auto => AutoStream::choice(&stdout),
        Color::Always => ColorChoice::AlwaysAnsi,
        Color::Never => ColorChoice::Never,
    };
    let mut stream = AutoStream::new(stdout.lock(), choice);
    stream.write_all(page.as_bytes())?;
    stream.flush()
}
