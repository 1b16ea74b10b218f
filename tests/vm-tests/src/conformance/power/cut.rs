//! The power goes off.
//!
//! The disks keep what they had acknowledged (the host's page cache does not die with the guest);
//! writes in flight are lost.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::{self, EXTENT, Rig, VG, lv_path};
use crate::guest::{Guest, Region};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power-mid-copy",
        about: "the power fails in mid-copy; what is idle and was copied is not copied again",
        disks: fixture::TWO,
        state_disk: true,
        boots: 2,
        run: mid_copy,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "power-steps",
        about: "the power fails at steps of a move and of an abort; pvmove carries on each time",
        disks: fixture::TWO,
        state_disk: true,
        boots: POINTS.len() as u32 + 1,
        run: steps,
        ..Scenario::DEFAULT
    },
];

const EXTENTS: u32 = 24;
/// Extents at the start of the LV that nobody writes to while it moves: six chunks.
const IDLE: u32 = 12;

/// The LV as the writer knew it at the last checkpoint or newer; it writes on only if asked to.
fn resume(guest: &Guest, name: &str, seed: u64, threads: usize) -> Result<Writer> {
    let config = Config { threads, ..Config::new(lv_path(name), seed) };
    Writer::resume(config, &guest.state(&format!("{name}.checkpoint"))?)
}

/// The part of the LV at its end that is written all the time; the rest is idle.
fn busy_end(guest: &Guest) -> Result<PathBuf> {
    let (idle, all) = (u64::from(IDLE) * EXTENT, u64::from(EXTENTS) * EXTENT);
    guest.dm_create("busy", &format!("0 {} linear {} {idle}", all - idle, lv_path("lv").display()))
}

fn mid_copy(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path()];
    let idle = Region::new(lv_path("lv"), 0, u64::from(IDLE) * EXTENT);
    if guest.boot() == 1 {
        let rig = Rig::over(guest, devices)?;
        let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
        guest
            .sh(&format!("dd if=/dev/urandom of={} bs=1M count={IDLE} conv=fsync", lv.display()))?;
        std::fs::write(guest.state("idle")?, guest.hash_region(&idle)?.to_string())?;
        let writer = fixture::writer(&busy_end(guest)?, 301)?;
        rig.slow_copy(&slow, 500)?;
        if guest.frontend() == Frontend::Ublk {
            // Several chunks are waited for, and that log is written twice a second only.
            rig.limit.set(&["--max-rate", "1m"]);
        }
        let _moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        guest.wait_for("idle chunks are clean in the log", fixture::HANG, || {
            let log = rig.meta().and_then(|meta| meta.log(guest)).unwrap_or_default();
            Ok(log.iter().take(6).filter(|clean| **clean).count() >= 3)
        })?;
        let log = rig.meta()?.log(guest)?;
        writer.checkpoint(&guest.state("busy.checkpoint")?)?;
        let clean: String = log.iter().map(|clean| if *clean { '1' } else { '0' }).collect();
        std::fs::write(guest.state("log")?, &clean)?;
        rustix::fs::sync();
        // Few, since dm-mirror's may each wait for the destination.
        writer.wait_for_writes(2, fixture::HANG)?;
        let (clean, all) = rig.meta()?.clean_chunks(guest)?;
        ensure!(clean > 0 && clean < all, "not in mid-copy any more: {clean} of {all}");
        guest.power_cut();
    }
    let rig = Rig::found(guest, devices);
    let meta = rig.meta().context("a copy runs; no commit was cut short")?;
    ensure!(meta.states() == [MoveState::Copying], "recorded: {:?}", meta.states());
    let chunk = u64::from(meta.moves[0].chunk_sectors);
    let log = meta.log(guest)?;
    let (clean, all) = meta.clean_chunks(guest)?;
    guest.log(format!("{clean} of {all} chunks are clean in the log: {log:?}"));
    ensure!(clean > 0 && clean < all, "the log remembers {clean} of {all} chunks");
    let data_sectors = u64::from(EXTENTS) * EXTENT;
    ensure!(u64::from(all) * chunk >= data_sectors, "{all} chunks do not cover the LV");
    // What nobody wrote to and was clean before is clean now: it is not copied again.
    let before = std::fs::read_to_string(guest.state("log")?)?;
    let idle_chunks = usize::try_from(u64::from(IDLE) * EXTENT / chunk)?;
    for (n, was) in before.chars().take(idle_chunks).enumerate() {
        ensure!(was == '0' || log[n], "chunk {n} was clean, idle, and is to be copied again");
    }

    // Nobody writes to the LV here, so all that the destination gets is copied, log, or metadata.
    let before = sectors_written(guest, "pv2")?;
    guest.lvshift(&["vgchange", "-a", "y"])?.ok()?;
    let config = Config { threads: 0, ..Config::new(busy_end(guest)?, 301) };
    let reader = Writer::resume(config, &guest.state("busy.checkpoint")?)?;
    rig.pvmove(&[])?.ok()?;
    let written = sectors_written(guest, "pv2")? - before;
    let dirty = u64::from(all - clean) * chunk;
    // Each commit writes a slot of some 8 KiB, each state of the log 8 sectors; both are counted
    // here generously, and still below one chunk.
    let bookkeeping = chunk - 1;
    guest.log(format!("{written} sectors written for {dirty} dirty ones"));
    ensure!(written <= dirty + bookkeeping, "{written} sectors written for {dirty} dirty ones");
    ensure!(written >= dirty, "{written} sectors cannot hold {dirty} dirty ones");
    reader.stop()?.clean()?;
    let hash = std::fs::read_to_string(guest.state("idle")?)?;
    ensure!(guest.hash_region(&idle)?.to_string() == hash, "the idle part has other bytes");
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    rig.reads_from_its_places("lv")?;
    guest.dm_remove("busy")?;
    let writer = fixture::writer(&lv_path("lv"), 302)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

