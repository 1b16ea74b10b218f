//! What `metrics` says of requests and errors is what happened.

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, EXTENT, FAIL, Rig};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-metrics",
    about: "metrics counts requests and how long they took, errors of requests, and errors of PVs by leg",
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    run: metrics,
    ..Scenario::DEFAULT
}];

/// The delay of a read, and the last bound that is below it.
const DELAY_MS: u32 = 200;
const SHORTER: &str = "0.134217728";

fn metrics(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv1")?;
    let rig = Rig::over(guest, vec![bad.path(), guest.disk("pv2")?])?;
    rig.lv("lv", 4, &[rig.pv(1)])?;
    let value = |name: &str, labels: &str| -> Result<f64> {
        let told = guest.lvshift(&["metrics"])?.ok()?;
        let start = format!("{name}{{{labels}}} ");
        let line = told.stdout.lines().find_map(|line| line.strip_prefix(&start));
        Ok(line.with_context(|| format!("no {start} in {told}"))?.parse()?)
    };
    let of_lv = |op: &str| format!("vg=\"vg\",lv=\"lv\",op=\"{op}\"");
    let of_pv =
        |leg: &str, op: &str| format!("vg=\"vg\",pv=\"{}\",leg=\"{leg}\",op=\"{op}\"", rig.pv(1));
    let read =
        |count: u32| format!("dd if=/dev/vg/lv of=/dev/null bs=4k count={count} iflag=direct");

    let (all, below) = ("lvshift_lv_request_seconds_count", "lvshift_lv_request_seconds_bucket");
    let shorter = format!("{},le=\"{SHORTER}\"", of_lv("read"));
    let (had, short) = (value(all, &of_lv("read"))?, value(below, &shorter)?);
    let took = value("lvshift_lv_request_seconds_sum", &of_lv("read"))?;
    bad.delay(DELAY_MS)?;
    guest.sh(&read(3))?;
    bad.good()?;
    ensure!(value(all, &of_lv("read"))? == had + 3.0, "three reads were not counted");
    ensure!(value(below, &shorter)? == short, "a slow read counts as a fast one");
    let took = value("lvshift_lv_request_seconds_sum", &of_lv("read"))? - took;
    ensure!(took > 0.5 && took < 30.0, "three reads of {DELAY_MS} ms took {took} s");
    guest.sh("dd if=/dev/zero of=/dev/vg/lv bs=4k count=5 oflag=direct")?;
    ensure!(value(all, &of_lv("write"))? == 5.0, "five writes were not counted");

    bad.bad_reads(DATA, 8)?;
    ensure!(guest.run("sh", &["-c", &read(1)])?.status != Some(0), "the bad sector was read");
    let failed = "lvshift_lv_request_errors_total";
    ensure!(value(failed, &of_lv("read"))? >= 1.0, "the request's error was not counted");
    ensure!(value(failed, &of_lv("write"))? == 0.0, "an error was counted that was none");
    let below = "lvshift_pv_io_errors_total";
    ensure!(value(below, &of_pv("none", "read"))? >= 1.0, "the PV's error was not counted");
    bad.good()?;

    // The same of a side of a move.
    let (from, to) = (rig.pv(1), rig.pv(2));
    let args = ["pvmove", "--pace=none", "-n", "lv", &from, &to];
    let mut moving =
        guest.spawn_env(&[(FAIL, "stop:check-legs")], guest.frontend().binary(), &args)?;
    stopped_at(guest, &mut moving)?;
    bad.bad_sectors(DATA + EXTENT, 8)?;
    let write =
        format!("dd if=/dev/zero of=/dev/vg/lv bs=4k count=1 seek={} oflag=direct", EXTENT / 8);
    ensure!(guest.run("sh", &["-c", &write])?.status != Some(0), "the source took the write");
    ensure!(value(below, &of_pv("source", "write"))? >= 1.0, "the source's error was not counted");
    bad.good()?;
    moving.signal(rustix::process::Signal::CONT)?;
    // The source has refused a write: the move is undone, and says so.
    moving.wait(fixture::HANG)?;
    Ok(())
}
