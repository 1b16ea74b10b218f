//! The last look before the commit: who seals a move waits here until every flush that was in
//! flight has been answered, and what failed of them was told to the trackers.
//!
//! A device that fails a flush may have dropped what it was to make durable, and succeed at the
//! next one. So the mover's own flush proves nothing while the failure of an earlier one is known
//! to the device alone.

use std::sync::PoisonError;
use std::time::Duration;

use lvshift_core::chunk::Turn;

use crate::platform::{Condvar, Instant, Mutex};

/// The word between the one who seals and the copier's thread.
#[derive(Debug)]
pub(super) struct Confirm {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Wanted,
    Done,
}

impl Confirm {
    pub(super) fn new() -> Confirm {
        Confirm { stage: Mutex::new(Stage::Idle), changed: Condvar::new() }
    }

    /// Waits until everything has been answered that was in flight; false if that takes longer
    /// than `limit`.
    pub(super) fn wait(&self, limit: Duration, wake_the_thread: impl FnOnce()) -> bool {
        let start = Instant::now();
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        *stage = Stage::Wanted;
        wake_the_thread();
        while *stage != Stage::Done {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(stage, left);
            stage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let done = *stage == Stage::Done;
        *stage = Stage::Idle;
        done
    }
}

/// The thread's side.
#[derive(Default)]
pub(super) struct Confirming {
    /// The application's flushes that are waited for; everything else has been answered.
    turn: Option<Turn>,
}

impl Confirming {
    /// Goes on with the last look, if one is wanted. `quiet`: nothing of the thread's own is in
    /// flight; `turn` takes the application's flushes of this moment, `is_over` says whether they
    /// have been answered. True while the thread must begin nothing that flushes.
    pub(super) fn go_on(
        &mut self,
        confirm: &Confirm,
        quiet: bool,
        turn: impl FnOnce() -> Turn,
        is_over: impl FnOnce(Turn) -> bool,
    ) -> bool {
        let mut stage = confirm.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *stage != Stage::Wanted && self.turn.is_none() {
            return false;
        }
        if self.turn.is_none() && quiet {
            self.turn = Some(turn());
        }
        // One that nobody waits for any more is finished all the same: turns do not overlap.
        match self.turn {
            Some(turn) if is_over(turn) => {
                self.turn = None;
                if *stage == Stage::Wanted {
                    *stage = Stage::Done;
                    confirm.changed.notify_all();
                }
                false
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lvshift_core::chunk::FlushGate;

    use super::*;

    #[test]
    fn a_flush_in_flight_is_waited_for() {
        let (confirm, gate) = (Arc::new(Confirm::new()), FlushGate::new());
        let mut thread = Confirming::default();
        let mut go_on = |quiet| thread.go_on(&confirm, quiet, || gate.turn(), |t| gate.is_over(t));
        assert!(!go_on(true), "nobody asked");
        let flush = gate.begin();
        let asking = Arc::clone(&confirm);
        let asked = std::thread::spawn(move || asking.wait(Duration::from_secs(60), || ()));
        while !go_on(false) {
            std::thread::yield_now();
        }
        assert!(go_on(true), "a flush is in flight");
        assert!(!asked.is_finished());
        gate.end(flush);
        assert!(!go_on(true));
        assert!(asked.join().expect("no panic"));
    }

    #[test]
    fn who_waits_in_vain_is_told_so() {
        let confirm = Confirm::new();
        assert!(!confirm.wait(Duration::from_millis(5), || ()));
        let gate = FlushGate::new();
        let mut thread = Confirming::default();
        let going_on = thread.go_on(&confirm, true, || gate.turn(), |t| gate.is_over(t));
        assert!(!going_on, "nobody waits any more");
    }
}
