//! A volume of parts on two made-up devices, and a loop that carries out what its copier asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;
use std::{boxed::Box, vec};

use lvshift_on_disk_format::dirty_log::{self, BLOCK_SIZE};

use super::super::*;
use crate::chunk::{
    Admission, Cells, ChunkCell, ChunkIndex, Content, FlushEpochs, Geometry, Group, Piece, QueueId,
    QueueMask, Tracker, WriteOutcome, WriteTicket,
};
use crate::copier::{Latencies, Nanos};
use crate::device::{Device, DeviceIndex};
use crate::io::Discards;
use crate::table::Area;
use crate::units::Sectors;

pub(super) const SOURCE: DeviceIndex = DeviceIndex(0);
pub(super) const DESTINATION: DeviceIndex = DeviceIndex(1);
/// Sectors of a chunk: 128 KiB.
pub(super) const CHUNK: u64 = 256;
pub(super) const MS: u64 = 1_000_000;

pub(super) struct Memory {
    cells: Vec<ChunkCell>,
    groups: Vec<Group>,
}

impl Memory {
    pub(super) fn new(cells: Vec<ChunkCell>, groups: Vec<Group>) -> Memory {
        Memory { cells, groups }
    }
}

impl Cells for Memory {
    fn cells(&self) -> &[ChunkCell] {
        &self.cells
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// What is shared with those who serve requests.
pub(super) struct Shared {
    pub(super) parts: Vec<Part<Memory>>,
    pub(super) devices: [Device; 2],
    pub(super) flushes: FlushEpochs,
}

impl Volume for Shared {
    type Cells = Memory;

    fn parts(&self) -> &[Part<Memory>] {
        &self.parts
    }

    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.devices.get(usize::from(device.0))
    }

    fn flushes(&self) -> &FlushEpochs {
        &self.flushes
    }
}

pub(super) struct Blocks {
    copies: Vec<Vec<u8>>,
    logs: Vec<Vec<u8>>,
}

impl Buffers for Blocks {
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        match buffer {
            Buffer::Copy(slot) => &self.copies[usize::from(slot)],
            Buffer::Log(part) => &self.logs[part.index()],
        }
    }

    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8] {
        match buffer {
            Buffer::Copy(slot) => &mut self.copies[usize::from(slot)],
            Buffer::Log(part) => &mut self.logs[part.index()],
        }
    }
}

/// What fails on a device.
#[derive(Default)]
pub(super) struct Faults {
    /// Sectors that cannot be read, or written.
    pub(super) read: BTreeSet<u64>,
    pub(super) write: BTreeSet<u64>,
    pub(super) flush: bool,
    /// Sectors in which so many writes silently flip a bit.
    pub(super) flips: BTreeMap<u64, u32>,
    /// It cannot make zeroes after all.
    pub(super) zeroes: bool,
}

pub(super) struct Machine {
    pub(super) shared: Shared,
    pub(super) copier: Copier<Box<[PartState]>>,
    pub(super) blocks: Blocks,
    pub(super) disks: [Vec<u8>; 2],
    pub(super) faults: [Faults; 2],
    pub(super) now: Nanos,
    /// Operations that were asked for and not carried out yet, newest last.
    pub(super) in_flight: Vec<Operation>,
    /// Everything that was asked for.
    pub(super) asked: Vec<Operation>,
    pub(super) woken: QueueMask,
    pub(super) latencies: Latencies,
}

/// A geometry of `chunks` chunks, the last of them half as long.
fn part(start: u64, chunks: u32, log: u64, devices: &[Device; 2]) -> Part<Memory> {
    let length = Sectors(u64::from(chunks) * CHUNK - CHUNK / 2);
    let geometry = Geometry::new(length, CHUNK as u32).expect("a good size");
    let memory = Memory {
        cells: (0..geometry.chunks()).map(|_| ChunkCell::new()).collect(),
        groups: (0..geometry.groups()).map(|_| Group::new()).collect(),
    };
    let tracker = Tracker::new(geometry, memory).expect("memory enough");
    let place = PartPlace {
        start: Sectors(start),
        source: Area { device: SOURCE, offset: Sectors(64 + start) },
        destination: Area { device: DESTINATION, offset: Sectors(512 + start) },
        log: Area { device: DESTINATION, offset: Sectors(log) },
    };
    Part::new(place, tracker, Discards::AsZeroes, &devices[1])
}

