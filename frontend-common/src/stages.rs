//! How much of a disk's work is given out at a time, and what pause comes before the next.
//!
//! Two kinds of it take all that a disk has: the kernel's mirror, which copies several parts side by side and
//! cannot be told to make way, and the reading of the source before it. So they are given a stage at a time:
//! where the LV is not in use, a second's worth of everything at once; where it is, a few chunks one after
//! another, and then the LV's users have the disks for themselves until they have had most of what they had
//! without.

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
/// As many where no table is exchanged are no use that would feel anything: a file system's own, now and then.
const STRAY: u64 = 2;
/// What the LV's users are left of their requests.
const KEPT: f64 = 0.92;
/// So much of what the users had without the copy is believed still when a pause shows less.
const STILL: f64 = 0.9;
/// The least pause, to know what they have without the copy.
const SHORTEST: Duration = Duration::from_millis(50);
/// And the longest: a copy that is watched should be seen to get on.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes a second below which no pause makes the copy, so that it gets on in any case: lvshift-ublk's default of
/// --min-rate.
const MIN_RATE: f64 = (1 << 20) as f64;

/// A count of an LV's requests at a time.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When they were counted.
    pub at: Instant,
    /// How many have ended since the LV became active.
    pub requests: u64,
}

/// What is to be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// How many chunks, at least one.
    pub chunks: u64,
    /// One after another, instead of some of each part side by side.
    pub one_by_one: bool,
}

/// What comes after a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another stage.
    Give(Stage),
    /// Nothing before that time.
    Rest(Instant),
}

/// See the module.
#[derive(Debug)]
pub struct Stages {
    /// More requests than so many between two looks are the LV's users'.
    others: u64,
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
    /// For stages each of which exchanges the LV's table.
    #[must_use]
    pub fn with_exchanges(chunk_bytes: u64) -> Stages {
        Stages::new(PROBES, chunk_bytes)
    }

    /// For stages that the LV's table knows nothing of.
    #[must_use]
    pub fn without_exchanges(chunk_bytes: u64) -> Stages {
        Stages::new(STRAY, chunk_bytes)
    }

    fn new(others: u64, chunk_bytes: u64) -> Stages {
        Stages {
            others,
            chunk_bytes: chunk_bytes.max(1),
            since: None,
            cycle: None,
            given: None,
            until: None,
            quiet: None,
            chunks: 0,
            used: false,
            slow: false,
        }
    }

    /// The LV is looked at before anything is given out.
    pub fn watch(&mut self, look: Look) {
        self.since.get_or_insert(look);
    }

    /// The first stage, after the LV was watched for a while.
    pub fn first(&mut self, look: Look) -> Stage {
        let alone = (FIRST_BYTES / self.chunk_bytes).max(1);
        let before = self.since.unwrap_or(look);
        self.used = self.is_used(before, look);
        self.quiet = rate(before, look).filter(|_| self.used);
        self.chunks = if self.used { 1 } else { alone };
        let stage = self.give(look);
        self.cycle = Some(if self.used { before } else { look });
        stage
    }

    /// All that was given out is done.
    pub fn next(&mut self, look: Look) -> Next {
        let since = *self.since.get_or_insert(look);
        let Some(given) = self.given else {
            if let Some(until) = self.until.filter(|until| look.at < *until) {
                return Next::Rest(until);
            }
            // A pause has ended, or another mover gave what is done.
            self.quiet = still_quiet(self.quiet, rate(since, look));
            return Next::Give(self.give(look));
        };
        let took = look.at.saturating_duration_since(since.at);
        self.used = self.is_used(self.cycle.unwrap_or(since), look);
        let least = Duration::try_from_secs_f64(self.bytes(given.chunks) / MIN_RATE);
        let least = least.unwrap_or(Duration::MAX);
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

    /// How long the present pause still is; `None` in a stage.
    #[must_use]
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        Some(self.until?.saturating_duration_since(now))
    }

    /// More was asked of the LV between two looks than others than its users ask.
    fn is_used(&self, from: Look, to: Look) -> bool {
        to.requests.saturating_sub(from.requests) > self.others
    }

    fn bytes(&self, chunks: u64) -> f64 {
        chunks as f64 * self.chunk_bytes as f64
    }

    fn give(&mut self, look: Look) -> Stage {
        let one_by_one = self.used && !self.slow;
        let stage = Stage { chunks: self.chunks.max(1), one_by_one };
        (self.since, self.given, self.until) = (Some(look), Some(stage), None);
        if !self.used {
            self.cycle = Some(look);
        }
        stage
    }
}

/// Requests a second between two looks.
fn rate(from: Look, to: Look) -> Option<f64> {
    let seconds = to.at.saturating_duration_since(from.at).as_secs_f64();
    let requests = to.requests.saturating_sub(from.requests);
    (seconds > 0.0).then(|| requests as f64 / seconds)
}

/// What users have without, after a pause in which they had that. A disk that is held back, or has a cache, may
/// work off a stage in the pause after it, so less than before is believed only by and by.
fn still_quiet(before: Option<f64>, now: Option<f64>) -> Option<f64> {
    let (Some(before), Some(now)) = (before, now) else { return now.or(before) };
    Some(now.max(before * STILL))
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
