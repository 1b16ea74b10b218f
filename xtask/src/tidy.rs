//! Rules that no compiler checks: who may depend on whom, how long a file may be,
//! where unsafe may stand, that modules say what they are and links lead somewhere, and that planted
//! bugs can still be planted.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{paths, planted};

/// Each package's directory and the packages of ours that it may depend on.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("on-disk-format", &[]),
    ("core", &["lvshift-on-disk-format"]),
    ("driver", &["lvshift-core"]),
    ("frontend-common", &["lvshift-on-disk-format", "lvshift-core", "lvshift-driver"]),
    ("frontend-dm", &["lvshift-on-disk-format", "lvshift-core", "lvshift-frontend-common"]),
    // For device-mapper, on which LVM2's own VGs rest.
    (
        "frontend-ublk",
        &["lvshift-on-disk-format", "lvshift-core", "lvshift-frontend-common", "lvshift-dm"],
    ),
];

/// Where the product's source lies.
const PRODUCT: &[&str] =
    &["core/", "driver/", "on-disk-format/", "frontend-common/", "frontend-dm/", "frontend-ublk/"];

/// The longest a source file may be.
const MOST_LINES: usize = 600;

/// The only files in which `unsafe` may stand.
const UNSAFE_FILES: &[&str] = &[
    "frontend-common/src/device/answers.rs",
    "frontend-common/src/device/answers/errand.rs",
    "frontend-common/src/device/answers/ring.rs",
    "frontend-common/src/device/loops.rs",
    "frontend-common/src/signature/blkid.rs",
    "frontend-dm/src/ioctl.rs",
    "frontend-dm/src/udev.rs",
    "frontend-ublk/src/platform/linux/ring/command.rs",
    "frontend-ublk/src/platform/linux/ring/memory.rs",
    "frontend-ublk/src/platform/linux/ring/mod.rs",
    "frontend-ublk/src/platform/linux/sys.rs",
    "tests/vm-tests/src/bench/uring_copy.rs",
    "tests/vm-tests/src/bin/init/own_life.rs",
    "tests/vm-tests/src/guest/memory.rs",
];

/// What the first lines of these crates must hold: then the compiler keeps what they promise.
const NO_STD_NO_UNSAFE: &[&str] =
    &["core/src/lib.rs", "driver/src/lib.rs", "on-disk-format/src/lib.rs"];

/// Checks all rules and names every breach.
pub(crate) fn check() -> Result<String> {
    let root = paths::root();
    let mut files = Vec::new();
    walk(root, &mut files)?;
    let mut wrong = dependencies(root)?;
    wrong.extend(planted::that_do_not_apply(root).err().map(|error| format!("{error:#}")));
    let mut counted = 0;
    for path in &files {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
        let found = if name.ends_with(".rs") { source(&name, &text) } else { links(path, &text) };
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
        counted += 1;
    }
    if wrong.is_empty() {
        return Ok(format!("{counted} files"));
    }
    bail!("{} breaches\n  {}", wrong.len(), wrong.join("\n  "))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&entry.path(), files)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".md") {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn dependencies(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (dir, allowed) in MAY_DEPEND {
        let file = root.join(dir).join("Cargo.toml");
        if !file.exists() && *dir == "frontend-ublk" {
            continue;
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {dir}"))?;
        for name in ours_in(&text) {
            if !allowed.contains(&name.as_str()) {
                wrong.push(format!("{dir}/Cargo.toml: it may not depend on {name}"));
            }
        }
    }
    Ok(wrong)
}

/// The packages of ours among the dependencies of a Cargo.toml.
fn ours_in(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            in_dependencies = table.contains("dependencies");
        } else if in_dependencies {
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if key.starts_with("lvshift-") || key == "xtask" {
                found.push(key.to_owned());
            }
        }
    }
    found
}

