//! How fast a copy goes, and how long it takes still.

use super::throttle::Nanos;

const SECOND: u64 = 1_000_000_000;
/// A slot of the window.
const SLOT: u64 = SECOND;
/// Slots in the window: the rate is that of the last ten seconds.
const SLOTS: usize = 10;

/// The rate of one copy over the last ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    started: Nanos,
    /// The slot that is being filled, counted from `started`.
    slot: u64,
    /// Bytes in each slot, the slot number modulo its length.
    recent: [u64; SLOTS],
}

/// A report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes per second over the last ten seconds, or since the start if that is shorter.
    pub bytes_per_second: u64,
    /// Nanoseconds until the rest is copied at that rate; `None` while nothing moves.
    pub remaining: Option<Nanos>,
}

impl Rate {
    /// Nothing copied yet.
    pub const fn new(now: Nanos) -> Rate {
        Rate { started: now, slot: 0, recent: [0; SLOTS] }
    }

    /// So many more bytes are equal now.
    pub fn count(&mut self, bytes: u64, now: Nanos) {
        self.advance(now);
        let at = (self.slot % SLOTS as u64) as usize;
        if let Some(sum) = self.recent.get_mut(at) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The rate, and how long `left` bytes take at it.
    pub fn progress(&mut self, left: u64, now: Nanos) -> Progress {
        self.advance(now);
        let bytes: u64 = self.recent.iter().fold(0, |sum, &slot| sum.saturating_add(slot));
        let passed = now.0.saturating_sub(self.started.0);
        let into_slot = passed % SLOT;
        let span = passed.min((SLOTS as u64 - 1) * SLOT + into_slot).max(1);
        let per = |amount: u64, by: u64| {
            let value = u128::from(amount) * u128::from(SECOND) / u128::from(by.max(1));
            u64::try_from(value).unwrap_or(u64::MAX)
        };
        let rate = per(bytes, span);
        let remaining =
            if left == 0 { Some(Nanos(0)) } else { (rate > 0).then(|| Nanos(per(left, rate))) };
        Progress { bytes_per_second: rate, remaining }
    }

    fn advance(&mut self, now: Nanos) {
        let slot = now.0.saturating_sub(self.started.0) / SLOT;
        let steps = slot.saturating_sub(self.slot).min(SLOTS as u64);
        for step in 1..=steps {
            let at = (self.slot.wrapping_add(step) % SLOTS as u64) as usize;
            if let Some(bytes) = self.recent.get_mut(at) {
                *bytes = 0;
            }
        }
        self.slot = self.slot.max(slot);
    }
}
