//! What an application sees of a move.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::contestant::{Tool, Volume};
use super::fio::{Load, Running, now_ms};
use super::lab::{Lab, succeed};
use super::prober::Prober;

/// Extents are 4 MiB.
pub(super) const EXTENT_MIB: u64 = 4;
/// What fio needs until it is at work.
pub(super) const WARM_UP: Duration = Duration::from_secs(3);
/// After the move, for the plot.
const AFTER: Duration = Duration::from_secs(1);
/// Time for which one point of a plot stands, in ms.
const BUCKET: f64 = 100.0;

/// Random 4 KiB, 70 % reads, at depth 4 and 32.
pub(super) fn random_4k(lab: &mut Lab) -> Result<()> {
    for depth in [4, 32] {
        under(lab, Load { pattern: "randrw", block: "4k", depth }, &format!("depth {depth}"))?;
    }
    Ok(())
}

/// Sequential 1 MiB, 70 % reads, at depth 2.
pub(super) fn sequential_1m(lab: &mut Lab) -> Result<()> {
    under(lab, Load { pattern: "rw", block: "1m", depth: 2 }, "depth 2")
}

fn under(lab: &mut Lab, load: Load, word: &str) -> Result<()> {
    let mib = lab.scale.mib(512);
    lab.noise(mib)?;
    let disks = lab.disks.clone();
    for tool in lab.turns(&Tool::ALL) {
        let volume = Volume::new(tool, &disks, mib / EXTENT_MIB, "")?;
        let fio = Running::start(load, &volume.node, Duration::from_secs(1800))?;
        std::thread::sleep(WARM_UP);
        let idle_from = now_ms();
        std::thread::sleep(Duration::from_secs_f64(lab.scale.seconds(9.0)));
        let idle = (idle_from, now_ms());
        let took = moved(&volume)?;
        let moving = (idle.1, now_ms());
        std::thread::sleep(AFTER);
        let requests = fio.stop()?;
        volume.lies_on(1)?;
        volume.remove()?;
        lab.sample(tool.name(), &format!("{word}, move"), "s", took.as_secs_f64());
        report(lab, tool.name(), word, &requests, idle, moving)?;
    }
    Ok(())
}

/// The longest pause of somebody who has one request outstanding.
pub(super) fn pause(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(256);
    lab.noise(mib)?;
    let disks: [PathBuf; 2] = lab.disks.clone();
    for tool in lab.turns(&Tool::ALL) {
        let volume = Volume::new(tool, &disks, mib / EXTENT_MIB, "")?;
        let prober = Prober::start(&volume.node, mib << 20)?;
        std::thread::sleep(Duration::from_secs_f64(lab.scale.seconds(6.0)));
        let idle = (0.0, prober.now_ms());
        moved(&volume)?;
        let moving = (idle.1, prober.now_ms());
        std::thread::sleep(AFTER);
        let requests = prober.stop()?;
        volume.lies_on(1)?;
        volume.remove()?;
        report(lab, tool.name(), "one request", &requests, idle, moving)?;
        // Either swap lies at an end of the move.
        let middle = (moving.0 + moving.1) / 2.0;
        for (what, window) in
            [("first half", (moving.0, middle)), ("second half", (middle, moving.1))]
        {
            let worst = within(&requests, window).iter().copied().fold(0.0, f64::max);
            lab.sample(tool.name(), &format!("longest pause, {what}"), "ms", worst);
        }
    }
    Ok(())
}

fn moved(volume: &Volume) -> Result<Duration> {
    let start = Instant::now();
    succeed(&mut volume.pvmove(volume.tool.quickly()))?;
    Ok(start.elapsed())
}

/// Hands out what the application saw in two windows (ms), before and during a move.
pub(super) fn report(
    lab: &Lab,
    name: &str,
    word: &str,
    requests: &[(f64, f64)],
    idle: (f64, f64),
    moving: (f64, f64),
) -> Result<()> {
    let mut rates = [0.0; 2];
    let mut worsts = [0.0; 2];
    let mut p99s = [0.0; 2];
    for (n, (when, window)) in [("idle", idle), ("moving", moving)].into_iter().enumerate() {
        let mut took = within(requests, window);
        ensure!(!took.is_empty(), "{name}: the application did nothing while {when}");
        took.sort_by(f64::total_cmp);
        rates[n] = took.len() as f64 / ((window.1 - window.0) / 1000.0);
        worsts[n] = took[took.len() - 1];
        lab.sample(name, &format!("{word}, {when}, requests"), "/s", rates[n]);
        for (what, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("worst", 1.0)] {
            let at = ((took.len() - 1) as f64 * share).round() as usize;
            lab.sample(name, &format!("{word}, {when}, {what}"), "ms", took[at]);
            if what == "p99" {
                p99s[n] = took[at];
            }
        }
    }
    lab.sample(name, &format!("{word}, requests kept"), "of idle", rates[1] / rates[0]);
    lab.sample(name, &format!("{word}, p99"), "x idle", p99s[1] / p99s[0]);
    lab.sample(name, &format!("{word}, worst latency"), "x idle", worsts[1] / worsts[0]);
    let marks = vec![(moving.0 - idle.0) / 1000.0, (moving.1 - idle.0) / 1000.0];
    lab.series(
        name,
        &format!("{word}, worst latency"),
        "ms",
        marks,
        worst_by_time(requests, idle.0),
    );
    Ok(())
}

/// The latencies of the requests that ended in a window.
fn within(requests: &[(f64, f64)], window: (f64, f64)) -> Vec<f64> {
    let inside = requests.iter().filter(|(at, _)| (window.0..window.1).contains(at));
    inside.map(|&(_, took)| took).collect()
}

/// The worst latency of each short time, for a plot; in seconds from `zero`.
fn worst_by_time(requests: &[(f64, f64)], zero: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for &(at, took) in requests.iter().filter(|(at, _)| *at >= zero) {
        let bucket = ((at - zero) / BUCKET).floor() * BUCKET / 1000.0;
        match points.iter_mut().rev().take(4).find(|(x, _)| *x == bucket) {
            Some((_, worst)) => *worst = worst.max(took),
            None => points.push((bucket, took)),
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_the_worst_of_each_tenth_of_a_second() {
        let requests = [(990.0, 9.0), (1000.0, 1.0), (1050.0, 3.0), (1099.0, 2.0), (1150.0, 5.0)];
        assert_eq!(worst_by_time(&requests, 1000.0), [(0.0, 3.0), (0.1, 5.0)]);
        assert_eq!(within(&requests, (1000.0, 1099.0)), [1.0, 3.0]);
    }
}
