//! Hears what a command that checks something says of its figures.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Size;
use super::figure::{self, Reached};
use crate::paths;

/// Runs a command, shows what it prints, and picks the figures out.
pub(super) fn listen(command: &mut Command, size: Size) -> Result<Vec<Reached>> {
    command.current_dir(paths::root()).env("LVSHIFT_SCORECARD", size.word());
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {command:?}"))?;
    let mut reached = Vec::new();
    let output = child.stdout.take().context("its output is a pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        figure::take(&line, &mut reached);
    }
    let status = child.wait()?;
    if status.success() { Ok(reached) } else { bail!("{command:?}: {status}") }
}
