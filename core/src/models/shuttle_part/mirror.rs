//! The copier's thread: the real copier, whose operations are done on the made-up disks step by step, in
//! any order.

use std::vec::Vec;

use lvshift_on_disk_format::dirty_log::{BITSET_OFFSET, BLOCK_SIZE};
use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use super::disks::{CHUNK, CHUNKS, Flush, Span};
use super::plan::{Dice, Fault};
use super::{ChunkIndex, LEGS, PLACES, System};
use crate::Leg;
use crate::copier::Nanos;
use crate::device::DeviceIndex;
use crate::mirror::{
    Buffer, Buffers, COPY_BLOCK, COPY_SLOTS, Copier, Ended, Next, Operation, PartState, Tag, Tuning,
};
use crate::table::Area;

/// How often time may pass for each settle round that the plan wants.
const PAUSES: u64 = 3;

/// What every sector holds as far as the copier looks: data. What it is the disks know.
static DATA: [u8; COPY_BLOCK] = [1; COPY_BLOCK];

/// Cells of the disks with their values, and the log's block.
struct Blocks {
    copies: [Vec<(usize, u32)>; COPY_SLOTS],
    log: [u8; BLOCK_SIZE],
}

impl Buffers for Blocks {
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        match buffer {
            Buffer::Copy(_) => &DATA,
            Buffer::Log(_) => &self.log,
        }
    }

    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8] {
        match buffer {
            Buffer::Copy(_) => &mut [],
            Buffer::Log(_) => &mut self.log,
        }
    }
}

/// An operation on its way.
enum Flying {
    /// The cells that are not read, or written, yet.
    Read {
        tag: Tag,
        slot: usize,
        left: std::ops::Range<usize>,
        bytes: usize,
    },
    Write {
        tag: Tag,
        cells: Vec<(usize, u32)>,
        bytes: usize,
    },
    Log {
        tag: Tag,
        bits: u8,
        durable: bool,
    },
    Flush {
        tag: Tag,
        leg: Leg,
        flush: Flush,
        fails: bool,
    },
}

/// Copies, keeps the log and settles until it is stopped.
pub(super) fn run(system: &System) {
    let scans = system.plan.scans;
    let tuning = Tuning { paused: Some(!scans), ..Tuning::default() };
    let mut copier = Copier::new([PartState::new()], system, tuning, Nanos(0));
    let mut blocks = Blocks { copies: std::array::from_fn(|_| Vec::new()), log: [0; BLOCK_SIZE] };
    let mut dice = Dice::new(system.plan.seed ^ 0x5E);
    let mut fails = system.plan.fault == Fault::Settle;
    let mut pauses = system.plan.settles * PAUSES;
    let (mut now, mut flying) = (Nanos(0), Vec::new());
    loop {
        if system.copier_stops.load(Ordering::SeqCst) != 0 {
            copier.stop();
        }
        copier.confirm(u64::from(system.confirm_asked.load(Ordering::SeqCst)));
        let next = copier.next(system, &mut blocks, now);
        (0..CHUNKS).for_each(|chunk| system.check_equal(chunk));
        match next {
            Next::Do(operation) => {
                flying.extend(begin(system, &mut blocks, operation, &mut fails));
            }
            Next::Stopped => break,
            Next::WaitUntil(until) => {
                if !flying.is_empty() {
                    let at = dice.below(flying.len() as u64) as usize;
                    match go_on(system, &mut blocks, flying.swap_remove(at)) {
                        Step::More(more) => flying.push(more),
                        Step::Ended(tag, ended) => {
                            copier.ended(tag, ended, system, &mut blocks, now);
                            system.mover.ring();
                        }
                    }
                    if dice.one_in(3) {
                        thread::yield_now();
                    }
                } else if pauses > 0 && !dice.one_in(4) {
                    pauses -= 1;
                    (0..dice.below(30)).for_each(|_| thread::yield_now());
                    now = until;
                } else {
                    system.copier.wait();
                }
            }
        }
    }
    system.copier_stops.store(2, Ordering::SeqCst);
    system.mover.ring();
}

