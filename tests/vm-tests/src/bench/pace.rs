//! What an application sees of a move that makes way for it, and of one that does not.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::app::{self, EXTENT_MIB, WARM_UP};
use super::contestant::{Tool, Volume};
use super::fio::{Load, Running, now_ms};
use super::lab::Lab;
use super::moves::real;
use super::watch::Progress;
use crate::guest::THROTTLE;

/// As in `app-4k`, at its lower depth.
const LOAD: Load = Load { pattern: "randrw", block: "4k", depth: 4 };
const LIMIT: Duration = Duration::from_secs(1800);

/// A contestant, the options of its move, and the percentage of time that the kernel's throttle leaves
/// to dm-mirror's copies, where it is set.
pub(super) type Case = (&'static str, Tool, &'static [&'static str], Option<u8>);

/// The throttle shows why `lvshift-dm` does not offer it as a pace.
const CASES: &[Case] = &[
    ("lvshift-ublk", Tool::Ublk, &[], None),
    ("lvshift-ublk, paced", Tool::Ublk, &["--pace"], None),
    ("lvshift-dm", Tool::Dm, &[], None),
    ("lvshift-dm, throttle 50 %", Tool::Dm, &[], Some(50)),
    ("lvshift-dm, throttle 10 %", Tool::Dm, &[], Some(10)),
];

/// An application before the move and in its first part; then it goes, and the rest is copied
/// without it.
pub(super) fn pace(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(1024);
    lab.noise(mib)?;
    beside(lab, CASES, mib)
}

/// The same with other contestants, over `mib` MiB of noise.
pub(super) fn beside(lab: &Lab, cases: &[Case], mib: u64) -> Result<()> {
    let disks = lab.disks.clone();
    for (name, tool, options, percent_of_time) in lab.turns(cases) {
        let throttle = percent_of_time.map(Throttle::set).transpose()?;
        let volume = Volume::new(tool, &disks, mib / EXTENT_MIB, "")?;
        let fio = Running::start(LOAD, &volume.node, LIMIT)?;
        std::thread::sleep(WARM_UP);
        let idle_from = now_ms();
        std::thread::sleep(Duration::from_secs_f64(lab.scale.seconds(15.0)));
        let idle = (idle_from, now_ms());
        // What the read check does to the application is not the copy's doing.
        let check: &[&str] = if tool == Tool::Lvm { &[] } else { &["--skip-read-check"] };
        let options = [check, options].concat();
        let progress = Progress::start(&real(&disks[1])?)?;
        let mut moving = volume.begin_move(&options)?;
        let start = Instant::now();
        let beside = Duration::from_secs_f64(lab.scale.seconds(45.0));
        let mut ended = None;
        while ended.is_none() && start.elapsed() < beside {
            std::thread::sleep(Duration::from_millis(20));
            ended = moving.try_wait().context("looking at the move")?;
        }
        let under_load = (idle.1, now_ms());
        let percent = if ended.is_none() { volume.copy_percent()? } else { 100.0 };
        // What is left would take minutes, and says nothing of the application.
        drop(throttle);
        let (alone, left_at) = (Instant::now(), start.elapsed().as_secs_f64());
        let requests = fio.stop()?;
        let status = match ended {
            Some(status) => status,
            None => waited(&mut moving)?,
        };
        let alone = alone.elapsed().as_secs_f64();
        ensure!(status.success(), "{name}: the move ended with {status}");
        // The mark is where the application went away.
        lab.series(name, "progress", "MiB", vec![left_at], progress.stop()?);
        volume.lies_on(1)?;
        volume.remove()?;
        app::report(lab, name, "beside it", &requests, idle, under_load)?;
        let seconds = (under_load.1 - under_load.0) / 1000.0;
        let done = mib as f64 * percent / 100.0;
        lab.sample(name, "copied beside the application", "MiB/s", done / seconds);
        if percent < 90.0 {
            lab.sample(name, "copied without it", "MiB/s", (mib as f64 - done) / alone);
        }
    }
    Ok(())
}

/// The kernel's throttle while it is set; dropped, it is what it was before, whatever went wrong.
struct Throttle {
    before: String,
}

impl Throttle {
    /// Leaves so many percent of the time.
    fn set(percent: u8) -> Result<Throttle> {
        let before = std::fs::read_to_string(THROTTLE);
        let before = before.with_context(|| format!("reading {THROTTLE}"))?.trim().to_owned();
        std::fs::write(THROTTLE, percent.to_string())
            .with_context(|| format!("writing {THROTTLE}"))?;
        Ok(Throttle { before })
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(THROTTLE, &self.before) {
            eprintln!("bench: {THROTTLE} is not what it was, {}: {error}", self.before);
        }
    }
}

fn waited(moving: &mut std::process::Child) -> Result<std::process::ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = moving.try_wait().context("looking at the move")? {
            return Ok(status);
        }
        if start.elapsed() > LIMIT {
            bail!("the move does not end although nobody is there");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