impl Machine {
    /// A volume of two parts, each of so many chunks, whose source has bytes that differ everywhere.
    pub(super) fn new(chunks: u32, tuning: Tuning) -> Machine {
        let devices = [Device::new(512, true), Device::new(512, true)];
        let length = u64::from(chunks) * CHUNK;
        let sectors = 2 * length + 1024 + 512;
        let logs = 2 * length + 1024;
        let parts = Vec::from([
            part(0, chunks, logs, &devices),
            part(length, chunks, logs + 256, &devices),
        ]);
        let shared = Shared { parts, devices, flushes: FlushEpochs::new() };
        let bytes = sectors as usize * 512;
        let pattern = (0..bytes).map(|at| (at / 512 % 251 + at % 7 + 1) as u8);
        let disks = [pattern.collect(), vec![0xEE; bytes]];
        let states: Box<[PartState]> = (0..2).map(|_| PartState::new()).collect();
        let copier = Copier::new(states, &shared, tuning, Nanos(0));
        let mut machine = Machine {
            shared,
            copier,
            blocks: Blocks {
                copies: vec![vec![0xAA; COPY_BLOCK]; COPY_SLOTS],
                logs: vec![vec![0xAA; BLOCK_SIZE]; 2],
            },
            disks,
            faults: [Faults::default(), Faults::default()],
            now: Nanos(0),
            in_flight: Vec::new(),
            asked: Vec::new(),
            woken: QueueMask::NONE,
            latencies: Latencies::new(),
        };
        for n in 0..2 {
            let log = machine.log_at(n);
            let chunks = machine.tracker(n).geometry().chunks();
            let first = dirty_log::all_dirty_first_block(chunks);
            machine.disks[1][log..log + BLOCK_SIZE].copy_from_slice(&first);
        }
        machine
    }

    pub(super) fn tracker(&self, part: usize) -> &Tracker<Memory> {
        self.shared.parts[part].tracker()
    }

    pub(super) fn log_at(&self, part: usize) -> usize {
        self.shared.parts[part].place().log.offset.0 as usize * 512
    }

    /// The bit of a chunk in the log on disk.
    pub(super) fn log_says_clean(&self, part: usize, chunk: u32) -> bool {
        dirty_log::is_clean(&self.disks[1][self.log_at(part)..], chunk).expect("in the image")
    }

    /// Asks the copier until it waits; says until when.
    pub(super) fn ask(&mut self) -> Option<Nanos> {
        loop {
            match self.copier.next(&self.shared, &mut self.blocks, self.now) {
                Next::Do(operation) => {
                    self.asked.push(operation.clone());
                    match operation {
                        Operation::Wake(queues) => self.woken |= queues,
                        Operation::CountLatencies => {
                            self.copier.latencies(&self.latencies, self.now);
                        }
                        Operation::Unreadable { .. }
                        | Operation::Differs { .. }
                        | Operation::Confirmed(_)
                        | Operation::Tell => {}
                        io => self.in_flight.push(io),
                    }
                }
                Next::WaitUntil(until) => return Some(until),
                Next::Stopped => return None,
            }
        }
    }

    /// Carries out the `at`th operation in flight.
    pub(super) fn carry_out(&mut self, at: usize) {
        let operation = self.in_flight.remove(at);
        let (tag, ended) = self.done(&operation);
        self.copier.ended(tag, ended, &self.shared, &mut self.blocks, self.now);
    }

    fn done(&mut self, operation: &Operation) -> (Tag, Ended) {
        let place = |at: &Area<DeviceIndex>| (usize::from(at.device.0), at.offset.0);
        let sectors = |first: u64, bytes: usize| first..first + bytes as u64 / 512;
        match operation {
            Operation::Read { tag, at, buffer, into } => {
                let (disk, first) = place(at);
                let good = sectors(first, into.len())
                    .take_while(|sector| !self.faults[disk].read.contains(sector))
                    .count();
                if good == 0 {
                    return (*tag, Ended::Failed(61));
                }
                let from = first as usize * 512;
                let bytes = &self.disks[disk][from..from + good * 512];
                self.blocks.bytes_mut(*buffer)[into.start..into.start + good * 512]
                    .copy_from_slice(bytes);
                (*tag, Ended::Done(good * 512))
            }
            Operation::Write { tag, at, buffer, from, .. } => {
                let (disk, first) = place(at);
                if sectors(first, from.len()).any(|s| self.faults[disk].write.contains(&s)) {
                    return (*tag, Ended::Failed(5));
                }
                let to = first as usize * 512;
                self.disks[disk][to..to + from.len()]
                    .copy_from_slice(&self.blocks.bytes(*buffer)[from.clone()]);
                for (sector, times) in self.faults[disk].flips.range_mut(sectors(first, from.len()))
                {
                    if *times > 0 {
                        *times -= 1;
                        self.disks[disk][*sector as usize * 512 + 77] ^= 0x10;
                    }
                }
                (*tag, Ended::Done(from.len()))
            }
            Operation::WriteZeroes { tag, at, count } => {
                let (disk, first) = place(at);
                if self.faults[disk].zeroes {
                    return (*tag, Ended::Unsupported);
                }
                let to = first as usize * 512;
                self.disks[disk][to..to + count.0 as usize * 512].fill(0);
                (*tag, Ended::Done(0))
            }
            Operation::Flush { tag, device } => {
                let failed = self.faults[usize::from(device.0)].flush;
                (*tag, if failed { Ended::Failed(5) } else { Ended::Done(0) })
            }
            other => panic!("{other:?} has no end"),
        }
    }

