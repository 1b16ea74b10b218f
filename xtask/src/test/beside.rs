//! The steps that only compute, beside the virtual machines: these wait a quarter of their time, for
//! emulated disks and for each other.
//!
//! They run in a process of their own that has what the machines leave over ([`NICENESS`]): a scenario has
//! time limits, and a computation has none.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context as _, Result};

use super::steps::Steps;
use crate::{host, paths};

/// As `nice -n` takes it: a tenth of a processor that a virtual machine wants, too.
const NICENESS: &str = "10";
/// What the process is asked for.
pub(super) const COMPUTING: &str = "--only-computing";

/// That process.
pub(super) struct Beside {
    child: Child,
    log: PathBuf,
    rows: PathBuf,
}

impl Beside {
    /// Starts it.
    pub(super) fn start() -> Result<Beside> {
        let dir = paths::target().join("test");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let (log, rows) = (dir.join("computing.log"), dir.join("computing.json"));
        // One that is left over would tell of another run.
        std::fs::remove_file(&rows).ok();
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let errors = output.try_clone().context("its log")?;
        let program = std::env::current_exe().context("finding this program")?;
        let mut words = vec!["nice", "-n", NICENESS];
        if host::has("setpriv") {
            // It ends with the process that waits for it.
            words.extend(["setpriv", "--pdeathsig", "KILL"]);
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(program).args(["test", COMPUTING]).arg(&rows);
        let child = command.stdout(output).stderr(errors).spawn();
        Ok(Beside { child: child.context("starting what computes")?, log, rows })
    }

    /// Waits for it, shows what it printed, and gives its steps.
    pub(super) fn finish(mut self) -> Result<Steps> {
        self.child.wait().context("waiting for what computes")?;
        let log =
            std::fs::read(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        println!("--- beside the virtual machines:\n{}", String::from_utf8_lossy(&log));
        Steps::read(&self.rows)
    }
}
