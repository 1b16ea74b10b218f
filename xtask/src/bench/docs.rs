//! docs/benchmarks.md and the README's table, written from the results in `target/bench`.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::results::Results;
use super::{goals, plot, table};
use crate::paths;

/// What stands around the part that is written; the rest of a document is people's.
const BEGIN: &str = "<!-- measured: written by cargo xtask bench --write-docs -->";
const END: &str = "<!-- measured: end -->";

/// Writes both.
pub(super) fn write() -> Result<()> {
    let names =
        lvshift_tests::bench::BENCHES.iter().map(|b| b.name).chain(super::NATIVE.map(|b| b.0));
    let all: Result<Vec<Option<Results>>> = names.map(Results::read).collect();
    let all: Vec<Results> = all?.into_iter().flatten().collect();
    ensure!(!all.is_empty(), "nothing was measured yet: cargo xtask bench");
    let docs = paths::root().join("docs");
    let plots = docs.join("benchmarks");
    let mut text = String::new();
    for results in &all {
        text.push_str(&section(results, &plots)?);
    }
    replace(&docs.join("benchmarks.md"), &text)?;
    replace(&paths::root().join("README.md"), &headlines(&all))?;
    println!("written: docs/benchmarks.md, README.md, from {} results", all.len());
    Ok(())
}

fn section(results: &Results, plots: &Path) -> Result<String> {
    let place = &results.place;
    let mut text = format!("### {}\n\n", results.bench);
    let scale = if results.quick { ", `--quick`" } else { "" };
    text.push_str(&format!(
        "{}.\n\nMeasured {}{scale} at commit {} on {}, kernel {}; load of the machine at the \
         start: {}.\n\n",
        results.about, place.date, place.commit, place.machine, place.kernel, place.load
    ));
    text.push_str(&table::markdown(results));
    text.push('\n');
    for file in plot::write(results, plots)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text.push_str(&format!("![{name}](benchmarks/{name})\n"));
    }
    text.push('\n');
    Ok(text)
}

fn headlines(all: &[Results]) -> String {
    let mut text = String::from("| goal | measured | |\n|---|---:|---|\n");
    for verdict in all.iter().flat_map(goals::of) {
        let word = if verdict.met { "met" } else { "not met" };
        text.push_str(&format!("| {} | {} | {word} |\n", verdict.goal, verdict.found));
    }
    text
}

/// Replaces what stands between the marks of a document.
fn replace(file: &Path, measured: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (Some(from), Some(to)) = (text.find(BEGIN), text.find(END)) else {
        bail!("{} has no place for what was measured: {BEGIN} ... {END}", file.display());
    };
    let new = format!("{}{BEGIN}\n\n{}\n{}", &text[..from], measured.trim_end(), &text[to..]);
    let new = new.replace(&format!("\n{END}"), &format!("\n\n{END}"));
    std::fs::write(file, new).with_context(|| format!("writing {}", file.display()))
}
