//! The registry: every scenario, in the order they run.

mod abort;
mod commands;
mod control;
mod damage;
mod demo;
mod demo_seen;
mod faults;
mod faults_more;
mod fixture;
mod fixture_copy;
mod fixture_meta;
mod fixture_wait;
mod handover;
pub mod honesty;
mod honesty_control;
mod honesty_disks;
mod honesty_flush;
mod honesty_lvm2;
mod honesty_space;
mod kill;
mod liveness;
mod nbd;
mod outline;
mod placement;
mod power;
mod power_cache;
mod power_fs;
mod power_record;
mod pressure;
mod reboot;
mod refusals;
mod self_check;
mod ublk_chunk;
mod ublk_faults;
mod ublk_fixture;
mod ublk_kill;
mod ublk_late;
mod ublk_model;
mod ublk_overlap;
mod ublk_policy;
mod ublk_rate;
mod ublk_requests;
mod ublk_rig;
mod ublk_seal;
mod ublk_sparse;
mod ublk_upgrade;
mod udev;

use crate::scenario::{Frontend, Scenario};

/// One list a file, in the order they run.
const LISTS: &[&[Scenario]] = &[
    self_check::SCENARIOS,
    demo::SCENARIOS,
    outline::SCENARIOS,
    placement::SCENARIOS,
    abort::SCENARIOS,
    kill::SCENARIOS,
    power::SCENARIOS,
    power_cache::SCENARIOS,
    power_record::SCENARIOS,
    power_fs::SCENARIOS,
    faults::SCENARIOS,
    faults_more::SCENARIOS,
    control::SCENARIOS,
    honesty::SCENARIOS,
    refusals::SCENARIOS,
    damage::SCENARIOS,
    reboot::SCENARIOS,
    commands::SCENARIOS,
    udev::SCENARIOS,
    pressure::SCENARIOS,
    liveness::SCENARIOS,
    ublk_chunk::SCENARIOS,
    ublk_overlap::SCENARIOS,
    ublk_requests::SCENARIOS,
    ublk_sparse::SCENARIOS,
    ublk_rate::SCENARIOS,
    ublk_policy::SCENARIOS,
    handover::SCENARIOS,
    nbd::SCENARIOS,
    ublk_kill::SCENARIOS,
    ublk_late::SCENARIOS,
    ublk_upgrade::SCENARIOS,
    ublk_seal::SCENARIOS,
    ublk_faults::SCENARIOS,
];

/// Every scenario, hidden ones too.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    LISTS.iter().copied().flatten()
}

/// Those of a front end that run when none is named.
pub fn of(frontend: Frontend) -> impl Iterator<Item = &'static Scenario> {
    all().filter(move |s| !s.hidden && s.frontends.contains(&frontend))
}

/// The one of that name. A benchmark is found, too, though it is none of [`all`].
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    all().chain(crate::bench::scenarios::SCENARIOS).find(|s| s.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_disks_can_be_made() {
        let mut names = std::collections::BTreeSet::new();
        for scenario in all() {
            let name = scenario.name;
            assert!(names.insert(name), "two scenarios are called {name}");
            assert!(
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
                "{name:?} is not in kebab-case"
            );
            assert!(!scenario.about.is_empty(), "{name} says nothing about itself");
            assert!(!scenario.frontends.is_empty(), "{name} runs nowhere");
            assert!(scenario.boots >= 1, "{name} never boots");
            assert!((1..=4).contains(&scenario.cpus), "{name}: processors");
            let mut disks = std::collections::BTreeSet::new();
            for disk in scenario.disks {
                assert!(disks.insert(disk.name), "{name} has two disks {}", disk.name);
                assert!(disk.name.len() <= 20, "{}: a serial number has 20 bytes", disk.name);
                assert!(disk.name != "state", "{name}: set `state_disk` instead");
                assert!(matches!(disk.sector, 512 | 4096), "{name}: sector size");
                assert!(disk.size_mib > 0, "{name}: an empty disk");
            }
        }
    }
}
