//! Failing and silent disks under the daemon's own mirror.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::daemon::{Victims, kill};
use crate::conformance::fault::disks::{Bench, EARLY, names};
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, EXTENT, FAIL, HANG, Rig};
use crate::guest::{Guest, Region};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-settle-under-load",
        about: "chunks become clean while others are written all the time, and in short pauses",
        frontends: Frontend::UBLK,
        disks: fixture::TWO,
        timeout_s: 360,
        run: settle_under_load,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-read-from-destination",
        about: "a read that fails on the source is served by the destination, where that is equal",
        frontends: Frontend::UBLK,
        disks: fixture::TWO,
        run: read_from_destination,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-source-unreadable",
        about: "8 unreadable source sectors, not looked for before: named by the copy, which is undone",
        frontends: Frontend::UBLK,
        disks: fixture::THREE,
        run: source_unreadable,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-pause-outlives-daemon",
        about: "a paused and limited copy is that still when its daemon was killed",
        frontends: Frontend::UBLK,
        disks: fixture::TWO,
        timeout_s: 360,
        run: pause_outlives_daemon,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

/// The extents of the LV, from extent 0 of `pv1`.
const EXTENTS: u32 = 12;

fn source_unreadable(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 921)?;
    bench.source.bad_reads(DATA + EARLY, 8)?;
    let run = bench.move_to_pv2_with(&["--atomic"])?;
    let run = names(run, &bench.rig.pv(1), EARLY)?.stderr_has("--read-check")?;
    ensure!(!run.stderr.contains(&bench.rig.pv(2)), "the destination is blamed: {}", run.stderr);
    bench.only_these_reads_failed(EARLY)?;
    bench.on_the_source()?;
    // As it says: all of them are named before anything changes, and the others can be moved.
    let heads = bench.rig.heads()?;
    bench.move_to_pv2_with(&["--atomic", "--skip-read-check", "--read-check"])?.fails_with(5)?;
    ensure!(bench.rig.heads()? == heads, "a move that could not succeed changed something");
    // Unless all or nothing is asked for, the others are moved.
    let two = bench.rig.pv(2);
    bench.move_to_pv2()?.fails_with(5)?.stderr_has("1 extent stay")?;
    bench.rig.lies("lv", &[(2, 0, 2), (1, 2, 1), (2, 2, 9)])?;
    bench.only_these_reads_failed(EARLY)?;
    bench.source.good()?;
    bench.rig.pvmove(&[&bench.rig.pv(1), &two])?.ok()?;
    bench.rig.at_rest()?;
    let outcome = bench.writer.stop()?.intact()?;
    ensure!(outcome.counters.write_errors == 0, "the application's writes: {outcome:?}");
    bench.rig.reads_from_its_places("lv")
}

fn settle_under_load(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    // The first extent is written without a pause, the others not at all. It lies in one chunk.
    let extent = EXTENT * 512;
    let config = Config { size: Some(extent), read_percent: 0, ..Config::new(&lv, 911) };
    let busy = Writer::start(Config { threads: 4, pace: Duration::ZERO, ..config })?;
    busy.wait_for_writes(10, HANG)?;
    let (from, to) = (rig.pv(1), rig.pv(2));
    let mut moving = guest.spawn_env(
        &[(FAIL, "stop:check-legs")],
        guest.frontend().binary(),
        &["pvmove", &from, &to],
    )?;
    stopped_at(guest, &mut moving)?;
    let clean = || rig.meta()?.clean_chunks(guest);
    let (_, all) = clean()?;
    ensure!(all > 1, "the LV is one chunk: nothing can be told apart");
    guest.wait_for("what is not written is clean", HANG, || Ok(clean()?.0 + 1 >= all))?;
    busy.wait_for_writes(10, HANG)?;
    // With pauses it is clean in some of them.
    busy.pause();
    let begun = std::time::Instant::now();
    guest.wait_for("what was written is clean", HANG, || Ok(clean()?.0 == all))?;
    guest.log(format!("all of it was clean after {:?}", begun.elapsed()));
    busy.unpause();
    busy.wait_for_writes(10, HANG)?;
    moving.signal(Signal::CONT)?;
    moving.wait(HANG)?.ok()?;
    busy.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn read_from_destination(guest: &mut Guest) -> Result<()> {
    let mut source = guest.faulty("pv1")?;
    let rig = Rig::over(guest, vec![source.path(), guest.disk("pv2")?])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    Writer::start(Config::new(&lv, 921))?.stop()?.clean()?;
    let sector = 5 * EXTENT + 64;
    let region = Region::new(&lv, sector, 8);
    let before = guest.read_region(&region)?;
    let (from, to) = (rig.pv(1), rig.pv(2));
    let mut moving = guest.spawn_env(
        &[(FAIL, "stop:check-legs")],
        guest.frontend().binary(),
        &["pvmove", &from, &to],
    )?;
    stopped_at(guest, &mut moving)?;
    source.bad_reads(DATA + sector, 8)?;
    let on_source = Region::new(source.path(), DATA + sector, 8);
    ensure!(guest.read_region(&on_source).is_err(), "the source's sectors are not bad");
    ensure!(guest.read_region(&region)? == before, "the destination served other bytes");
    moving.signal(Signal::CONT)?;
    moving.wait(HANG)?.ok()?;
    ensure!(guest.read_region(&region)? == before, "the bytes are others after the move");
    source.good()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])
}

fn pause_outlives_daemon(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 931)?;
    let moving = rig.spawn_move(&["--max-rate=256k", &rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    guest.lvshift(&["tune", "vg", "--pause"])?.ok()?;
    kill(guest, Victims::Daemon)?;
    fixture::served(&writer)?;
    let percent = || -> Result<f64> {
        let run = guest.lvshift(&["lvs", "--noheadings", "-o", "copy_percent", "vg"])?.ok()?;
        Ok(run.stdout.trim().parse()?)
    };
    // At the old rate it would be through in the time, without any limit at once.
    let before = percent()?;
    std::thread::sleep(Duration::from_secs(10));
    let after = percent()?;
    ensure!(after <= before, "paused at {before} %, and {after} % now");
    guest.lvshift(&["tune", "vg", "--resume", "--max-rate", "none"])?.ok()?;
    moving.wait(HANG)?.ok()?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    rig.reads_from_its_places("lv")
}
