//! Overlapping writes in flight: both legs get them in one order.

use anyhow::{Context as _, Result, ensure};

use super::rig::{HeldMove, fill, legs, legs_are_equal};
use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{HANG, Rig};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::Overlapping;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-overlap",
    about: "overlapping writes of odd sizes at depth 64 under a move: the legs are equal afterwards",
    frontends: Frontend::UBLK,
    disks: &[Disk::new("pv1", 24), Disk::new("pv2", 24)],
    timeout_s: 360,
    cpus: 4,
    run: overlap,
    ..Scenario::DEFAULT
}];

fn overlap(guest: &mut Guest) -> Result<()> {
    let disks = [guest.faulty("pv1")?, guest.faulty("pv2")?];
    // A leg whose disk takes four requests at a time gives others in any order: those that do not
    // find room are handed to threads of the kernel.
    for disk in &disks {
        let name = disk.lower().file_name().context("a disk without a name")?;
        let path = format!("/sys/block/{}/queue/nr_requests", name.display());
        std::fs::write(&path, "4").with_context(|| format!("writing {path}"))?;
    }
    let rig = Rig::over(guest, disks.iter().map(|disk| disk.path()).collect())?;
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    fill(guest, &lv, 0, 12 * 2048, 3101)?;
    for (from, to, slow, ms, seed) in [(1, 2, 2, 15, 3111), (2, 1, 2, 15, 3112)] {
        // One leg is slower than the other: the destination's at first, then the source's.
        slow_data(guest, &disks[slow - 1], ms)?;
        // The first place lies over the edge of two extents, the others within.
        let writer = Overlapping {
            path: lv.clone(),
            seed,
            places: vec![2048 - 77, 5 * 2048 + 3, 9 * 2048 + 1001],
            sectors: 160,
            longest: 40,
            depth: 64,
        };
        let writer = writer.start()?;
        writer.wait_for_writes(100, HANG)?;
        let mut moving = HeldMove::start(guest, &[&rig.pv(from), &rig.pv(to)])?;
        moving.equal()?;
        writer.wait_for_writes(1000, 3 * HANG)?;
        let history = writer.stop()?;
        legs_are_equal(&rig)?;
        let overlaps = history.overlaps();
        guest.log(format!("{} writes, {overlaps} pairs overlapped", history.writes()));
        ensure!(overlaps > history.writes(), "only {overlaps} pairs of writes overlapped");
        history.verify(&lv)?;
        ensure!(!legs(&rig)?.is_empty(), "the mirror was gone when the legs were compared");
        slow_data(guest, &disks[slow - 1], 0)?;
        moving.finish()?;
        history.verify(&lv)?;
        ensure!(rig.home("lv")? == to, "the LV did not move");
    }
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}
