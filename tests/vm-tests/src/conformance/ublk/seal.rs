//! The moment from which a write must reach the destination, and nobody who drives the move.

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, DATA, HANG, Rig, VG, served};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-equal-without-mover",
        about: "all is equal and the mover is dead: a destination that fails holds nobody's writes up",
        frontends: Frontend::UBLK,
        disks: fixture::TWO,
        timeout_s: 240,
        run: equal_without_mover,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-mover-dies-in-commit",
        about: "the mover dies before or behind its commit: flushes held for it go on by themselves",
        frontends: Frontend::UBLK,
        disks: fixture::TWO,
        timeout_s: 360,
        run: dies_in_commit,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

fn dies_in_commit(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 3703)?;
    for (point, home) in [("before:commit-moved", 1), ("after:commit-moved", 2)] {
        let run = rig.pvmove_at(point, &[&rig.pv(1), &rig.pv(2)])?;
        ensure!(run.signal == Some(9), "it was to be killed: {run}");
        // Nobody types anything: the daemon finds out from the disks what became of the commit.
        let of = format!("of={}", lv.display());
        let flush = ["dd", "if=/dev/null", &of, "conv=notrunc,fsync"];
        guest.spawn_env(&[], "busybox", &flush)?.wait(HANG)?.ok()?;
        served(&writer)?;
        if home == 1 {
            rig.pvmove(&["--abort"])?.ok()?;
        } else {
            rig.pvmove(&[])?.ok()?;
        }
        served(&writer)?;
        ensure!(rig.home("lv")? == home, "{point}: the LV is not where the record says");
    }
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn equal_without_mover(guest: &mut Guest) -> Result<()> {
    let mut destination = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, destination.path()])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 3701)?;
    // Killed after it has seen that all is equal, before it takes its last look.
    let run = rig.pvmove_at("before:check-legs", &[&rig.pv(1), &rig.pv(2)])?;
    ensure!(run.signal == Some(9), "it was to be killed: {run}");
    guest.wait_for("a report says that all is equal", HANG, || {
        let report = ["lvs", "--noheadings", "-o", "copy_percent", VG];
        let run = guest.lvshift(&report)?.ok()?;
        Ok(run.stdout.split_whitespace().any(|word| word.parse() == Ok(100.0)))
    })?;
    // The data area alone: marks in the log are another matter.
    destination.bad_writes(DATA, destination.sectors() - DATA)?;
    for _ in 0..3 {
        served(&writer)?;
    }
    destination.good()?;
    rig.pvmove(&["--abort"])?.ok()?;
    served(&writer)?;
    writer.stop()?.clean()?;
    ensure!(rig.home("lv")? == 1, "the source was in charge");
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}
