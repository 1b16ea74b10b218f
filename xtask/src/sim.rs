//! `cargo xtask sim`: the simulator, built for speed.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::paths;

/// What can be asked of the simulator.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stop after so many checked crash points
    #[arg(long, default_value_t = QUICK)]
    points: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Run this one seed again and print what happens
    #[arg(long, conflicts_with_all = ["points", "first"])]
    seed: Option<u64>,
}

/// Crash points of the quick form.
pub(crate) const QUICK: u64 = 1_000_000;
/// Crash points of the large form.
pub(crate) const FULL: u64 = 100_000_000;
/// Crash points that each planted bug is given to show itself.
pub(crate) const PATIENCE: u64 = 1_000_000;

/// Runs it.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let words = match options.seed {
        Some(seed) => vec!["--seed".to_owned(), seed.to_string()],
        None => {
            let (points, first) = (options.points.to_string(), options.first.to_string());
            vec!["--points".to_owned(), points, "--first".to_owned(), first]
        }
    };
    let status = command("sim")?.args(words).status().context("starting the simulator")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The simulator over so many crash points, to be started.
pub(crate) fn many(points: u64) -> Result<Command> {
    let mut command = command("sim")?;
    command.args(["--points", &points.to_string()]);
    Ok(command)
}

/// The enumeration of what a move's metadata may become, to be started.
pub(crate) fn metadata() -> Result<Command> {
    command("metadata")
}

/// A program of the simulator, built in a directory of its own.
fn command(program: &str) -> Result<Command> {
    built(paths::root(), &paths::root().join("target/sim"), program)
}

/// The same of a checkout, built for speed in `target`, to be started.
pub(crate) fn built(checkout: &Path, target: &Path, program: &str) -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(checkout).args(["build", "--quiet", "--release", "-p"]);
    build.args(["lvshift-checks", "--bin", program, "--features", "sim", "--target-dir"]);
    crate::run(build.arg(target))?;
    Ok(Command::new(target.join("release").join(program)))
}
