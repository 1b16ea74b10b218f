//! `cargo xtask power` on each front end, as a check.

use std::process::Command;

use anyhow::{Context as _, Result};
use lvshift_vm_tests::scenario::Frontend;

use super::Size;
use super::figure::Reached;
use super::listen::listen;

/// Records, checks images and boots some.
pub(super) fn check(size: Size) -> Result<Vec<Reached>> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut reached = Vec::new();
    for frontend in Frontend::READY {
        let mut command = Command::new(&program);
        command.args(["power", "--frontend", frontend.word()]);
        if size == Size::Full {
            command.arg("--full");
        }
        reached.extend(listen(&mut command, size)?);
    }
    Ok(reached)
}
