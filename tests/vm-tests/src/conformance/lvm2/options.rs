//! The options of `pvmove` in an LVM2 VG: what each does in a VG of ours it does there.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::rig::{self, Lvm2, THREE, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::{Guest, Run};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lvm2-options",
    about: "pvmove --test, ranges, -n, --alloc, --atomic, --json, -i and -b in an LVM2 VG",
    frontends: Frontend::DM,
    disks: THREE,
    timeout_s: 300,
    run: options,
    ..Scenario::DEFAULT
}];

fn options(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?];
    let rig = Lvm2::over(guest, devices)?;
    let (one, two, three) = (rig.pv(1), rig.pv(2), rig.pv(3));
    let home = rig.lv("home", &[(1, 6), (3, 2), (1, 6)])?;
    let opt = rig.lv("opt", &[(1, 4)])?;
    let writers = [rig::writer(&home, 951)?, rig::writer(&opt, 952)?];
    only_tested(&rig)?;

    // Ranges on both sides: two pieces of home, each to where it is told.
    rig.pvmove(&[&format!("{one}:1-2:7"), &format!("{two}:20-21:25")])?.ok()?;
    rig.at_rest()?;
    let lies = rig.lies("home")?;
    ensure!(lies.contains(&format!("{two}(20)")), "home lies at {lies:?}");
    ensure!(lies.contains(&format!("{two}(25)")), "home lies at {lies:?}");
    ensure!(rig.lies("opt")?.iter().all(|place| place.starts_with(&one)), "opt was moved, too");
    let run = rig.pvmove(&[&format!("{one}:30-99"), &two])?.fails_with(3)?;
    ensure!(run.stderr.contains("has extents 0-"), "{run}");

    // No room that is contiguous on pv2, only in two pieces; anywhere takes them.
    let wanted = ["--alloc", "contiguous", "-n", "opt", &one, &format!("{two}:0-1:10-11")];
    let run = rig.pvmove(&wanted)?.fails_with(5)?;
    ensure!(run.stderr.contains("state: nothing was changed"), "{run}");
    rig.pvmove(&[&["--alloc", "anywhere"], &wanted[2..]].concat())?.ok()?;
    rig.at_rest()?;
    let lies = rig.lies("opt")?;
    ensure!(lies == [format!("{two}(0)"), format!("{two}(10)")], "opt lies at {lies:?}");

    atomic(&rig)?;
    for writer in &writers {
        fixture::served(writer)?;
    }

    // Programs read it line by line.
    let run = rig.pvmove(&["--json", "-i", "1", &three, &one])?.ok()?;
    let events = events(&run)?;
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    ensure!(kinds.first() == Some(&"planned") && kinds.last() == Some(&"finished"), "{kinds:?}");
    ensure!(kinds.contains(&"started"), "{kinds:?}");
    ensure!(events[0]["vg"] == VG, "{run}");
    let run = rig.pvmove(&["--json", &three, &one])?.fails_with(5)?;
    ensure!(self::events(&run)?.last().is_some_and(|last| last["event"] == "error"), "{run}");

    // Slow enough that progress is told more than once.
    rig.slow(&slow, 150)?;
    let run = rig.pvmove(&["-i", "1", &one, &two])?.ok()?;
    let percents: Vec<f64> = run
        .stdout
        .lines()
        .filter_map(|line| line.split("Moved: ").nth(1)?.split('%').next()?.parse().ok())
        .collect();
    ensure!(percents.len() >= 2 && percents.is_sorted(), "{percents:?}: {run}");
    ensure!(percents.last() == Some(&100.0), "{run}");
    rig.at_rest()?;
    // And without anybody who waits: slow enough that it is seen.
    rig.pvmove(&[&two, &one])?.ok()?;
    let run = rig.pvmove(&["-b", &one, &two])?.ok()?;
    ensure!(run.stdout.contains("goes on in process"), "{run}");
    let all = rig.lvm(&["lvs", "-a", "--noheadings", "-o", "lv_name", VG])?;
    ensure!(all.stdout.contains("lvshift0"), "-b came back when nothing was recorded: {all}");
    rig.slow(&slow, 0)?;
    guest.wait_for("the background mover is done", HANG * 3, || Ok(rig.at_rest().is_ok()))?;
    rig.is_on("home", 2)?;
    rig.is_on("opt", 2)?;
    rig.end(writers, &["home", "opt"])
}

fn events(run: &Run) -> Result<Vec<Value>> {
    let line = |line| serde_json::from_str(line).with_context(|| format!("no JSON: {run}"));
    run.stdout.lines().map(line).collect()
}

/// `--test` says what would be moved where, refuses what would be refused, and commits nothing.
fn only_tested(rig: &Lvm2<'_>) -> Result<()> {
    let (one, two) = (rig.pv(1), rig.pv(2));
    let state = || -> Result<String> {
        let seqno = rig.lvm(&["vgs", "--noheadings", "-o", "vg_seqno", VG])?.stdout;
        Ok(format!("{seqno}{}", rig.tables()?))
    };
    let before = state()?;
    let run = rig.pvmove(&["--test", "-v", "-n", "home", &format!("{one}:0-2"), &two])?.ok()?;
    let said = format!("{VG}/home: 3 extents from {one}:0 to {two}:0");
    ensure!(run.stdout.contains(&said), "no plan: {run}");
    ensure!(run.stdout.contains("nothing was changed"), "{run}");
    rig.pvmove(&["--test", "-n", "nobody", &one, &two])?
        .fails_with(5)?
        .stderr_has("no LV nobody")?;
    rig.pvmove(&["--test", &one, &format!("{two}:0-3")])?.fails_with(5)?;
    ensure!(state()? == before, "--test changed something");
    Ok(())
}

/// All at once or nothing: of two LVs, one of which has been copied, none is on the other PV when the move is undone.
fn atomic(rig: &Lvm2<'_>) -> Result<()> {
    let (two, three) = (rig.pv(2), rig.pv(3));
    let before = [rig.lies("home")?, rig.lies("opt")?];
    let run = rig.pvmove_at("before:flush-destination", &["--atomic", &two, &three])?;
    ensure!(run.signal == Some(9), "the fail point did not kill it: {run}");
    let moves = rig.lvm(&["lvs", "-a", "--noheadings", "-o", "lv_name,segtype", VG])?;
    let mirrors = moves.rows().iter().filter(|row| row[1] == "mirror").count();
    ensure!(mirrors == 1, "both LVs should move in one mirror: {moves}");
    rig.pvmove(&["--abort"])?.ok()?;
    rig.at_rest()?;
    ensure!([rig.lies("home")?, rig.lies("opt")?] == before, "something stayed moved");
    rig.pvmove(&["--atomic", &two, &three])?.ok()?;
    rig.at_rest()?;
    rig.is_on("opt", 3)
}
