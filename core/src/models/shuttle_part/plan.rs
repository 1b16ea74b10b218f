//! What one execution does: the requests, the fault, the end. Drawn from the schedule's own seed.

use std::vec::Vec;

use shuttle::rand::RngCore;

use super::disks::{CHUNKS, Span};
use super::{Content, QUEUES, WritePolicy};

/// What an application asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    Write { span: Span, content: Content, value: u32 },
    Flush,
}

/// The one thing that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The write of this value on the destination.
    Destination(u32),
    /// The write of this value on the source.
    Source(u32),
    /// The first flush of the application, on the destination.
    Flush,
    /// The settle rounds' first flush of the destination.
    Settle,
    /// The mover's flush of the destination.
    Mover,
}

/// How the move ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// All is equal, and the destination takes over.
    HandOver,
    /// The way back is asked for after so many yields.
    Abort(u64),
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) requests: [Vec<Request>; QUEUES as usize],
    pub(super) policy: WritePolicy,
    /// Chunks that were copied before, as bits.
    pub(super) clean: u8,
    /// The copier looks for work by itself. Without, a wanted chunk must come through the tracker.
    pub(super) scans: bool,
    pub(super) settles: u64,
    pub(super) fault: Fault,
    /// The mover begins when all requests are answered: its quiesce would wake who is forgotten.
    pub(super) patient: bool,
    pub(super) ending: Ending,
    /// For the threads' own choices.
    pub(super) seed: u64,
}

/// SplitMix64: small, and what it gives depends on nothing else.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % end
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

impl Plan {
    pub(super) fn draw() -> Plan {
        let seed = shuttle::rand::thread_rng().next_u64();
        let mut dice = Dice::new(seed);
        let mut value = 0;
        let requests = std::array::from_fn(|_| {
            let count = 1 + dice.below(3);
            (0..count).map(|_| request(&mut dice, &mut value)).collect()
        });
        let scans = !dice.one_in(3);
        let some = 1 + dice.below(u64::from(value).max(1)) as u32;
        let (fault, ending) = match dice.below(12) {
            0 => (Fault::Destination(some), Ending::Abort(200)),
            1 => (Fault::Source(some), Ending::HandOver),
            2 => (Fault::Flush, Ending::HandOver),
            3 => (Fault::Flush, Ending::Abort(200)),
            4 => (Fault::Settle, Ending::Abort(200)),
            5 => (Fault::Mover, Ending::HandOver),
            6 => (Fault::Destination(some), Ending::HandOver),
            7 | 8 => (Fault::None, Ending::Abort(dice.below(300))),
            _ => (Fault::None, Ending::HandOver),
        };
        Plan {
            requests,
            policy: [WritePolicy::CopyFirst, WritePolicy::SourceFirst][dice.below(2) as usize],
            clean: dice.below(1 << CHUNKS) as u8,
            // Nothing hands over what is not asked to be copied.
            scans: scans || ending == Ending::HandOver,
            settles: dice.below(4),
            fault,
            patient: fault == Fault::None && dice.one_in(2),
            ending,
            seed: dice.below(u64::MAX),
        }
    }
}

fn request(dice: &mut Dice, value: &mut u32) -> Request {
    if dice.one_in(5) {
        return Request::Flush;
    }
    *value += 1;
    // Mostly one chunk, so that they meet.
    let chunk = if dice.one_in(3) { dice.below(u64::from(CHUNKS)) as u32 } else { 0 };
    let span = if dice.one_in(5) {
        Span::whole(chunk)
    } else {
        let cells = Span::cells_of(chunk) as u64;
        let first = dice.below(cells);
        let end = first + 1 + dice.below((cells - first).min(3));
        Span::new(chunk, first as usize, end as usize)
    };
    let content = if dice.one_in(8) { Content::Undefined } else { Content::Known };
    Request::Write { span, content, value: *value }
}
