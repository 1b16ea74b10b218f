//! Moves under load over disks whose every write is recorded, with what the application knows in the
//! same log. `cargo xtask power` runs these and makes crash images of them.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::OFlags;

use crate::conformance::fixture::{self, DATA, EXTENT, Rig};
use crate::guest::{Guest, Side};
use crate::scenario::{Disk, Scenario};
use crate::writer::{Aligned, Config, Writer, stamp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power-record-short",
        about: "one move under load, recorded for crash images",
        hidden: true,
        run: |guest| record(guest, false),
        ..RECORD
    },
    Scenario {
        name: "power-record",
        about: "a move, a killed one, and an aborted one under load, recorded for crash images",
        hidden: true,
        run: |guest| record(guest, true),
        ..RECORD
    },
    Scenario {
        name: "power-record-4k",
        about: "the same as power-record over disks of 4096-byte sectors",
        hidden: true,
        disks: &[Disk::new_4k("pv1", 32), Disk::new_4k("pv2", 32)],
        run: |guest| record(guest, true),
        ..RECORD
    },
];

const RECORD: Scenario = Scenario {
    disks: fixture::TWO,
    state_disk: true,
    volatile: true,
    timeout_s: 600,
    cpus: 2,
    ..Scenario::DEFAULT
};

const EXTENTS: u32 = 16;
const SEED: u64 = 321;
const BLOCK: usize = 4096;
const BLOCK_SECTORS: u64 = (BLOCK / stamp::SECTOR) as u64;
/// Blocks at the LV's end that are written with FUA.
const FORCED: u64 = 16;
/// How often the application flushes.
const FLUSH_EVERY: Duration = Duration::from_millis(30);

fn record(guest: &Guest, all: bool) -> Result<()> {
    let side = guest.side()?;
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let sectors = u64::from(EXTENTS) * EXTENT;
    let forced = sectors - FORCED * BLOCK_SECTORS;
    let config = Config {
        size: Some(forced * stamp::SECTOR as u64),
        threads: 6,
        pace: Duration::from_millis(3),
        ..Config::new(&lv, SEED)
    };
    side.mark(format!("writer lv {SEED} {sectors}"))?;
    let writer = Writer::start(config)?;
    let mut journal = Journal { side: &side, writer: &writer, floor: Vec::new() };
    journal.flush()?;
    side.mark("home lv pv1")?;
    side.mark("begin")?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::SeqCst) {
                journal.flush()?;
                std::thread::sleep(FLUSH_EVERY);
            }
            Ok(())
        });
        let forcing = scope.spawn(|| force(&side, &lv, forced, &stop));
        let moved = moves(&rig, &side, &writer, all);
        stop.store(true, Ordering::SeqCst);
        let threads = [flushing.join(), forcing.join()];
        threads.into_iter().try_for_each(|end| end.expect("a thread that does not panic"))?;
        moved
    })?;
    side.mark("end")?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn moves(rig: &Rig<'_>, side: &Side, writer: &Writer, all: bool) -> Result<()> {
    fixture::served(writer)?;
    slow_copy(side, "pv2")?;
    side.mark("home lv pv1,pv2")?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    side.mark("home lv pv2")?;
    side.command("clear pv2")?;
    fixture::served(writer)?;
    if !all {
        return Ok(());
    }
    slow_copy(side, "pv1")?;
    side.mark("home lv pv1,pv2")?;
    killed(rig, "before:await-copy", 2)?;
    fixture::served(writer)?;
    rig.pvmove(&[])?.ok()?;
    side.mark("home lv pv1")?;
    side.command("clear pv1")?;
    fixture::served(writer)?;

    // Undone from the middle of the copy, and from its end.
    for point in ["before:await-copy", "before:check-legs"] {
        slow_copy(side, "pv2")?;
        side.mark("home lv pv1,pv2")?;
        killed(rig, point, 1)?;
        fixture::served(writer)?;
        rig.pvmove(&["--abort"])?.ok()?;
        side.mark("home lv pv1")?;
        side.command("clear pv2")?;
        fixture::served(writer)?;
    }
    Ok(())
}

/// Begins a move from this PV to the other and kills the mover; the mirror goes on.
fn killed(rig: &Rig<'_>, point: &str, from: usize) -> Result<()> {
    let run = rig.pvmove_at(point, &[&rig.pv(from), &rig.pv(3 - from)])?;
    ensure!(run.signal == Some(9), "not killed at {point}: {run}");
    Ok(())
}

/// Half of the disk's data is slow to write, so that a copy takes its time.
fn slow_copy(side: &Side, disk: &str) -> Result<()> {
    let half = u64::from(EXTENTS / 2) * EXTENT;
    side.command(format!("delay {disk} write {}+{half} 150", DATA + half))
}

/// What the application knows to be durable.
struct Journal<'a> {
    side: &'a Side,
    writer: &'a Writer,
    floor: Vec<u64>,
}

impl Journal<'_> {
    /// Flushes, and notes what was acknowledged before.
    fn flush(&mut self) -> Result<()> {
        let floor = self.writer.flushed()?;
        let old = |sector: usize| self.floor.get(sector).copied().unwrap_or(0);
        let new = floor.iter().enumerate().filter(|(sector, version)| old(*sector) < **version);
        let new: Vec<(u64, u64)> = new.map(|(sector, version)| (sector as u64, *version)).collect();
        self.side.floors(SEED, &new)?;
        self.floor = floor;
        Ok(())
    }
}

/// Writes blocks at the end of the LV, each durable when it is acknowledged, and notes each.
fn force(side: &Side, lv: &std::path::Path, first: u64, stop: &AtomicBool) -> Result<()> {
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
    let file = File::options().write(true).custom_flags(flags).open(lv)?;
    let mut block = Aligned::new(BLOCK);
    let mut version = 1;
    while !stop.load(Ordering::SeqCst) {
        let sector = first + version * 7 % FORCED * BLOCK_SECTORS;
        for (n, bytes) in block.bytes_mut().chunks_exact_mut(stamp::SECTOR).enumerate() {
            stamp::write(bytes, SEED, sector + n as u64, version);
        }
        file.write_all_at(block.bytes(), sector * stamp::SECTOR as u64)
            .with_context(|| format!("writing {} at sector {sector}", lv.display()))?;
        let floors: Vec<_> = (sector..sector + BLOCK_SECTORS).map(|n| (n, version)).collect();
        side.floors(SEED, &floors)?;
        version += 1;
        std::thread::sleep(FLUSH_EVERY);
    }
    Ok(())
}
