//! The last look before the commit of *Moved*: until every flush that is in flight has been answered, and
//! what failed of them was told to the trackers.
//!
//! A device that fails a flush may have dropped what it was to make durable, and succeed at the
//! next one. So the mover's own flush proves nothing while the failure of an earlier one is known
//! to the device alone.

use super::volume::Volume;
use crate::chunk::Turn;

/// The last looks that were asked for, by number.
#[derive(Debug, Default)]
pub(super) struct Confirm {
    /// The newest that was asked for, and the newest that is done; 0 is none.
    asked: u64,
    done: u64,
    /// The one under way, and the application's flushes that it waits for. Everything else has been
    /// answered.
    turn: Option<(u64, Turn)>,
}

impl Confirm {
    pub(super) const fn new() -> Confirm {
        Confirm { asked: 0, done: 0, turn: None }
    }

    /// The look of this number is wanted, and no older one any more. True if that is news.
    pub(super) fn ask(&mut self, number: u64) -> bool {
        let is_new = number > self.asked;
        self.asked = self.asked.max(number);
        is_new
    }

    /// Whether nothing may begin that flushes.
    pub(super) const fn is_under_way(&self) -> bool {
        self.turn.is_some() || self.asked > self.done
    }

    /// Goes on; `idle`: nothing of the copier's own is in flight. Says which look is done.
    pub(super) fn go_on<V: Volume + ?Sized>(&mut self, volume: &V, idle: bool) -> Option<u64> {
        if self.turn.is_none() && self.asked > self.done && idle {
            self.turn = Some((self.asked, volume.flushes().turn()));
        }
        // One that is not waited for any more is finished all the same: turns do not overlap.
        let (number, turn) = self.turn?;
        if !volume.flushes().is_over(turn) {
            return None;
        }
        self.turn = None;
        self.done = number;
        Some(number)
    }
}
