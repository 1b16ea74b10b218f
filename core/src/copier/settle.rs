//! When dirty chunks are flushed to become clean.
//!
//! A round flushes both legs once, whatever it has for them. Often, so that a chunk with short
//! pauses in its writes gets clean in one of them; but never so often that flushing becomes the
//! legs' main work, and less often while rounds bring little: a chunk that is written again at
//! once has been cleaned for nothing, and its next write has to wait for the log.

use super::throttle::Nanos;

/// The pause between rounds that bring something.
const SHORTEST: u64 = 100_000_000;
/// The longest pause, however little rounds bring: a chunk whose writes have stopped becomes clean
/// within this and the round itself.
const LONGEST: u64 = 800_000_000;
/// The legs are left alone so many times as long as a round took, within the longest pause.
const REST: u64 = 3;

/// The pace of one LV's settle rounds.
#[derive(Clone, Copy, Debug)]
pub struct SettlePace {
    pause: u64,
    begun: Nanos,
    next: Nanos,
    undone: u32,
}

impl SettlePace {
    /// The first round may be a pause from now.
    pub const fn new(now: Nanos) -> SettlePace {
        let next = Nanos(now.0.saturating_add(SHORTEST));
        SettlePace { pause: SHORTEST, begun: now, next, undone: 0 }
    }

    /// When the next round may begin.
    pub const fn next(&self) -> Nanos {
        self.next
    }

    /// A round begins.
    pub const fn began(&mut self, now: Nanos) {
        self.begun = now;
    }

    /// So many clean chunks are to be written again, and have been marked.
    pub const fn marked(&mut self, chunks: u32) {
        self.undone = self.undone.saturating_add(chunks);
    }

    /// The round has ended and made so many chunks clean. A look that found no chunk to flush is a
    /// round that has cleaned none.
    pub fn ended(&mut self, cleaned: u32, now: Nanos) {
        let useful = cleaned > 0 && self.undone <= cleaned / 2;
        self.pause =
            if useful { SHORTEST } else { self.pause.saturating_mul(2).clamp(SHORTEST, LONGEST) };
        self.undone = 0;
        let rest = now.0.saturating_sub(self.begun.0).saturating_mul(REST).min(LONGEST);
        self.next = Nanos(now.0.saturating_add(self.pause.max(rest)));
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Nanos {
        Nanos(ms * MS)
    }

    #[test]
    fn rounds_that_clean_follow_each_other_shortly() {
        let mut pace = SettlePace::new(at(0));
        assert_eq!(pace.next(), at(100));
        pace.began(at(100));
        pace.ended(7, at(101));
        assert_eq!(pace.next(), at(201));
    }

    #[test]
    fn rounds_that_bring_nothing_become_rare_but_never_rarer_than_a_second() {
        let mut pace = SettlePace::new(at(0));
        let mut now = 0;
        for _ in 0..20 {
            now = pace.next().0 / MS;
            pace.began(at(now));
            pace.ended(0, at(now + 1));
            assert!(pace.next().0 <= (now + 1 + 1000) * MS);
        }
        assert_eq!(pace.next(), at(now + 1 + 800));
        pace.began(at(now + 900));
        pace.ended(1, at(now + 901));
        assert_eq!(pace.next(), at(now + 1001));
    }

    #[test]
    fn cleaning_what_is_written_again_at_once_slows_down() {
        let mut pace = SettlePace::new(at(0));
        for (round, pause) in [200, 400, 800, 800].into_iter().enumerate() {
            let now = (round as u64 + 1) * 10_000;
            pace.marked(6);
            pace.began(at(now));
            pace.ended(10, at(now));
            assert_eq!(pace.next(), at(now + pause));
        }
    }

    #[test]
    fn slow_flushes_leave_the_legs_most_of_the_time() {
        let mut pace = SettlePace::new(at(0));
        pace.began(at(100));
        pace.ended(1, at(300));
        assert_eq!(pace.next(), at(900));
        // But what waits to become clean does not wait for ever.
        pace.began(at(1000));
        pace.ended(1, at(11_000));
        assert_eq!(pace.next(), at(11_800));
    }
}
