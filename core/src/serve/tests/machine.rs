//! A volume of every kind of segment on three made-up devices, and a caller that carries out what its
//! queue asks for, in an order that the test chooses.

use std::vec::Vec;
use std::{format, vec};

use super::super::*;
use crate::Leg;
use crate::chunk::{
    Cells, ChunkCell, ChunkIndex, CopyOutcome, Effects, FlushEpochs, Geometry, Group, QueueId,
    Tracker,
};
use crate::device::{Device, DeviceIndex};
use crate::io::{Discards, WriteOp};
use crate::mirror::{Part, PartPlace, Volume};
use crate::table::{Area, Log, Mirror, Segment, StoredTable, Table, Target};
use crate::units::Sectors;

/// Sectors of a chunk.
pub(super) const CHUNK: u64 = 8;
pub(super) const CHUNKS: u64 = 4;
/// Where the mirror begins; before it are 32 sectors on device 0, and 8 that are mapped to nothing.
pub(super) const MIRROR: u64 = 40;
/// Where the last segment begins, 16 sectors on device 2.
pub(super) const LAST: u64 = MIRROR + CHUNKS * CHUNK;
pub(super) const END: u64 = LAST + 16;
const TAGS: usize = 4;
/// Sectors of a request's data at most.
const MOST: u64 = 32;

pub(super) struct Memory(Vec<ChunkCell>, Vec<Group>);

impl Cells for Memory {
    fn cells(&self) -> &[ChunkCell] {
        &self.0
    }

    fn groups(&self) -> &[Group] {
        &self.1
    }
}

/// A volume.
pub(super) struct Shared {
    table: StoredTable<Vec<Segment<DeviceIndex>>, DeviceIndex>,
    pub(super) parts: Vec<Part<Memory>>,
    devices: [Device; 3],
    flushes: FlushEpochs,
    pub(super) committing: bool,
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

impl Served for Shared {
    fn table(&self) -> Table<'_, DeviceIndex> {
        self.table.table()
    }

    fn below(&self) -> Below {
        Below::of(self.table().segments(), &self.parts)
    }

    fn is_committing(&self) -> bool {
        self.committing
    }
}

fn area(device: u8, offset: u64) -> Area<DeviceIndex> {
    Area { device: DeviceIndex(device), offset: Sectors(offset) }
}

/// Which leg of the middle segment a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Middle {
    Mirrored(Discards),
    Only(Leg),
}

/// The volume; its moving extents are on device 0 from 100 on, and on device 1 from 200 on.
pub(super) fn volume(middle: Middle) -> Shared {
    let devices = [0; 3].map(|_: u8| Device::new(512, true));
    let length = Sectors(CHUNKS * CHUNK);
    let mirror = Mirror {
        source: area(0, 100),
        destination: area(1, 200),
        log: Log::Disk(DeviceIndex(1)),
        chunk_sectors: CHUNK as u32,
        sync: None,
        handle_errors: true,
        keep_log: false,
    };
    let target = match middle {
        Middle::Mirrored(_) => Target::Mirror(mirror),
        Middle::Only(Leg::Source) => Target::Linear(mirror.source),
        Middle::Only(Leg::Destination) => Target::Linear(mirror.destination),
    };
    let segment = |start, len, target| Segment { start: Sectors(start), len: Sectors(len), target };
    let segments = vec![
        segment(0, 32, Target::Linear(area(0, 10))),
        segment(32, 8, Target::Error),
        segment(MIRROR, length.0, target),
        segment(LAST, END - LAST, Target::Linear(area(2, 0))),
    ];
    let mut parts = Vec::new();
    if let Middle::Mirrored(discards) = middle {
        let geometry = Geometry::new(length, CHUNK as u32).expect("a good size");
        let cells = (0..geometry.chunks()).map(|_| ChunkCell::new()).collect();
        let groups = (0..geometry.groups()).map(|_| Group::new()).collect();
        let tracker = Tracker::new(geometry, Memory(cells, groups)).expect("memory enough");
        let place = PartPlace {
            start: Sectors(MIRROR),
            source: mirror.source,
            destination: mirror.destination,
            log: area(1, 0),
        };
        parts.push(Part::new(place, tracker, discards, &devices[1]));
    }
    let table = StoredTable::new(segments).expect("a sound table");
    Shared { table, parts, devices, flushes: FlushEpochs::new(), committing: false }
}

/// A queue, its volume, the devices, and the requests' buffers.
pub(super) struct Machine {
    pub(super) volume: Shared,
    pub(super) queue: Queue<TAGS>,
    pub(super) disks: [Vec<u8>; 3],
    pub(super) buffers: Vec<Vec<u8>>,
    /// I/O that was asked for and has not ended, oldest first.
    pub(super) in_flight: Vec<Operation>,
    pub(super) answers: Vec<(u16, Answer)>,
    pub(super) told: Effects,
    /// How the next I/Os on a device end, instead of well.
    pub(super) faults: [Vec<Ended>; 3],
}

impl Machine {
    pub(super) fn new(middle: Middle) -> Machine {
        let id = QueueId::new(0).expect("the first");
        Machine {
            volume: volume(middle),
            queue: Queue::new(id, Sectors(MOST)),
            disks: [0xA0, 0xB0, 0xC0].map(|byte| vec![byte; 300 * 512]),
            buffers: vec![vec![0; (MOST * 512) as usize]; TAGS],
            in_flight: Vec::new(),
            answers: Vec::new(),
            told: Effects::NONE,
            faults: Default::default(),
        }
    }

