//! Where things lie in the checkout and below `target/`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Everything about the test VM that can be made again.
pub(crate) fn vm() -> PathBuf {
    target().join("vm")
}

/// A directory below `target/vm`, made if it is not there.
pub(crate) fn vm_dir(name: &str) -> Result<PathBuf> {
    let dir = vm().join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}