/// Sectors written to a disk since boot (the seventh number of `/sys/block/DISK/stat`).
fn sectors_written(guest: &Guest, disk: &str) -> Result<u64> {
    let device = guest.disk(disk)?;
    let name = device.file_name().context("a disk has a name")?.to_string_lossy().into_owned();
    let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat"))?;
    let field = stat.split_whitespace().nth(6).context("a seventh number")?;
    Ok(field.parse()?)
}

/// Where the power fails, and in which command: a move, or the abort of one that was killed.
const POINTS: &[(&str, bool)] = &[
    ("after:commit-begin", false),
    ("after:swap-mirrored", false),
    ("before:commit-moved", false),
    ("after:commit-moved-slot1", false),
    ("after:commit-moved", false),
    ("before:swap-final", false),
    ("after:swap-final", false),
    ("after:commit-forget-slot1", false),
    ("after:commit-aborting-slot1", true),
    ("after:commit-aborting", true),
    ("after:swap-source", true),
];

fn steps(guest: &mut Guest) -> Result<()> {
    let devices = vec![guest.disk("pv1")?, guest.disk("pv2")?];
    let boot = guest.boot() as usize;
    let (rig, writers) = if boot == 1 {
        let rig = Rig::over(guest, devices)?;
        let a = rig.lv("a", 3, &[rig.pv_at(1, "0:2:4")])?;
        let b = rig.lv("b", 1, &[rig.pv_at(1, "1")])?;
        (rig, [fixture::writer(&a, 311)?, fixture::writer(&b, 312)?])
    } else {
        let rig = Rig::found(guest, devices);
        let (point, abort) = POINTS[boot - 2];
        let recovered = || -> Result<_> {
            guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
            // Every sector is verified before anything is carried on.
            let writers = [resume(guest, "a", 311, 2)?, resume(guest, "b", 312, 2)?];
            let run = rig.pvmove(&[])?;
            // Nothing was moved by a run that finishes an abort, and it must not sound as if.
            if abort {
                run.fails_with(5)?.stderr_has("undoing")?
            } else {
                run.ok()?
            };
            rig.at_rest()?;
            let was: usize = std::fs::read_to_string(guest.state("home")?)?.trim().parse()?;
            let home = rig.home("a")?;
            ensure!(rig.home("b")? == home, "the LVs lie on different PVs");
            let expected = if abort { was } else { 3 - was };
            ensure!(home == expected, "it was on pv{was}, it is on pv{home}");
            Ok(writers)
        };
        let writers = recovered().with_context(|| format!("the power failed at {point}"))?;
        (rig, writers)
    };
    writers.iter().try_for_each(fixture::served)?;
    let Some((point, abort)) = POINTS.get(boot - 1) else {
        for writer in writers {
            writer.stop()?.clean()?;
        }
        rig.at_rest()?;
        rig.reads_from_its_places("a")?;
        return rig.reads_from_its_places("b");
    };
    let from = rig.home("a")?;
    std::fs::write(guest.state("home")?, from.to_string())?;
    let (source, destination) = (rig.pv(from), rig.pv(3 - from));
    let first = if *abort { "after:swap-mirrored" } else { point };
    let run = rig.pvmove_at(first, &["--atomic", &source, &destination])?;
    ensure!(run.signal == Some(9), "not killed at {first}: {run}");
    if *abort {
        let run = rig.pvmove_at(point, &["--abort"])?;
        ensure!(run.signal == Some(9), "not killed at {point}: {run}");
    }
    for (writer, name) in writers.iter().zip(["a", "b"]) {
        // Some of what follows the dead mover reaches the mapping that it left.
        fixture::served(writer)?;
        writer.checkpoint(&guest.state(&format!("{name}.checkpoint"))?)?;
        fixture::served(writer)?;
    }
    rustix::fs::sync();
    guest.power_cut()
}
