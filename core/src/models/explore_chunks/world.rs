//! The small world's state, what a write's admission and end do to it, and what must hold in it.

use super::*;
use crate::chunk::guard::{Taken, give_back, take};

fn queue(number: usize) -> QueueId {
    QueueId::new(number as u8).expect("below 16")
}

/// A value is a number below 8: 0 the source's first, 7 the destination's, others one per write.
pub(super) type Value = u8;

/// One block on one leg.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Block {
    /// What a read returns.
    pub(super) now: Value,
    /// What may be found after a crash, as bits.
    pub(super) after_crash: u8,
    /// The same once the flush under way has ended.
    pub(super) after_flush: u8,
    /// A flush failed before it reached the medium: no later flush makes it durable.
    pub(super) lost: bool,
}

impl Block {
    pub(super) fn new(value: Value) -> Block {
        Block { now: value, after_crash: 1 << value, after_flush: 1 << value, lost: false }
    }

    pub(super) fn write(&mut self, value: Value) {
        self.now = value;
        self.after_crash |= 1 << value;
        self.after_flush |= 1 << value;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Chunk {
    pub(super) word: Word,
    pub(super) guard: u64,
    pub(super) source: [Block; 2],
    pub(super) destination: [Block; 2],
    /// The log's bit after a crash: bit 0 = may be 0, bit 1 = may be 1.
    pub(super) bit: u8,
}

/// A write: the chunk, its blocks as bits, the value it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Write {
    pub(super) chunk: usize,
    pub(super) blocks: u32,
    pub(super) value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Queue {
    Ready,
    Parked,
    InFlight { route: Route, guarded: bool, source: bool, destination: bool, failed: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Copier {
    Idle,
    Owns(usize),
    Read(usize, [Value; 2]),
    Wrote(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Settle {
    Idle,
    Begun,
    Flushing,
    Flushed,
    /// Waits for the application's flush that was in flight.
    Waits,
}

/// The application's flush, of the destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum AppFlush {
    Ready,
    InFlight,
    /// The device has failed it; the queue thread has not seen that yet.
    Failed,
    Over,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct World {
    pub(super) chunks: [Chunk; 2],
    pub(super) queues: [Queue; 2],
    /// How many of its writes each queue has done.
    pub(super) done: [usize; 2],
    pub(super) wanted: [bool; 2],
    pub(super) copier: Copier,
    pub(super) settle: Settle,
    pub(super) app_flush: AppFlush,
    /// The log block on its way to the disk, and the chunks it marks.
    pub(super) log: Option<([bool; 2], [bool; 2])>,
    pub(super) abandoned: bool,
    pub(super) seal: Seal,
}

/// The mover's seal, which comes to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Seal {
    Before,
    /// It is not known who is in charge: all writes wait for their copies, on an abandoned part, too.
    Undecided,
    Over,
}

impl World {
    pub(super) fn new(start: [Phase; 2]) -> World {
        let chunk = |phase: Phase| Chunk {
            word: Word::new(phase),
            guard: 0,
            source: [Block::new(0); 2],
            destination: [Block::new(if phase.is_mirrored() { 0 } else { 7 }); 2],
            bit: if phase == Phase::Clean { 2 } else { 1 },
        };
        World {
            chunks: start.map(chunk),
            queues: [Queue::Ready; 2],
            done: [0; 2],
            wanted: [false; 2],
            copier: Copier::Idle,
            settle: Settle::Idle,
            app_flush: AppFlush::Ready,
            log: None,
            abandoned: false,
            seal: Seal::Before,
        }
    }

    pub(super) fn wake(&mut self, mask: QueueMask) {
        for (number, state) in self.queues.iter_mut().enumerate() {
            if mask.contains(queue(number)) && *state == Queue::Parked {
                *state = Queue::Ready;
            }
        }
    }

    pub(super) fn apply(&mut self, chunk: usize, event: Event) -> Outcome {
        let next = step(self.chunks[chunk].word, event);
        assert_ne!(next.outcome, Outcome::Rejected, "{event:?} in {self:?}");
        self.chunks[chunk].word = next.word;
        self.wake(next.wake);
        self.wanted[chunk] |=
            matches!(next.outcome, Outcome::CopyWanted | Outcome::Parked(Want::Copy));
        next.outcome
    }

    pub(super) fn release(&mut self, write: Write, guarded: bool) {
        if guarded {
            let (guard, wake) = give_back(self.chunks[write.chunk].guard, write.blocks);
            self.chunks[write.chunk].guard = guard;
            self.wake(wake);
        }
    }

    pub(super) fn admit(&mut self, number: usize, write: Write, configured: WritePolicy) {
        let who = queue(number);
        let policy = match (self.seal, self.abandoned) {
            (Seal::Undecided, _) => WritePolicy::CopyFirst,
            (_, true) => WritePolicy::Abandoned,
            (_, false) => configured,
        };
        let guarded = policy != WritePolicy::Abandoned;
        if guarded {
            let (guard, taken) = take(self.chunks[write.chunk].guard, write.blocks, who);
            self.chunks[write.chunk].guard = guard;
            if taken == Taken::Parked {
                self.queues[number] = Queue::Parked;
                return;
            }
        }
        let intent = if write.blocks == 3 { Intent::Whole } else { Intent::Partial };
        let route = match self.apply(write.chunk, Event::Admit { intent, policy, queue: who }) {
            Outcome::Admitted(route) => route,
            Outcome::AdmittedDemoting => Route::Source,
            Outcome::Parked(_) => {
                self.queues[number] = Queue::Parked;
                self.release(write, guarded);
                return;
            }
            other => panic!("{other:?}"),
        };
        let destination = route == Route::Source;
        self.queues[number] =
            Queue::InFlight { route, guarded, source: false, destination, failed: false };
    }

    pub(super) fn end(
        &mut self,
        number: usize,
        write: Write,
        route: Route,
        guarded: bool,
        failed: bool,
    ) {
        if failed {
            self.abandoned = true;
        }
        let event = match (route, failed) {
            (Route::WholeChunk, false) => Event::CopyDone,
            (Route::WholeChunk, true) => Event::CopyFailed,
            (_, false) => Event::WriteDone,
            (_, true) => Event::WriteFailed,
        };
        let _ = self.apply(write.chunk, event);
        self.release(write, guarded);
        if failed {
            self.wake(QueueMask::ALL);
        }
        self.queues[number] = Queue::Ready;
        self.done[number] += 1;
    }

    pub(super) fn put(blocks: &mut [Block; 2], write: Write) {
        for (index, block) in blocks.iter_mut().enumerate() {
            if write.blocks & (1 << index) != 0 {
                block.write(write.value);
            }
        }
    }

    pub(super) fn blocks(&mut self) -> impl Iterator<Item = &mut Block> {
        self.chunks
            .iter_mut()
            .flat_map(|chunk| chunk.source.iter_mut().chain(chunk.destination.iter_mut()))
    }

    pub(super) fn check(&self) {
        for (index, chunk) in self.chunks.iter().enumerate() {
            assert!(chunk.word.is_legal());
            let legs = || chunk.source.iter().zip(&chunk.destination);
            if chunk.word.phase().is_mirrored() && chunk.word.writers() == 0 {
                let equal = legs().all(|(source, destination)| source.now == destination.now);
                assert!(equal, "chunk {index} is called mirrored and is not: {self:#?}");
            }
            if chunk.bit & 2 != 0 {
                let equal = legs().all(|(source, destination)| {
                    source.after_crash == destination.after_crash
                        && source.after_crash.is_power_of_two()
                });
                assert!(equal, "after a crash now the log lies about chunk {index}: {self:#?}");
            }
        }
    }
}
