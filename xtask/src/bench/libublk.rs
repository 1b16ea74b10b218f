//! libublk's own loop target, the server to be measured against: built from crates.io, never shipped.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// The version that results are compared with.
const VERSION: &str = "0.4.8";

/// Builds the example unless it is there.
pub(super) fn built() -> Result<PathBuf> {
    let root = paths::target().join("libublk");
    let program = root.join("bin/loop");
    if program.exists() {
        return Ok(program);
    }
    println!("bench: building libublk {VERSION}'s loop example");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Elsewhere than in the checkout, whose settings are not its own.
    command.current_dir("/");
    command.args(["install", "--quiet", "libublk", "--version", VERSION, "--example", "loop"]);
    command.arg("--root").arg(&root).arg("--target-dir").arg(root.join("build"));
    crate::run(&mut command).context("building libublk's example")?;
    ensure!(program.exists(), "{} was built and is not there", program.display());
    Ok(program)
}
