//! Which scenarios `cargo xtask test` runs with which front end. One that is for both is run with one of them, in turns by
//! the list, but for those named here; some are run with `--full` alone. `cargo xtask test --full` and `cargo xtask vm-test` run each with
//! both. An emulated guest takes a minute of a processor for what a machine does in a second, and most of what runs in it is the same
//! for both: the core, which the native checks explore whole, and what reads, writes and says things around it.

use super::honesty::MATRIX;
use super::of;
use crate::scenario::{Frontend, Scenario};

/// Run with both: each front end's own engine under what matters most, and what the scorecard counts for both.
const BOTH: &[&str] = &[
    "outline-raw",
    "abort-mid-copy",
    "handover-mid-copy",
    "power-mid-copy",
    "liveness-copy-progress",
    "fault-source-unreadable",
    "dying-turns-read-only",
    "lvm2-move",
];

/// Run with `--full`: each is dear, and the nearest of its kind is run always, named behind it.
const FULL: &[(&str, &str)] = &[
    // The power fails, and what was not flushed is lost, too.
    ("power-steps", "power-cache-steps"),
    ("lvm2-raid5", "lvm2-raid1"),
    ("lvm2-mirror", "lvm2-raid1"),
    ("lvm2-cache", "lvm2-cache-pool"),
    ("lvm2-writecache", "lvm2-cache-pool"),
    ("lvm2-refresh-13", "lvm2-refresh"),
    ("lvm2-reset-13", "lvm2-reset"),
    ("lvm2-options", "lvm2-move"),
    ("lvm2-hand-over-cut", "lvm2-hand-over"),
    ("lvm2-dmeventd", "lvm2-services"),
    ("ublk-kill-copy", "ublk-kill-move"),
    ("ublk-requests-4k", "ublk-requests"),
    // What LVM2 does is no other today.
    ("control-source-unreadable", "fault-source-unreadable"),
    ("control-destination-unwritable", "fault-destination-unwritable"),
];

/// Run with this one, whose turn it would not be: two that share the points of a kill between them go together, and what
/// LVM2 of Debian 13 is tried with on one front end is tried with Debian 12's on the other.
const PINNED: &[(&str, Frontend)] = &[
    ("kill-carry-on", Frontend::Dm),
    ("kill-abort", Frontend::Dm),
    ("kill-way-back", Frontend::Ublk),
    ("kill-recovery", Frontend::Dm),
    ("kill-step-fails", Frontend::Ublk),
    ("lvm2-kill", Frontend::Ublk),
    ("lvm2-kill-abort", Frontend::Ublk),
    ("lvm2-refresh", Frontend::Ublk),
    ("lvm2-reset", Frontend::Ublk),
    ("lvm2-raid1", Frontend::Dm),
    ("lvm2-cache-pool", Frontend::Ublk),
    ("power-cache-steps", Frontend::Ublk),
];

/// Those that the tests run with this front end in the small guest.
pub fn of_the_turn(frontend: Frontend) -> impl Iterator<Item = &'static Scenario> {
    let mut number = 0;
    of(frontend).filter(move |scenario| {
        if FULL.iter().any(|(name, _)| *name == scenario.name) {
            return false;
        }
        let counted = MATRIX.iter().any(|cell| cell.shown_by == scenario.name);
        if scenario.frontends != Frontend::BOTH || counted || BOTH.contains(&scenario.name) {
            return true;
        }
        if let Some((_, pinned)) = PINNED.iter().find(|(name, _)| *name == scenario.name) {
            return *pinned == frontend;
        }
        number += 1;
        (number % 2 == 0) == (frontend == Frontend::Ublk)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_has_its_turn() {
        let names = |all: &mut dyn Iterator<Item = &'static Scenario>| -> BTreeSet<&str> {
            all.map(|scenario| scenario.name).collect()
        };
        let each = Frontend::ALL.iter().copied();
        let all = names(&mut each.clone().flat_map(of));
        let run = names(&mut each.clone().flat_map(of_the_turn));
        let mut with_full = run.clone();
        for (name, instead) in FULL {
            assert!(run.contains(instead), "{instead} is not run");
            assert!(with_full.insert(name), "{name} is run");
        }
        assert_eq!(with_full, all);
        let [dm, ublk] = [Frontend::Dm, Frontend::Ublk].map(|one| names(&mut of_the_turn(one)));
        for name in BOTH {
            assert!(dm.contains(name) && ublk.contains(name), "{name} is not run with both");
        }
        for (name, _) in PINNED {
            assert!(all.contains(name), "there is no scenario {name}");
            assert!(!(dm.contains(name) && ublk.contains(name)), "{name} is run with both");
        }
        // A turn is one: neither front end has many more than the other.
        assert!(dm.len().abs_diff(ublk.len()) < 25, "{} and {}", dm.len(), ublk.len());
    }
}
