//! What the copier may do next, by the code of [`mirror`](crate::mirror): the copy of a chunk, the settle
//! rounds, the writer of the dirty log.
//!
//! How far each of them is stands in the [`World`]. None is kept from one state to the next: it is made anew
//! and told again what has happened to it, and what it asks for then is done to the world's disks.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::vec::Vec;

use lvshift_on_disk_format::dirty_log::{BITSET_OFFSET, BLOCK_SIZE};

use super::rig::{BLOCK, CHUNK, Rig};
use super::steps::Ground;
use super::world::{BLOCKS, Copying, Flusher, GARBAGE, World};
use crate::chunk::{Borrowed, ChunkIndex, CopyTicket, Effects, FlushEpochs, Phase, Tracker, Word};
use crate::copier::Nanos;
use crate::device::{Device, DeviceIndex};
use crate::io::Discards;
use crate::mirror::{
    Buffer, Buffers, Ended, Lane, Operation, Part, PartIndex, PartPlace, PartState, Settle, Slot,
    Volume,
};
use crate::table::Area;
use crate::units::Sectors;

const PART: PartIndex = PartIndex(0);
/// The first sector of the dirty log, on the destination's device.
const LOG: Sectors = Sectors(1 << 20);
/// No settle round waits for its time.
const NOW: Nanos = Nanos(u64::MAX / 2);
/// Bytes of a sector, and of a chunk.
const SECTOR: usize = 512;
const CHUNK_BYTES: usize = CHUNK as usize * SECTOR;
/// The byte of the log's block that has the bits.
const BITS: usize = BITSET_OFFSET as usize;

/// A volume of one part. The device of a leg has the leg's number.
pub(super) struct Small {
    parts: [Part<Borrowed<'static>>; 1],
    devices: [Device; 2],
    flushes: FlushEpochs,
}

impl Small {
    pub(super) fn new(tracker: Tracker<Borrowed<'static>>) -> Small {
        let devices = [Device::new(512, false), Device::new(512, false)];
        let at = |device, offset| Area { device: DeviceIndex(device), offset };
        let place = PartPlace {
            start: Sectors(0),
            source: at(0, Sectors(0)),
            destination: at(1, Sectors(0)),
            log: at(1, LOG),
        };
        let part = Part::new(place, tracker, Discards::AsZeroes, &devices[1]);
        Small { parts: [part], devices, flushes: FlushEpochs::new() }
    }
}

impl Volume for Small {
    type Cells = Borrowed<'static>;

    fn parts(&self) -> &[Part<Borrowed<'static>>] {
        &self.parts
    }

    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.devices.get(usize::from(device.0))
    }

    fn flushes(&self) -> &FlushEpochs {
        &self.flushes
    }
}

/// The copier's memory: one chunk, and of the log's block as much as there are bits in.
struct Memory {
    copy: [u8; CHUNK_BYTES],
    log: [u8; BITS + 1],
}

impl Memory {
    /// With a chunk that is nowhere zero, so that it is written in one go.
    fn new() -> Memory {
        Memory { copy: [1; CHUNK_BYTES], log: [0; BITS + 1] }
    }
}

impl Buffers for Memory {
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        match buffer {
            Buffer::Copy(_) => &self.copy,
            Buffer::Log(_) => &self.log,
        }
    }

    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8] {
        match buffer {
            Buffer::Copy(_) => &mut self.copy,
            Buffer::Log(_) => &mut self.log,
        }
    }
}

/// A copy that goes on: the ticket in it must not be lost.
type Copy = ManuallyDrop<Slot>;

/// The copy of a chunk that has begun, and where it reads.
fn begun(rig: &Rig, chunk: ChunkIndex) -> (Copy, Area<DeviceIndex>, Range<usize>) {
    let piece = rig.tracker().geometry().piece_of(chunk).expect("a chunk of the part");
    let mut copy = ManuallyDrop::new(Slot::new(0));
    copy.begin(PART, CopyTicket { chunk, piece, wanted: true }, SECTOR as u32);
    match copy.next_operation(&rig.volume, Nanos(0)) {
        Some(Operation::Read { at, into, .. }) => (copy, at, into),
        other => panic!("a copy begins with a read, not with {other:?}"),
    }
}