    /// Carries out everything, oldest first, until nothing is in flight; the time that is waited until.
    pub(super) fn run(&mut self) -> Option<Nanos> {
        loop {
            let until = self.ask();
            if self.in_flight.is_empty() {
                return until;
            }
            self.carry_out(0);
        }
    }

    /// Runs until `done`, letting time pass.
    pub(super) fn run_until(&mut self, done: impl Fn(&Machine) -> bool) {
        for _ in 0..10_000 {
            let until = self.run().expect("not stopped");
            if done(self) {
                return;
            }
            self.now = until.max(Nanos(self.now.0 + 1));
        }
        panic!("this never happens");
    }

    /// Both parts are equal, byte for byte.
    pub(super) fn check_equal(&self) {
        for part in &self.shared.parts {
            let bytes = part.tracker().geometry().length().0 as usize * 512;
            let [from, to] = [part.place().source, part.place().destination]
                .map(|area| area.offset.0 as usize * 512);
            assert!(
                self.disks[0][from..from + bytes] == self.disks[1][to..to + bytes],
                "the legs of the part at {:?} differ",
                part.place().start
            );
        }
    }

    /// Lets a write piece in, or not.
    pub(super) fn admit(&self, part: usize, first: u64, count: u64) -> Option<WriteTicket> {
        let piece = Piece { first: Sectors(first), count: Sectors(count) };
        let part = &self.shared.parts[part];
        let queue = QueueId::new(2).expect("a queue");
        let admitted = part.tracker().admit(piece, Content::Known, queue, part.policy());
        match admitted.expect("a good piece") {
            Admission::Admitted(ticket, _) => Some(ticket),
            Admission::Parked(..) => None,
        }
    }

    pub(super) fn complete(&self, part: usize, ticket: WriteTicket) {
        let _ = ticket.complete(self.tracker(part), WriteOutcome::Done);
    }

    pub(super) fn flushes(&self) -> usize {
        self.asked.iter().filter(|op| matches!(op, Operation::Flush { .. })).count()
    }

    pub(super) fn confirmed(&self, number: u64) -> bool {
        self.asked.contains(&Operation::Confirmed(number))
    }

    /// Every chunk of both parts is copied.
    pub(super) fn is_equal(&self) -> bool {
        (0..2).all(|part| self.tracker(part).left() == 0)
    }

    /// And the log on disk says so.
    pub(super) fn is_clean(&self) -> bool {
        (0..2).all(|part| {
            let chunks = self.tracker(part).geometry().chunks();
            (0..chunks).all(|chunk| self.log_says_clean(part, chunk))
        })
    }

    /// A fresh tracker for a part, with what its log on disk says.
    pub(super) fn loaded(&self, number: usize) -> Part<Memory> {
        let old = &self.shared.parts[number];
        let (start, log) = (old.place().start.0, old.place().log.offset.0);
        let part = part(start, old.tracker().geometry().chunks(), log, &self.shared.devices);
        let mut load = LogLoad::new(&part, 5000);
        while let Some((at, len)) = load.next_read() {
            assert_eq!((at.device, len), (DESTINATION, BLOCK_SIZE));
            let from = at.offset.0 as usize * 512;
            let taken = load.take(&part, &self.disks[1][from..from + len]);
            taken.expect("this part's log");
        }
        part
    }

    pub(super) fn phase(&self, part: usize, chunk: u32) -> crate::chunk::Phase {
        self.tracker(part).word(ChunkIndex(chunk)).expect("in the part").phase()
    }
}
