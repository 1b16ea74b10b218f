//! The packages that others build on, each built from what would be published of it alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cargo;
use crate::paths;

const PUBLISHED: [&str; 3] = ["lvshift-on-disk-format", "lvshift-core", "lvshift-driver"];

/// Packs them and builds what was packed.
pub(super) fn build() -> Result<String> {
    let target = paths::target().join("packages");
    // What was built of an earlier commit's packages has the same version, and would be taken for today's.
    if target.exists() {
        std::fs::remove_dir_all(&target)
            .with_context(|| format!("emptying {}", target.display()))?;
    }
    let home = home(&target)?;
    let (target, home) = (target.to_string_lossy(), home.to_string_lossy());
    // Offline, since it would ask the registry for each dependency's newest version.
    let package = ["package", "--quiet", "--offline", "--allow-dirty", "--target-dir", &target];
    let names = PUBLISHED.iter().flat_map(|name| ["-p", name]);
    cargo(&package.into_iter().chain(names).collect::<Vec<_>>(), &[("CARGO_HOME", &home)])
}

/// A home for cargo that has what the usual one has, but for unpacked sources: of a package that is not
/// published yet cargo keeps these by version and place, and takes those of an earlier commit for today's.
fn home(target: &Path) -> Result<PathBuf> {
    let home = target.join("home");
    let usual = usual_home()?;
    link_all(&usual, &home, "registry")?;
    link_all(&usual.join("registry"), &home.join("registry"), "src")?;
    Ok(home)
}

/// Where cargo keeps what it has fetched.
fn usual_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("no home directory")?;
    Ok(home.join(".cargo"))
}

/// Links to all that is in a directory but one thing.
fn link_all(from: &Path, to: &Path, but: &str) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let name = entry?.file_name();
        if name != but {
            std::os::unix::fs::symlink(from.join(&name), to.join(&name))
                .with_context(|| format!("linking {}", to.join(&name).display()))?;
        }
    }
    Ok(())
}
