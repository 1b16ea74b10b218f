//! What a VG of LVM2's or its machine may have that is rare: PVs without metadata, a device that has a name of ours,
//! devices of a move that another process holds open, a destination that dies when it has just taken over.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::in_place::stopped;
use super::rig::{self, Lvm2, THREE, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-strange",
        about: "PVs without metadata, a device with a name of ours, devices held open while the move ends",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: strange,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-moved-dies",
        about: "the destination dies between the commit of Moved and the switch; it comes back, and the move ends",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: dies_when_moved,
        ..Scenario::DEFAULT
    },
];

fn strange(guest: &mut Guest) -> Result<()> {
    let devices: Result<Vec<_>> = ["pv1", "pv2", "pv3"].iter().map(|pv| guest.disk(pv)).collect();
    let rig = Lvm2::found(guest, devices?)?;
    let (one, two, three) = (rig.pv(1), rig.pv(2), rig.pv(3));
    rig.lvm(&["pvcreate", "--metadatacopies", "0", &two, &three])?;
    rig.lvm(&["vgcreate", "-s", "1m", VG, &one, &two, &three])?;
    let home = rig.lv("home", &[(2, 6)])?;
    let writer = rig::writer(&home, 2301)?;
    // Neither the source nor the destination has a copy of the metadata.
    rig.pvmove_at("after:swap-mirrored", &[&two, &three])?;
    fixture::served(&writer)?;
    rig.pvmove(&[])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 3)?;
    // Another device has the name.
    guest.dm_create("lvg-lvshift0", "0 8 zero")?;
    rig.pvmove(&[&three, &two])?.fails_with(5)?.stderr_has("lvg-lvshift0")?;
    fixture::served(&writer)?;
    rig.is_on("home", 3)?;
    ensure!(guest.dm_table("lvg-lvshift0")?.contains("0 8 zero"), "it is another now");
    guest.dm_remove("lvg-lvshift0")?;
    rig.pvmove(&["--abort"])?.ok()?;
    rig.at_rest()?;
    // Held open from before the hand-over until after the end.
    let moving = rig.spawn_move("stop:load-final", &[&three, &two])?;
    stopped(guest, moving.pid())?;
    let names = ["lvshift0", "lvshift0_mimage_0", "lvshift0_mimage_1", "lvshift0_mlog"];
    let held = names.map(|name| std::fs::File::open(rig::path(name)));
    ensure!(held.iter().all(Result::is_ok), "{held:?}");
    moving.signal(Signal::CONT)?;
    moving.wait(HANG * 3)?.ok()?;
    fixture::served(&writer)?;
    for name in names.map(|name| format!("lvg-{name}")) {
        let table = guest.dm_table(&name)?;
        ensure!(table.contains("error"), "{name} maps to something still: {table}");
    }
    drop(held);
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}

fn dies_when_moved(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, bad.path(), guest.disk("pv3")?])?;
    let home = rig.lv("home", &[(1, 8)])?;
    let writer = rig::writer(&home, 2311)?;
    let moving = rig.spawn_move("stop:load-final", &[&rig.pv(1), &rig.pv(2)])?;
    stopped(guest, moving.pid())?;
    bad.dead()?;
    moving.signal(Signal::CONT)?;
    // It is the destination that has the LV now; what it does not take fails, and waits for nothing.
    moving.wait(HANG * 3)?.fails_with(5)?;
    let failed = || Ok(!writer.outcome().faults.is_empty());
    guest.wait_for("the application is told", HANG, failed)?;
    bad.good()?;
    rig.pvmove(&[])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    fixture::served(&writer)?;
    writer.stop()?.intact()?;
    rig.reads_from_its_places("home")?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}
