//! How long the requests of one queue take, counted where they are served.
//!
//! Only the queue's own thread counts, so counting is a load and a store; whoever looks takes the
//! difference of two readings (`lvshift_core::copier::Latencies`) and needs no lock either.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lvshift_core::copier::{LATENCY_BUCKETS, Latencies, Nanos, latency_bucket};

use crate::errors::Op;
use crate::protocol::WireLatency;

/// The bounds by which latencies are told: powers of two of nanoseconds, from 16 microseconds to half a minute.
/// Each is where a bucket ends.
pub(crate) const BOUNDS: std::ops::Range<u32> = 14..36;

/// The counts of one queue. On cache lines of its own: each thread writes its own one all the time.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct QueueLatencies {
    reads: Counts,
    writes: Counts,
    begun: AtomicU32,
}

/// Those of one kind of request.
#[derive(Debug)]
struct Counts {
    buckets: [AtomicU64; LATENCY_BUCKETS],
    /// What all took together, in nanoseconds.
    took: AtomicU64,
}

impl Counts {
    fn new() -> Counts {
        Counts { buckets: [const { AtomicU64::new(0) }; LATENCY_BUCKETS], took: 0.into() }
    }

    fn add_to(&self, sum: &mut WireLatency) {
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let counts: Vec<u64> = counts.collect();
        let below = |bound: u32| {
            let end = latency_bucket(Nanos(1 << bound));
            counts.iter().take(end).sum::<u64>()
        };
        sum.below.resize(BOUNDS.len(), 0);
        for (sum, bound) in sum.below.iter_mut().zip(BOUNDS) {
            *sum += below(bound);
        }
        sum.count += counts.iter().sum::<u64>();
        sum.nanoseconds = sum.nanoseconds.wrapping_add(self.took.load(Ordering::Relaxed));
    }
}

impl QueueLatencies {
    pub(crate) fn new() -> QueueLatencies {
        QueueLatencies { reads: Counts::new(), writes: Counts::new(), begun: 0.into() }
    }

    /// A request has come.
    pub(crate) fn begun(&self) {
        // Not a `fetch_add`: there is one writer.
        self.begun.store(self.begun.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// A read or a write has been answered, so long after it came.
    pub(crate) fn ended(&self, op: Op, took: u64) {
        let counts = if op == Op::Read { &self.reads } else { &self.writes };
        if let Some(count) = counts.buckets.get(latency_bucket(Nanos(took))) {
            add(count, 1);
        }
        add(&counts.took, took);
    }

    /// Adds what was counted so far, for a pace.
    pub(crate) fn add_to(&self, sum: &mut Latencies) {
        let both = self.reads.buckets.iter().zip(&self.writes.buckets);
        let counts = both.map(|(reads, writes)| {
            // Differences are taken of it, and those are small.
            reads.load(Ordering::Relaxed).wrapping_add(writes.load(Ordering::Relaxed)) as u32
        });
        sum.add(counts, self.begun.load(Ordering::Relaxed));
    }

    /// Adds what was counted so far, for a person: reads, and writes.
    pub(crate) fn tell(&self, reads: &mut WireLatency, writes: &mut WireLatency) {
        self.reads.add_to(reads);
        self.writes.add_to(writes);
    }
}

/// Not a `fetch_add`: there is one writer.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_queues_count_is_added_up() {
        let queues = [QueueLatencies::new(), QueueLatencies::new()];
        let ended = [(0, Op::Read, 1_000_000), (1, Op::Write, 1_000_000), (1, Op::Read, 9_000_000)];
        for (queue, op, took) in ended {
            queues[queue].begun();
            queues[queue].ended(op, took);
        }
        queues[0].begun();
        let mut all = Latencies::new();
        queues.iter().for_each(|queue| queue.add_to(&mut all));
        assert_eq!((all.total(), all.in_flight(), all.longer_than(Nanos(2_000_000))), (3, 1, 1));
        let (mut reads, mut writes) = (WireLatency::default(), WireLatency::default());
        queues.iter().for_each(|queue| queue.tell(&mut reads, &mut writes));
        assert_eq!((reads.count, reads.nanoseconds), (2, 10_000_000));
        assert_eq!((writes.count, writes.nanoseconds), (1, 1_000_000));
        // 2^20 ns are a little more than a millisecond, 2^24 more than nine.
        let of = |bound: u32| reads.below[(bound - BOUNDS.start) as usize];
        assert_eq!([19, 20, 23, 24, 35].map(of), [0, 1, 1, 2, 2]);
    }

    #[test]
    fn a_bound_is_where_a_bucket_ends() {
        for bound in BOUNDS {
            let (end, before) = (1_u64 << bound, (1_u64 << bound) - 1);
            assert_eq!(latency_bucket(Nanos(end)), latency_bucket(Nanos(before)) + 1, "{bound}");
        }
    }
}
