//! Moves in an LVM2 VG whose mirror is a daemon of ours: it dies, and another front end takes over.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use super::in_place::stopped;
use super::rig::{self, Lvm2, THREE, TWO, VG};
use crate::conformance::fixture::{self, FAIL, HANG};
use crate::conformance::ublk::daemon::{self, Victims};
use crate::guest::{Guest, THROTTLE};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-daemon-dies",
        about: "the daemon that mirrors in an LVM2 VG is killed in mid-copy, with a mover and without one",
        frontends: Frontend::UBLK,
        disks: TWO,
        timeout_s: 300,
        run: dies,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-hand-over",
        about: "in an LVM2 VG each front end carries on what the other began, and what was killed in between",
        frontends: Frontend::UBLK,
        disks: TWO,
        timeout_s: 300,
        run: hand_over,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-hand-over-fails",
        about: "the destination dies while a daemon hands over to the kernel: the application goes on, the move goes back",
        frontends: Frontend::UBLK,
        disks: THREE,
        timeout_s: 300,
        run: hand_over_fails,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-hand-over-cut",
        about: "the power fails at each step of a hand-over to the kernel; LVM2 activates the LV; progress is kept",
        frontends: Frontend::UBLK,
        disks: TWO,
        state_disk: true,
        volatile: true,
        boots: 1 + STEPS.len() as u32,
        timeout_s: 300,
        run: hand_over_cut,
        ..Scenario::DEFAULT
    },
];

/// How long a region is copied by the kernel at least, one after the other, where its writes are delayed so.
const EACH_MS: u64 = 3000;

/// Where a hand-over is cut off; after a step is before the next.
const STEPS: &[&str] = &["after:hand-over-hush", "after:hand-over-swap", "after:hand-over-end"];

