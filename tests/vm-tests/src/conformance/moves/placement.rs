//! What moves, and where to.

use anyhow::{Result, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::{self, Rig, VG};
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::writer::Writer;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "placement-ranges",
        about: "ranges on the source and on the destination, and moving within one PV",
        disks: fixture::TWO,
        run: ranges,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "placement-by-name",
        about: "-n moves one LV and leaves its neighbours on the PV where they are",
        disks: fixture::TWO,
        run: by_name,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "placement-many-segments",
        about: "two LVs in many pieces move to two PVs, and back without a destination named",
        disks: fixture::THREE,
        run: many_segments,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "placement-atomic",
        about: "--atomic: the LVs of a PV switch together or not at all",
        disks: fixture::TWO,
        run: atomic,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "placement-refused",
        about: "no space, no data, source as destination, bad ranges: refused, nothing written",
        disks: fixture::THREE,
        run: refused,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "placement-inactive",
        about: "an inactive LV moves and holds the same bytes when it is activated",
        disks: fixture::TWO,
        run: inactive,
        ..Scenario::DEFAULT
    },
];

fn ranges(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 12, &[rig.pv_at(1, "0-11")])?;
    let writer = fixture::writer(&lv, 21)?;
    // Two ranges; one of them a single extent.
    rig.pvmove(&[&rig.pv_at(1, "2-4:7"), &rig.pv(2)])?.ok()?;
    rig.lies("lv", &[(1, 0, 2), (2, 0, 3), (1, 5, 2), (2, 3, 1), (1, 8, 4)])?;
    // A range that reaches past what is used, onto a range of the destination.
    rig.pvmove(&[&rig.pv_at(1, "8-23"), &rig.pv_at(2, "10-")])?.ok()?;
    rig.lies("lv", &[(1, 0, 2), (2, 0, 3), (1, 5, 2), (2, 3, 1), (2, 10, 4)])?;
    // Within one PV, which takes `anywhere`.
    rig.pvmove(&["--alloc", "anywhere", &rig.pv_at(2, "10-13"), &rig.pv_at(2, "20-23")])?.ok()?;
    rig.lies("lv", &[(1, 0, 2), (2, 0, 3), (1, 5, 2), (2, 3, 1), (2, 20, 4)])?;
    // All that is on the second PV, into several ranges of the first, in the order given.
    rig.pvmove(&[&rig.pv(2), &rig.pv_at(1, "20-23:10-13")])?.ok()?;
    ensure!(rig.home("lv")? == 1, "something stayed behind");
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")?;
    let meta = rig.at_rest()?;
    ensure!(meta.free_on(&rig.devices[1])? == 24, "the second PV is not empty");
    Ok(())
}

