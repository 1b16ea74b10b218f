//! A pace that the application can live with: a closed loop over the latencies that it sees.
//!
//! What its 99th percentile would be without the copy is not a matter of the past: loads change. So
//! the copy *rests* from time to time, for as long as a measurement takes, and what is measured then
//! is the baseline. Between the rests the copy is as fast as it can be while the percentile stays
//! within a factor of the baseline, and the mean within a tenth of what that factor leaves: after every good window a
//! little faster, after a bad one half as fast. (The percentile is what one request suffers; how many requests an
//! application gets that has so many at once goes with the mean.) An application that does nothing is not waited for at all: the copy begins with one chunk at
//! a time and *listens*, and only a request makes it rest. It never stands still for good: it keeps its
//! floor, by default [`FLOOR`], else a baseline that cannot be kept would end no move.

#[cfg(all(test, not(loom)))]
mod plant;
#[cfg(all(test, not(loom)))]
mod tests;

use super::latency::Latencies;
use super::throttle::Nanos;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// The slowest that a paced copy gets if nothing else is asked for, in bytes per second, whatever the
/// application suffers.
pub const FLOOR: u64 = 1 << 20;
/// The first pace beside an application about which nothing is known.
const START: u64 = 4 << 20;
/// How often the latencies are looked at,
const LOOK: u64 = 100 * MS;
/// and how often while nothing is known of the application: the copy is on its way already.
const LISTEN: u64 = 20 * MS;
/// So many requests make a percentile that can be compared,
const ENOUGH: u32 = 400;
/// and so many a mean.
const ENOUGH_FOR_MEAN: u32 = 100;
/// A window is at least so long,
const SHORTEST: u64 = 2 * LOOK;
/// and ends then, whatever it has, if a copy has ended in it,
const LONGEST: u64 = 2 * SECOND;
/// and here even if none has.
const LONGEST_OF_ALL: u64 = 10 * SECOND;
/// Without a request for so long, and none in flight, the application counts as away.
const QUIET: u64 = 3 * LOOK;
/// One request says nothing about the share of time for which a request waits; this does.
const LONG_ENOUGH: u64 = SECOND / 2;
/// Fewer requests in a window of the longest kind are no application, unless they are what it waits
/// for.
const FEW: u32 = 16;
/// How long the application is given to get over the last copy before a rest is measured.
const AFTER_COPY: u64 = 100 * MS;
/// The next rest comes after this at the latest,
const REST_EVERY: u64 = 20 * SECOND;
/// or after this, if the percentile is missed at the slowest pace: perhaps the load has changed.
const REST_AGAIN: u64 = 5 * SECOND;
/// Bad windows at the slowest pace after which that is done.
const MISSES: u8 = 3;

/// How many times its percentile without the copy the application may have beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(u32);

impl Factor {
    /// In hundredths, from 1.10 to 100. Less than a bucket's width cannot be told from nothing.
    pub const fn from_hundredths(hundredths: u32) -> Option<Factor> {
        if hundredths >= 110 && hundredths <= 10_000 { Some(Factor(hundredths)) } else { None }
    }

    /// In hundredths.
    pub const fn hundredths(self) -> u32 {
        self.0
    }

    const fn times(self, base: Nanos) -> Nanos {
        Nanos(base.0.saturating_mul(self.0 as u64) / 100)
    }

    /// What that leaves the mean: 1.05 times what it is without the copy, for a factor of 1.5.
    const fn times_for_mean(self, base: Nanos) -> Nanos {
        Nanos(base.0.saturating_mul(900 + self.0 as u64) / 1000)
    }
}

/// What is known at a look.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// All that the queues have counted.
    pub latencies: &'a Latencies,
    /// Bytes copied ever.
    pub copied: u64,
    /// Copies in flight.
    pub in_flight: u16,
}

/// How the copy may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    /// Not at all for now: what the application sees without it is being measured.
    pub rest: bool,
    /// Bytes per second; `None` is as fast as it goes.
    pub rate: Option<u64>,
    /// Chunks at once.
    pub window: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the first look.
    Start,
    /// Nothing is known: one chunk at a time, until the application comes or has not come.
    Listen,
    /// The last copies end, then the application gets over them.
    WindDown { until: Nanos },
    /// The copy rests and the baseline is measured.
    Rest,
    /// The application is away.
    Idle,
    /// The application is there.
    Busy,
}

/// What the application sees without the copy.
#[derive(Clone, Copy, Debug)]
struct Baseline {
    p99: Nanos,
    mean: Nanos,
}

