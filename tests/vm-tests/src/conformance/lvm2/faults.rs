//! Disks that fail under a move in an LVM2 VG.

use anyhow::{Result, ensure};

use super::rig::{self, EXTENT, HEAD, Lvm2, THREE, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::{Guest, Region};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-source-unreadable",
        about: "a sector of the source cannot be read: refused before the move, and undone in the middle of it",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: unreadable,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-unreadable-given-up",
        about: "what cannot be read of a striped LV in an LVM2 VG is given up: zeroes there and nowhere else",
        frontends: Frontend::UBLK,
        disks: THREE,
        run: given_up,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-verify",
        about: "a destination in an LVM2 VG flips bits: a verified move is undone, and made once it does no more",
        frontends: Frontend::BOTH,
        disks: THREE,
        run: verify,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-destination-unwritable",
        about: "a sector of the destination takes no write in an LVM2 VG: the move is undone, no write fails",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: unwritable,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-destination-dies",
        about: "the destination dies in mid-copy in an LVM2 VG: the move goes back without it, no write fails",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: dies,
        ..Scenario::DEFAULT
    },
];

fn unreadable(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv1")?;
    let rig = Lvm2::over(guest, vec![bad.path(), guest.disk("pv2")?])?;
    let home = rig.lv("home", &[(1, 8)])?;
    let writer = rig::writer(&home, 951)?;
    writer.pause();
    bad.bad_reads(HEAD + 10_000, 8)?;
    let run = rig.pvmove(&["--atomic", &rig.pv(1), &rig.pv(2)])?.fails_with(5)?;
    let sectors = format!("sectors {}-{}", HEAD + 10_000, HEAD + 10_007);
    ensure!(run.stderr.contains(&sectors) && run.stderr.contains("lvg/home"), "{run}");
    rig.at_rest()?;
    // Without that look the copy finds it.
    rig.pvmove(&["--atomic", "--skip-read-check", &rig.pv(1), &rig.pv(2)])?.fails_with(5)?;
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    // Unless all or nothing is asked for, everything else moves: found by the look, or by the copy.
    for (look, rest) in [(&[][..], "0-5"), (&["--skip-read-check"], "6-7")] {
        let run = rig.pvmove(&[look, &[&format!("{}:{rest}", rig.pv(1)), &rig.pv(2)]].concat())?;
        match look {
            [] => drop(run.fails_with(5)?.stderr_has("1 extent stay")?.stderr_has(&sectors)?),
            _ => drop(run.ok()?),
        }
        rig.at_rest()?;
    }
    rig.pvmove(&["--skip-read-check", &rig.pv(1), &rig.pv(2)])?.fails_with(5)?;
    rig.at_rest()?;
    let places =
        [format!("{}(0)", rig.pv(2)), format!("{}(4)", rig.pv(1)), format!("{}(4)", rig.pv(2))];
    ensure!(rig.lies("home")? == places, "home lies at {:?}", rig.lies("home")?);
    bad.good()?;
    writer.unpause();
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}

fn given_up(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv1")?;
    let rig = Lvm2::over(guest, vec![bad.path(), guest.disk("pv2")?, guest.disk("pv3")?])?;
    rig.lvm(&[
        "lvcreate",
        "-an",
        "-Zn",
        "-Wn",
        "-i2",
        "-I64k",
        "-l8",
        "-n",
        "home",
        VG,
        &rig.pv(1),
        &rig.pv(2),
    ])?;
    let home = rig.activate("home")?;
    guest.fill(&home, 8)?;
    let config = Config { size: Some(4 << 20), ..Config::new(&home, 957) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(10, HANG)?;
    // In the first stripe at sector 2 * 3000 and a bit of the LV: past what the writer has.
    let on_pv = 3 * EXTENT + 120;
    let stripe = 128;
    let on_lv = (on_pv / stripe * 2) * stripe + on_pv % stripe;
    let region = |first: u64, sectors| Region::new(&home, first, sectors);
    let before = guest.hash_region(&region(on_lv + 8, 8 * EXTENT - on_lv - 8))?;
    bad.bad_reads(HEAD + on_pv, 8)?;
    let args = ["-y", "--fill-unreadable", "zero", &rig.pv(1), &rig.pv(3)];
    let run = rig.pvmove(&args)?.ok()?;
    run.stdout_has("the list of it is in /var/lib/lvshift/unreadable-lvg-")?;
    let list = guest.sh("cat /var/lib/lvshift/unreadable-lvg-*")?;
    list.stdout_has(&format!("sectors {on_lv}-{} of LV lvg/home", on_lv + 7))?;
    rig.at_rest()?;
    guest.drop_caches()?;
    let zeroes = guest.read_region(&region(on_lv, 8))?;
    ensure!(zeroes.iter().all(|byte| *byte == 0), "what was given up is not zeroes");
    let after = guest.hash_region(&region(on_lv + 8, 8 * EXTENT - on_lv - 8))?;
    ensure!(before == after, "what could be read has changed");
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

fn verify(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, bad.path()])?;
    let home = rig.lv("home", &[(1, 6)])?;
    let writer = rig::writer(&home, 967)?;
    let sector = HEAD + 2 * EXTENT + 24;
    bad.flipping_writes(sector, 8)?;
    let run = rig.pvmove(&["--verify", &rig.pv(1), &rig.pv(2)])?.fails_with(5)?;
    let run = run.stderr_has(&format!("{} sectors {sector}-", rig.pv(2)))?;
    run.stderr_has("from the source")?.stderr_has("lvg/home")?;
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    bad.good()?;
    rig.pvmove(&["--verify", &rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}

fn unwritable(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, bad.path()])?;
    let home = rig.lv("home", &[(1, 8)])?;
    let writer = rig::writer(&home, 961)?;
    // Its flushes fail: the plan cannot be made durable, and is taken back.
    bad.bad_writes(HEAD + 10_000, 8)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.fails_with(5)?.stderr_has("taken back")?;
    rig.at_rest()?;
    bad.good()?;
    bad.bad_sectors(HEAD + 10_000, 8)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.fails_with(5)?.stderr_has("destination")?;
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    fixture::served(&writer)?;
    let outcome = writer.outcome().clean()?;
    ensure!(outcome.counters.worst < HANG, "{:?}", outcome.counters);
    bad.good()?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}

fn dies(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?])?;
    let home = rig.lv("home", &[(1, 20)])?;
    let writer = rig::writer(&home, 971)?;
    rig.slow(&slow, 500)?;
    let moving = rig.spawn_move("", &[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    slow.dead()?;
    let run = moving.wait(HANG * 3)?.fails_with(5)?;
    ensure!(run.stderr.contains("destination"), "does not say what failed: {run}");
    fixture::served(&writer)?;
    let outcome = writer.outcome().clean()?;
    guest.log(format!("the longest wait of the application: {:?}", outcome.counters.worst));
    ensure!(outcome.counters.worst < HANG, "{:?}", outcome.counters);
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    let pvs = rig.lvm(&["vgs", "--noheadings", "-o", "pv_count", VG])?;
    ensure!(pvs.stdout.trim() == "2", "the dead PV is in the VG: {pvs}");
    // The VG goes on without it.
    rig.pvmove(&[&rig.pv(1), &rig.pv(3)])?.ok()?;
    rig.is_on("home", 3)?;
    rig.end([writer], &["home"])
}