fn dies(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2"])?;
    let home = rig.lv("home", &[(1, 20)])?;
    // Only where the copy begins: until it is known who is in charge, a write waits for the copy of its
    // chunk, which no limit holds back, and the move must not end here.
    let config = Config { size: Some(2 << 20), ..Config::new(&home, 1001) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(10, HANG)?;
    let mut moving = rig.spawn_move("", &["--max-rate=64k", &rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    ensure!(rig.is_served()?, "no daemon mirrors");
    daemon::kill(guest, Victims::Daemon)?;
    fixture::served(&writer)?;
    // The guardian, too: the mover starts another, and one more after that is killed while it begins.
    daemon::kill(guest, Victims::Both)?;
    daemon::kill_as_it_begins(guest)?;
    fixture::served(&writer)?;
    // It lives on.
    std::thread::sleep(std::time::Duration::from_secs(5));
    if !moving.is_running()? {
        bail!("the mover has ended: {}", moving.wait(HANG)?);
    }
    // No mover: the guardian of the one that serves now does it, and LVM2 is asked who is in charge.
    moving.kill()?;
    daemon::kill(guest, Victims::Daemon)?;
    fixture::served(&writer)?;
    rig.pvmove(&["--max-rate=1g"])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    guest.wait_for("no process of ours is left", HANG, || Ok(daemon::servers()?.is_empty()))?;
    rig.reads_from_its_places("home")?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

fn hand_over(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let home = rig.lv("home", &[(1, 20)])?;
    // Only where the copy begins, so that most of what is equal is not written to.
    let config = Config { size: Some(2 << 20), ..Config::new(&home, 1011) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(10, HANG)?;
    rig.slow(&slow, 500)?;
    let words = ["pvmove", "-i1", &rig.pv(1), &rig.pv(2)];
    let moving = guest.spawn_env(&[], Frontend::Dm.binary(), &words)?;
    rig.wait_for_mid_copy()?;
    ensure!(!rig.is_served()?, "a daemon mirrors what dm began");
    moving.kill()?;
    rig.slow(&slow, 0)?;
    rig.pvmove(&[])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    fixture::served(&writer)?;
    // The other way, as long as no mover is at work.
    let moving = rig.spawn_move("", &["--max-rate=512k", &rig.pv(2), &rig.pv(1)])?;
    let (mut before, mut all) = (0, 0);
    guest.wait_for("half of it is equal", HANG * 3, || {
        (before, all) = rig.regions()?.unwrap_or_default();
        Ok(before >= 5)
    })?;
    rig.hold_copy()?;
    ensure!(before < all, "it is too fast");
    // What was equal cannot have been copied again in the time that this takes.
    std::fs::write(THROTTLE, "1")?;
    guest.lvshift_as(Frontend::Dm, &["pvmove"])?.fails_with(5)?.stderr_has("another mover")?;
    moving.kill()?;
    hand_over_but(&rig, &writer, "hush", true)?;
    // The next daemon, too, leaves the log alone.
    daemon::kill(guest, Victims::Both)?;
    hand_over_but(&rig, &writer, "swap", true)?;
    ensure!(!rig.is_served()?, "it was not switched");
    hand_over_but(&rig, &writer, "end", false)?;
    let (after, _) = rig.regions()?.context("there is no mirror")?;
    guest.log(format!("equal: {before} of {all} under the daemon, {after} after it"));
    ensure!(after >= before, "the progress is lost: {after} after {before}");
    std::fs::write(THROTTLE, "100")?;
    guest.lvshift_as(Frontend::Dm, &["pvmove"])?.ok()?;
    is_over(&rig, &writer, 1)?;
    // Killed before the switch, the first goes on with its daemon after all; behind it, with the kernel.
    let moving = rig.spawn_move("", &["--max-rate=512k", &rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    moving.kill()?;
    hand_over_but(&rig, &writer, "hush", true)?;
    let moving = rig.spawn_move("stop:flush-destination", &["--max-rate=1g"])?;
    stopped(guest, moving.pid())?;
    ensure!(rig.is_served()?, "the daemon was left");
    // All is equal, and sealed.
    moving.kill()?;
    hand_over_but(&rig, &writer, "swap", true)?;
    rig.pvmove(&[])?.ok()?;
    is_over(&rig, &writer, 2)?;
    rig.end([writer], &["home"])
}

/// `lvshift-dm pvmove` has the daemon hand over, and that is killed before or after this step of it.
fn hand_over_but(rig: &Lvm2<'_>, writer: &Writer, step: &str, after: bool) -> Result<()> {
    let point = format!("{}:hand-over-{step}", if after { "after" } else { "before" });
    let (program, fail) = (Frontend::Dm.binary(), [(FAIL, point.as_str())]);
    let run = rig.guest.spawn_env(&fail, program, &["pvmove"])?.wait(HANG * 3)?.fails_with(5)?;
    ensure!(run.stderr.contains("lvshift-ublk pvmove"), "does not say what to type: {run}");
    fixture::served(writer)
}

fn is_over(rig: &Lvm2<'_>, writer: &Writer, on: usize) -> Result<()> {
    rig.at_rest()?;
    rig.is_on("home", on)?;
    fixture::served(writer)
}

/// The worst moment: the daemon copies nothing any more, and the kernel's mirror is not there yet.
fn hand_over_fails(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?])?;
    let home = rig.lv("home", &[(1, 20)])?;
    // It writes everywhere: so some of it goes to what is equal, and to both sides.
    let writer = Writer::start(Config::new(&home, 1021))?;
    writer.wait_for_writes(10, HANG)?;
    let moving = rig.spawn_move("", &["--max-rate=512k", &rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    ensure!(rig.is_served()?, "no daemon mirrors");
    moving.kill()?;
    let fail = [(FAIL, "stop:hand-over-swap")];
    let program = Frontend::Ublk.binary();
    let handing = guest.spawn_env(&fail, program, &["hand-over", VG])?;
    stopped(guest, handing.pid())?;
    slow.dead()?;
    fixture::served(&writer)?;
    handing.signal(Signal::CONT)?;
    let run = handing.wait(HANG * 3)?.fails_with(5)?;
    ensure!(run.stderr.contains("has failed"), "does not say what failed: {run}");
    fixture::served(&writer)?;
    let worst = writer.counters().worst;
    guest.log(format!("the longest wait of the application: {worst:?}"));
    ensure!(worst < HANG, "the application waited for {worst:?}");
    ensure!(!rig.is_served()?, "a daemon is in the path still");
    // Whoever comes next ends it.
    let run = guest.lvshift_as(Frontend::Dm, &["pvmove"])?;
    guest.log(format!("the rest: {run}"));
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(3)])?.ok()?;
    rig.is_on("home", 3)?;
    rig.end([writer], &["home"])
}

fn hand_over_cut(guest: &mut Guest) -> Result<()> {
    let devices = vec![guest.disk("pv1")?, guest.disk("pv2")?];
    let side = guest.side()?;
    let boot = usize::try_from(guest.boot())?;
    let config = || Config { size: Some(2 << 20), ..Config::new(rig::path("home"), 1031) };
    let (rig, writer) = if boot == 1 {
        let rig = Lvm2::over(guest, devices)?;
        rig.lv("home", &[(1, 24)])?;
        let writer = Writer::start(config())?;
        writer.wait_for_writes(10, HANG)?;
        (rig, writer)
    } else {
        let rig = Lvm2::found(guest, devices)?;
        // What was equal cannot have been copied again when it is looked at.
        let to = if boot % 2 == 0 { 2 } else { 1 };
        side.command(format!("delay pv{to} write 2048+1048576 {EACH_MS}"))?;
        let begun = Instant::now();
        rig.lvm(&["vgchange", "-aay", "--sysinit", VG])?;
        guest.log(rig.tables()?);
        let (now, all) = rig.regions()?.context("LVM2 did not make a mirror of it")?;
        let took = begun.elapsed();
        let before: u64 = std::fs::read_to_string(guest.state("done")?)?.parse()?;
        guest.log(format!("equal: {before} of {all} at the cut, {now} at once after it"));
        ensure!(now >= before, "the progress is lost: {now} after {before}");
        let anew = took.as_millis() / u128::from(EACH_MS);
        ensure!(anew < before.into(), "in {took:?} it may have been copied anew: nothing is shown");
        side.command(format!("clear pv{to}"))?;
        let writer = Writer::resume(config(), &guest.state("writer")?)?;
        writer.wait_for_writes(10, HANG)?;
        rig.pvmove(&[])?.ok()?;
        is_over(&rig, &writer, if boot % 2 == 0 { 2 } else { 1 })?;
        (rig, writer)
    };
    let Some(step) = STEPS.get(boot - 1) else { return rig.end([writer], &["home"]) };
    let (from, to) = if boot % 2 == 1 { (1, 2) } else { (2, 1) };
    let moving = rig.spawn_move("", &["--max-rate=512k", &rig.pv(from), &rig.pv(to)])?;
    let mut before = 0;
    guest.wait_for("some of it is equal", HANG * 3, || {
        before = rig.regions()?.unwrap_or_default().0;
        Ok(before >= 4)
    })?;
    rig.hold_copy()?;
    moving.kill()?;
    rig.note("done", &before.to_string())?;
    let fail = [(FAIL, *step)];
    let run = guest.lvshift_env(&fail, &["hand-over", VG])?;
    ensure!(run.signal == Some(9), "the fail point did not kill it: {run}");
    fixture::served(&writer)?;
    writer.checkpoint(&guest.state("writer")?)?;
    writer.stop()?.clean()?;
    // Torn commits are another scenario.
    side.command("cut some 1 1000")?;
    guest.power_cut();
}
