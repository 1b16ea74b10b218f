//! Runs the tests of core and of the format under Miri, on a little-endian and a big-endian machine.
//!
//! Miri is a part of a nightly Rust. A machine without one gets it here if rustup can fetch it; if
//! not, the check fails and says so: nothing is skipped in silence.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Size;
use super::figure::Reached;
use crate::{fetch, paths};

/// One of each byte order.
const TARGETS: [(&str, &str); 2] = [
    ("x86_64-unknown-linux-gnu", "miri-tests"),
    ("s390x-unknown-linux-gnu", "miri-big-endian-tests"),
];
/// What Miri needs beside the compiler: itself, and the standard library's sources.
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// Runs them and counts the tests that passed.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    have_miri()?;
    let mut reached = Vec::new();
    for (target, id) in TARGETS {
        println!("miri: {target}");
        let count = tests(target).with_context(|| format!("under Miri for {target}"))?;
        reached.push(Reached::of(id, count));
    }
    Ok(reached)
}

fn have_miri() -> Result<()> {
    let list = ["component", "list", "--toolchain", "nightly", "--installed"];
    let installed = match fetch::output("rustup", &list) {
        Ok(text) => text,
        Err(_) => {
            println!("setup: rustup toolchain install nightly");
            let install = ["toolchain", "install", "nightly", "--profile", "minimal"];
            crate::run(Command::new("rustup").args(install))
                .context("Miri needs a nightly Rust, and rustup cannot install one")?;
            String::new()
        }
    };
    let there = |name: &&str| installed.lines().any(|line| line.starts_with(*name));
    let missing: Vec<&str> = COMPONENTS.into_iter().filter(|name| !there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: rustup component add {}", missing.join(" "));
    let add = ["component", "add", "--toolchain", "nightly"];
    crate::run(Command::new("rustup").args(add).args(missing))
        .context("this nightly Rust has no Miri, and rustup cannot add it")
}

/// How many tests passed; an error where one failed.
fn tests(target: &str) -> Result<u64> {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "miri", "test", "--target", target]);
    command.args(["-p", "lvshift-core", "-p", "lvshift-on-disk-format", "--lib", "--tests"]);
    command.arg("--target-dir").arg(paths::target().join("miri"));
    // The cargo that runs this program has left its compiler and its flags in the environment.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    // A dependency of the benchmarks has a function in C. Nobody links or runs it here, so any
    // compiler will do, and none for s390x has to be installed.
    command.env("CC_s390x_unknown_linux_gnu", "cc");
    // The golden images are files.
    command.current_dir(paths::root()).env("MIRIFLAGS", "-Zmiri-disable-isolation");
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting cargo miri")?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let mut passed = 0;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        passed += passed_in(&line);
    }
    let status = child.wait()?;
    if status.success() { Ok(passed) } else { bail!("cargo miri test: {status}") }
}

/// The tests that a line `test result: ok. N passed; ...` counts.
fn passed_in(line: &str) -> u64 {
    let rest = line.strip_prefix("test result: ok. ");
    rest.and_then(|rest| rest.split_once(" passed")?.0.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_result_counts() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 3 ignored"), 12);
        assert_eq!(passed_in("test result: FAILED. 12 passed; 1 failed"), 0);
        assert_eq!(passed_in("test passed_in ... ok"), 0);
    }
}
