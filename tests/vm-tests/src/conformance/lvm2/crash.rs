//! The mover killed, and the machine cut off, at every step of a move in an LVM2 VG. After a cut it is LVM2 that
//! activates the LV, without knowing of us.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::rig::{self, Lvm2, TWO, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::{Guest, Run};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-kill",
        about: "kill -9 at every step of a move in an LVM2 VG; pvmove carries on",
        frontends: Frontend::BOTH,
        disks: TWO,
        timeout_s: 1200,
        run: |guest| kill(guest, &[]),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-kill-abort",
        about: "kill -9 at every step of a move in an LVM2 VG; pvmove --abort goes back",
        frontends: Frontend::BOTH,
        disks: TWO,
        timeout_s: 1200,
        run: |guest| kill(guest, &["--abort"]),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-unattended",
        about: "the mirror ran without handling errors while nobody looked: its log is not believed",
        frontends: Frontend::BOTH,
        disks: TWO,
        timeout_s: 300,
        run: unattended,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-reset",
        about: "the power fails at each step in an LVM2 VG; LVM2 activates the LV; progress is kept",
        frontends: Frontend::BOTH,
        disks: TWO,
        state_disk: true,
        boots: 1 + CUTS.len() as u32,
        timeout_s: 300,
        run: |guest| reset(guest, CUTS),
        ..Scenario::DEFAULT
    },
];

/// Where a move can be killed; before a step is after the one before it.
const POINTS: &[&str] = &[
    "before:init-log",
    "after:init-log",
    "after:commit-begin",
    "after:create-shadow",
    "after:load-mirrored",
    "after:swap-mirrored",
    "after:await-copy",
    "after:flush-destination",
    "after:commit-moved",
    "after:load-final",
    "after:swap-final",
    "after:remove-shadow",
    "after:commit-forget",
];

fn killed(run: &Run) -> Result<()> {
    ensure!(run.signal == Some(9), "the fail point did not kill it: {run}");
    Ok(())
}

pub(super) fn kill(guest: &Guest, then: &[&str]) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2"])?;
    // Two LVs, one in two pieces, so that every step that is there for each LV comes twice.
    let home = rig.lv("home", &[(1, 2)])?;
    let opt = rig.lv("opt", &[(1, 1)])?;
    rig.lvm(&["lvextend", "-l", "+2", &format!("{VG}/home"), &rig.pv(1)])?;
    let writers = [rig::writer(&home, 931)?, rig::writer(&opt, 932)?];
    let mut from = 1;
    for point in fixture::one_in(guest, usize::from(!then.is_empty()), 4, POINTS) {
        let to = 3 - from;
        let trial = || -> Result<usize> {
            killed(&rig.pvmove_at(point, &["--atomic", &rig.pv(from), &rig.pv(to)])?)?;
            writers.iter().try_for_each(fixture::served)?;
            let all = rig.lvm(&["lvs", "-a", "--noheadings", "-o", "lv_name,segtype", VG])?;
            let moved = all.rows().iter().any(|row| row[0] == "[lvshift0]" && row[1] == "linear")
                && POINTS.iter().position(|p| p == point) >= Some(8)
                || !all.stdout.contains("lvshift");
            rig.pvmove(then)?.ok()?;
            rig.at_rest()?;
            let end = if then.is_empty() || moved { to } else { from };
            rig.are_on(&["home", "opt"], end)?;
            writers.iter().try_for_each(fixture::served)?;
            Ok(end)
        };
        from = trial().with_context(|| format!("killed at {point}"))?;
    }
    for writer in writers {
        writer.stop()?.clean()?;
    }
    rig.reads_from_its_places("home")?;
    rig.reads_from_its_places("opt")?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

/// A cut: where the mover dies, and where the abort dies that follows, if one does.
pub(super) struct Cut {
    pub(super) at: &'static str,
    pub(super) abort: Option<&'static str>,
}

pub(super) const fn cut(at: &'static str) -> Cut {
    Cut { at, abort: None }
}

pub(super) const MID_COPY: &str = "mid-copy";

const CUTS: &[Cut] = &[
    cut(MID_COPY),
    cut("after:init-log"),
    cut("after:commit-begin"),
    cut("after:swap-mirrored"),
    cut("after:flush-destination"),
    cut("after:commit-moved"),
    cut("after:swap-final"),
    cut("after:remove-shadow"),
    cut("after:commit-forget"),
    Cut { at: "after:swap-mirrored", abort: Some("after:commit-aborting") },
    Cut { at: "after:swap-mirrored", abort: Some("after:swap-source") },
    Cut { at: "after:swap-mirrored", abort: Some("after:remove-shadow") },
];

