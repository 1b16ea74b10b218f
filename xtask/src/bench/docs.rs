//! docs/benchmarks/NAME.md, one file for each benchmark, written from the results in `target/bench`; and the
//! summary of docs/benchmarks.md, written from those files.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::results::Results;
use super::{plot, table};
use crate::paths;

/// What stands around the part that is written; the rest of the document is people's.
const BEGIN: &str = "<!-- summary: written by cargo xtask bench --write-docs -->";
const END: &str = "<!-- summary: end -->";

/// Writes a file for each result there is, and the summary. What was not measured anew stays as it was.
pub(super) fn write() -> Result<()> {
    let mut files = 0;
    for name in names() {
        let Some(results) = Results::read(name)? else { continue };
        let file = folder().join(format!("{name}.md"));
        std::fs::write(&file, page(&results)?).with_context(|| file.display().to_string())?;
        println!("written: {}", file.display());
        files += 1;
    }
    ensure!(files > 0, "nothing was measured yet: cargo xtask bench");
    let document = paths::root().join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&document)?;
    std::fs::write(&document, with_summary(&text, &summary()?)?)?;
    println!("written: docs/benchmarks.md");
    Ok(())
}

fn names() -> impl Iterator<Item = &'static str> {
    let in_the_vm = lvshift_vm_tests::bench::BENCHES.iter().map(|b| b.name);
    in_the_vm.chain(super::NATIVE.map(|b| b.0))
}

fn folder() -> std::path::PathBuf {
    paths::root().join("docs/benchmarks")
}

fn page(results: &Results) -> Result<String> {
    let place = &results.place;
    let scale = if results.quick { ", `--quick`" } else { "" };
    let mut text = format!(
        "# {}\n\n{}.\n\nMeasured {}{scale} at commit {} on {}, kernel {}; load of the machine at the \
         start: {}.\n\n{}\n",
        results.bench,
        results.about,
        place.date,
        place.commit,
        place.machine,
        place.kernel,
        place.load,
        table::markdown(results)
    );
    for file in plot::write(results, &folder())? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text.push_str(&format!("![{name}]({name})\n"));
    }
    Ok(text)
}

/// A line for each goal, out of the files of the benchmarks.
fn summary() -> Result<String> {
    let mut text = String::from("| goal | measured | |\n|---|---:|---|\n");
    for name in names() {
        let file = folder().join(format!("{name}.md"));
        let Ok(page) = std::fs::read_to_string(&file) else { continue };
        for (met, goal, found) in page.lines().filter_map(verdict) {
            let word = if met { "met" } else { "not met" };
            let goal =
                goal.replacen(&format!("`{name}`"), &format!("[{name}](benchmarks/{name}.md)"), 1);
            text.push_str(&format!("| {goal} | {found} | {word} |\n"));
        }
    }
    Ok(text)
}

/// A goal's line as `goals::Verdict` prints it, in its parts.
fn verdict(line: &str) -> Option<(bool, &str, &str)> {
    let (met, rest) =
        match (line.strip_prefix("* goal met: "), line.strip_prefix("* goal NOT met: ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return None,
        };
    let (goal, found) = rest.rsplit_once("; measured ")?;
    Some((met, goal, found))
}

/// The document with another summary between its marks.
fn with_summary(text: &str, summary: &str) -> Result<String> {
    let (Some(from), Some(to)) = (text.find(BEGIN), text.find(END)) else {
        bail!(
            "{} has no place for the summary: {BEGIN} ... {END}",
            Path::new("docs/benchmarks.md").display()
        );
    };
    Ok(format!("{}{BEGIN}\n\n{}\n\n{}", &text[..from], summary.trim_end(), &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_the_files_say() {
        let document = paths::root().join("docs/benchmarks.md");
        let text = std::fs::read_to_string(&document).expect("it is there");
        let written = summary().and_then(|summary| with_summary(&text, &summary));
        let written = written.expect("it has the marks, and the files can be read");
        if std::env::var_os("LVSHIFT_BLESS").is_some() {
            std::fs::write(&document, &written).expect("it can be written");
        } else {
            assert!(written == text, "it is out of date: cargo xtask bless");
        }
    }

    #[test]
    fn a_verdict_is_read_as_it_is_printed() {
        let verdict =
            super::super::goals::Verdict { met: false, goal: "g; h".into(), found: "1".into() };
        assert_eq!(super::verdict(&format!("* {verdict}")), Some((false, "g; h", "1")));
    }
}
