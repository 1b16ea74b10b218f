//! The registry: every scenario. A folder a subject, a file a topic, each with its list.

mod commands;
mod debian;
mod demo;
mod fault;
mod fixture;
pub mod honesty;
mod host;
mod lvm2;
mod machinery;
mod metadata;
mod moves;
mod power;
mod turns;
mod ublk;

pub use turns::of_the_turn;

use crate::scenario::{Frontend, Scenario};

/// A folder a subject, in each a list a file.
const FOLDERS: &[&[&[Scenario]]] = &[
    machinery::LISTS,
    &[demo::SCENARIOS],
    moves::LISTS,
    power::LISTS,
    fault::LISTS,
    &[honesty::SCENARIOS],
    metadata::LISTS,
    commands::LISTS,
    host::LISTS,
    lvm2::LISTS,
    ublk::LISTS,
    debian::LISTS,
];

/// Every scenario, hidden ones too.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    FOLDERS.iter().copied().flatten().copied().flatten()
}

/// Those of a front end that run in the small guest when none is named.
pub fn of(frontend: Frontend) -> impl Iterator<Item = &'static Scenario> {
    all().filter(move |s| !s.hidden && !s.debian && s.frontends.contains(&frontend))
}

/// Those of a front end that run in a whole Debian.
pub fn in_debian(frontend: Frontend) -> impl Iterator<Item = &'static Scenario> {
    all().filter(move |s| !s.hidden && s.debian && s.frontends.contains(&frontend))
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
