//! `cargo xtask planted`: switches each planted bug on and looks which check finds it.
//!
//! The simulator is asked first, since it runs the whole program. What it cannot see is given to core's
//! own tests, then to the tracker's system under shuttle, each with the bug switched on by
//! `LVSHIFT_PLANT`. Before that, each of them has to pass without a bug.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{paths, seconds, sim};

/// A check of core that takes its bug from the environment.
struct Net {
    says: &'static str,
    args: &'static [&'static str],
    flags: &'static str,
}

const NETS: [Net; 2] = [
    Net { says: "core's unit tests", args: &["--target-dir", "target/planted"], flags: "" },
    Net {
        says: "shuttle",
        args: &["--release", "--target-dir", "target/shuttle", "shuttle"],
        flags: "--cfg shuttle",
    },
];

/// How many bugs were found, and the names of those that were not.
pub(crate) struct Catch {
    pub(crate) found: u64,
    pub(crate) missed: Vec<String>,
}

/// Runs it and says how it went.
pub(crate) fn main() -> Result<ExitCode> {
    let catch = all()?;
    let (found, missed) = (catch.found, catch.missed.len());
    println!("planted: {found} of {} bugs found", found + missed as u64);
    Ok(if catch.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the simulator finds of them in a hurry; what it misses then it may find with patience.
pub(crate) fn in_a_hurry() -> Result<Catch> {
    let (found, missed) = by_the_simulator(sim::HASTE)?;
    Ok(Catch { found, missed })
}

/// Tries every planted bug.
pub(crate) fn all() -> Result<Catch> {
    let (mut found, mut missed) = by_the_simulator(sim::PATIENCE)?;
    for net in &NETS {
        if missed.is_empty() {
            break;
        }
        println!("planted: {}, for what the simulator has missed", net.says);
        ensure!(net.passes(""), "{} fail without any bug", net.says);
        let mut left = Vec::new();
        for name in missed {
            let start = Instant::now();
            if net.passes(&name) {
                println!("MISSED {name:32} by {}", net.says);
                left.push(name);
            } else {
                println!("found  {name:32} {:>8}  by {}", seconds(start.elapsed()), net.says);
                found += 1;
            }
        }
        missed = left;
    }
    Ok(Catch { found, missed })
}

/// What the simulator finds: how many, and which it does not.
fn by_the_simulator(points: u64) -> Result<(u64, Vec<String>)> {
    let mut command = sim::planted_bugs(points)?;
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting the simulator")?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let (mut found, mut missed) = (0, Vec::new());
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what the simulator says")?;
        println!("{line}");
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("found"), Some(_)) => found += 1,
            (Some("MISSED"), Some(name)) => missed.push(name.to_owned()),
            _ => {}
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the simulator: {status}");
    }
    Ok((found, missed))
}

impl Net {
    /// Whether all its tests pass with this bug; none with an empty name.
    fn passes(&self, bug: &str) -> bool {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(paths::root()).env("LVSHIFT_PLANT", bug);
        if !self.flags.is_empty() {
            command.env("RUSTFLAGS", self.flags);
        }
        command.args(["test", "--quiet", "-p", "lvshift-core", "--lib", "--features", "planted"]);
        // What fails here is meant to fail: nobody wants to read it.
        command.args(self.args).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}
