//! Every kind of request, of odd sizes at odd places, in every state that a moving chunk has,
//! compared with a model in memory; and what must be durable is durable on both legs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::model::{Model, Op};
use super::rig::{HeldMove, counted, fill, legs, legs_are_equal, mirrored, rig_of, tune};
use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{HANG, Rig};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::hash::mix;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-requests",
        about: "writes, FUA, zeroes, discards of odd sizes at every edge during a move, with a model",
        frontends: Frontend::UBLK,
        disks: &[Disk::new("pv1", 24), Disk::new("pv2", 24), Disk::new("pv3", 24)],
        timeout_s: 480,
        cpus: 4,
        run: |guest| requests(guest, 1),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-requests-4k",
        about: "the same on disks with 4096-byte sectors; the destination cannot make zeroes itself",
        frontends: Frontend::UBLK,
        disks: &[Disk::new_4k("pv1", 24), Disk::new_4k("pv2", 24), Disk::new_4k("pv3", 24)],
        timeout_s: 480,
        cpus: 4,
        run: |guest| requests(guest, 8),
        ..Scenario::DEFAULT
    },
];

/// Extents of 64 KiB, in sectors.
const EXTENT: u64 = 128;
/// Where the LV lies: three extents alone, so that chunks have two and parts of an odd length end
/// with half a chunk; a long piece; some that do not move; a piece of an odd length.
const ON_SOURCE: [&str; 3] = ["0-2", "5-71", "80-110"];
const ALL: u32 = 3 + 67 + 31 + 5;
const CHUNK: u64 = 2 * EXTENT;

fn requests(guest: &mut Guest, grain: u64) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    if grain == 8 {
        // A target that discards, but makes no zeroes.
        slow_data(guest, &slow, 1)?;
    }
    let devices = vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?];
    let rig = rig_of(guest, devices, "64k")?;
    let [a, b, c] = ON_SOURCE.map(|range| rig.pv_at(1, range));
    let lv = rig.lv("lv", ALL, &[a, b, rig.pv_at(3, "7-11"), c])?;
    let sectors = u64::from(ALL) * EXTENT;
    ensure!(guest.sectors(&lv)? == sectors, "the LV has {} sectors", guest.sectors(&lv)?);
    fill(guest, &lv, 0, sectors, 3601)?;
    let mut model = Model::of(&lv, sectors)?;
    let mut pass = Pass { guest, lv: lv.clone(), grain, requests: 0 };

    pass.all(&mut model, &[0, 3 * EXTENT, 70 * EXTENT, sectors]).context("before the move")?;
    tune(guest, &["--pause"])?;
    let pvs = [rig.pv(1), rig.pv(2)];
    let mut moving = HeldMove::start(guest, &["-n", "lv", &pvs[0], &pvs[1]])?;
    mirrored(&rig, "lv")?;
    let edges = edges(&rig)?;
    guest.log(format!("{} edges: {edges:?}", edges.len()));
    // A few of each kind: the last four are the half chunk at the end and the LV's end.
    let some: Vec<u64> = edges.iter().copied().filter(|e| e % (16 * EXTENT) < CHUNK).collect();
    let some = [&some[..], &[70 * EXTENT, 75 * EXTENT, sectors - EXTENT, sectors]].concat();
    pass.all(&mut model, &some).context("while every chunk is pending")?;

    slow_data(guest, &slow, 250)?;
    tune(guest, &["--resume"])?;
    let model = while_copying(model, &edges, grain).context("while chunks are copied")?;
    slow_data(guest, &slow, u32::from(grain == 8))?;
    moving.equal()?;
    let mut model = model;
    model.check_all().context("when all is equal")?;
    pass.all(&mut model, &some).context("while all is mirrored")?;
    durable_on_both(&rig, &mut model, grain)?;
    // What a discard of the source alone has undone is copied again.
    moving_is_equal_again(&rig)?;
    legs_are_equal(&rig)?;

    moving.finish()?;
    model.check_all().context("after the move")?;
    pass.all(&mut model, &[0, 3 * EXTENT, 70 * EXTENT, sectors]).context("after the move")?;
    model.flush()?;
    model.check_all().context("at the end")?;
    guest.log(format!("{} requests", pass.requests));
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// Every sector of the LV at which a chunk, a part or a segment begins, and its end.
fn edges(rig: &Rig<'_>) -> Result<Vec<u64>> {
    let meta = rig.meta()?;
    let chunk = u64::from(meta.moves.first().context("no move")?.chunk_sectors);
    ensure!(chunk == CHUNK, "chunks have {chunk} sectors, and the scenario counts on {CHUNK}");
    let mut edges = BTreeSet::from([0, u64::from(ALL) * EXTENT]);
    for segment in &meta.segments {
        edges.insert(u64::from(segment.first) * EXTENT);
    }
    let mut halves = 0;
    for part in &meta.parts {
        let start = u64::from(part.first) * EXTENT;
        let end = start + u64::from(part.count) * EXTENT;
        edges.extend((start..end).step_by(CHUNK as usize));
        halves += u32::from(part.count % 2 == 1);
    }
    ensure!(halves > 0, "no part ends with half a chunk");
    Ok(edges.into_iter().collect())
}

/// One pass over the classes of requests, by one thread.
struct Pass<'g> {
    guest: &'g Guest,
    lv: PathBuf,
    grain: u64,
    requests: u64,
}

