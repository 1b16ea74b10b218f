//! A disk with a copy and an application on it, made up: what the pace is tried on.

use super::*;
use crate::copier::latency_bucket;
use crate::copier::{Allowed, LATENCY_BUCKETS, May, Pacer};

pub(super) const MIB: u64 = 1 << 20;
const CHUNK: u64 = MIB;
const FULL: u16 = 4;
const TICK: u64 = MS / 2;

/// The disk serves one chunk after the other. Who comes while chunks are under way waits for a part
/// of them, as much as `weight` says.
pub(super) struct Plant {
    pub(super) bandwidth: u64,
    /// Requests per second.
    pub(super) load: u64,
    /// What they take without a copy; one in thirty takes three times that.
    pub(super) alone: u64,
    /// Requests that never end.
    pub(super) held: u64,
    /// How many hundredths of the chunks under way a request waits for.
    pub(super) weight: u64,
    now: u64,
    seed: u64,
    counts: [u32; LATENCY_BUCKETS],
    requests: u64,
    copied: u64,
    /// Bytes under way, and how many chunks those are.
    queue: u64,
    pacer: Pacer,
    pub(super) pace: Pace,
    latencies: Latencies,
    /// What the application saw since the last report, and of all chunks those that ended.
    seen_from: Latencies,
    copied_from: u64,
    time_from: u64,
}

/// What happened in some time.
pub(super) struct Report {
    /// Bytes per second.
    pub(super) rate: u64,
    pub(super) p99: Option<Nanos>,
    pub(super) mean: Option<Nanos>,
    /// The share of requests over a limit, in thousandths.
    pub(super) over: u64,
}

impl Plant {
    pub(super) fn new(factor: u32) -> Plant {
        let factor = Factor::from_hundredths(factor).expect("a legal factor");
        Plant {
            bandwidth: 200 * MIB,
            load: 2000,
            alone: MS,
            held: 0,
            weight: 200,
            now: 0,
            seed: 1,
            counts: [0; LATENCY_BUCKETS],
            requests: 0,
            copied: 0,
            queue: 0,
            pacer: Pacer::new(FULL, None, Nanos(0)),
            pace: Pace::new(factor, FULL, Nanos(0)),
            latencies: Latencies::new(),
            seen_from: Latencies::new(),
            copied_from: 0,
            time_from: 0,
        }
    }

    /// Lets so many seconds pass, and says what happened in them; `limit` is for [`Report::over`].
    pub(super) fn run(&mut self, seconds: u64, limit: u64) -> Report {
        (self.seen_from, self.copied_from, self.time_from) =
            (self.latencies.clone(), self.copied, self.now);
        self.tick_for(seconds * SECOND);
        let new = self.latencies.since(&self.seen_from);
        let took = self.now - self.time_from;
        Report {
            rate: (u128::from(self.copied - self.copied_from) * u128::from(SECOND)
                / u128::from(took)) as u64,
            p99: new.p99(),
            mean: new.mean(),
            over: u64::from(new.longer_than(Nanos(limit))) * 1000 / u64::from(new.total().max(1)),
        }
    }

    /// The same without a copy.
    pub(super) fn alone_for(&mut self, seconds: u64) -> Report {
        self.pacer.set_paused(true);
        let report = self.run(seconds, 0);
        self.pacer.set_paused(false);
        report
    }

    pub(super) fn tick_for(&mut self, nanos: u64) {
        let end = self.now + nanos;
        while self.now < end {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        let now = Nanos(self.now);
        let served = self.bandwidth * TICK / SECOND;
        let before = self.queue.div_ceil(CHUNK);
        self.queue = self.queue.saturating_sub(served);
        for _ in self.queue.div_ceil(CHUNK)..before {
            self.pacer.ended();
            self.copied += CHUNK;
        }
        for _ in 0..self.load * TICK / SECOND
            + u64::from(self.random(SECOND) < self.load * TICK % SECOND)
        {
            let tail = if self.random(30) == 0 { 3 } else { 1 };
            let alone = self.alone / 2 + self.random(self.alone);
            let behind = self.queue * SECOND / self.bandwidth * self.weight / 100;
            self.counts[latency_bucket(Nanos(alone * tail + behind))] += 1;
            self.requests += 1;
        }
        if now >= self.pace.next_look() {
            self.latencies = Latencies::new();
            self.latencies.add(self.counts.iter().copied(), (self.requests + self.held) as u32);
            let in_flight = self.pacer.window().in_flight();
            let seen = Seen { latencies: &self.latencies, copied: self.copied, in_flight };
            let speed = self.pace.look(seen, now);
            self.pacer.set_rest(speed.rest);
            self.pacer.set_rate(speed.rate, now);
            self.pacer.set_window(speed.window);
        }
        while let May::Begin { allowed: Allowed::All, .. } = self.pacer.may_begin(now) {
            self.pacer.began(CHUNK, now);
            self.queue += CHUNK;
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below
    }
}
