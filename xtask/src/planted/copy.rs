//! The scratch copy in which all bugs are planted: `target/planted/src`, built below `target/planted`.
//!
//! Every planted bug asks there whether it is switched on (`tests/planted/switch.rs`), so one build is
//! enough for all of them. The product's own source knows nothing of this.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::patch;
use crate::paths;

/// Where the switch lies in the copy.
const SWITCH: &str = "core/src/planted.rs";
/// What names it there.
const ROOM: (&str, &str) = ("core/src/lib.rs", "#[doc(hidden)]\npub mod planted;\n");
/// Beside what is walked through.
const DOT_FILES: &[&str] = &[".cargo/config.toml"];

/// The copy's checkout.
pub(super) fn root() -> PathBuf {
    paths::target().join("planted/src")
}

/// Brings the copy up to date, and names the bugs that are in it. Files that are as they were are left
/// alone: cargo looks at their times.
pub(super) fn make() -> Result<Vec<String>> {
    let (from, to) = (paths::root(), root());
    let bugs = patch::all(from)?;
    let mut planted = patch::apply_all(from, &bugs)?;
    planted.insert(SWITCH.to_owned(), read(&from.join("tests/planted/switch.rs"))?);
    let room = match planted.remove(ROOM.0) {
        Some(text) => text,
        None => read(&from.join(ROOM.0))?,
    };
    planted.insert(ROOM.0.to_owned(), room + ROOM.1);
    let mut files = BTreeSet::new();
    walk(from, from, &mut files)?;
    files.extend(DOT_FILES.iter().map(PathBuf::from));
    files.extend(planted.keys().map(PathBuf::from));
    for file in &files {
        let name = file.to_string_lossy();
        let bytes = match planted.get(&*name) {
            Some(text) => text.clone().into_bytes(),
            None => std::fs::read(from.join(file)).with_context(|| format!("reading {name}"))?,
        };
        put(&to.join(file), &bytes)?;
    }
    let mut old = BTreeSet::new();
    walk(&to, &to, &mut old)?;
    for file in old.difference(&files) {
        std::fs::remove_file(to.join(file)).context("removing what is no more from the copy")?;
    }
    Ok(bugs.into_iter().map(|bug| bug.name).collect())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn put(place: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(place).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let dir = place.parent().context("a file lies in a directory")?;
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    std::fs::write(place, bytes).with_context(|| format!("writing {}", place.display()))
}

/// All files, but for what is built or hidden.
fn walk(root: &Path, dir: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if name == "target" || name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(root, &path, files)?;
        } else if let Ok(inner) = path.strip_prefix(root) {
            files.insert(inner.to_owned());
        }
    }
    Ok(())
}
