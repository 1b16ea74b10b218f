//! What is shown and done while a disk is left that does not give everything.

use anyhow::{Context as _, Result, ensure};

use super::disks::{Bench, EARLY};
use crate::conformance::fixture::{self, DATA, HANG};
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "dying-map",
    about: "progress tells what is safe, left and bad, in lines and in JSON, and --map draws the disk",
    disks: fixture::THREE,
    run: map,
    ..Scenario::DEFAULT
}];

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
        .wait_for("the disk is drawn in the midst of its move", HANG, || {
            Ok(in_midst(&map(&moving.stdout())))
        })
        .with_context(|| moving.stdout())?;
    guest.wait_for("the disk is drawn for programs", HANG, || {
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