fn by_name(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let a = rig.lv("a", 4, &[rig.pv_at(1, "0:2:4:6")])?;
    let b = rig.lv("b", 4, &[rig.pv_at(1, "1:3:5:7")])?;
    let writers = [fixture::writer(&a, 31)?, fixture::writer(&b, 32)?];
    rig.pvmove(&["-n", "a", &rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("a", &[(2, 0, 4)])?;
    rig.lies("b", &[(1, 1, 1), (1, 3, 1), (1, 5, 1), (1, 7, 1)])?;
    rig.pvmove(&["-n", "nobody", &rig.pv(1), &rig.pv(2)])?.fails_with(5)?.stderr_has("nobody")?;
    rig.pvmove(&["-n", &format!("{VG}/b"), &rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("b", &[(2, 4, 4)])?;
    for writer in writers {
        fixture::served(&writer)?;
        writer.stop()?.clean()?;
    }
    rig.reads_from_its_places("a")?;
    rig.reads_from_its_places("b")?;
    rig.at_rest().map(drop)
}

fn many_segments(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3"])?;
    let a = rig.lv("a", 10, &[rig.pv_at(1, "0:2:4:6:8:10:12:14:16:18")])?;
    let b = rig.lv("b", 10, &[rig.pv_at(1, "19:17:15:13:11:9:7:5:3:1")])?;
    let writers = [fixture::writer(&a, 41)?, fixture::writer(&b, 42)?];
    // 20 extents: 6 find room on the one, the others on the next.
    rig.pvmove(&[&rig.pv(1), &rig.pv_at(2, "0-5"), &rig.pv(3)])?.ok()?;
    let meta = rig.at_rest()?;
    ensure!(meta.free_on(&rig.devices[0])? == 24, "the source is not empty");
    ensure!(meta.free_on(&rig.devices[1])? == 18, "not filled in the order given");
    ensure!(meta.free_on(&rig.devices[2])? == 10, "not filled in the order given");
    writers.iter().for_each(Writer::pause);
    rig.reads_from_its_places("a")?;
    rig.reads_from_its_places("b")?;
    writers.iter().for_each(Writer::unpause);
    // No destination named: wherever there is room.
    rig.pvmove(&[&rig.pv(3)])?.ok()?;
    let meta = rig.at_rest()?;
    ensure!(meta.free_on(&rig.devices[2])? == 24, "the source is not empty");
    for writer in writers {
        fixture::served(&writer)?;
        writer.stop()?.clean()?;
    }
    rig.reads_from_its_places("a")?;
    rig.reads_from_its_places("b")
}

fn atomic(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let a = rig.lv("a", 4, &[rig.pv_at(1, "0:2:4:6")])?;
    let b = rig.lv("b", 4, &[rig.pv_at(1, "1:3:5:7")])?;
    let writers = [fixture::writer(&a, 51)?, fixture::writer(&b, 52)?];
    let pvs = [rig.pv(1), rig.pv(2)];
    rig.slow_copy(&slow, 1500)?;
    let moving = rig.spawn_move(&["--atomic", &pvs[0], &pvs[1]])?;
    rig.wait_for_state(MoveState::Copying)?;
    let meta = rig.meta()?;
    ensure!(meta.moves.len() == 1, "one move for all, not {}", meta.moves.len());
    let lvs: std::collections::BTreeSet<u16> = meta.parts.iter().map(|p| p.lv).collect();
    ensure!(lvs.len() == 2, "the move is of {} LVs", lvs.len());
    rig.pvmove(&["--abort"])?.ok()?;
    moving.wait(fixture::HANG)?.fails_with(5)?;
    rig.full_speed(&mut slow)?;
    rig.at_rest()?;
    ensure!(rig.home("a")? == 1 && rig.home("b")? == 1, "half of an atomic move");
    rig.pvmove(&["--atomic", &pvs[0], &pvs[1]])?.ok()?;
    rig.at_rest()?;
    ensure!(rig.home("a")? == 2 && rig.home("b")? == 2, "half of an atomic move");
    for writer in writers {
        fixture::served(&writer)?;
        writer.stop()?.clean()?;
    }
    rig.reads_from_its_places("a")?;
    rig.reads_from_its_places("b")
}

fn refused(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3"])?;
    let lv = rig.lv("lv", 12, &[rig.pv_at(1, "0-11")])?;
    rig.lv("full", 20, &[rig.pv_at(2, "0-19")])?;
    let writer = fixture::writer(&lv, 61)?;
    let (one, two, three) = (rig.pv(1), rig.pv(2), rig.pv(3));
    let sequence = rig.meta()?.sequence;
    let heads = rig.heads()?;
    let refuse = |args: &[&str], status: i32, text: &str| -> Result<()> {
        let run = rig.pvmove(args)?.fails_with(status)?;
        ensure!(run.stderr.to_lowercase().contains(text), "says nothing of {text:?}: {run}");
        ensure!(rig.heads()? == heads, "a refused move wrote something: {run}");
        Ok(())
    };
    refuse(&[&one, &two], 5, "12")?;
    refuse(&[&one, &rig.pv_at(3, "0-10")], 5, "12")?;
    refuse(&["--alloc", "contiguous", &one, &rig.pv_at(3, "0-5:8-14")], 5, "contiguous")?;
    refuse(&[&one, &one], 3, "anywhere")?;
    refuse(&[&three, &one], 5, "no data to move")?;
    refuse(&[&rig.pv_at(1, "12-23"), &three], 5, "no data to move")?;
    refuse(&["-n", "full", &one, &three], 5, "no data to move")?;
    refuse(&[&rig.pv_at(1, "9-0"), &three], 3, "range")?;
    refuse(&[&rig.pv_at(1, "x"), &three], 3, "x")?;
    refuse(&[&rig.pv_at(1, "0-99"), &three], 3, "99")?;
    refuse(&["/dev/null", &three], 5, "/dev/null")?;
    refuse(&["/dev/no-such-disk", &three], 5, "/dev/no-such-disk")?;
    refuse(&["--alloc", "sideways", &one, &three], 3, "sideways")?;
    refuse(&["--no-such-option", &one], 3, "no-such-option")?;
    refuse(&["--atomic"], 3, "atomic")?;
    ensure!(rig.meta()?.sequence == sequence, "the sequence number rose");
    // And with `anywhere` the source may be its own destination.
    rig.pvmove(&["--alloc", "anywhere", &rig.pv_at(1, "0-3"), &one])?.ok()?;
    ensure!(rig.home("lv")? == 1, "it left the PV");
    ensure!(rig.meta()?.places("lv")?[0].1 != 0, "it did not move");
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn inactive(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let busy = rig.lv("busy", 4, &[rig.pv(1)])?;
    fixture::writer(&lv, 71)?.stop()?.clean()?;
    let before = guest.hash_device(&lv)?;
    let name = format!("{VG}/lv");
    guest.lvshift(&["lvchange", "-a", "n", &name])?.ok()?;
    ensure!(!lv.exists(), "an inactive LV has a link");
    let writer = fixture::writer(&busy, 72)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    ensure!(!lv.exists(), "the move activated the LV for all to see");
    rig.at_rest()?;
    guest.lvshift(&["lvchange", "-a", "y", &name])?.ok()?;
    ensure!(rig.home("lv")? == 2 && rig.home("busy")? == 2, "not moved");
    ensure!(guest.hash_device(&lv)? == before, "the inactive LV came back with other bytes");
    rig.reads_from_its_places("lv")?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}
