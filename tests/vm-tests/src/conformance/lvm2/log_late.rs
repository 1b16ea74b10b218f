//! The first writing of a move's dirty log is given up, and done when the move is over: it lands on nothing that is another's.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::in_place::stopped;
use super::rig::{self, Lvm2, TWO, VG};
use crate::conformance::fixture::{self, HANG};
use crate::conformance::ublk::late::TwoWays;
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lvm2-log-late",
    about: "a destination in an LVM2 VG is silent when the dirty log is written: the move ends in time, and its extents stay taken",
    disks: TWO,
    timeout_s: 300,
    run: log_late,
    ..Scenario::DEFAULT
}];

/// How long the log's device is waited for, and what all else takes.
const LIMIT: Duration = Duration::from_secs(30 + 60);

fn log_late(guest: &mut Guest) -> Result<()> {
    guest.modprobe("dm-delay")?;
    let ways = TwoWays::new(guest, "pv2", 3_600_000)?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, ways.path()])?;
    let home = rig.lv("home", &[(1, 4)])?;
    let writer = rig::writer(&home, 2411)?;

    let moving = rig.spawn_move("stop:init-log", &[&rig.pv(1), &rig.pv(2)])?;
    stopped(guest, moving.pid())?;
    // LVM2's own metadata are written as always.
    ways.late_from(1)?;
    moving.signal(Signal::CONT)?;
    let run = moving.wait(LIMIT).context("the move waits for the log")?.fails_with(5)?;
    ensure!(run.stderr.contains(&rig.pv(2)), "it does not name the device: {run}");
    fixture::served(&writer)?;
    let lvs = rig.lvm(&["lvs", "-a", "--noheadings", "-o", "lv_name", VG])?.stdout;
    ensure!(lvs.contains("_mlog"), "the log's extents were freed: {lvs}");
    ensure!(ways.on_their_way()? > 0, "nothing is on its way: nothing is shown");
    // Nobody can end it meanwhile, and all else goes on.
    let run = rig.pvmove(&["--abort"])?.fails_with(5)?;
    ensure!(run.stderr.contains("may still be written"), "it does not say why: {run}");
    fixture::served(&writer)?;

    ways.land()?;
    rig.pvmove(&["--abort"])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.is_on("home", 2)?;
    ensure!(writer.counters().worst < HANG, "the application waited");
    rig.end([writer], &["home"])
}
