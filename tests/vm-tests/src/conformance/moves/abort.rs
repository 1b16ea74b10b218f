//! The way back.

use anyhow::{Result, ensure};
use lvshift_on_disk_format::record::MoveState;
use rustix::process::Signal;

use crate::conformance::fixture::{self, Rig};
use crate::guest::{Background, Guest};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "abort-mid-copy",
        about: "--abort in mid-copy, then the same move again; --watch follows both to their ends",
        disks: fixture::TWO,
        run: mid_copy,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "abort-after-crash",
        about: "the mover is killed in mid-copy, with ublk's daemon too; --abort from another process; again",
        disks: fixture::TWO,
        run: after_crash,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "abort-signals",
        about: "TERM leaves the move interrupted, pvmove carries on; HUP and STOP harm nobody",
        disks: fixture::TWO,
        run: signals,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "abort-nothing",
        about: "--abort and carrying on with nothing recorded change nothing",
        disks: fixture::TWO,
        run: nothing,
        ..Scenario::DEFAULT
    },
];

fn mid_copy(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 20, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 101)?;
    rig.slow_copy(&slow, 300)?;
    for source in [&[][..], &[rig.pv(1)]] {
        let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        rig.wait_for_mid_copy()?;
        let watch = watch(guest)?;
        let mut args = vec!["--abort"];
        args.extend(source.iter().map(String::as_str));
        rig.pvmove(&args)?.ok()?;
        let run = moving.wait(fixture::HANG)?.fails_with(5)?;
        ensure!(run.stderr.contains("asked for"), "does not say why: {run}");
        let told = watch.wait(fixture::HANG)?.fails_with(5)?.stdout_has(r#""state":"copying""#)?;
        told.stderr_has("undone")?;
        fixture::served(&writer)?;
        rig.at_rest()?;
        rig.lies("lv", &[(1, 0, 20)])?;
    }
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    let watch = watch(guest)?;
    rig.full_speed(&mut slow)?;
    moving.wait(fixture::HANG)?.ok()?;
    let told = watch.wait(fixture::HANG)?.ok()?.stdout_has(r#""outcome":"moved""#)?;
    told.stdout_has(r#""event":"chunks""#)?;
    rig.lies("lv", &[(2, 0, 20)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// Follows what is moving, and has seen it copy.
fn watch(guest: &Guest) -> Result<Background<'_>> {
    let watch = guest.spawn(&["pvmove", "--watch", "--json", "-i", "0"])?;
    let seen = || Ok(watch.stdout().contains(r#""event":"progress""#));
    guest.wait_for("the copy is watched", fixture::HANG, seen)?;
    Ok(watch)
}

fn after_crash(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 20, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 102)?;
    // `pvmove` dies; on ublk, the second time, the daemon and its guardian die with it.
    let daemons: &[bool] =
        if guest.frontend() == Frontend::Ublk { &[false, true] } else { &[false] };
    for daemon_too in daemons {
        rig.slow_copy(&slow, 300)?;
        let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        rig.wait_for_mid_copy()?;
        moving.kill()?;
        if *daemon_too {
            // The application waits from now on, for whatever command comes next.
            guest.sh("kill -9 $(pidof @lvshift-ublk)")?;
        } else {
            fixture::served(&writer)?;
        }
        ensure!(rig.meta()?.states() == [MoveState::Copying], "nothing recorded for --abort");
        rig.pvmove(&["--abort"])?.ok()?;
        rig.at_rest()?;
        rig.lies("lv", &[(1, 0, 20)])?;
        fixture::served(&writer)?;
    }
    rig.full_speed(&mut slow)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("lv", &[(2, 0, 20)])?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn signals(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 24, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 103)?;
    rig.slow_copy(&slow, 1500)?;
    let mut moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        rig.wait_for_mid_copy()?;
        moving.signal(signal)?;
        let run = moving.wait(fixture::HANG)?;
        ensure!(run.signal.is_none(), "it died of {signal:?} instead of leaving: {run}");
        ensure!(run.status == Some(5), "{signal:?}: it says that it has moved: {run}");
        writer.wait_for_writes(2, fixture::HANG)?;
        let states = rig.meta()?.states();
        ensure!(states.contains(&MoveState::Copying), "{signal:?} left {states:?}");
        moving = rig.spawn_move(&[])?;
        at_work(guest, &moving)?;
    }
    moving.signal(Signal::STOP)?;
    writer.wait_for_writes(2, fixture::HANG)?;
    moving.signal(Signal::CONT)?;
    rig.full_speed(&mut slow)?;
    moving.wait(fixture::HANG)?.ok()?;
    rig.lies("lv", &[(2, 0, 24)])?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// Waits until the mover has said how far it is: before that a signal finds it unprepared, which
/// is as safe, but not what is tested here.
fn at_work(guest: &Guest, moving: &Background<'_>) -> Result<()> {
    guest.wait_for("the mover is at work", fixture::HANG, || Ok(moving.stdout().contains("Moved:")))
}

fn nothing(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 104)?;
    let heads = rig.heads()?;
    // As LVM's: nothing to do is no failure.
    for args in [&["--abort"][..], &[]] {
        rig.pvmove(args)?.ok()?;
        ensure!(rig.heads()? == heads, "something was written");
    }
    rig.pvmove(&["--abort", "/dev/no-such-disk"])?.fails_with(5)?;
    ensure!(rig.heads()? == heads, "something was written");
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}
