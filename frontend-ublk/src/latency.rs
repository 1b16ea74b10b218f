//! How long the requests of one queue take, counted where they are served.
//!
//! Only the queue's own thread counts, so counting is a load and a store; whoever looks takes the
//! difference of two readings (`lvshift_core::copier::Latencies`) and needs no lock either.

use std::sync::atomic::{AtomicU32, Ordering};

use lvshift_core::copier::{LATENCY_BUCKETS, Latencies, Nanos, latency_bucket};

/// The counts of one queue. On cache lines of its own: each thread writes its own one all the time.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct QueueLatencies {
    counts: [AtomicU32; LATENCY_BUCKETS],
    begun: AtomicU32,
}

impl QueueLatencies {
    pub(crate) fn new() -> QueueLatencies {
        QueueLatencies { counts: [const { AtomicU32::new(0) }; LATENCY_BUCKETS], begun: 0.into() }
    }

    /// A request has come.
    pub(crate) fn begun(&self) {
        one_more(&self.begun);
    }

    /// One has been answered, so long after it came.
    pub(crate) fn ended(&self, took: u64) {
        if let Some(count) = self.counts.get(latency_bucket(Nanos(took))) {
            one_more(count);
        }
    }

    /// Adds what was counted so far.
    pub(crate) fn add_to(&self, sum: &mut Latencies) {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        sum.add(counts, self.begun.load(Ordering::Relaxed));
    }
}

/// Not a `fetch_add`: there is one writer.
fn one_more(count: &AtomicU32) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_queues_count_is_added_up() {
        let queues = [QueueLatencies::new(), QueueLatencies::new()];
        for (queue, took) in [(0, 1_000_000), (1, 1_000_000), (1, 9_000_000)] {
            queues[queue].begun();
            queues[queue].ended(took);
        }
        queues[0].begun();
        let mut all = Latencies::new();
        queues.iter().for_each(|queue| queue.add_to(&mut all));
        assert_eq!((all.total(), all.in_flight(), all.longer_than(Nanos(2_000_000))), (3, 1, 1));
    }
}