fn begin(
    system: &System,
    blocks: &mut Blocks,
    operation: Operation,
    fails: &mut bool,
) -> Option<Flying> {
    match operation {
        Operation::Read { tag, at, buffer: Buffer::Copy(slot), into } => {
            assert_eq!((leg_of(at.device), into.start), (Leg::Source, 0));
            let slot = usize::from(slot);
            blocks.copies[slot].clear();
            Some(Flying::Read { tag, slot, left: span(at).cells(), bytes: into.len() })
        }
        Operation::Write { tag, at, buffer: Buffer::Copy(slot), from, .. } => {
            assert_eq!((leg_of(at.device), from.start), (Leg::Destination, 0));
            let cells = std::mem::take(&mut blocks.copies[usize::from(slot)]);
            assert_eq!(cells.len(), span(at).cells().len());
            Some(Flying::Write { tag, cells, bytes: from.len() })
        }
        Operation::Write { tag, buffer: Buffer::Log(_), durable, .. } => {
            let bits = blocks.log[BITSET_OFFSET as usize];
            system.disks().begin_log(bits);
            Some(Flying::Log { tag, bits, durable })
        }
        Operation::Flush { tag, device } => {
            let leg = leg_of(device);
            let fails = leg == Leg::Destination && std::mem::take(fails);
            let flush = system.disks().begin_flush(leg);
            Some(Flying::Flush { tag, leg, flush, fails })
        }
        Operation::Wake(queues) => {
            system.wake(queues);
            None
        }
        Operation::Confirmed(number) => {
            let number = u32::try_from(number).expect("one");
            system.confirmed.store(number, Ordering::SeqCst);
            system.mover.ring();
            None
        }
        Operation::Tell => {
            system.mover.ring();
            None
        }
        other => panic!("{other:?} is not asked for here"),
    }
}

/// What a step of an operation has led to.
enum Step {
    More(Flying),
    Ended(Tag, Ended),
}

fn go_on(system: &System, blocks: &mut Blocks, flying: Flying) -> Step {
    match flying {
        Flying::Read { tag, slot, mut left, bytes } => match left.next() {
            Some(cell) => {
                let value = system.disks().read(Leg::Source, cell);
                blocks.copies[slot].push((cell, value));
                Step::More(Flying::Read { tag, slot, left, bytes })
            }
            None => Step::Ended(tag, Ended::Done(bytes)),
        },
        Flying::Write { tag, mut cells, bytes } => match cells.pop() {
            Some((cell, value)) => {
                system.disks().write(Leg::Destination, cell, value);
                Step::More(Flying::Write { tag, cells, bytes })
            }
            None => Step::Ended(tag, Ended::Done(bytes)),
        },
        Flying::Log { tag, bits, durable } => {
            if durable {
                // Written through, since writes wait for it; what is lazy may stay in the cache.
                system.disks().end_log(bits);
            }
            Step::Ended(tag, Ended::Done(BLOCK_SIZE))
        }
        Flying::Flush { tag, leg, fails: true, .. } => {
            system.disks().fail_flush(leg);
            Step::Ended(tag, Ended::Failed(5))
        }
        Flying::Flush { tag, leg, flush, .. } => {
            system.disks().end_flush(leg, &flush);
            Step::Ended(tag, Ended::Done(0))
        }
    }
}

fn leg_of(device: DeviceIndex) -> Leg {
    LEGS[usize::from(device.0)]
}

/// The whole chunk that lies at a place: a copy has one block.
fn span(at: Area<DeviceIndex>) -> Span {
    let first = at.offset.0 - PLACES[usize::from(at.device.0)];
    let chunk = ChunkIndex((first / u64::from(CHUNK)) as u32);
    assert_eq!(first % u64::from(CHUNK), 0);
    Span::whole(chunk.0)
}
