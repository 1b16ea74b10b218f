//! One chunk under four queues while it is copied.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::rig::{HeldMove, legs_are_equal};
use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{HANG, Rig};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-hot-chunk",
    about: "four queues write one chunk while it is copied, again and again; none is left waiting",
    frontends: Frontend::UBLK,
    disks: &[Disk::new("pv1", 24), Disk::new("pv2", 24)],
    timeout_s: 360,
    cpus: 4,
    run: hot_chunk,
    ..Scenario::DEFAULT
}];

/// How often the chunk is moved.
const ROUNDS: u64 = 4;
/// How long the destination takes for a write while the chunk is copied.
const SLOW_MS: u32 = 300;

fn hot_chunk(guest: &mut Guest) -> Result<()> {
    let disks = [guest.faulty("pv1")?, guest.faulty("pv2")?];
    let rig = Rig::over(guest, disks.iter().map(|disk| disk.path()).collect())?;
    // One extent is one part, and one part of 1 MiB is one chunk.
    let lv = rig.lv("lv", 1, &[rig.pv(1)])?;
    each_processor_has_a_queue(&lv)?;
    let config = Config {
        threads: 8,
        spread: true,
        pace: Duration::ZERO,
        read_percent: 10,
        ..Config::new(&lv, 3001)
    };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(100, HANG)?;
    for round in 0..ROUNDS {
        let (from, to) = if round.is_multiple_of(2) { (1, 2) } else { (2, 1) };
        slow_data(guest, &disks[to - 1], SLOW_MS)?;
        let mut moving = HeldMove::start(guest, &[&rig.pv(from), &rig.pv(to)])?;
        moving.equal()?;
        // Whoever waited for the copy in any of the queues was woken, and all of them get on.
        all_queues_serve(guest, &writer, &lv)?;
        writer.pause();
        legs_are_equal(&rig)?;
        writer.unpause();
        slow_data(guest, &disks[to - 1], 0)?;
        moving.finish()?;
        rig.lies("lv", &[(to, 0, 1)])?;
        writer.wait_for_writes(20, HANG)?;
    }
    let worst = writer.counters().worst;
    let copy = Duration::from_millis(SLOW_MS.into());
    ensure!(worst >= copy, "no write ever waited for a copy: the longest took {worst:?}");
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// The name of the disk that a link leads to.
fn disk_of(lv: &Path) -> Result<String> {
    let node = std::fs::canonicalize(lv).with_context(|| format!("following {}", lv.display()))?;
    let name = node.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).context("a node without a name")
}

/// The kernel must send what each of the four processors asks to a queue of its own, or a writer
/// on each of them would prove nothing.
fn each_processor_has_a_queue(lv: &Path) -> Result<()> {
    let disk = disk_of(lv)?;
    let mut all = Vec::new();
    for queue in 0..4 {
        let path = format!("/sys/block/{disk}/mq/{queue}/cpu_list");
        let cpus = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        all.push(cpus.trim().to_owned());
    }
    let one_each = all.iter().all(|cpus| cpus.len() == 1);
    ensure!(one_each, "the processors of the queues of {disk} are {all:?}");
    all.sort();
    all.dedup();
    ensure!(all.len() == 4, "two queues of {disk} serve one processor: {all:?}");
    Ok(())
}

/// While every chunk is mirrored nothing wakes a queue's thread but its own requests.
fn all_queues_serve(guest: &Guest, writer: &Writer, lv: &Path) -> Result<()> {
    let before = queue_threads(lv)?;
    writer.wait_for_writes(48, HANG)?;
    for (queue, switches) in queue_threads(lv)? {
        let served = switches - before.get(&queue).context("a queue that was not there")?;
        guest.log(format!("{queue} was woken {served} times"));
        ensure!(served >= 4, "{queue} was woken {served} times while others served 48 writes");
    }
    Ok(())
}

/// How often each queue's thread of the daemon went to sleep, which it does when it has handed its
/// requests over.
fn queue_threads(lv: &Path) -> Result<BTreeMap<String, u64>> {
    let prefix = disk_of(lv)?.replace("ublkb", "queue-");
    let mut found = BTreeMap::new();
    for process in std::fs::read_dir("/proc").context("listing /proc")?.flatten() {
        // Processes come and go; what is gone has no tasks.
        let Ok(tasks) = std::fs::read_dir(process.path().join("task")) else { continue };
        for task in tasks.flatten() {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let Some(queue) = name.trim().strip_prefix(&format!("{prefix}-")) else { continue };
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let switches = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
            let switches = switches.and_then(|n| n.trim().parse().ok());
            found.insert(format!("queue {queue}"), switches.context("a thread without a count")?);
        }
    }
    ensure!(found.len() == 4, "the daemon has these queue threads: {found:?}");
    Ok(found)
}
