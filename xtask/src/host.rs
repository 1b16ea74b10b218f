//! The machine that builds and tests: which programs it has, and doing what root alone may.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a line of shell as root, or says which line to type.
pub(crate) fn as_root(line: &str) -> Result<()> {
    let sudo = if rustix::process::geteuid().is_root() {
        None
    } else if quiet(Command::new("sudo").args(["-n", "true"])) {
        Some("sudo")
    } else {
        bail!("this needs root. Type:\n  sudo sh -c '{line}'");
    };
    println!("setup: {}sh -c '{line}'", sudo.map_or("", |_| "sudo "));
    let mut words = sudo.into_iter().chain(["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c"]);
    let program = words.next().expect("there are words");
    let mut command = Command::new(program);
    crate::run(command.args(words).arg(line).stdout(Stdio::null())).context("as root")
}

/// Whether a program is on PATH.
pub(crate) fn has(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).exists())
}

fn quiet(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