fn source(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        wrong.push(format!("{lines} lines, the most is {MOST_LINES}"));
    }
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    // A `tests.rs` beside what it tests needs no introduction.
    if !name.ends_with("/tests.rs") && !first.is_some_and(|line| line.starts_with("//!")) {
        wrong.push("its first line is not `//!`, saying what it is for".to_owned());
    }
    for (n, _) in text.lines().enumerate().filter(|(_, line)| takes_from_elsewhere(line)) {
        wrong.push(format!("line {}: a module from another path", n + 1));
    }
    if NO_STD_NO_UNSAFE.contains(&name) {
        for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            if !text.lines().any(|line| line == attribute) {
                wrong.push(format!("it lacks {attribute}"));
            }
        }
    }
    if PRODUCT.iter().any(|place| name.starts_with(place)) {
        for (n, line) in text.lines().enumerate().filter(|(_, line)| hides_who(line)) {
            wrong.push(format!("line {}: says not who: {}", n + 1, line.trim()));
        }
    }
    if !UNSAFE_FILES.contains(&name) {
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if opens_unsafe(code) {
                wrong.push(format!("line {}: unsafe, in a file that is not listed", n + 1));
            }
        }
    }
    wrong
}

/// Whether the line is an attribute that gives a module another file than its own: then one file is two
/// pieces of code.
fn takes_from_elsewhere(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[") && (line.contains("[path") || line.contains(", path ="))
}

/// Whether the line tells of an actor without naming it: a thread, a process, a person and another host are
/// not the same to a reader who looks for a race.
fn hides_who(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let words = line.split(|c: char| !c.is_alphanumeric());
    words.into_iter().any(|word| matches!(word, "somebody" | "nobody"))
}

/// Whether code holds the keyword, and not the word in a string or a longer name.
fn opens_unsafe(code: &str) -> bool {
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        let keyword = ["{", "(", "fn ", "impl", "extern", "trait"];
        !before.is_some_and(|c| c.is_alphanumeric() || "_=\"".contains(c))
            && (after.is_empty() || keyword.iter().any(|next| after.starts_with(next)))
    })
}

/// Links to files that are not there.
fn links(path: &Path, text: &str) -> Vec<String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut wrong = Vec::new();
    for target in targets {
        let file = target.split(['#', ' ']).next().unwrap_or_default();
        let elsewhere = target.contains("://") || target.starts_with("mailto:");
        if !file.is_empty() && !elsewhere && !dir.join(file).exists() {
            wrong.push(format!("the link to {target} leads nowhere"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_breach_is_seen() {
        assert_eq!(
            ours_in("[dependencies]\nlvshift-core.workspace = true\nserde = \"1\"\n"),
            ["lvshift-core"]
        );
        assert!(ours_in("[package]\nlvshift-core = 1\n").is_empty());
        assert!(source("a.rs", "//! Says.\nfn f() {} // unsafe\n").is_empty());
        for code in ["fn f() { @ { g() } }", "@ impl Send for X {}", "#[@(no_mangle)]"] {
            // Written with an @, so that the check does not find itself.
            assert!(opens_unsafe(&code.replace('@', "unsafe")), "{code}");
        }
        assert!(!opens_unsafe("let cache = \"cache=unsafe\"; forbid(unsafe_code)"));
        assert_eq!(source("a.rs", "fn f() {}\n").len(), 1);
        for attribute in ["#[path = \"b.rs\"]", "#[cfg_attr(x, path = \"b.rs\")]"] {
            assert_eq!(source("a.rs", &format!("//! Says.\n{attribute}\nmod b;\n")).len(), 1);
        }
        assert_eq!(source("core/src/lib.rs", "//! Says.\n#![no_std]\n").len(), 1);
        assert_eq!(source("core/src/a.rs", "//! Somebody waits.\n").len(), 1);
        assert!(source("core/src/a.rs", "//! A writer waits.\n").is_empty());
        assert!(source("tests/a.rs", "//! Somebody waits.\n").is_empty());
        assert_eq!(source("a.rs", &format!("//! Long.\n{}", "\n".repeat(600))).len(), 1);
        assert_eq!(links(Path::new("/x.md"), "[a](nowhere.md) [b](https://c) [d](#e)").len(), 1);
    }
}
