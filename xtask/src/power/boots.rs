//! Boots crash images and lets recovery finish what the power cut left.

use std::time::Instant;

use anyhow::{Context as _, Result};
use lvshift_checks::crash_images::run::{self, Crash};
use lvshift_checks::disk_server::log::Log;
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::scenario::Scenario;

use crate::run_guest::{self, Setting};
use crate::{paths, seconds};

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Boots {
    pub(super) booted: u64,
    pub(super) failed: u64,
}

/// Records a move under a file system and boots that many crash images of it.
pub(super) fn boots(setting: &Setting, name: &str, count: usize, seed: u64) -> Result<Boots> {
    let scenario = conformance::find(name).context("the scenario with the file system")?;
    let log = super::record(setting, name)?;
    let mut boots = Boots::default();
    for crash in run::choose(&log, count, seed)? {
        let start = Instant::now();
        let failures = boot(setting, scenario, &log, crash)?;
        boots.booted += 1;
        let word = if failures.is_empty() { "ok  " } else { "FAIL" };
        let what = format!("entry {} with {:?}", crash.at, crash.survive);
        println!("{word} {name}, {what}: {}", seconds(start.elapsed()));
        if !failures.is_empty() {
            boots.failed += 1;
            failures.iter().for_each(|line| println!("  {line}"));
        }
    }
    Ok(boots)
}

/// Boots one; what was wrong with it.
fn boot(setting: &Setting, scenario: &Scenario, log: &Log, crash: Crash) -> Result<Vec<String>> {
    let name = format!("{}-{}-{}", std::process::id(), scenario.name, crash.at);
    let dir = paths::vm_dir("runs")?.join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let server = run_guest::serve(scenario, &dir, false)?;
    for (disk, contents) in log.disks.iter().zip(run::contents(log, crash)?) {
        server.replace(&disk.name, contents)?;
    }
    let outcome = run_guest::on_server(setting, scenario, &dir, &server, 2)?;
    std::fs::remove_dir_all(&dir).context("removing the disks")?;
    if outcome.failures.is_empty() {
        return Ok(Vec::new());
    }
    let sections = [("why", outcome.failures), ("log", outcome.log)];
    let lines = sections
        .into_iter()
        .flat_map(|(name, lines)| [format!("--- {name}")].into_iter().chain(lines));
    let console = ["--- console".to_owned(), outcome.console];
    Ok(lines.chain(console).collect())
}
