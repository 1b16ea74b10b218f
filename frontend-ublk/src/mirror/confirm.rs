//! The word between the one who seals a move and the copier's thread: which last look is asked for, and
//! which is done ([`Copier::confirm`](lvshift_core::mirror::Copier::confirm)).

use std::sync::PoisonError;
use std::time::Duration;

use crate::platform::{Condvar, Instant, Mutex, MutexGuard};

/// The last looks that were asked for, by number.
#[derive(Debug)]
pub(super) struct Confirm {
    numbers: Mutex<Numbers>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    asked: u64,
    done: u64,
}

impl Confirm {
    pub(super) fn new() -> Confirm {
        Confirm { numbers: Mutex::new(Numbers::default()), changed: Condvar::new() }
    }

    /// Waits until everything has been answered that was in flight; false if that takes longer
    /// than `limit`.
    pub(super) fn wait(&self, limit: Duration, wake_the_thread: impl FnOnce()) -> bool {
        let start = Instant::now();
        let mut numbers = self.numbers();
        numbers.asked += 1;
        let own = numbers.asked;
        wake_the_thread();
        while numbers.done < own {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(numbers, left);
            numbers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The newest that was asked for; 0 is none.
    pub(super) fn asked(&self) -> u64 {
        self.numbers().asked
    }

    /// The one of this number is done, and with it all before.
    pub(super) fn done(&self, number: u64) {
        let mut numbers = self.numbers();
        numbers.done = numbers.done.max(number);
        drop(numbers);
        self.changed.notify_all();
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_asks_waits_for_an_answer_to_that() {
        let confirm = Arc::new(Confirm::new());
        assert!(!confirm.wait(Duration::from_millis(5), || ()), "no answer comes");
        let asking = Arc::clone(&confirm);
        let asked = std::thread::spawn(move || asking.wait(Duration::from_secs(60), || ()));
        while confirm.asked() < 2 {
            std::thread::yield_now();
        }
        confirm.done(1);
        assert!(!asked.is_finished());
        confirm.done(2);
        assert!(asked.join().expect("no panic"));
    }
}
