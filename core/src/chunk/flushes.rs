//! Which application flushes are in flight, for the settle round that must not overtake them.
//!
//! A device that fails a flush may have dropped what it was to make durable, and succeed at the
//! next. An application's flush may be the one that failed, and the settle round's the next, while
//! the queue thread has not looked at its answer yet. So a round whose flushes went well waits for
//! the application flushes that were under way at that moment, and only then looks at the health.

use crate::sync::{AtomicU32, Ordering, fence};

/// The flushes in flight, counted in two turns: only those of the turn before are waited for, so
/// that an application that flushes all the time keeps no round waiting.
#[derive(Debug)]
pub struct FlushEpochs {
    turn: AtomicU32,
    in_flight: [AtomicU32; 2],
}

/// A flush that may be in flight. It ends with [`FlushEpochs::end`], after its failures were told.
#[must_use = "a flush that never ends keeps every chunk from becoming clean"]
#[derive(Debug, PartialEq, Eq)]
pub struct FlushTicket(bool);

/// The flushes that were in flight at one moment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(bool);

impl Default for FlushEpochs {
    fn default() -> FlushEpochs {
        FlushEpochs::new()
    }
}

impl FlushEpochs {
    /// None in flight.
    pub fn new() -> FlushEpochs {
        FlushEpochs { turn: AtomicU32::new(0), in_flight: [AtomicU32::new(0), AtomicU32::new(0)] }
    }

    /// An application's flush is about to be issued.
    pub fn begin(&self) -> FlushTicket {
        loop {
            let turn = self.turn.load(Ordering::SeqCst);
            let odd = turn & 1 == 1;
            self.count(odd).fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            // A turn that was taken in between may not have seen this one; once for each turn.
            if self.turn.load(Ordering::SeqCst) == turn {
                return FlushTicket(odd);
            }
            self.count(odd).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// It has been answered, and what failed was told to the trackers.
    pub fn end(&self, ticket: FlushTicket) {
        self.count(ticket.0).fetch_sub(1, Ordering::SeqCst);
    }

    /// The flushes that are in flight now. One round at a time: the turn before must be over.
    pub fn turn(&self) -> Turn {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Turn(turn & 1 == 1)
    }

    /// Whether all flushes of that turn have ended.
    pub fn is_over(&self, turn: Turn) -> bool {
        self.count(turn.0).load(Ordering::SeqCst) == 0
    }

    fn count(&self, odd: bool) -> &AtomicU32 {
        let [even, other] = &self.in_flight;
        if odd { other } else { even }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_turn_waits_for_the_flushes_before_it_and_not_for_those_after() {
        let epochs = FlushEpochs::new();
        let before = epochs.begin();
        let turn = epochs.turn();
        assert!(!epochs.is_over(turn));
        let after = epochs.begin();
        epochs.end(before);
        assert!(epochs.is_over(turn));
        let turn = epochs.turn();
        assert!(!epochs.is_over(turn));
        epochs.end(after);
        assert!(epochs.is_over(turn));
    }
}
