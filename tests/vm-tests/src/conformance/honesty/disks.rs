//! Faults of source and destination that no other scenario shows alone: see the matrix in `honesty/mod.rs`.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::conformance::fault::disks::{Bench, EARLY, names};
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{DATA, FAIL, HANG, VG, served};
use crate::guest::{Guest, Run};
use crate::writer::Writer;

/// How long each write of the copy takes where a disk is gone in mid-copy, in milliseconds: long enough
/// that the copy is not over before the disk is gone, even on a busy machine.
const SLOW: u32 = 1000;
/// How long that disk is gone: the copy needs it twice meanwhile.
const MOMENT: Duration = Duration::from_millis(2500);

pub(super) fn source(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 1501)?;
    let (one, two) = (bench.rig.pv(1), bench.rig.pv(2));

    // All of its data, in mid-copy. What was written there before can be written still.
    bench.rig.slow_copy(&bench.destination, 300)?;
    let moving = bench.rig.spawn_move(&[&one, &two])?;
    bench.rig.wait_for_mid_copy()?;
    bench.source.bad_reads(DATA, bench.source.sectors() - DATA)?;
    bench.rig.unlimited()?;
    said(moving.wait(HANG)?, &one)?;
    let outcome = bench.writer.outcome().intact()?;
    ensure!(outcome.counters.write_errors == 0, "a write failed: {:?}", outcome.faults);
    bench.on_the_source()?;
    bench.rig.full_speed(&mut bench.destination)?;
    bench.source.good()?;

    // It is gone, and back before anybody has cleaned up.
    bench.rig.slow_copy(&bench.destination, SLOW)?;
    let moving = bench.rig.spawn_move(&[&one, &two])?;
    bench.rig.wait_for_mid_copy()?;
    bench.source.dead()?;
    std::thread::sleep(MOMENT);
    bench.source.good()?;
    bench.rig.full_speed(&mut bench.destination)?;
    // What is left may be another move of the same command, which begins with the rate of the command.
    let run = moving.wait(HANG * 3)?;
    // It may have been back, and taken no changes meanwhile, before the rest was planned: then that is moved.
    let all_else_is_moved = run.stderr.contains("all else is moved");
    said_of_some(run, &one)?;
    bench.writer.outcome().intact()?;
    if all_else_is_moved {
        guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    } else {
        back(&bench)?;
    }
    retry(bench)
}

pub(super) fn destination(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 1511)?;
    let (one, two) = (bench.rig.pv(1), bench.rig.pv(2));

    // No sector of data can be written, and nobody writes but the copy.
    bench.writer.pause();
    bench.destination.bad_sectors(DATA, bench.destination.sectors() - DATA)?;
    said(bench.move_to_pv2()?, &two)?;
    bench.writer.unpause();
    bench.no_error_seen()?;
    bench.on_the_source()?;
    bench.destination.good()?;

    // Everything is equal, and one write of the application meets eight bad sectors.
    let mut moving = guest.spawn_env(
        &[(FAIL, "stop:check-legs")],
        guest.frontend().binary(),
        &["pvmove", "--pace=none", &one, &two],
    )?;
    stopped_at(guest, &mut moving)?;
    bench.writer.pause();
    bench.destination.bad_sectors(DATA + EARLY, 8)?;
    let run = while_written(&bench.writer, EARLY, || {
        moving.signal(Signal::CONT)?;
        moving.wait(HANG)
    })?;
    names(run, &two, EARLY)?;
    bench.writer.unpause();
    bench.no_error_seen()?;
    bench.on_the_source()?;
    bench.destination.good()?;

    // It is gone, and back before anybody has cleaned up.
    bench.rig.slow_copy(&bench.destination, SLOW)?;
    let moving = bench.rig.spawn_move(&[&one, &two])?;
    bench.rig.wait_for_mid_copy()?;
    bench.destination.dead()?;
    std::thread::sleep(MOMENT);
    bench.rig.full_speed(&mut bench.destination)?;
    said(moving.wait(HANG)?, &two)?;
    bench.no_error_seen()?;
    back(&bench)?;
    retry(bench)
}

/// A move that failed, and says on which disk, of which LV, and who is in charge.
pub(super) fn said(run: Run, pv: &str) -> Result<Run> {
    run.fails_with(5)?.stderr_has(pv)?.stderr_has("vg/lv")?.stderr_has("in charge")
}

/// The same of a disk that is back before all of it was tried: what was tried is named, and the move of the rest is
/// refused, since the disk has missed a commit.
fn said_of_some(run: Run, pv: &str) -> Result<()> {
    let run = run.fails_with(5)?.stderr_has(pv)?.stderr_has("vg/lv")?;
    let where_it_is = ["in charge", "what was not moved yet is where it was", "all else is moved"];
    let told = where_it_is.iter().any(|words| run.stderr.contains(words));
    ensure!(told, "it does not say where the data are: {run}");
    Ok(())
}

/// Does something while the application writes this block, which may be held up until it is done.
pub(super) fn while_written<T>(
    writer: &Writer,
    sector: u64,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_now(sector));
        // It is on its way to the disks.
        std::thread::sleep(Duration::from_millis(300));
        work()
    })
}

/// A disk was away at some commit: what it missed it gets now, and what is left of the move is cleaned up.
fn back(bench: &Bench<'_>) -> Result<()> {
    let guest = bench.rig.guest;
    // If it was away at the very end, the first of these still ends with the move's own error.
    bench.rig.pvmove(&[])?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    bench.rig.pvmove(&[])?.ok()?;
    bench.on_the_source()
}

/// To the disk that failed it goes now, and every sector is right.
fn retry(bench: Bench<'_>) -> Result<()> {
    bench.move_to_pv2()?.ok()?;
    bench.rig.at_rest()?;
    ensure!(bench.rig.home("lv")? == 2, "it did not arrive");
    served(&bench.writer)?;
    bench.writer.stop()?.intact()?;
    bench.rig.reads_from_its_places("lv")
}
