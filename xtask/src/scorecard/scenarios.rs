//! Checks that are made of scenarios: run by name on both front ends, or counted in a run of all of them.

use anyhow::{Context as _, Result};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::scenario::Frontend;

use super::figure::{self, Reached};
use crate::Machine;
use crate::vm_test::{self, JOBS, Tally};

/// How the scenarios of a front end went.
pub(crate) type Seen = (Frontend, Tally);

/// Which scenarios a check is made of, and what it counts in them.
#[derive(Clone, Copy)]
pub(super) struct Made {
    pub(super) names: fn() -> Vec<&'static str>,
    pub(super) count: fn(&[Seen]) -> Vec<Reached>,
}

impl Made {
    /// Runs them on both front ends.
    pub(super) fn run(self) -> Result<Vec<Reached>> {
        let names = (self.names)();
        let mut seen = Vec::new();
        for frontend in Frontend::READY {
            seen.push((*frontend, run(*frontend, &names)?));
        }
        Ok((self.count)(&seen))
    }
}

/// Runs those of these scenarios that are for this front end.
fn run(frontend: Frontend, names: &[&str]) -> Result<Tally> {
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
pub(super) fn figures(seen: &[Seen]) -> Vec<Reached> {
    let mut reached = Vec::new();
    let lines = seen.iter().flat_map(|(_, tally)| &tally.figures);
    lines.for_each(|line| figure::take(line, &mut reached));
    reached
}
