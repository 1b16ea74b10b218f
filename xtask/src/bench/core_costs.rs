//! What the core costs, in nanoseconds and bytes: criterion's figures, read from where it leaves them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lvshift_vm_tests::bench::record::{Record, Sample};
use serde_json::Value;

use super::machine::{Where, own_kernel};
use super::results::Results;
use crate::paths;

/// Its name, and what it is about.
pub(super) const CORE: (&str, &str) = (
    "core",
    "what the core costs on this machine: lookup, split, a write's admission and end, the search for \
     the next chunk, the largest metadata, memory",
);

const MEMORY: &str = "memory per TiB in chunks of 1 MiB";

/// Runs `cargo bench -p lvshift-core`.
pub(super) fn measure(quick: bool) -> Result<Results> {
    // What an older version of the benchmarks has left is none of this one's.
    let found = paths::target().join("criterion");
    match std::fs::remove_dir_all(&found) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", found.display()));
        }
        _ => {}
    }
    let place = Where::here("no virtual machine of ours", own_kernel());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root());
    command.args(["bench", "--quiet", "-p", "lvshift-core", "--bench", "core", "--", "--noplot"]);
    if quick {
        command.args(["--warm-up-time", "0.5", "--measurement-time", "1"]);
    }
    crate::run(&mut command).context("running criterion's benchmarks")?;
    let mut records = Vec::new();
    for dir in ended(&found)? {
        let read = |name: &str| -> Result<Value> {
            let file = dir.join(name);
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("reading {}", file.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{}: JSON", file.display()))
        };
        let (what, value) = (read("benchmark.json")?, read("estimates.json")?);
        let name = what.get("full_id").and_then(Value::as_str).context("a benchmark's name")?;
        let value = value.pointer("/median/point_estimate").and_then(Value::as_f64);
        records.push(sample(name, "ns", value.context("a median")?));
    }
    ensure!(!records.is_empty(), "criterion left nothing in {}", found.display());
    let bytes = lvshift_vm_tests::bench::tracker_bytes_per_tib();
    records.push(sample(MEMORY, "KiB", bytes as f64 / 1024.0));
    Ok(Results::new(CORE.0, CORE.1, quick, place, records))
}

fn sample(metric: &str, unit: &str, value: f64) -> Record {
    println!("{}: {metric}: {value:.4} {unit}", CORE.0);
    Record::Sample(Sample {
        bench: CORE.0.to_owned(),
        contestant: "lvshift-core".to_owned(),
        metric: metric.to_owned(),
        unit: unit.to_owned(),
        round: 1,
        value,
    })
}

/// The directories of the newest results, sorted by name.
fn ended(of: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut to_look = vec![of.to_owned()];
    while let Some(dir) = to_look.pop() {
        let entries = std::fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()));
        for entry in entries? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name == "new") {
                found.push(path);
            } else if path.is_dir() {
                to_look.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
