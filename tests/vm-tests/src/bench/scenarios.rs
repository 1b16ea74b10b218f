//! The benchmarks as scenarios, so that the test VM can run them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::bound::{HARD_DISK, NETWORK_DISK, SSD};
use crate::guest::Guest;
use crate::scenario::{Disk, DiskLimit, Scenario};

/// What scenarios of benchmarks are called before their own names.
pub const PREFIX: &str = "bench-";
/// What is behind the names of those that measure little.
pub const QUICK: &str = "-quick";
/// The first word of a line of the log that is a record.
pub const RECORD: &str = "record ";

/// The guest's memory: `late-disks` has its disks in it.
const MEMORY_MIB: u32 = 3072;

/// How long one benchmark may take.
const LIMIT_S: u32 = 3 * 3600;

const fn disk(name: &'static str, mib: u32, limit: Option<DiskLimit>) -> Disk {
    let disk = Disk::new(name, mib);
    match limit {
        Some(limit) => disk.limited(limit),
        None => disk,
    }
}

macro_rules! scenarios {
    ($($name:literal, $full:literal, $quick:literal, $limit:expr;)*) => {
        &[$(
            Scenario {
                name: concat!("bench-", $name),
                about: concat!("benchmark ", $name),
                disks: &[disk("pv1", $full, $limit), disk("pv2", $full, $limit)],
                timeout_s: LIMIT_S,
                hidden: true,
                run: |guest| run(guest, $name, false),
                cpus: 2,
                memory_mib: MEMORY_MIB,
                ..Scenario::DEFAULT
            },
            Scenario {
                name: concat!("bench-", $name, "-quick"),
                about: concat!("benchmark ", $name, ", few rounds of little data"),
                disks: &[disk("pv1", $quick, $limit), disk("pv2", $quick, $limit)],
                timeout_s: LIMIT_S,
                hidden: true,
                run: |guest| run(guest, $name, true),
                cpus: 2,
                memory_mib: MEMORY_MIB,
                ..Scenario::DEFAULT
            },
        )*]
    };
}

/// Two for each benchmark, with room for its data and what stands around them.
pub const SCENARIOS: &[Scenario] = scenarios! {
    "hard-disk", 1072, 304, Some(HARD_DISK);
    "ssd", 1072, 304, Some(SSD);
    "network-disk", 560, 176, Some(NETWORK_DISK);
    "move-idle", 1072, 176, None;
    "small-segments", 1072, 176, None;
    "slow-disks", 560, 112, None;
    "late-disks", 48, 48, None;
    "sparse", 560, 112, None;
    "crash", 560, 112, None;
    "lvm2", 1072, 176, None;
    "app-4k", 560, 112, None;
    "app-1m", 560, 112, None;
    "pace", 1072, 176, None;
    "pause", 304, 80, None;
    "steady", 1072, 176, None;
};

/// Runs the program that measures and passes on what it says as it comes.
fn run(guest: &mut Guest, name: &str, quick: bool) -> Result<()> {
    for module in ["dm-mirror", "dm-delay", "null_blk", "ublk_drv"] {
        guest.modprobe(module)?;
    }
    let disks = [guest.disk("pv1")?, guest.disk("pv2")?].map(|disk| disk.display().to_string());
    let mut args = vec![name, "--disks", &disks[0], &disks[1]];
    if quick {
        args.push("--quick");
    }
    let mut bench = guest.spawn_env(&[], "bench", &args)?;
    let start = Instant::now();
    let mut passed_on = [0; 2];
    loop {
        let running = bench.is_running()?;
        for (n, text) in [bench.stdout(), bench.stderr()].into_iter().enumerate() {
            let new = &text[passed_on[n]..];
            let whole = new.rfind('\n').map_or(0, |at| at + 1);
            for line in new[..whole].lines() {
                match n {
                    0 => guest.log(format!("{RECORD}{line}")),
                    _ => guest.show(format!("{line}\n")),
                }
            }
            passed_on[n] += whole;
        }
        if !running {
            break;
        }
        ensure!(start.elapsed().as_secs() < LIMIT_S.into(), "it takes too long");
        std::thread::sleep(Duration::from_millis(300));
    }
    ensure!(bench.wait(Duration::from_secs(5))?.status == Some(0), "the benchmark failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_has_its_scenarios() {
        for bench in crate::bench::BENCHES {
            for end in ["", QUICK] {
                let name = format!("{PREFIX}{}{end}", bench.name);
                assert!(SCENARIOS.iter().any(|s| s.name == name), "no scenario {name}");
            }
        }
        assert_eq!(SCENARIOS.len(), 2 * crate::bench::BENCHES.len());
    }
}
