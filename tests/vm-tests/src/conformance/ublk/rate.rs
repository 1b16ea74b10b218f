//! How fast a copy is: limited, changed in flight, paused, taken up again, and told to programs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::rig::{END, counted, fill, mirrored, rig_of, tune};
use crate::conformance::fixture::{HANG, Rig, served};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-rate",
        about: "a rate limit is kept within 10 %, changed in flight; paused, nothing is copied",
        frontends: Frontend::UBLK,
        disks: &[Disk::new("pv1", 96), Disk::new("pv2", 96)],
        timeout_s: 360,
        run: rate,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-json-events",
        about: "the events of a move for programs: valid, in order, with rate and time left",
        frontends: Frontend::UBLK,
        disks: &[Disk::new("pv1", 48), Disk::new("pv2", 48)],
        timeout_s: 240,
        run: json_events,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

const MIB: u64 = 1 << 20;

/// An LV of that many MiB full of data, whose moves have chunks of 256 KiB: the shortest of its
/// parts is that long.
fn small_chunks<'g>(guest: &'g Guest, mib: u32, seed: u64) -> Result<Rig<'g>> {
    let rig = rig_of(guest, vec![guest.disk("pv1")?, guest.disk("pv2")?], "256k")?;
    let places = [rig.pv_at(1, "0-0"), rig.pv_at(1, &format!("5-{}", 3 + 4 * mib))];
    let lv = rig.lv("lv", 4 * mib, &places)?;
    fill(guest, &lv, 0, u64::from(mib) * 2048, seed)?;
    Ok(rig)
}