/// The copy of a chunk that was read, and what it writes where.
fn read(rig: &Rig, chunk: ChunkIndex) -> (Copy, Area<DeviceIndex>, Range<usize>) {
    let (mut copy, _, into) = begun(rig, chunk);
    copy.was_read(Ended::Done(into.len()), &rig.volume, &mut Memory::new(), NOW);
    match copy.next_operation(&rig.volume, Nanos(0)) {
        Some(Operation::Write { at, from, .. }) => (copy, at, from),
        other => panic!("what was read is written, not {other:?}"),
    }
}

/// How much of each block of a chunk lies in an area: all of it, some, or nothing.
fn covered(area: Area<DeviceIndex>, bytes: &Range<usize>, at: usize) -> [Option<bool>; BLOCKS] {
    let (first, end) = (area.offset.0, area.offset.0 + (bytes.len() / SECTOR) as u64);
    std::array::from_fn(|block| {
        let start = at as u64 * CHUNK + block as u64 * BLOCK;
        let whole = first <= start && start + BLOCK <= end;
        (first < start + BLOCK && start < end).then_some(whole)
    })
}

/// A settle round that begins now if it brings something; by leg: 0 to be flushed, 2 not.
fn settle(rig: &Rig) -> (Settle, [PartState; 1], [u8; 2]) {
    let mut settle = Settle::new(Nanos(0));
    let mut parts = [PartState::new()];
    let _ = settle.begin(NOW, &rig.volume, &mut parts);
    let mut legs = [2; 2];
    while let Some(operation) = settle.next_operation() {
        let Operation::Flush { device, .. } = operation else {
            panic!("not a flush: {operation:?}")
        };
        legs[usize::from(device.0)] = 0;
    }
    (settle, parts, legs)
}

/// The log writer, and the write that it asks for now: the bits, and whether they are to be durable.
fn log(rig: &Rig) -> (Lane, Option<(u8, bool)>) {
    let (mut lane, mut memory) = (Lane::new(), Memory::new());
    // Whether a chunk has become clean since stands in the tracker.
    lane.cleaned();
    let write = lane.next_operation(PART, &rig.volume, &mut memory, Nanos(0));
    let bits = write.map(|write| match write {
        Operation::Write { at, durable, buffer: Buffer::Log(PART), .. } if at.offset == LOG => {
            (memory.log[BITS], durable)
        }
        other => panic!("the log's first block is written, not {other:?}"),
    });
    (lane, bits)
}

