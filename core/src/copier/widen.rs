//! How many chunks at once make the copy faster?
//!
//! A disk that answers quickly is kept busy by a few; more only makes each wait for the others, and the
//! LV's users with them. A disk that answers late (across a network, say) has room for more. No
//! figure of a disk tells the two apart, so it is tried: so many chunks at once, then twice as many, and
//! what is not clearly faster is given up. From time to time it is tried again, in either
//! direction: disks change, and so does what else they have to do.

use super::throttle::Nanos;

const SECOND: u64 = 1_000_000_000;
/// A rate is measured over so many times the chunks in flight.
const TIMES: u32 = 4;
/// How long a decision stands.
const STANDS: u64 = 30 * SECOND;

/// The search for the window. It knows only copies that have ended, so whoever stops or slows the copy
/// says so with [`Widen::disturbed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widen {
    least: u16,
    most: u16,
    limit: u16,
    /// The limit that the present one is compared with, and its rate in bytes per second.
    against: Option<(u16, u64)>,
    /// Copies still to end that were begun under another limit.
    stale: u32,
    counted: u32,
    bytes: u64,
    since: Nanos,
    stands_until: Nanos,
}

impl Widen {
    /// Begins with `least` chunks at once, at least 1, and goes up to `most`.
    pub const fn new(least: u16, most: u16) -> Widen {
        let least = if least == 0 { 1 } else { least };
        Widen {
            least,
            most: if most < least { least } else { most },
            limit: least,
            against: None,
            stale: least as u32,
            counted: 0,
            bytes: 0,
            since: Nanos(0),
            stands_until: Nanos(0),
        }
    }

    /// Chunks at once, now.
    pub const fn limit(&self) -> u16 {
        self.limit
    }

    /// Something else than the disks had a hand in how fast the copy was: what is being measured is
    /// measured anew.
    pub const fn disturbed(&mut self) {
        self.restart();
    }

    /// A copy of so many bytes has ended, and another may be begun: the limit from now on.
    pub fn copied(&mut self, bytes: u64, now: Nanos) -> u16 {
        if now < self.stands_until {
            return self.limit;
        }
        if self.stale > 0 {
            self.stale -= 1;
            self.since = now;
            return self.limit;
        }
        self.counted = self.counted.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.counted >= u32::from(self.limit) * TIMES {
            self.measured(self.rate(now), now);
        }
        self.limit
    }

    fn measured(&mut self, rate: u64, now: Nanos) {
        let Some((other, others)) = self.against.take() else {
            return self.compare(rate, now);
        };
        let wider = self.limit > other;
        let worth = if wider { is_worth(rate, others) } else { is_worth(others, rate) };
        if wider && worth && self.limit < self.most {
            return self.compare(rate, now);
        }
        let (narrow, wide) = (self.limit.min(other), self.limit.max(other));
        self.decide(if worth { wide } else { narrow }, now);
    }

    /// Goes on with twice as many, or half as many where there cannot be more.
    fn compare(&mut self, rate: u64, now: Nanos) {
        let other = if self.limit < self.most {
            self.limit.saturating_mul(2).min(self.most)
        } else {
            (self.limit / 2).max(self.least)
        };
        if other == self.limit {
            return self.decide(other, now);
        }
        self.against = Some((self.limit, rate));
        self.limit = other;
        self.restart();
    }

    fn decide(&mut self, limit: u16, now: Nanos) {
        self.limit = limit;
        self.stands_until = Nanos(now.0.saturating_add(STANDS));
        self.restart();
    }

    const fn restart(&mut self) {
        // Those in flight were begun under the limit before, of which there are twice as many at most.
        self.stale = self.limit as u32 * 2;
        self.counted = 0;
        self.bytes = 0;
    }

    fn rate(&self, now: Nanos) -> u64 {
        let passed = now.0.saturating_sub(self.since.0).max(1);
        let rate = u128::from(self.bytes) * u128::from(SECOND) / u128::from(passed);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// Twice as many at once have to bring a quarter more.
const fn is_worth(wide: u64, narrow: u64) -> bool {
    wide as u128 * 4 >= narrow as u128 * 5
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