fn rate(guest: &mut Guest) -> Result<()> {
    let rig = small_chunks(guest, 72, 3301)?;
    let lv = crate::conformance::fixture::lv_path("lv");
    let pvs = [rig.pv(1), rig.pv(2)];
    // No progress: it might read the source, which is counted below.
    let args = ["--skip-read-check", "-i", "3600", "--max-rate", "2m", &pvs[0], &pvs[1]];
    let moving = rig.spawn_move(&args)?;
    mirrored(&rig, "lv")?;
    // The destination takes nothing now but the copy and, rarely, a block of the log.
    let written = || Ok(counted(guest, &rig.devices[1])?.written_sectors * 512);
    kept(guest, 2 * MIB, Duration::from_secs(4), &written)?;
    tune(guest, &["--max-rate", "1m"])?;
    kept(guest, MIB, Duration::from_secs(5), &written)?;
    tune(guest, &["--max-rate", "4m"])?;
    kept(guest, 4 * MIB, Duration::from_secs(3), &written)?;

    // From here on only the copy reads the source: the application just writes.
    tune(guest, &["--pause"])?;
    let writer = Writer::start(Config {
        read_percent: 0,
        fill: false,
        pace: Duration::from_millis(5),
        ..Config::new(&lv, 3302)
    })?;
    served(&writer)?;
    let read = || Ok(counted(guest, &rig.devices[0])?.read_sectors);
    settled(guest, &read)?;
    let before = read()?;
    let writes = writer.counters().writes;
    std::thread::sleep(Duration::from_secs(3));
    let copied = read()? - before;
    ensure!(copied == 0, "{copied} sectors were copied while the copy was paused");
    ensure!(writer.counters().writes > writes + 20, "the application waits for a paused copy");
    ensure!(rig.meta()?.moves.len() == 1, "the move was over before it was paused");
    tune(guest, &["--resume"])?;
    kept(guest, 4 * MIB, Duration::from_secs(2), &|| Ok(read()? * 512))?;
    tune(guest, &["--max-rate", "none"])?;
    moving.wait(END)?.ok()?;
    served(&writer)?;
    writer.stop()?.clean()?;
    ensure!(rig.home("lv")? == 2, "the LV did not move");
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// Waits until a count stands still.
fn settled(guest: &Guest, count: &dyn Fn() -> Result<u64>) -> Result<()> {
    let (mut last, mut since) = (count()?, Instant::now());
    guest.wait_for("the copies in flight have ended", HANG, || {
        let now = count()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        Ok(since.elapsed() > Duration::from_millis(600))
    })
}

/// Fails unless the bytes counted grow at that rate for about so long, within 10 %. The clock runs
/// from one change of the count to another, so what is not counted yet does not matter.
fn kept(
    guest: &Guest,
    bytes_per_second: u64,
    span: Duration,
    bytes: &dyn Fn() -> Result<u64>,
) -> Result<()> {
    // What was allowed to begin under the rate before has begun.
    std::thread::sleep(Duration::from_millis(500));
    let change = |from: u64| -> Result<(u64, Instant)> {
        let mut at = (from, Instant::now());
        guest.wait_for("the copy goes on", HANG, || {
            at = (bytes()?, Instant::now());
            // A block of the log is no change.
            Ok(at.0 >= from + (64 << 10))
        })?;
        Ok(at)
    };
    let first = change(bytes()?)?;
    std::thread::sleep(span);
    let last = change(bytes()?)?;
    let took = last.1 - first.1;
    let found = (last.0 - first.0) as f64 / took.as_secs_f64();
    let ratio = found / bytes_per_second as f64;
    guest.log(format!("{found:.0} bytes/s over {took:?}, {ratio:.3} of what was asked for"));
    ensure!(
        (0.9..=1.1).contains(&ratio),
        "{bytes_per_second} bytes a second were asked for and {found:.0} copied"
    );
    Ok(())
}

fn json_events(guest: &mut Guest) -> Result<()> {
    let rig = small_chunks(guest, 24, 3401)?;
    let pvs = [rig.pv(1), rig.pv(2)];
    let args = ["--json", "--read-check", "-i", "1", "--max-rate", "4m", &pvs[0], &pvs[1]];
    let run = rig.spawn_move(&args)?.wait(END)?.ok()?;
    let mut events = Vec::new();
    for line in run.stdout.lines() {
        let event: Value =
            serde_json::from_str(line).with_context(|| format!("a line is no JSON: {line}"))?;
        ensure!(event.is_object(), "a line is no object: {line}");
        events.push(event);
    }
    events.retain(|event| event["event"] != "note");
    let words: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    ensure!(words.len() == events.len(), "an event without a name: {}", run.stdout);
    let mut order = words.clone();
    order.dedup();
    let expected = ["checked", "planned", "started", "progress", "ended", "finished"];
    ensure!(order == expected, "the events came in this order: {words:?}");
    let all = 24 * MIB;
    for (event, field) in
        [(0, "bytes_total"), (1, "bytes_total"), (events.len() - 1, "bytes_moved")]
    {
        let found = number(&events[event], field)?;
        ensure!(found == all as f64, "{field} of {} is {found}", words[event]);
    }
    let finished = &events[events.len() - 1];
    ensure!(finished["outcome"] == "moved", "the outcome is {}", finished["outcome"]);
    let started = events.iter().find(|event| event["event"] == "started").context("started")?;
    for (field, pv) in [("from", &pvs[0]), ("to", &pvs[1])] {
        ensure!(started[field] == serde_json::json!([pv]), "{field} is {}", started[field]);
    }
    progress(guest, &events, started, all as f64)?;
    rig.at_rest()?;
    Ok(())
}

/// The lines of progress: never back, and once there is a rate, with a time left that fits it.
fn progress(guest: &Guest, events: &[Value], started: &Value, all: f64) -> Result<()> {
    let lines: Vec<&Value> = events.iter().filter(|e| e["event"] == "progress").collect();
    let (mut last, mut rated) = (0.0, 0);
    for line in &lines {
        ensure!(line["move"] == started["move"], "of another move: {line}");
        ensure!(line["number"] == 1 && line["count"] == 1, "one move of one: {line}");
        ensure!(number(line, "bytes_total")? == all, "another size: {line}");
        let (done, percent) = (number(line, "bytes_done")?, number(line, "percent")?);
        ensure!(done >= last && done <= all, "it went back, or too far: {line}");
        let exact = done * 100.0 / all;
        ensure!(percent <= exact && exact - percent < 1.0, "{percent} is not {exact}: {line}");
        last = done;
        if line["bytes_per_second"].is_null() {
            ensure!(line["seconds_left"].is_null(), "a time left without a rate: {line}");
            continue;
        }
        let (rate, left) = (number(line, "bytes_per_second")?, number(line, "seconds_left")?);
        // The rate is that of the time since the last lines, which the copy's beginning is part of.
        ensure!(rate > 0.0 && rate < 8.0 * MIB as f64, "asked for 4 MiB a second: {line}");
        let fits = (all - done) / rate;
        ensure!((left - fits).abs() <= 1.5, "{left} s left, {fits:.1} at that rate: {line}");
        rated += 1;
    }
    guest.log(format!("{} lines of progress, {rated} with a rate", lines.len()));
    ensure!(rated >= 3, "a copy of 6 s with an interval of 1 s told its rate {rated} times");
    Ok(())
}

fn number(event: &Value, field: &str) -> Result<f64> {
    event[field].as_f64().with_context(|| format!("{field} is no number: {event}"))
}