/// The pace of one LV's copy. `Latencies` come in as they are, whole.
#[derive(Clone, Debug)]
pub struct Pace {
    factor: Factor,
    floor: u64,
    /// Chunks at once while the application is away.
    full: u16,
    phase: Phase,
    baseline: Option<Baseline>,
    rested: Nanos,
    rate: u64,
    /// Up to here the rate doubles.
    known_good: u64,
    window: u16,
    misses: u8,
    /// The window that is being measured: its begin, and what was known then.
    since: Nanos,
    before: Latencies,
    copied_before: u64,
    next: Nanos,
    /// Requests that had ended at the last look, and when that count was another one last.
    ended: u32,
    active: Nanos,
}

impl Pace {
    /// Listens first. `full` chunks at once are as many as there may be.
    pub fn new(factor: Factor, full: u16, now: Nanos) -> Pace {
        Pace {
            factor,
            floor: FLOOR,
            full: full.max(1),
            phase: Phase::Start,
            baseline: None,
            rested: now,
            rate: START,
            known_good: u64::MAX,
            window: 1,
            misses: 0,
            since: now,
            before: Latencies::new(),
            copied_before: 0,
            next: now,
            ended: 0,
            active: now,
        }
    }

    /// Another factor, with what is known of the application.
    pub const fn set_factor(&mut self, factor: Factor) {
        self.factor = factor;
    }

    /// The slowest that the copy gets from now on, in bytes per second; 0 counts as 1.
    pub fn set_floor(&mut self, bytes_per_second: u64) {
        self.floor = bytes_per_second.max(1);
        self.rate = self.rate.max(self.floor);
        self.known_good = self.known_good.max(self.floor);
    }

    /// When to look again.
    pub const fn next_look(&self) -> Nanos {
        self.next
    }

    /// The 99th percentile without the copy, if it is known.
    pub fn baseline(&self) -> Option<Nanos> {
        self.baseline.map(|baseline| baseline.p99)
    }

    /// How the copy may go on now.
    pub fn speed(&self) -> Speed {
        match self.phase {
            Phase::WindDown { .. } | Phase::Rest => {
                Speed { rest: true, rate: Some(self.rate), window: 1 }
            }
            Phase::Start | Phase::Listen => Speed { rest: false, rate: None, window: 1 },
            Phase::Idle => Speed { rest: false, rate: None, window: self.full },
            Phase::Busy => Speed { rest: false, rate: Some(self.rate), window: self.window },
        }
    }

    /// Looks at what has happened.
    pub fn look(&mut self, seen: Seen<'_>, now: Nanos) -> Speed {
        let unknown = matches!(self.phase, Phase::Start | Phase::Listen);
        self.next = Nanos(now.0.saturating_add(if unknown { LISTEN } else { LOOK }));
        let passed = now.0.saturating_sub(self.since.0);
        let new = seen.latencies.since(&self.before);
        let ended = seen.latencies.total();
        if ended != self.ended || seen.latencies.in_flight() > 0 {
            (self.ended, self.active) = (ended, now);
        }
        match self.phase {
            // What ended before says nothing of who is there now.
            Phase::Start => self.open(Phase::Listen, seen, now),
            Phase::Listen if new.total() > 0 || seen.latencies.in_flight() > 0 => {
                self.wind_down(now);
            }
            Phase::Listen if passed >= QUIET => self.open(Phase::Idle, seen, now),
            Phase::Listen => {}
            Phase::WindDown { .. } if seen.in_flight > 0 => self.wind_down(now),
            Phase::WindDown { until } if now >= until => self.open(Phase::Rest, seen, now),
            Phase::WindDown { .. } => {}
            Phase::Rest => {
                let all = new.total() >= ENOUGH && passed >= SHORTEST;
                if self.is_absent(&new, seen, passed, now) {
                    self.open(Phase::Idle, seen, now);
                } else if all || passed >= LONGEST {
                    self.take_baseline(&new, now);
                    self.open(Phase::Busy, seen, now);
                }
            }
            Phase::Idle => {
                let back = new.total() >= FEW || waits(&new, passed);
                if back && (self.baseline.is_none() || self.rest_is_due(now)) {
                    self.wind_down(now);
                } else if back {
                    self.rate = (self.known_good.min(self.rate) / 2).max(self.floor);
                    self.window = 1;
                    self.open(Phase::Busy, seen, now);
                } else if passed >= LONGEST {
                    self.open(Phase::Idle, seen, now);
                }
            }
            Phase::Busy => self.busy(&new, seen, passed, now),
        }
        self.speed()
    }

