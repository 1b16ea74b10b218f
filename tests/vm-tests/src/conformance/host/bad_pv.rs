//! A VG of which one PV is bad or away: whatever does not need that PV goes on, and it comes back.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture::{self, DATA, EXTENT, Rig, VG, lv_path};
use crate::guest::{Guest, Run};
use crate::scenario::{Disk, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "host-bad-pv",
        about: "a third PV fails its flushes, or is dead: moves and all else go on, and it is brought up to date",
        disks: OVER_A_DEVICE,
        run: bad_pv,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-late-pv",
        about: "the power fails in mid-copy, and at the next boot a PV of no part in the move is late: the LV is there",
        disks: OVER_A_DEVICE,
        state_disk: true,
        boots: 2,
        run: late_pv,
        ..Scenario::DEFAULT
    },
];

/// The third is a PV from its second MiB on: only a device over that shows it.
const OVER_A_DEVICE: &[Disk] = &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("pv3", 33)];

/// Sectors of the third PV.
const SECTORS: u64 = 32 * 2048;
/// Where it starts on its disk.
const START: u64 = 2048;

/// The third PV, whose sectors from here to there cannot be written.
fn table(guest: &Guest, bad: std::ops::Range<u64>) -> Result<String> {
    let lower = guest.disk("pv3")?.display().to_string();
    let linear =
        |from: u64, to: u64| format!("{from} {} linear {lower} {}\n", to - from, from + START);
    if bad.is_empty() {
        return Ok(linear(0, SECTORS));
    }
    let (start, count) = (bad.start, bad.end - bad.start);
    let middle =
        format!("{start} {count} flakey {lower} {} 0 3600 1 error_writes\n", start + START);
    Ok(format!("{}{middle}{}", linear(0, start), linear(bad.end, SECTORS)))
}

fn third(guest: &Guest) -> Result<PathBuf> {
    guest.dm_create("third", &table(guest, 0..0)?)
}

fn said(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

fn bad_pv(guest: &mut Guest) -> Result<()> {
    let third = third(guest)?;
    let bad = third.display().to_string();
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, guest.disk("pv2")?, third])?;
    let good = || guest.dm_reload("third", &table(guest, 0..0)?);
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    rig.lv("there", 2, &[rig.pv(3)])?;
    // What lies on the others, by what they hold.
    let others = Rig::found(guest, rig.devices[..2].to_vec());
    let writer = fixture::writer(&lv, 871)?;

    // One that cannot be written fails its flushes, too.
    let unused = DATA + 20 * EXTENT;
    guest.dm_reload("third", &table(guest, unused..unused + 8)?)?;
    let run = rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    ensure!(said(&run).contains(&bad), "does not name the PV that fails: {run}");
    others.lies("lv", &[(2, 0, 4)])?;
    fixture::served(&writer)?;
    let run = guest.lvshift(&["vgck", VG])?.fails_with(5)?;
    ensure!(said(&run).contains("changed without it"), "vgck does not tell: {run}");
    // What concerns it is refused, and what that says leads on.
    let make = ["lvcreate", "-n", "on3", "-l", "1", VG, &bad];
    guest.lvshift(&make)?.fails_with(5)?.stderr_has("vgck --updatemetadata vg")?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.fails_with(5)?;
    good()?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    rig.at_rest()?;
    guest.lvshift(&make)?.ok()?;

    // Dead: nothing of it can be read.
    guest.dm_reload("third", &format!("0 {SECTORS} error"))?;
    let run = rig.pvmove(&[&rig.pv(2), &rig.pv(1)])?.ok()?;
    ensure!(said(&run).contains("missing"), "does not say that a PV is missing: {run}");
    others.lies("lv", &[(1, 0, 4)])?;
    guest.lvshift(&["lvcreate", "-n", "new", "-l", "2", VG])?.ok()?;
    if fixture::grows_in_use(guest)? {
        guest.lvshift(&["lvextend", "-l", "+1", "vg/lv", &rig.pv(2)])?.ok()?;
    }
    guest.lvshift(&["lvremove", "-y", "vg/new"])?.ok()?;
    fixture::served(&writer)?;
    guest.lvshift(&["lvcreate", "-n", "all", "-l", "100%FREE", VG])?.ok()?;
    guest.lvshift(&["lvremove", "-y", "vg/all"])?.ok()?;

    // What lies on it can be removed, and does not come back with it.
    guest.lvshift(&["lvchange", "-a", "n", "vg/on3"])?.ok()?;
    guest.lvshift(&["lvremove", "-y", "vg/on3"])?.ok()?;

    // It is back: the next change brings it up to date.
    good()?;
    guest.lvshift(&["lvcreate", "-n", "next", "-l", "1", VG, &rig.pv(1)])?.ok()?;
    rig.at_rest()?;
    rig.lies("there", &[(3, 0, 2)])?;
    rig.pvmove(&[&bad, &rig.pv(2)])?.ok()?;
    rig.at_rest()?;
    rig.reads_from_its_places("there")?;
    ensure!(!lv_path("on3").exists(), "what was removed is back");

    // Given up, with what lies on it: named, asked for, and the VG is whole without it.
    guest.lvshift(&["lvcreate", "-n", "lost", "-l", "1", VG, &bad])?.ok()?;
    guest.dm_reload("third", &format!("0 {SECTORS} error"))?;
    let run = guest.lvshift(&["vgreduce", "--removemissing", VG])?.fails_with(5)?;
    ensure!(said(&run).contains("vg/lost would be lost"), "does not name the LV: {run}");
    guest
        .lvshift(&["vgreduce", "--removemissing", "--force", VG])?
        .fails_with(5)?
        .stderr_has("--yes")?;
    guest.lvshift(&["vgreduce", "--removemissing", "--force", "-y", VG])?.ok()?;
    others.at_rest()?;
    fixture::served(&writer)?;
    writer.stop()?.clean().map(drop)
}

fn late_pv(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let mut devices = vec![guest.disk("pv1")?, slow.path()];
    if guest.boot() == 1 {
        devices.push(third(guest)?);
        let rig = Rig::over(guest, devices)?;
        let lv = rig.lv("lv", 20, &[rig.pv(1)])?;
        rig.lv("there", 1, &[rig.pv(3)])?;
        let writer = fixture::writer(&lv, 881)?;
        rig.slow_copy(&slow, 300)?;
        let _moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        rig.wait_for_mid_copy()?;
        writer.checkpoint(&guest.state("lv.checkpoint")?)?;
        rustix::fs::sync();
        guest.power_cut();
    }
    let rig = Rig::found(guest, devices.clone());
    // The LV on the late one is not there, and that is said; the other is, with what was copied.
    let run = guest.lvshift(&["vgchange", "-a", "y", VG])?.fails_with(5)?;
    ensure!(said(&run).contains("goes on from its dirty log"), "the move cannot go on: {run}");
    ensure!(!lv_path("there").exists(), "there is an LV without its PV");
    let writer = Writer::resume(Config::new(lv_path("lv"), 881), &guest.state("lv.checkpoint")?)?;
    rig.pvmove(&[])?.ok()?;
    rig.lies("lv", &[(2, 0, 20)])?;
    fixture::served(&writer)?;
    // It comes: what lies on it is activated, and the next change brings it up to date.
    devices.push(third(guest)?);
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "next", "-l", "1", VG])?.ok()?;
    let rig = Rig::found(guest, devices);
    rig.at_rest().context("after the late PV has come")?;
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")?;
    rig.reads_from_its_places("there")
}