    /// Takes out what the queue asks for.
    pub(super) fn ask(&mut self) {
        while let Some(operation) = self.queue.next(&self.volume) {
            match operation {
                Operation::Answer { tag, answer } => self.answers.push((tag, answer)),
                Operation::Notify(effects) => {
                    self.told = self.told.and(effects);
                    let mut wake = !effects.wake.is_empty();
                    for part in &self.volume.parts {
                        // Whoever writes the log does so at once.
                        while let Some(chunk) = part.tracker().next_marking() {
                            wake |= !part.tracker().marked(chunk).wake.is_empty();
                        }
                    }
                    if wake {
                        self.queue.woken();
                    }
                }
                io => self.in_flight.push(io),
            }
        }
    }

    pub(super) fn came(&mut self, tag: u16, kind: Kind, start: u64, count: u64) {
        let request = Request { kind, start: Sectors(start), count: Sectors(count) };
        self.queue.came(tag, request).expect("a free tag");
        self.ask();
    }

    pub(super) fn write(&mut self, tag: u16, start: u64, count: u64, byte: u8) {
        self.buffers[usize::from(tag)].fill(byte);
        self.came(tag, Kind::Change(WriteOp::Write { fua: false }), start, count);
    }

    /// Carries the `at`th I/O in flight out, and tells the queue nothing.
    pub(super) fn take_end(&mut self, at: usize) -> (IoTag, Ended) {
        let operation = self.in_flight.remove(at);
        self.carry_out(&operation)
    }

    /// Lets the `at`th I/O in flight end.
    pub(super) fn end(&mut self, at: usize) {
        let operation = self.in_flight.remove(at);
        let (io, ended) = self.carry_out(&operation);
        self.queue.ended(io, ended);
        self.ask();
    }

    fn carry_out(&mut self, operation: &Operation) -> (IoTag, Ended) {
        let (io, device) = match operation {
            Operation::Read { io, at, .. }
            | Operation::Write { io, at, .. }
            | Operation::WriteZeroes { io, at, .. }
            | Operation::Discard { io, at, .. } => (*io, at.device),
            Operation::Flush { io, device } => (*io, *device),
            other => panic!("{other:?} has no end"),
        };
        let disk = usize::from(device.0);
        let fault = self.faults[disk].pop();
        let some = match fault {
            None => usize::MAX,
            Some(Ended::Done(bytes)) => bytes,
            Some(other) => return (io, other),
        };
        let buffer = &mut self.buffers[usize::from(io.tag())];
        let bytes = |at: &Area<DeviceIndex>, len: usize| {
            let first = at.offset.0 as usize * 512;
            first..first + len
        };
        let done = match operation {
            Operation::Read { at, into, .. } => {
                let len = into.len().min(some);
                buffer[into.start..into.start + len]
                    .copy_from_slice(&self.disks[disk][bytes(at, len)]);
                len
            }
            Operation::Write { at, from, .. } => {
                let len = from.len().min(some);
                self.disks[disk][bytes(at, len)]
                    .copy_from_slice(&buffer[from.start..from.start + len]);
                len
            }
            Operation::WriteZeroes { at, count, .. } => {
                self.disks[disk][bytes(at, count.0 as usize * 512)].fill(0);
                0
            }
            // What it leaves is the device's choice.
            Operation::Discard { at, count, .. } => {
                self.disks[disk][bytes(at, count.0 as usize * 512)].fill(0xD0 + device.0);
                0
            }
            _ => 0,
        };
        (io, Ended::Done(done))
    }

    /// Lets everything end, oldest first.
    pub(super) fn run(&mut self) {
        self.ask();
        while !self.in_flight.is_empty() {
            self.end(0);
        }
    }

    /// Copies a chunk, if it may be.
    pub(super) fn copy(&mut self, chunk: u64) -> bool {
        let Some(part) = self.volume.parts.first() else { return false };
        let Some(ticket) = part.tracker().begin_copy(ChunkIndex(chunk as u32), false) else {
            return false;
        };
        let piece = ticket.piece();
        let (from, to) =
            (part.at(Leg::Source, piece.first), part.at(Leg::Destination, piece.first));
        let len = piece.count.0 as usize * 512;
        let from = from.offset.0 as usize * 512;
        let to = to.offset.0 as usize * 512;
        let [source, destination, _] = &mut self.disks;
        destination[to..to + len].copy_from_slice(&source[from..from + len]);
        let effects = ticket.complete(part.tracker(), CopyOutcome::Copied);
        if !effects.wake.is_empty() {
            self.queue.woken();
        }
        self.ask();
        true
    }

    /// Copies what is not equal.
    pub(super) fn copy_all(&mut self) {
        for chunk in 0..CHUNKS {
            self.copy(chunk);
        }
    }

    /// The bytes of a leg's sector of the middle segment, all the same.
    pub(super) fn leg(&self, leg: Leg, sector: u64) -> u8 {
        let (disk, first) = match leg {
            Leg::Source => (0, 100),
            Leg::Destination => (1, 200),
        };
        let at = (first + sector) as usize * 512;
        let bytes = &self.disks[disk][at..at + 512];
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{}", format!("sector {sector} torn"));
        bytes[0]
    }

    /// The answers so far, taken.
    pub(super) fn take_answers(&mut self) -> Vec<(u16, Answer)> {
        core::mem::take(&mut self.answers)
    }
}
