//! How much of a move the kernel's mirror is given at a time, and what pause comes before the next.
//!
//! The mirror copies as fast as it can, several parts side by side, and cannot be told to make way. So it is
//! given a stage of the copy: where the LV is not in use, a second's worth of every part; where it is, a few
//! chunks of one part, and then the LV's users have the disks for themselves until they have had most of what
//! they had without the copy.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// The first stage of an LV that is not in use: a disk's work of a second or two.
const FIRST_BYTES: u64 = 256 << 20;
/// So long a stage takes of an LV that is not in use: the exchange of a table is lost in it, and whoever
/// comes has not long to wait.
const ALONE: Duration = Duration::from_secs(1);
/// So long one takes beside the LV's users.
const BESIDE: Duration = Duration::from_millis(100);
/// As many requests of an LV in a stage are what udev makes, which looks at a device whose table was exchanged.
const PROBES: u64 = 24;
/// What the LV's users are left of their requests.
const KEPT: f64 = 0.92;
/// The least pause, to know what they have without the copy.
const SHORTEST: Duration = Duration::from_millis(50);
/// And the longest: a copy that is watched should be seen to get on.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes a second below which no pause makes the copy, so that it gets on in any case: lvshift-ublk's default of
/// --min-rate.
const MIN_RATE: f64 = (1 << 20) as f64;

/// A count of an LV's requests at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) requests: u64,
}

/// What the kernel is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) chunks: u64,
    /// Of one part and then of the next, instead of some of each.
    pub(crate) one_part: bool,
}

/// What comes after a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another stage.
    Give(Stage),
    /// Nothing before that time.
    Rest(Instant),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    /// Where the present stage or pause began, or the time before the first.
    since: Option<Look>,
    /// Where the pause before the present stage began, or the stage if there was none: a stage beside users is
    /// too short to tell them from udev.
    cycle: Option<Look>,
    given: Option<Stage>,
    /// When the present pause ends.
    until: Option<Instant>,
    /// Requests a second without the copy.
    quiet: Option<f64>,
    /// The size of the next stage.
    chunks: u64,
    chunk_bytes: u64,
    /// The LV is used.
    used: bool,
    /// The last stage was copied at less than [`MIN_RATE`].
    slow: bool,
}

impl Stages {
    /// The LV is looked at before anything is copied.
    pub(crate) fn watch(&mut self, look: Look, chunk_bytes: u64) {
        self.chunk_bytes = chunk_bytes.max(1);
        self.since.get_or_insert(look);
    }

    /// The first stage.
    pub(crate) fn first(&mut self, look: Look) -> Stage {
        let before = self.since.unwrap_or(look);
        self.used = is_used(before, look);
        self.quiet = rate(before, look).filter(|_| self.used);
        self.chunks = if self.used { 1 } else { (FIRST_BYTES / self.chunk_bytes.max(1)).max(1) };
        self.give(look)
    }

    /// The kernel has done all that it was given.
    pub(crate) fn next(&mut self, look: Look) -> Next {
        let since = *self.since.get_or_insert(look);
        let Some(given) = self.given else {
            if let Some(until) = self.until.filter(|until| look.at < *until) {
                return Next::Rest(until);
            }
            // A pause has ended, or another mover gave what is done.
            self.quiet = rate(since, look).or(self.quiet);
            return Next::Give(self.give(look));
        };
        let took = look.at.saturating_duration_since(since.at);
        self.used = is_used(self.cycle.unwrap_or(since), look);
        let least = Duration::from_secs_f64(self.bytes(given.chunks) / MIN_RATE);
        if took >= least {
            // The disks are so slow that no pause is to be had.
            self.chunks = given.chunks.saturating_mul(2);
            self.slow = true;
            return Next::Give(self.give(look));
        }
        self.slow = false;
        self.chunks = sized(given.chunks, took, if self.used { BESIDE } else { ALONE });
        if !self.used {
            self.cycle = None;
            return Next::Give(self.give(look));
        }
        // The first stage beside users who have just come may have been a large one.
        let polite = pause(took.min(ALONE), rate(since, look), self.quiet);
        let until = look.at + polite.min(least - took);
        (self.since, self.cycle, self.given, self.until) =
            (Some(look), Some(look), None, Some(until));
        Next::Rest(until)
    }

    /// How long the present pause still is.
    pub(crate) fn rest(&self, now: Instant) -> Option<Duration> {
        Some(self.until?.saturating_duration_since(now))
    }

    fn bytes(&self, chunks: u64) -> f64 {
        chunks as f64 * self.chunk_bytes as f64
    }

    fn give(&mut self, look: Look) -> Stage {
        let one_part = self.used && !self.slow;
        let stage = Stage { chunks: self.chunks.max(1), one_part };
        (self.since, self.given, self.until) = (Some(look), Some(stage), None);
        if !self.used {
            self.cycle = Some(look);
        }
        stage
    }
}

/// More was asked of the LV between two looks than udev asks.
fn is_used(from: Look, to: Look) -> bool {
    to.requests.saturating_sub(from.requests) > PROBES
}

/// Requests a second between two looks.
fn rate(from: Look, to: Look) -> Option<f64> {
    let seconds = to.at.saturating_duration_since(from.at).as_secs_f64();
    let requests = to.requests.saturating_sub(from.requests);
    (seconds > 0.0).then(|| requests as f64 / seconds)
}

/// The next stage's chunks, after one that took so long and should take `target`. At most twice as many: a
/// disk may answer from its cache for a while.
fn sized(chunks: u64, took: Duration, target: Duration) -> u64 {
    let factor = target.as_secs_f64() / took.as_secs_f64().max(0.001);
    ((chunks as f64 * factor.min(2.0)) as u64).max(1)
}

/// After a stage of that length, in which the LV's users had `beside` requests a second of the `quiet` that
/// they have without: so long that they have [`KEPT`] of these over both.
fn pause(took: Duration, beside: Option<f64>, quiet: Option<f64>) -> Duration {
    let lost = match (beside, quiet) {
        (Some(beside), Some(quiet)) if quiet > 0.0 => (1.0 - beside / quiet).clamp(0.0, 1.0),
        // Not known yet: as much as dm-mirror is known to take.
        _ => 0.8,
    };
    let factor = (lost / (1.0 - KEPT) - 1.0).max(0.0);
    took.mul_f64(factor).clamp(SHORTEST, LONGEST)
}
