//! Mutants of what the core decides: cargo-mutants changes one operator, arm or answer at a time, and
//! some test must notice.
//!
//! One that none notices is a survivor. `tests/mutants.txt` says of each that may survive why; every
//! other is a gap in the tests. An entry there that does not survive any more is an error, too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::Size;
use super::figure::Reached;
use crate::{fetch, paths};

/// The version whose words for mutants `tests/mutants.txt` uses.
const VERSION: &str = "27.1.0";

/// Files that are mutated, and the tests that have to notice.
struct Group {
    name: &'static str,
    files: &'static [&'static str],
    tests: &'static [&'static str],
}

/// Without the enumerations, which take minutes for each mutant.
const GROUPS: &[Group] = &[
    Group {
        name: "chunk",
        files: &[
            "core/src/chunk/admit.rs",
            "core/src/chunk/copies.rs",
            "core/src/chunk/flushes.rs",
            "core/src/chunk/group.rs",
            "core/src/chunk/guard.rs",
            "core/src/chunk/health.rs",
            "core/src/chunk/log.rs",
            "core/src/chunk/step.rs",
            "core/src/chunk/tracker.rs",
            "core/src/chunk/wanted.rs",
            "core/src/chunk/word.rs",
        ],
        tests: &["chunk::", "copier::"],
    },
    Group {
        name: "mover",
        files: &["core/src/mover/step.rs", "core/src/mover/recover.rs"],
        tests: &["mover::"],
    },
    Group {
        name: "metadata",
        files: &["core/src/metadata/commit.rs", "core/src/metadata/choose.rs"],
        tests: &["metadata::"],
    },
];

/// Makes every mutant, and counts those that nobody noticed and nobody explains.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    let program = have_cargo_mutants()?;
    let explained = explained()?;
    let (mut tried, mut unexplained, mut survivors) = (0, 0, BTreeSet::new());
    for group in GROUPS {
        let lists = run(&program, group)?;
        let count = |list: &str| Ok::<_, anyhow::Error>(lines(&lists.join(list))?.len() as u64);
        let missed = lines(&lists.join("missed.txt"))?;
        tried += count("caught.txt")? + count("timeout.txt")? + missed.len() as u64;
        for line in missed {
            let name = nameless_place(&line);
            if !explained.contains(&name) {
                eprintln!("nobody notices: {line}");
                unexplained += 1;
            }
            survivors.insert(name);
        }
    }
    let stale: Vec<_> = explained.difference(&survivors).collect();
    if !stale.is_empty() {
        bail!("tests/mutants.txt explains what does not survive: {stale:#?}");
    }
    let tried = Reached::of("mutants-tried", tried);
    Ok(vec![tried, Reached::of("mutants-unexplained", unexplained)])
}

/// Runs one group; the directory with its lists.
fn run(program: &Path, group: &Group) -> Result<PathBuf> {
    let output = paths::target().join("mutants").join(group.name);
    std::fs::create_dir_all(&output).context("creating a directory for mutants")?;
    let mut command = Command::new(program);
    command.current_dir(paths::root()).env_remove("RUSTFLAGS");
    command.args(["mutants", "--package", "lvshift-core", "--no-shuffle", "--jobs", "2"]);
    command.args(["--minimum-test-timeout", "20", "--output"]).arg(&output);
    group.files.iter().for_each(|file| {
        command.args(["--file", file]);
    });
    command.args(["--", "--lib", "--"]).args(group.tests);
    let status = command.status().context("starting cargo-mutants")?;
    // 2: some survive; 3: some ran out of time, which is noticed.
    ensure!(matches!(status.code(), Some(0 | 2 | 3)), "cargo-mutants, {}: {status}", group.name);
    Ok(output.join("mutants.out"))
}

/// The program, which is fetched where it is missing.
fn have_cargo_mutants() -> Result<PathBuf> {
    let root = paths::target().join("tools");
    let program = root.join("bin/cargo-mutants");
    let version = fetch::output(&program.to_string_lossy(), &["mutants", "--version"]);
    if version.is_ok_and(|text| text.trim().ends_with(VERSION)) {
        return Ok(program);
    }
    println!("setup: cargo install cargo-mutants {VERSION}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut install = Command::new(cargo);
    install.args(["install", "cargo-mutants", "--locked", "--quiet", "--version", VERSION]);
    crate::run(install.arg("--root").arg(&root)).context("cargo-mutants cannot be installed")?;
    Ok(program)
}

/// What may survive: entries that stand right below a reason.
fn explained() -> Result<BTreeSet<String>> {
    let path = paths::root().join("tests/mutants.txt");
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("reading {}", path.display()))?;
    let (mut reason, mut all) = (false, BTreeSet::new());
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() || line.starts_with('#') {
            reason = !line.is_empty();
        } else {
            ensure!(reason, "{}: no reason is given for {line}", path.display());
            all.insert(line.to_owned());
        }
    }
    Ok(all)
}

/// Lines that are not empty.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// `file.rs:12:34: what` without the line and the column, which every edit changes.
fn nameless_place(line: &str) -> String {
    let Some((place, what)) = line.split_once(": ") else { return line.to_owned() };
    let file = place.split(':').next().unwrap_or(place);
    format!("{file}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_keeps_its_name_when_lines_move() {
        let line = "core/src/chunk/word.rs:129:21: replace | with ^ in Word::with_late";
        assert_eq!(
            nameless_place(line),
            "core/src/chunk/word.rs: replace | with ^ in Word::with_late"
        );
    }

    #[test]
    fn every_survivor_has_a_reason() {
        assert!(!explained().expect("a list with reasons").is_empty());
    }
}
