//! What is shown and done while a disk is left that does not give everything.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::disks::{Bench, EARLY};
use crate::conformance::fixture::{self, DATA, HANG};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "dying-order",
        about: "what cannot be read at once is set aside: all else is copied first, and what can be read by then is",
        frontends: Frontend::UBLK,
        disks: fixture::THREE,
        run: order,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "dying-map",
        about: "progress tells what is safe, left and bad, in lines and in JSON, and --map draws the disk",
        disks: fixture::THREE,
        run: map,
        ..Scenario::DEFAULT
    },
];

/// Whether a line of progress says that all is on the destination as well but for what is set aside.
fn only_aside_is_left(out: &str) -> bool {
    out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|event| {
        let field = |name: &str| event[name].as_u64().unwrap_or_default();
        event["event"] == "progress"
            && field("areas_aside") == 1
            && field("bytes_left") == 0
            && field("bytes_safe") + field("bytes_aside") == field("bytes_total")
    })
}

fn order(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 942)?;
    let rig = &bench.rig;
    // It fails early in the copy, and can be read again before the copy comes back to it.
    bench.source.bad_reads(DATA + EARLY, 8)?;
    let moving = rig.spawn_move(&["--json", "-i0", "--max-rate=3m", &rig.pv(1), &rig.pv(2)])?;
    guest.wait_for("it is set aside", HANG, || {
        Ok(moving.stdout().lines().any(|line| line.contains("\"areas_aside\":1,")))
    })?;
    bench.source.good()?;
    fixture::served(&bench.writer)?;
    moving.wait(HANG)?.ok().context("what failed once ended the move")?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, 12)])?;

    // It cannot be read for good: all else comes first all the same, and then it stays.
    bench.destination.bad_reads(DATA + EARLY, 8)?;
    let moving = rig.spawn_move(&["--json", "-i0", "--max-rate=3m", &rig.pv(2), &rig.pv(3)])?;
    guest.wait_for("only what cannot be read is left", HANG * 2, || {
        Ok(only_aside_is_left(&moving.stdout()))
    })?;
    fixture::served(&bench.writer)?;
    moving.wait(HANG * 2)?.fails_with(5)?.stderr_has("1 extent stays")?;
    rig.at_rest()?;
    rig.lies("lv", &[(3, 0, 2), (2, 2, 1), (3, 2, 9)])?;
    bench.destination.good()?;
    fixture::served(&bench.writer)?;
    bench.writer.stop()?.intact()?;
    rig.reads_from_its_places("lv")
}

fn map(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 941)?;
    bench.source.bad_reads(DATA + EARLY, 8)?;
    let rig = &bench.rig;
    // What is just being written counts as equal a moment later: the map is the dirty log's.
    bench.writer.pause();
    // So slow that there is time to look, twice, on a slow machine as well.
    rig.slow_copy(&bench.destination, 1500)?;
    let moving = rig.spawn_move(&["--read-check", "--map", &rig.pv(1), &rig.pv(2)])?;
    guest.wait_for("the move is recorded", HANG * 3, || {
        Ok(rig.meta().is_ok_and(|meta| !meta.states().is_empty()))
    })?;
    let watch = guest.spawn(&["pvmove", "--watch", "--map", "--json", "-i", "0"])?;
    // Twelve extents, of which the third stays; the rest of the disk is free.
    let map = |out: &str| {
        let row = out.lines().rev().find(|line| line.starts_with("    ["));
        row.map(|row| row.trim_matches([' ', '[', ']']).to_owned()).unwrap_or_default()
    };
    let in_midst = |map: &str| {
        let moving = map.get(..2).zip(map.get(3..12));
        let moving = moving.map(|(one, other)| format!("{one}{other}")).unwrap_or_default();
        map.get(2..3) == Some("x")
            && map.get(12..).is_some_and(|rest| rest.chars().all(|sign| sign == '_'))
            && moving.chars().all(|sign| "#+.".contains(sign))
            && moving.contains(['#', '+'])
            && moving.contains(['+', '.'])
    };
    guest
        .wait_for("the disk is drawn in the midst of its move", HANG * 3, || {
            Ok(in_midst(&map(&moving.stdout())))
        })
        .with_context(|| moving.stdout())?;
    guest.wait_for("the disk is drawn for programs", HANG * 3, || {
        Ok(watch.stdout().contains(r#""event":"map""#)
            && watch.stdout().contains("seconds_left_with_bad"))
    })?;
    rig.full_speed(&mut bench.destination)?;
    bench.writer.unpause();
    let run = moving.wait(HANG)?.fails_with(5)?.stderr_has("1 extent stays")?;
    let run = run.stdout_has(", bad 4.0 KiB in 1 area, so 1.0 MiB stay)")?.stdout_has("; safe ")?;
    watch.wait(HANG)?.ok()?;
    ensure!(run.stdout.contains("a character for each extent: # safe"), "no legend: {run}");
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, 2), (1, 2, 1), (2, 2, 9)])?;
    bench.source.good()?;
    fixture::served(&bench.writer)?;
    bench.writer.stop()?.intact()?;
    Ok(())
}
