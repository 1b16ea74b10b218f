//! Disks that get worse while they are left, and more than one bad disk at once.

use anyhow::{Result, ensure};

use super::disks::{Bench, EARLY};
use super::leaving::takes_no_writes;
use crate::conformance::fixture::{self, DATA, EXTENT, HANG, Rig, VG, served};
use crate::guest::{Guest, Region};
use crate::scenario::Scenario;
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "dying-gets-worse",
        about: "more of the source goes bad in mid-copy, then it is gone: what was moved is served, the rest is named",
        disks: fixture::THREE,
        volatile: true,
        run: gets_worse,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "dying-slots",
        about: "a PV whose metadata slots cannot be written, then one whose cannot be read either: left under a writer, and wiped",
        disks: fixture::THREE,
        volatile: true,
        run: slots,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "dying-two",
        about: "a source with bad sectors while a third PV is missing; then it takes no writes either",
        disks: fixture::THREE,
        volatile: true,
        run: two,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "dying-cut-off",
        about: "a source that takes no writes: its move is aborted in mid-copy, begun again with -b, cut off by the power, and ended",
        disks: fixture::TWO,
        state_disk: true,
        volatile: true,
        boots: 2,
        run: cut_off,
        ..Scenario::DEFAULT
    },
];

fn gets_worse(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?])?;
    let (old, new, side) = (rig.pv(1), rig.pv(2), guest.side()?);
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 971)?;
    // What is moved before it gets worse.
    side.command(format!("error pv1 read {}+8", DATA + EARLY))?;
    let run = rig.pvmove(&[&rig.pv_at(1, "0-5"), &new])?;
    run.fails_with(5)?.stderr_has("1 extent stays")?;
    rig.lies("lv", &[(2, 0, 2), (1, 2, 1), (2, 2, 3), (1, 6, 6)])?;

    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&old, &new])?;
    rig.wait_for_mid_copy()?;
    side.command(format!("error pv1 read {}+64", DATA + 10 * EXTENT))?;
    served(&writer)?;
    side.command(format!("error pv1 read {}+{EXTENT}", DATA + 11 * EXTENT))?;
    writer.pause();
    side.command("error pv1 all 0+65536")?;
    rig.full_speed(&mut slow)?;
    moving.wait(HANG * 2)?.fails_with(5)?.stderr_has(&old)?.stderr_has("vg/lv")?;

    // What was moved is served, and the rest answers with errors.
    let errors = || writer.outcome().counters.write_errors;
    for (extent, is_moved) in [(0, true), (2, false), (4, true), (7, false), (11, false)] {
        let before = errors();
        writer.write_now(extent * EXTENT);
        ensure!((errors() == before) == is_moved, "extent {extent}: a write was answered wrongly");
        let read = guest.read_region(&Region::new(&lv, extent * EXTENT, 8));
        ensure!(read.is_ok() == is_moved, "extent {extent}: a read was answered wrongly");
    }
    guest.lvshift(&["lvs"])?.ok()?;
    guest.lvshift(&["vgck", VG])?.fails_with(5)?.stderr_has("missing")?;
    rig.pvmove(&[&old, &new])?.fails_with(5)?.stderr_has(&old)?;
    // It is gone for good: what would be lost with it is said, and that some of it is there.
    let run = guest.lvshift(&["vgreduce", "--removemissing", VG])?.fails_with(5)?;
    run.stderr_has("vg/lv would be lost")?.stderr_has("other PVs")?;

    // It answers once more: all of it is moved.
    side.command("clear pv1")?;
    rig.pvmove(&[])?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    writer.unpause();
    rig.pvmove(&[&old, &new])?.ok()?;
    rig.at_rest()?;
    ensure!(rig.home("lv")? == 2, "the LV is not all on its new PV");
    served(&writer)?;
    writer.stop()?.intact()?;
    rig.reads_from_its_places("lv")
}