    fn busy(&mut self, new: &Latencies, seen: Seen<'_>, passed: u64, now: Nanos) {
        let copied = seen.copied.saturating_sub(self.copied_before);
        let count = new.total();
        if self.is_absent(new, seen, passed, now) {
            return self.open(Phase::Idle, seen, now);
        }
        let Some(baseline) = self.baseline else { return self.wind_down(now) };
        let long = new.longer_than(self.factor.times(baseline.p99));
        let over = (count >= ENOUGH && passed >= SHORTEST) || passed >= LONGEST;
        // What is as bad as this will not become good any more.
        let bad_already = long > new.outliers().max(ENOUGH / 100) * 3;
        if !bad_already && (!over || (copied == 0 && passed < LONGEST_OF_ALL)) {
            return;
        }
        let bytes = u128::from(copied) * u128::from(SECOND) / u128::from(passed.max(1));
        let achieved = u64::try_from(bytes).unwrap_or(u64::MAX);
        let most = self.factor.times_for_mean(baseline.mean);
        let on_average = count >= ENOUGH_FOR_MEAN && new.mean().is_some_and(|mean| mean > most);
        if long > new.outliers() || on_average {
            self.slower(achieved);
        } else if count > 0 {
            self.faster(achieved);
        }
        if self.rest_is_due(now) {
            self.wind_down(now);
        } else {
            self.open(Phase::Busy, seen, now);
        }
    }

    fn slower(&mut self, achieved: u64) {
        self.misses = if self.rate <= self.floor { self.misses.saturating_add(1) } else { 0 };
        // A limit that did not bind says nothing about what was too much.
        let real = if achieved < self.rate / 2 { achieved } else { self.rate };
        self.known_good = (real / 4 * 3).max(self.floor);
        self.rate = (real / 2).max(self.floor);
        self.window = (self.window / 2).max(1);
    }

    fn faster(&mut self, achieved: u64) {
        self.misses = 0;
        if achieved < self.rate / 2 {
            // Something else holds it up: more at once, if that may be.
            self.window = self.window.saturating_add(1).min(self.full);
        } else if self.rate < self.known_good {
            self.rate = self.rate.saturating_mul(2).min(self.known_good);
        } else {
            self.rate = self.rate.saturating_add(self.rate / 16);
        }
    }

    /// What is measured varies; a load that has changed does not have to be believed twice.
    fn take_baseline(&mut self, new: &Latencies, now: Nanos) {
        self.rested = now;
        self.misses = 0;
        let (Some(p99), Some(mean)) = (new.p99(), new.mean()) else { return };
        let old = self.baseline;
        self.baseline = Some(Baseline {
            p99: smoothed(old.map(|old| old.p99), p99),
            mean: smoothed(old.map(|old| old.mean), mean),
        });
    }

    /// Whether the application is away, so that no copy disturbs it. Who waits for a request is there.
    fn is_absent(&self, new: &Latencies, seen: Seen<'_>, passed: u64, now: Nanos) -> bool {
        let few = passed >= LONGEST && new.total() < FEW && !waits(new, passed);
        (few && seen.latencies.in_flight() == 0) || now.0.saturating_sub(self.active.0) >= QUIET
    }

    fn rest_is_due(&self, now: Nanos) -> bool {
        let passed = now.0.saturating_sub(self.rested.0);
        passed >= REST_EVERY || (self.misses >= MISSES && passed >= REST_AGAIN)
    }

    fn wind_down(&mut self, now: Nanos) {
        self.phase = Phase::WindDown { until: Nanos(now.0.saturating_add(AFTER_COPY)) };
    }

    fn open(&mut self, phase: Phase, seen: Seen<'_>, now: Nanos) {
        self.phase = phase;
        self.since = now;
        self.before.clone_from(seen.latencies);
        self.copied_before = seen.copied;
    }
}

/// Halfway, unless they differ so much that the load must be another.
fn smoothed(old: Option<Nanos>, found: Nanos) -> Nanos {
    match old {
        Some(old) if found.0 / 2 <= old.0 && old.0 / 2 <= found.0 => Nanos(old.0 / 2 + found.0 / 2),
        _ => found,
    }
}

/// Whether the application spends a good part of its time waiting for the LV, however few requests
/// it has.
fn waits(new: &Latencies, passed: u64) -> bool {
    passed >= LONG_ENOUGH && new.waited().0 > passed / 4
}