impl World {
    /// Any chunk that may be copied may be the next; one at a time.
    pub(super) fn copier_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let busy = self.chunks.iter().position(|chunk| chunk.copying != Copying::No);
        let Some(at) = busy else {
            for chunk in ground.rig.chunks() {
                let mut world = self.clone();
                let begun = world.with_tracker(ground, |rig| {
                    let ticket = rig.tracker().begin_copy(chunk, true);
                    let begun = ticket.is_some();
                    ticket.into_iter().for_each(CopyTicket::leave_in_flight);
                    (begun, Effects::NONE)
                });
                if begun {
                    world.chunks[chunk.0 as usize].copying = Copying::Begun;
                }
                if world != *self {
                    all.push(world);
                }
            }
            return;
        };
        let mut world = self.clone();
        let chunk = ChunkIndex(at as u32);
        world.chunks[at].copying = match self.chunks[at].copying {
            Copying::Begun => {
                let (_, area, bytes) = begun(ground.rig, chunk);
                let leg = &self.chunks[at].legs[usize::from(area.device.0)];
                let there = covered(area, &bytes, at);
                let value = |block: usize| match there[block] {
                    Some(true) => leg[block].now,
                    _ => GARBAGE,
                };
                Copying::Read(std::array::from_fn(value))
            }
            Copying::Read(values) => {
                let (_, area, bytes) = read(ground.rig, chunk);
                let leg = &mut world.chunks[at].legs[usize::from(area.device.0)];
                let there = covered(area, &bytes, at).into_iter().zip(values);
                for (block, (there, value)) in leg.iter_mut().zip(there) {
                    match there {
                        Some(true) => block.write(value),
                        Some(false) => block.write(GARBAGE),
                        None => {}
                    }
                }
                Copying::Written
            }
            _ => {
                world.with_tracker(ground, |rig| {
                    let (mut copy, _, bytes) = read(rig, chunk);
                    copy.was_written(0, Ended::Done(bytes.len()));
                    assert_eq!(
                        copy.next_operation(&rig.volume, Nanos(0)),
                        None,
                        "all of the chunk is written"
                    );
                    let copied = copy.take_over().expect("what was written is copied");
                    ((), copied.ticket.complete(rig.tracker(), copied.outcome))
                });
                Copying::No
            }
        };
        all.push(world);
    }

    pub(super) fn settle_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let Some(legs) = self.settle else {
            let mut world = self.clone();
            world.settle = world.with_tracker(ground, |rig| {
                let (settle, _, legs) = settle(rig);
                ((!settle.is_idle()).then_some(legs), Effects::NONE)
            });
            if world != *self {
                all.push(world);
            }
            return;
        };
        let mut world = self.clone();
        // The source's flush first: which leg is first makes no difference to the tracker.
        let Some(leg) = (0..2).find(|leg| legs[*leg] < 2) else {
            world.with_tracker(ground, |rig| {
                rig.load(&self.with_a_dirty_chunk(), ground.scenario);
                let (mut settle, mut parts, asked) = settle(rig);
                rig.load(self, ground.scenario);
                for (device, _) in (0..).zip(asked).filter(|(_, asked)| *asked == 0) {
                    settle.was_flushed(DeviceIndex(device), Ended::Done(0), &rig.volume);
                }
                let effects = settle.end(NOW, &rig.volume, &mut parts);
                assert!(settle.is_idle(), "a round whose flushes are answered is over");
                ((), effects)
            });
            world.settle = None;
            all.push(world);
            return;
        };
        let mut now = legs;
        now[leg] += 1;
        match legs[leg] {
            0 if world.begin_flush(leg, Flusher::Settle) => {}
            1 => world.end_flush(leg),
            _ => return,
        }
        world.settle = Some(now);
        all.push(world);
    }

    /// A world in which a settle round begins.
    fn with_a_dirty_chunk(&self) -> World {
        let mut world = self.clone();
        (world.settle, world.has_dirty) = (None, true);
        world.authority = crate::chunk::Authority::Source;
        world.chunks[0].word = Word::new(Phase::Dirty);
        world
    }

    /// The log's one block: with the marks that are wanted, or when bits are to be set.
    pub(super) fn log_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let mut world = self.clone();
        let used = ground.scenario.chunks;
        if self.chunks[..used].iter().any(|chunk| chunk.writing.is_some()) {
            let durable = world.with_tracker(ground, |rig| {
                rig.load(&self.when_the_log_was_due(), ground.scenario);
                let (mut lane, write) = log(rig);
                rig.load(self, ground.scenario);
                let (_, effects) = lane.was_written(PART, Ended::Done(BLOCK_SIZE), &rig.volume);
                (write.is_some_and(|(_, durable)| durable), effects)
            });
            for chunk in &mut world.chunks[..used] {
                let bit = chunk.writing.take().filter(|_| durable);
                // What is not waited for is written without being made durable: either may be found.
                chunk.bit = bit.map_or(chunk.bit, |bit| 1 << u8::from(bit));
                chunk.marking = false;
            }
            all.push(world);
            return;
        }
        let bits = world.with_tracker(ground, |rig| (log(rig).1, Effects::NONE));
        let Some((bits, _)) = bits else { return };
        for (at, (chunk, before)) in world.chunks[..used].iter_mut().zip(&self.chunks).enumerate() {
            let clean = bits >> at & 1 == 1;
            chunk.writing = Some(clean);
            chunk.bit |= 1 << u8::from(clean);
            chunk.marking = before.mark && !chunk.mark;
        }
        all.push(world);
    }

    /// What the log writer saw when it began the write that is under way.
    fn when_the_log_was_due(&self) -> World {
        let mut world = self.clone();
        for chunk in &mut world.chunks {
            chunk.mark = chunk.marking;
        }
        world.log_stale = world.chunks.iter().all(|chunk| !chunk.marking);
        world
    }
}
