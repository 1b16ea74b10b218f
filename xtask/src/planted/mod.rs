//! `cargo xtask planted`: plants each known bug in a scratch copy and looks which check finds it.
//!
//! The simulator is asked first, since it runs the whole program. What it cannot see is given to the walk over the
//! metadata's commits, to core's own tests, then to the tracker's system under shuttle, each with the bug switched on by
//! `LVSHIFT_PLANT`. Before that, each of them has to pass without a bug.

mod copy;
mod patch;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::{paths, seconds, sim};

/// Names the bug that is switched on.
const SWITCH: &str = "LVSHIFT_PLANT";

/// A check that sees what the simulator does not.
struct Net {
    says: &'static str,
    /// What cargo does.
    cargo: &'static [&'static str],
    /// Below `target/planted`; what is built with other flags lies elsewhere.
    target: &'static str,
    args: &'static [&'static str],
    flags: &'static str,
}

const TESTS: &[&str] = &["test", "--quiet", "-p", "lvshift-core", "--lib"];

const NETS: [Net; 3] = [
    Net {
        says: "the walk over commits without a PV",
        cargo: &[
            "run",
            "--quiet",
            "--release",
            "-p",
            "lvshift-checks",
            "--features",
            "sim",
            "--bin",
            "metadata",
        ],
        target: "",
        args: &["--", "behind"],
        flags: "",
    },
    Net { says: "core's unit tests", cargo: TESTS, target: "", args: &[], flags: "" },
    Net {
        says: "shuttle",
        cargo: TESTS,
        target: "shuttle",
        args: &["--release", "shuttle"],
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

/// Whether every bug can be planted in the source as it is now.
pub(crate) fn that_do_not_apply(root: &Path) -> Result<()> {
    patch::apply_all(root, &patch::all(root)?).map(drop)
}

/// Tries every planted bug.
pub(crate) fn all() -> Result<Catch> {
    let (mut found, mut missed) = by_the_simulator()?;
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
fn by_the_simulator() -> Result<(u64, Vec<String>)> {
    let (mut found, mut missed) = (0, Vec::new());
    let names = copy::make()?;
    let simulator = sim::built(&copy::root(), &target(), "sim")?;
    for name in names {
        let start = Instant::now();
        let what = find(&simulator, &name, sim::PATIENCE)?;
        let took = seconds(start.elapsed());
        match what {
            Some(what) => {
                let what: String = what.chars().take(110).collect();
                println!("found  {name:32} {took:>8}  {what}");
                found += 1;
            }
            None => {
                println!("MISSED {name:32} {took:>8}  by the simulator");
                missed.push(name);
            }
        }
    }
    Ok((found, missed))
}

/// Runs seeds with this bug until one fails that does not fail without it; says how it fails.
fn find(simulator: &Command, name: &str, points: u64) -> Result<Option<String>> {
    let (mut left, mut first) = (points, 1);
    loop {
        let mut planted = again(simulator, &[("--points", left), ("--first", first)]);
        let output = planted.env(SWITCH, name).output().context("starting the simulator")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let counted = text.lines().find_map(|line| line.strip_prefix("figure=sim-crash-points "));
        let counted = counted.and_then(|line| line.split(' ').next()?.parse::<u64>().ok());
        let Some(counted) = counted else {
            // It ended in the middle: an assertion of the simulator's own, or a stack that is full.
            ensure!(!output.status.success(), "the simulator says nothing");
            return Ok(Some(format!("the simulator: {}", output.status)));
        };
        let Some(failure) = text.lines().find_map(|line| line.strip_prefix("FAIL seed ")) else {
            return Ok(None);
        };
        let (seed, what) = failure.split_once(": ").context("a seed and how it fails")?;
        let seed: u64 = seed.parse().context("the number of a seed")?;
        let status = again(simulator, &[("--seed", seed)]).stdout(Stdio::null()).status();
        if status.context("starting the simulator")?.success() {
            return Ok(Some(format!("seed {seed}: {what}")));
        }
        println!("       {name:32} seed {seed} fails without it, too");
        (left, first) = (left.saturating_sub(counted), seed + 1);
    }
}

/// The same program with other words. What a bug breaks first may be an assertion: what it says then
/// nobody wants to read.
fn again(program: &Command, words: &[(&str, u64)]) -> Command {
    let mut command = Command::new(program.get_program());
    let variables = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables).env_remove(SWITCH).stderr(Stdio::null());
    for (word, number) in words {
        command.args([(*word).to_owned(), number.to_string()]);
    }
    command
}

/// Where the copy is built.
fn target() -> PathBuf {
    paths::target().join("planted")
}

impl Net {
    /// Whether all its tests pass with this bug; none with an empty name.
    fn passes(&self, bug: &str) -> bool {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(copy::root()).env(SWITCH, bug);
        if !self.flags.is_empty() {
            command.env("RUSTFLAGS", self.flags);
        }
        command.args(self.cargo).arg("--target-dir");
        // What fails here is meant to fail: nobody wants to read it.
        command.arg(target().join(self.target)).args(self.args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}
