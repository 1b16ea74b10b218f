//! A planted bug is a patch, `tests/planted/NAME.patch`: what it breaks in words, then a unified diff.
//!
//! It is found by its lines alone, which must stand in the file exactly once: the numbers in the diff
//! are for other tools, and a patch need not be touched because lines above it have moved.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// A bug that can be planted.
#[derive(Debug)]
pub(crate) struct Bug {
    /// The patch's name, and the one under which the code asks for it.
    pub(crate) name: String,
    files: Vec<Change>,
}

/// What a patch does to one file.
#[derive(Debug)]
struct Change {
    file: String,
    hunks: Vec<Hunk>,
}

/// Lines that are replaced, with those around them that say where.
#[derive(Debug, Default)]
struct Hunk {
    old: Vec<String>,
    new: Vec<String>,
}

/// Every planted bug, by name.
pub(crate) fn all(root: &Path) -> Result<Vec<Bug>> {
    let dir = root.join("tests/planted");
    let mut bugs = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        bugs.push(Bug::parse(&name, &text).with_context(|| path.display().to_string())?);
    }
    bugs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(bugs)
}

/// The files that the patches change, as they are with all of them.
pub(crate) fn apply_all(root: &Path, bugs: &[Bug]) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for bug in bugs {
        for change in &bug.files {
            let text = match texts.remove(&change.file) {
                Some(text) => text,
                None => std::fs::read_to_string(root.join(&change.file)).with_context(|| {
                    format!("tests/planted/{}.patch changes {}", bug.name, change.file)
                })?,
            };
            let text = change.apply(&text).with_context(|| {
                format!("tests/planted/{}.patch does not apply to {}", bug.name, change.file)
            })?;
            texts.insert(change.file.clone(), text);
        }
    }
    Ok(texts)
}

impl Bug {
    fn parse(name: &str, text: &str) -> Result<Bug> {
        let mut files: Vec<Change> = Vec::new();
        let mut says = 0;
        for line in text.lines() {
            if let Some(file) = line.strip_prefix("+++ b/") {
                files.push(Change { file: file.to_owned(), hunks: Vec::new() });
                continue;
            }
            let Some(change) = files.last_mut() else {
                says += usize::from(!line.is_empty() && !line.starts_with("--- "));
                continue;
            };
            if line.starts_with("@@") {
                change.hunks.push(Hunk::default());
            } else if !line.starts_with("--- ") {
                let hunk = change.hunks.last_mut().context("a line before the first @@")?;
                hunk.add(line)?;
            }
        }
        ensure!(says > 0, "it does not say in words what it breaks");
        ensure!(
            !files.is_empty() && files.iter().all(|f| !f.hunks.is_empty()),
            "it changes nothing"
        );
        let asks = format!("planted::is(\"{name}\")");
        ensure!(text.contains(&asks), "what it plants does not ask {asks}");
        let questions = text.matches("planted::is(").count();
        ensure!(questions == text.matches(&asks).count(), "it asks for another bug, too");
        Ok(Bug { name: name.to_owned(), files })
    }
}

impl Hunk {
    fn add(&mut self, line: &str) -> Result<()> {
        // An editor may have taken the blank from an empty line.
        match line.split_at_checked(1).unwrap_or((" ", "")) {
            (" ", text) => {
                self.old.push(text.to_owned());
                self.new.push(text.to_owned());
            }
            ("-", text) => self.old.push(text.to_owned()),
            ("+", text) => self.new.push(text.to_owned()),
            _ => bail!("a diff has no such line: {line}"),
        }
        Ok(())
    }
}

impl Change {
    fn apply(&self, text: &str) -> Result<String> {
        let mut lines: Vec<&str> = text.lines().collect();
        for hunk in &self.hunks {
            let mut places = lines
                .windows(hunk.old.len().max(1))
                .enumerate()
                .filter(|(_, window)| window.iter().eq(hunk.old.iter()))
                .map(|(at, _)| at);
            let at = places.next().with_context(|| {
                format!("these lines are not there any more:\n{}", hunk.old.join("\n"))
            })?;
            ensure!(places.next().is_none(), "more than once in it:\n{}", hunk.old.join("\n"));
            lines.splice(at..at + hunk.old.len(), hunk.new.iter().map(String::as_str));
        }
        Ok(lines.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "It is wrong.\n\n--- a/x.rs\n+++ b/x.rs\n@@ -7,2 +7,3 @@\n one\n\
                         +if planted::is(\"x\") { return }\n two\n";

    fn change(text: &str) -> Change {
        Bug::parse("x", text).expect("a patch").files.remove(0)
    }

    #[test]
    fn a_patch_finds_its_lines_wherever_they_stand() {
        let change = change(PATCH);
        let planted = change.apply("zero\none\ntwo\nthree\n").expect("it applies");
        assert_eq!(planted, "zero\none\nif planted::is(\"x\") { return }\ntwo\nthree\n");
        let gone = change.apply("one\nthree\n").expect_err("a line is gone");
        assert!(gone.to_string().contains("one\ntwo"), "{gone}");
        assert!(change.apply("one\ntwo\none\ntwo\n").is_err(), "where?");
    }

    #[test]
    fn a_patch_says_what_it_breaks_and_asks_for_itself_alone() {
        assert!(Bug::parse("x", PATCH).is_ok());
        assert!(Bug::parse("y", PATCH).is_err(), "it would never be switched on");
        assert!(Bug::parse("x", &PATCH.replace("It is wrong.", "")).is_err(), "no words");
        let two = PATCH.replace(" two", "+planted::is(\"y\");\n two");
        assert!(Bug::parse("x", &two).is_err(), "two bugs in one");
        assert!(Bug::parse("x", "Words alone.\n").is_err());
    }
}