fn slots(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3"])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 972)?;
    // Empty ones, by whatever cause, are no reason to make it anew.
    let third = rig.pv(3);
    let empty = format!("dd if=/dev/zero of={third} bs=1M seek=1 count=2 oflag=direct 2>&1");
    guest.sh(&empty)?.ok()?;
    guest.lvshift(&["pvcreate", &third])?.fails_with(5)?.stderr_has("used by VG vg")?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    // Both slots of a PV, and nothing else of it.
    for (disk, number, ops) in [("pv1", 1, "write,zero"), ("pv2", 2, "read,write,zero")] {
        guest.side()?.command(format!("error {disk} {ops} {EXTENT}+{}", 2 * EXTENT))?;
        let (old, new) = (rig.pv(number), rig.pv(number + 1));
        guest.lvshift(&["pvs"])?.ok()?.stdout_has(&old)?;
        // It is of the VG though it cannot say so.
        guest.lvshift(&["pvremove", &old])?.fails_with(5)?.stderr_has("vgreduce vg")?;
        guest.lvshift(&["vgcreate", "other", &old])?.fails_with(5)?.stderr_has("of VG vg")?;
        rig.pvmove(&[&old, &new])?.fails_with(5)?.stderr_has(&old)?.stderr_has("--yes")?;
        rig.pvmove(&["-y", &old, &new])?.ok()?.stderr_has(&old)?;
        let others = Rig::found(guest, rig.devices[number..].to_vec());
        others.lies("lv", &[(1, 0, 8)])?;
        served(&writer)?;
        guest.lvshift(&["vgreduce", VG, &old])?.ok()?.stderr_has("stay on this PV")?;
        // Its label can be wiped.
        guest.lvshift(&["pvremove", "--force", "-y", &old])?.ok()?;
        others.at_rest()?;
    }
    // It takes all that an application writes, so none of that may have failed.
    writer.stop()?.clean()?;
    Rig::found(guest, rig.devices[2..].to_vec()).reads_from_its_places("lv")
}

fn two(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 973)?;
    let rig = &bench.rig;
    let (old, new) = (rig.pv(1), rig.pv(2));
    bench.source.bad_reads(DATA + EARLY, 8)?;
    guest.side()?.command("error pv3 all 0+65536")?;
    let run = rig.pvmove(&[&old, &new])?.fails_with(5)?.stderr_has("1 extent stays")?;
    run.stderr_has("missing")?;
    let there = Rig::found(guest, rig.devices[..2].to_vec());
    there.lies("lv", &[(2, 0, 2), (1, 2, 1), (2, 2, 9)])?;
    served(&bench.writer)?;

    // The other two are not enough to leave the source, until the third is given up.
    bench.writer.pause();
    takes_no_writes(guest, "pv1")?;
    bench.source.good()?;
    let run = rig.pvmove(&["-y", &old, &new])?.fails_with(5)?;
    run.stderr_has("vgreduce --removemissing")?;
    there.lies("lv", &[(2, 0, 2), (1, 2, 1), (2, 2, 9)])?;
    guest.lvshift(&["vgreduce", "--removemissing", VG])?.ok()?;
    rig.pvmove(&["-y", &old, &new])?.ok()?;
    let good = Rig::found(guest, rig.devices[1..2].to_vec());
    guest.lvshift(&["vgreduce", VG, &old])?.ok()?;
    guest.side()?.command("error pv1 all 0+65536")?;
    good.at_rest()?;
    ensure!(good.home("lv")? == 1, "the LV is not all on its new PV");
    bench.writer.unpause();
    served(&bench.writer)?;
    bench.writer.stop()?.intact()?;
    good.reads_from_its_places("lv")
}

fn cut_off(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path()];
    let good = Rig::found(guest, vec![slow.path()]);
    let state = guest.state("lv.checkpoint")?;
    if guest.boot() == 1 {
        let rig = Rig::over(guest, devices)?;
        let (old, new) = (rig.pv(1), rig.pv(2));
        let writer = fixture::writer(&rig.lv("lv", 8, &[rig.pv(1)])?, 974)?;
        writer.pause();
        writer.checkpoint(&state)?;
        rustix::fs::sync();
        takes_no_writes(guest, "pv1")?;
        rig.slow_copy(&slow, 300)?;
        let moving = rig.spawn_move(&["-y", &old, &new])?;
        good.wait_for_mid_copy()?;
        rig.pvmove(&["--abort"])?.ok()?;
        moving.wait(HANG)?.fails_with(5)?;
        guest.lvshift(&["lvs", "--noheadings", "-o", "devices", VG])?.ok()?.stdout_has(&old)?;
        // It is known by then that it is left: nothing is asked, and a move that nothing waits for can be begun.
        rig.pvmove(&[&["-b", &old, &new], rig.rate_limit()].concat())?.ok()?;
        good.wait_for_mid_copy()?;
        guest.power_cut();
    }
    takes_no_writes(guest, "pv1")?;
    let rig = Rig::found(guest, devices);
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    let writer = Writer::resume(Config::new(fixture::lv_path("lv"), 974), &state)?;
    writer.pause();
    rig.pvmove(&[])?.ok()?;
    slow.good()?;
    good.lies("lv", &[(1, 0, 8)])?;
    guest.lvshift(&["vgreduce", VG, &rig.pv(1)])?.ok()?;
    guest.side()?.command("error pv1 all 0+65536")?;
    good.at_rest()?;
    writer.unpause();
    served(&writer)?;
    writer.stop()?.intact()?;
    good.reads_from_its_places("lv")
}