impl Pass<'_> {
    /// Every class around each of these edges: as a write, and as one of the other kinds in turn.
    fn all(&mut self, model: &mut Model, edges: &[u64]) -> Result<()> {
        for &edge in edges {
            for (offset, count) in classes(self.grain) {
                let first = edge as i64 + offset;
                let other = Op::ALL[1 + self.requests as usize % (Op::ALL.len() - 1)];
                for op in [Op::Write, other] {
                    let done = model.request(op, first, count, self.grain)?;
                    self.requests += u64::from(done);
                }
                // So that no kind always meets the same class.
                self.requests += 1;
            }
        }
        // Discards cost a process each: whole chunks, a part of one, over an edge.
        let middle = edges[edges.len() / 2];
        for (first, count) in [
            (middle, 2 * CHUNK),
            (middle + self.grain, 3 * self.grain),
            (middle.saturating_sub(2 * self.grain), CHUNK),
        ] {
            let count = count.min(model.end().saturating_sub(first));
            if count > 0 {
                discard(self.guest, &self.lv, first, count)?;
                model.discarded(first, count).context("after a discard")?;
            }
        }
        model.flush()?;
        model.check_all()
    }
}

/// Offsets from an edge and lengths, in sectors.
fn classes(grain: u64) -> Vec<(i64, u64)> {
    let unit = grain as i64;
    let mut all = Vec::new();
    for offset in [-9, -8, -1, 0, 1, 8] {
        for count in [1, 2, 7, 8, 9, 17] {
            all.push((offset * unit, count * grain));
        }
    }
    // Whole chunks, almost whole ones, and requests longer than the daemon takes at once.
    for (offset, count) in [(0, CHUNK), (-unit, CHUNK), (unit, CHUNK), (-unit, CHUNK + 2 * grain)] {
        all.push((offset, count));
    }
    all.push((-(CHUNK as i64) - unit, 3 * CHUNK + 2 * grain));
    all
}

/// Threads, each with a run of the LV of its own, do a request of every kind at every edge, from the
/// end of the LV to its start, while the copy comes the other way.
fn while_copying(model: Model, edges: &[u64], grain: u64) -> Result<Model> {
    let run = |mut model: Model| -> Result<Model> {
        let inside = |edge: &&u64| (model.first()..=model.end()).contains(edge);
        let mine: Vec<u64> = edges.iter().filter(inside).rev().copied().collect();
        let classes = classes(grain);
        let mut random = mix(model.first() ^ 0x5eed);
        for edge in mine {
            for op in [Op::Write, Op::ALL[1 + random as usize % 4]] {
                random = mix(random);
                let (offset, count) = classes[(random >> 20) as usize % classes.len()];
                model.request(op, edge as i64 + offset, count, grain)?;
            }
        }
        Ok(model)
    };
    // Not at the edges, so that requests over an edge belong to one run.
    let runs = model.split(12, CHUNK / 4)?;
    let runs = std::thread::scope(|scope| {
        let threads: Vec<_> = runs.into_iter().map(|model| scope.spawn(|| run(model))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Model>>| {
            thread.join().map_err(|_| anyhow!("a thread of requests panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    Model::join(runs)
}

/// A flush, and a write that must be durable, reach the disks of both legs before they are
/// acknowledged. These disks have a cache and no FUA, so the kernel makes a flush of it.
fn durable_on_both(rig: &Rig<'_>, model: &mut Model, grain: u64) -> Result<()> {
    let disks = ["pv1", "pv2"].map(|name| rig.guest.disk(name));
    let [source, destination] = disks;
    let disks = [source?, destination?];
    let flushes = || -> Result<[u64; 2]> {
        Ok([counted(rig.guest, &disks[0])?.flushes, counted(rig.guest, &disks[1])?.flushes])
    };
    for n in 0..12 {
        let before = flushes()?;
        model.flush()?;
        let after = flushes()?;
        for leg in 0..2 {
            ensure!(after[leg] > before[leg], "flush {n} did not reach {}", disks[leg].display());
        }
        let before = flushes()?;
        model.request(Op::Fua, (CHUNK / 2 + n * grain) as i64, grain, grain)?;
        let after = flushes()?;
        for leg in 0..2 {
            // The kernel makes two requests of such a write to a block device, one with FUA and
            // then a flush; each has to reach the disk.
            let seen = after[leg] - before[leg];
            let disk = disks[leg].display();
            ensure!(seen >= 2, "durable write {n}: {disk} was flushed {seen} times, not twice");
        }
    }
    Ok(())
}

/// Waits until what discards have made pending is copied: then the log has a bit for every chunk.
fn moving_is_equal_again(rig: &Rig<'_>) -> Result<()> {
    ensure!(!legs(rig)?.is_empty(), "the mirror is gone");
    rig.guest.wait_for("every chunk is clean", HANG, || {
        let (clean, all) = rig.meta()?.clean_chunks(rig.guest)?;
        Ok(all > 0 && clean == all)
    })
}

fn discard(guest: &Guest, lv: &Path, first: u64, count: u64) -> Result<()> {
    let (offset, len) = (first * 512, count * 512);
    guest.sh(&format!("blkdiscard -o {offset} -l {len} {}", lv.display())).map(drop)
}
