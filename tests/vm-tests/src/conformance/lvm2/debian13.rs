//! What matters most of the moves in LVM2's VGs, with the LVM2 of Debian 13 (2.03.31): planned, committed, refreshed and
//! activated by it alone. The hidden ones are run by name.

use anyhow::Result;

use super::crash::{self, Cut, MID_COPY, cut};
use super::rig::{THREE, TWO};
use super::{in_place, rig};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-move-13",
        about: "as lvm2-move, with Debian 13's LVM2",
        frontends: Frontend::DM,
        disks: THREE,
        timeout_s: 300,
        run: |guest| with_13(guest, in_place::moves),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-refresh-13",
        about: "as lvm2-refresh, with Debian 13's LVM2",
        frontends: Frontend::DM,
        disks: THREE,
        timeout_s: 600,
        run: |guest| with_13(guest, in_place::refresh),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-reset-13",
        about: "the power fails in mid-copy and after each commit; Debian 13's LVM2 activates the LV",
        frontends: Frontend::DM,
        disks: TWO,
        state_disk: true,
        boots: 1 + CUTS.len() as u32,
        timeout_s: 300,
        run: |guest| with_13(guest, |guest| crash::reset(guest, CUTS)),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-kill-13",
        about: "as lvm2-kill, with Debian 13's LVM2",
        frontends: Frontend::DM,
        disks: TWO,
        timeout_s: 1200,
        hidden: true,
        run: |guest| with_13(guest, |guest| crash::kill(guest, &[])),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-abort-13",
        about: "as lvm2-abort, with Debian 13's LVM2",
        frontends: Frontend::DM,
        disks: THREE,
        timeout_s: 300,
        hidden: true,
        run: |guest| with_13(guest, in_place::abort),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-striped-13",
        about: "as lvm2-striped, with Debian 13's LVM2",
        frontends: Frontend::DM,
        disks: THREE,
        timeout_s: 300,
        hidden: true,
        run: |guest| with_13(guest, in_place::striped),
        ..Scenario::DEFAULT
    },
];

const CUTS: &[Cut] = &[
    cut(MID_COPY),
    cut("after:commit-begin"),
    cut("after:commit-moved"),
    Cut { at: "after:swap-mirrored", abort: Some("after:commit-aborting") },
];

fn with_13(guest: &mut Guest, scenario: impl FnOnce(&mut Guest) -> Result<()>) -> Result<()> {
    rig::debian_13(guest)?;
    scenario(guest)
}
