//! Beside GNU ddrescue 1.27, on the same disks: how much is on the destination, and when.
//!
//! ddrescue was run with its defaults on these disks by the side of a clock that is made up: its reads were taken down, and the
//! time reckoned as below (docs/benchmarks/rescue.md). Its figures stand here.

use std::collections::BTreeSet;
use std::vec::Vec;
use std::{boxed::Box, vec};

use super::super::*;
use super::machine::Shared;
use crate::chunk::{ChunkCell, FlushEpochs, Geometry, Group, Tracker};
use crate::copier::Nanos;
use crate::device::{Device, DeviceIndex};
use crate::io::Discards;
use crate::table::Area;
use crate::units::Sectors;

/// A GiB, in chunks of a MiB.
const SECTORS: u64 = 1 << 21;
const CHUNK: u32 = 2048;
const SECOND: u64 = 1_000_000_000;

/// The same random numbers as for ddrescue's disks.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Forty bad sectors anywhere.
fn anywhere() -> BTreeSet<u64> {
    let mut random = Random(1);
    (0..40).map(|_| random.next() % SECTORS).collect()
}

/// Six runs of them.
fn in_runs() -> BTreeSet<u64> {
    let mut random = Random(2);
    let mut bad = BTreeSet::new();
    for _ in 0..6 {
        let (first, count) = (random.next() % SECTORS, 100 + random.next() % 1500);
        bad.extend(first..SECTORS.min(first + count));
    }
    bad
}

struct Blocks(Vec<u8>);

impl Buffers for Blocks {
    fn bytes(&self, _: Buffer) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self, _: Buffer) -> &mut [u8] {
        &mut self.0
    }
}

/// Copies the disk as a copier does it, with one arm: 8 ms to another place, 150 MB a second, 5 s for a bad read.
/// Says how many bytes were on the destination at which second.
fn copy(bad: &BTreeSet<u64>) -> Vec<(f64, u64)> {
    let devices = [Device::new(512, true), Device::new(512, true)];
    let geometry = Geometry::new(Sectors(SECTORS), CHUNK).expect("a good size");
    let memory = super::machine::Memory::new(
        (0..geometry.chunks()).map(|_| ChunkCell::new()).collect(),
        (0..geometry.groups()).map(|_| Group::new()).collect(),
    );
    let tracker = Tracker::new(geometry, memory).expect("memory enough");
    let on = |device, offset| Area { device: DeviceIndex(device), offset: Sectors(offset) };
    let place = PartPlace {
        start: Sectors(0),
        source: on(0, 0),
        destination: on(1, 0),
        log: on(1, SECTORS),
    };
    let part = Part::new(place, tracker, Discards::AsZeroes, &devices[1]);
    let shared = Shared { parts: Vec::from([part]), devices, flushes: FlushEpochs::new() };
    let states: Box<[PartState]> = Box::new([PartState::new()]);
    let mut copier = Copier::new(states, &shared, Tuning::default(), Nanos(0));
    let mut blocks = Blocks(vec![7; COPY_BLOCK]);
    let (mut now, mut arm, mut free) = (Nanos(0), 0, 0);
    let mut reads: Vec<(u64, Tag, Ended)> = Vec::new();
    let mut told = vec![(0.0, 0)];
    loop {
        let until = loop {
            let operation = match copier.next(&shared, &mut blocks, now) {
                Next::Do(operation) => operation,
                Next::WaitUntil(until) => break until,
                Next::Stopped => return told,
            };
            match operation {
                Operation::Read { tag, at, into, .. } => {
                    let sectors = at.offset.0..at.offset.0 + into.len() as u64 / 512;
                    let start = now.0.max(free);
                    let ended = if bad.range(sectors.clone()).next().is_some() {
                        (free, arm) = (start + 5 * SECOND, u64::MAX);
                        Ended::Failed(5)
                    } else {
                        let seek = if arm == sectors.start { 0 } else { SECOND / 125 };
                        free = start + seek + into.len() as u64 * 20 / 3;
                        arm = sectors.end;
                        Ended::Done(into.len())
                    };
                    reads.push((free, tag, ended));
                }
                Operation::Write { tag, from, .. } => {
                    copier.ended(tag, Ended::Done(from.len()), &shared, &mut blocks, now);
                }
                Operation::WriteZeroes { tag, .. } | Operation::Flush { tag, .. } => {
                    copier.ended(tag, Ended::Done(0), &shared, &mut blocks, now);
                }
                _ => {}
            }
        };
        let tracker = shared.parts[0].tracker();
        let done = (SECTORS - u64::from(tracker.left()) * u64::from(CHUNK)) * 512;
        told.push((now.0 as f64 / SECOND as f64, done));
        if tracker.fault().is_some() || tracker.left() == 0 {
            return told;
        }
        if reads.is_empty() {
            now = until.max(Nanos(now.0 + 1));
            continue;
        }
        let (at, tag, ended) = reads.remove(0);
        now = Nanos(now.0.max(at));
        copier.ended(tag, ended, &shared, &mut blocks, now);
    }
}

fn at(told: &[(f64, u64)], second: f64) -> u64 {
    told.iter().take_while(|(at, _)| *at <= second).last().map_or(0, |(_, bytes)| *bytes)
}

/// `ddrescue`: its seconds, and bytes by then.
fn beside(name: &str, bad: &BTreeSet<u64>, ddrescue: &[(f64, u64)]) {
    let told = copy(bad);
    let took = told.last().map_or(0.0, |last| last.0);
    std::eprintln!("{name}: {} bad sectors, all else after {took:.0} s", bad.len());
    for (second, theirs) in ddrescue {
        std::eprintln!(
            "  {second:7.1} s: {:5} MiB, ddrescue {:5} MiB",
            at(&told, *second) >> 20,
            theirs >> 20
        );
    }
}

#[test]
#[ignore = "figures"]
fn figures() {
    beside("anywhere", &anywhere(), &[(42.7, 236716032), (213.5, 1071179776), (384.2, 1073219584)]);
    beside(
        "in runs",
        &in_runs(),
        &[(30.0, 482410496), (60.0, 745144320), (120.0, 1070333952), (2416.5, 1071290880)],
    );
}