const SEED: u64 = 941;

pub(super) fn reset(guest: &mut Guest, cuts: &[Cut]) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path()];
    let boot = usize::try_from(guest.boot())?;
    let config =
        || Config { pace: Duration::from_millis(5), ..Config::new(rig::path("home"), SEED) };
    let (rig, writer) = if boot == 1 {
        let rig = Lvm2::over(guest, devices)?;
        let home = rig.lv("home", &[(1, 24)])?;
        (rig, rig::writer(&home, SEED)?)
    } else {
        let rig = Lvm2::found(guest, devices)?;
        let writer = after_the_cut(&rig, &cuts[boot - 2], config()).with_context(|| {
            format!("cut off at {} ({:?})", cuts[boot - 2].at, cuts[boot - 2].abort)
        })?;
        (rig, writer)
    };
    if let Some(next) = cuts.get(boot - 1) {
        before_the_cut(&rig, next, &slow, writer)?;
        guest.power_cut();
    }
    rig.end([writer], &["home"])
}

fn before_the_cut(
    rig: &Lvm2<'_>,
    cut: &Cut,
    slow: &crate::guest::Faulty<'_>,
    writer: Writer,
) -> Result<()> {
    let guest = rig.guest;
    let from = if rig.is_on("home", 1).is_ok() { 1 } else { 2 };
    let to = 3 - from;
    rig.note("from", &from.to_string())?;
    if cut.at == MID_COPY {
        rig.slow(slow, 1000)?;
        let moving = rig.spawn_move("", &[&rig.pv(from), &rig.pv(to)])?;
        rig.wait_for_mid_copy()?;
        writer.pause();
        let (done, all) = rig.regions()?.context("no mirror")?;
        ensure!(done < all, "all is equal: mid-copy is over");
        rig.note("done", &format!("{done} {all}"))?;
        moving.kill()?;
    } else {
        killed(&rig.pvmove_at(cut.at, &[&rig.pv(from), &rig.pv(to)])?)?;
        if let Some(point) = cut.abort {
            killed(&rig.pvmove_at(point, &["--abort"])?)?;
        }
        fixture::served(&writer)?;
        writer.pause();
    }
    writer.checkpoint(&guest.state("writer")?)?;
    writer.stop()?.clean().map(drop)
}

fn after_the_cut(rig: &Lvm2<'_>, cut: &Cut, config: Config) -> Result<Writer> {
    let guest = rig.guest;
    // As an initramfs does, which has no udev and no dmeventd either.
    rig.lvm(&["vgchange", "-aay", "--sysinit", VG])?;
    let from: usize = std::fs::read_to_string(guest.state("from")?)?.parse()?;
    guest.log(rig.tables()?);
    if cut.at == MID_COPY {
        let text = std::fs::read_to_string(guest.state("done")?)?;
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let mut number = || numbers.next().context("two numbers");
        let (done, all) = (number()??, number()??);
        let (now, of) = rig.regions()?.context("LVM2 did not make a mirror of it")?;
        guest.log(format!(
            "regions equal: {done} of {all} at the cut, {now} of {of} at once after it"
        ));
        ensure!(of == all && done > 0 && now >= done, "the progress is lost: {now} after {done}");
    }
    let writer = Writer::resume(config, &guest.state("writer")?)?;
    writer.wait_for_writes(10, HANG)?;
    rig.pvmove(&[])?.ok().map(drop).or_else(|error| {
        // An abort that was under way is finished, and is told as what it is.
        if cut.abort.is_some() { Ok(()) } else { Err(error) }
    })?;
    rig.at_rest()?;
    rig.is_on("home", if cut.abort.is_some() { from } else { 3 - from })?;
    fixture::served(&writer)?;
    Ok(writer)
}

/// What LVM2 makes of the mirror with `--monitor n`.
fn unattended(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let home = rig.lv("home", &[(1, 16)])?;
    let writer = rig::writer(&home, 945)?;
    rig.slow(&slow, 1500)?;
    // It is the kernel's mirror that can be so, whoever began the move.
    let words = ["pvmove", "-i1", &rig.pv(1), &rig.pv(2)];
    let moving = guest.spawn_env(&[], Frontend::Dm.binary(), &words)?;
    rig.wait_for_mid_copy()?;
    moving.kill()?;
    rig.slow(&slow, 0)?;
    let mirror = format!("{VG}-lvshift0");
    let table = guest.dm_table(&mirror)?.replace(" 1 handle_errors", "");
    guest.dm_reload(&mirror, &table)?;
    rig.pvmove(&[])?.ok()?.stdout_has("begins anew")?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}
