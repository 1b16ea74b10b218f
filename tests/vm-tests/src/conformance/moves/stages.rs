//! A copy that is given to the kernel's mirror in stages: what is mirrored, what is not, and who comes next.

use anyhow::{Result, bail, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{self, EXTENT, HANG, Rig, VG, lv_path};
use crate::guest::{Background, Faulty, Guest};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "stages",
    about: "a move beside users is mirrored bit by bit; it is killed, aborted, cut off, and goes on elsewhere",
    frontends: Frontend::DM,
    disks: fixture::TWO,
    state_disk: true,
    boots: 3,
    timeout_s: 300,
    run: stages,
    ..Scenario::DEFAULT
}];

const EXTENTS: u32 = 24;
const ALL: u64 = EXTENTS as u64 * EXTENT;
/// So long a write to the destination takes, so that the writer feels the copy.
const SLOW_MS: u32 = 40;
const SEED: u64 = 521;

fn stages(guest: &mut Guest) -> Result<()> {
    match guest.boot() {
        1 => begun(guest),
        2 => by_the_other(guest),
        _ => at_the_end(guest),
    }
}

fn begun(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, SEED)?;

    let (moving, reach) = staged(&rig, &slow)?;
    guest.wait_for("more is mirrored", HANG, || Ok(mirrored(guest)? > reach))?;
    moving.kill()?;
    let left = mirrored(guest)?;
    ensure!(left < ALL, "all was given to the mirror at once");
    fixture::served(&writer)?;
    ensure!(mirrored(guest)? == left, "a dead mover gives the mirror more");
    rig.pvmove(&["--abort"])?.ok()?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, EXTENTS)])?;
    fixture::served(&writer)?;

    let (moving, _) = staged(&rig, &slow)?;
    guest.wait_for("something is equal", HANG, || Ok(rig.meta()?.clean_chunks(guest)?.0 > 1))?;
    moving.kill()?;
    ensure!(mirrored(guest)? < ALL, "all was given to the mirror at once");
    fixture::served(&writer)?;
    writer.pause();
    writer.checkpoint(&guest.state("lv.checkpoint")?)?;
    writer.stop_unverified()?.clean()?;
    rustix::fs::sync();
    guest.power_cut();
}

/// Begins a move as people do; it and what is mirrored of the LV.
fn staged<'g>(rig: &Rig<'g>, slow: &Faulty<'_>) -> Result<(Background<'g>, u64)> {
    let guest = rig.guest;
    slow_data(guest, slow, SLOW_MS)?;
    let moving = guest.spawn(&["pvmove", &rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_state(MoveState::Copying)?;
    guest.wait_for("something is mirrored", HANG, || Ok(mirrored(guest)? > 0))?;
    Ok((moving, mirrored(guest)?))
}

/// Sectors of the LV under the kernel's mirror.
fn mirrored(guest: &Guest) -> Result<u64> {
    let mut sum = 0;
    for line in guest.dm_table("vg-lv")?.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, sectors, kind, ..] = words[..] else { bail!("a line of {line:?}") };
        if kind == "mirror" {
            sum += sectors.parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// What the power cut has left goes on under the other front end: the log describes what was mirrored.
fn by_the_other(guest: &mut Guest) -> Result<()> {
    let rig = Rig::found(guest, vec![guest.disk("pv1")?, guest.disk("pv2")?]);
    let meta = rig.meta()?;
    ensure!(meta.states() == [MoveState::Copying], "recorded: {:?}", meta.states());
    let (clean, all) = meta.clean_chunks(guest)?;
    ensure!(clean > 0 && clean < all, "the log remembers {clean} of {all} chunks");
    let logs = meta.log_images(guest)?;
    let described: u32 = logs.iter().map(|(_, described, _)| described).sum();
    guest.log(format!("{clean} of {all} chunks are clean, the logs speak of {described}"));
    // What was never mirrored has the log that was written first, which speaks of all.
    let short = logs.iter().any(|(_, described, chunks)| described < chunks);
    ensure!(short, "every mirror had reached its part's end");
    let at = guest.state("lv.checkpoint")?;
    guest.lvshift_as(Frontend::Ublk, &["vgchange", "-a", "y", VG])?.ok()?;
    let writer = Writer::resume(Config::new(lv_path("lv"), SEED), &at)?;
    fixture::served(&writer)?;
    writer.pause();
    writer.checkpoint(&at)?;
    writer.stop_unverified()?.clean()?;
    rustix::fs::sync();
    guest.power_cut();
}

/// And under this one: a table that has nobody yet who gives it more mirrors all of it.
fn at_the_end(guest: &mut Guest) -> Result<()> {
    let rig = Rig::found(guest, vec![guest.disk("pv1")?, guest.disk("pv2")?]);
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    ensure!(mirrored(guest)? == ALL, "{} of {ALL} sectors are mirrored", mirrored(guest)?);
    let writer = Writer::resume(Config::new(lv_path("lv"), SEED), &guest.state("lv.checkpoint")?)?;
    fixture::served(&writer)?;
    guest.lvshift(&["pvmove"])?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    rig.reads_from_its_places("lv")
}
