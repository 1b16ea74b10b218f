//! Checks that are made of scenarios: run by name on a front end, their figures read out of their logs.

use anyhow::{Context as _, Result};
use lvshift_tests::conformance;
use lvshift_tests::scenario::Frontend;

use super::figure::{self, Reached};
use crate::Machine;
use crate::vm_test::{self, JOBS, Tally};

/// Runs those of these scenarios that are for this front end.
pub(super) fn run(frontend: Frontend, names: &[&str]) -> Result<Tally> {
    let mut chosen = Vec::new();
    for name in names {
        let scenario = conformance::find(name).with_context(|| format!("no scenario {name}"))?;
        if scenario.frontends.contains(&frontend) {
            chosen.push(scenario);
        }
    }
    let setting = vm_test::prepare(frontend, &Machine::USUAL)?;
    let tally = vm_test::run_all(&setting, &chosen, JOBS, false, false)?;
    std::fs::remove_file(&setting.initramfs).ok();
    Ok(tally)
}

/// The figures that scenarios have logged.
pub(super) fn figures(tally: &Tally, reached: &mut Vec<Reached>) {
    tally.figures.iter().for_each(|line| figure::take(line, reached));
}
