//! Latencies, counted in buckets: how long all requests took but one in a hundred.
//!
//! A bucket is a sixteenth of its power of two, so a latency is known within 6 %. The counts only
//! grow, and wrap; what happened between two moments is the difference. So whoever counts needs no
//! lock against whoever looks.

use super::throttle::Nanos;

/// Buckets of a histogram: from a microsecond to a minute.
pub const LATENCY_BUCKETS: usize = 368;
/// What lies below, in nanoseconds as a power of two, is one unit of the first buckets.
const UNIT_BITS: u32 = 10;
/// Sixteen buckets to a power of two.
const FINE_BITS: u32 = 4;
const FINE: u64 = 1 << FINE_BITS;

/// How many requests took how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    counts: [u32; LATENCY_BUCKETS],
    /// Requests that have begun, in the same way.
    begun: u32,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

/// The bucket of a latency.
pub const fn latency_bucket(took: Nanos) -> usize {
    let units = took.0 >> UNIT_BITS;
    if units < FINE {
        return units as usize;
    }
    let power = units.ilog2();
    let fine = (units >> (power - FINE_BITS)) & (FINE - 1);
    let bucket = (power - FINE_BITS + 1) as u64 * FINE + fine;
    if bucket < LATENCY_BUCKETS as u64 { bucket as usize } else { LATENCY_BUCKETS - 1 }
}

/// What a bucket's latencies are shorter than.
const fn end_of(bucket: usize) -> Nanos {
    let (power, fine) = (bucket as u64 / FINE, bucket as u64 % FINE);
    let units = if power == 0 { fine + 1 } else { (FINE + fine + 1) << (power - 1) };
    Nanos(units << UNIT_BITS)
}

impl Latencies {
    /// None.
    pub const fn new() -> Latencies {
        Latencies { counts: [0; LATENCY_BUCKETS], begun: 0 }
    }

    /// Adds what one queue has counted: its buckets in order, and how many requests it has begun.
    pub fn add(&mut self, counts: impl Iterator<Item = u32>, begun: u32) {
        for (sum, count) in self.counts.iter_mut().zip(counts) {
            *sum = sum.wrapping_add(count);
        }
        self.begun = self.begun.wrapping_add(begun);
    }

    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Latencies) -> Latencies {
        let mut new = Latencies { begun: self.begun.wrapping_sub(earlier.begun), ..self.clone() };
        for (count, before) in new.counts.iter_mut().zip(&earlier.counts) {
            *count = count.wrapping_sub(*before);
        }
        new
    }

    /// Requests that have ended.
    pub fn total(&self) -> u32 {
        self.counts.iter().fold(0, |sum, &count| sum.wrapping_add(count))
    }

    /// Requests that have begun and not ended, of counts that are the whole of it and no difference.
    pub fn in_flight(&self) -> u32 {
        // The two are not read at one moment: never less than none.
        let left = self.begun.wrapping_sub(self.total());
        if left > u32::MAX / 2 { 0 } else { left }
    }

    /// The time that all of them took together, about.
    pub fn waited(&self) -> Nanos {
        let each = self.counts.iter().enumerate();
        Nanos(each.fold(0u64, |sum, (bucket, &count)| {
            sum.saturating_add(end_of(bucket).0.saturating_mul(u64::from(count)))
        }))
    }

    /// What one took on average, about; `None` where there is none.
    pub fn mean(&self) -> Option<Nanos> {
        self.waited().0.checked_div(u64::from(self.total())).map(Nanos)
    }

    /// How many took longer than `limit`, by more than a bucket cannot tell.
    pub fn longer_than(&self, limit: Nanos) -> u32 {
        let above = self.counts.get(latency_bucket(limit).saturating_add(1)..).unwrap_or(&[]);
        above.iter().fold(0, |sum, &count| sum.wrapping_add(count))
    }

    /// How many may be outside of what is called the 99th percentile here: one in a hundred, and
    /// one of fewer, since a single one says nothing.
    pub fn outliers(&self) -> u32 {
        (self.total() / 100).max(1)
    }

    /// What all took at most but the [outliers](Latencies::outliers); `None` where there is none.
    pub fn p99(&self) -> Option<Nanos> {
        let mut out = self.outliers();
        if self.total() == 0 {
            return None;
        }
        for (bucket, &count) in self.counts.iter().enumerate().rev() {
            if count > out {
                return Some(end_of(bucket));
            }
            out = out.saturating_sub(count);
        }
        // A single request, or two.
        self.counts.iter().position(|&count| count > 0).map(end_of)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn of(all: &[u64]) -> Latencies {
        let mut counts = [0; LATENCY_BUCKETS];
        all.iter().for_each(|&took| counts[latency_bucket(Nanos(took))] += 1);
        let mut latencies = Latencies::new();
        latencies.add(counts.into_iter(), u32::try_from(all.len()).expect("few"));
        latencies
    }

    #[test]
    fn every_latency_is_known_within_a_sixteenth() {
        let mut last = 0;
        for took in (0..62).flat_map(|bits| [1 << bits, (1 << bits) + (1 << bits) / 3]) {
            let bucket = latency_bucket(Nanos(took));
            assert!(bucket >= last && bucket < LATENCY_BUCKETS, "{took}");
            last = bucket;
            let end = end_of(bucket).0;
            if bucket < LATENCY_BUCKETS - 1 {
                assert!(took < end, "{took} is not below {end}");
                assert!(end <= took + (took / 16).max(1 << UNIT_BITS), "{took} is far below {end}");
            }
            assert_eq!(latency_bucket(Nanos(end - 1)), bucket);
        }
        assert_eq!(latency_bucket(Nanos(u64::MAX)), LATENCY_BUCKETS - 1);
    }

    #[test]
    fn one_in_a_hundred_is_left_out_and_one_of_few() {
        let mut all = std::vec![1_000_000; 990];
        all.extend([50_000_000; 10]);
        let most = of(&all);
        assert_eq!(
            most.p99().map(|p| latency_bucket(Nanos(p.0 - 1))),
            Some(latency_bucket(Nanos(1_000_000)))
        );
        assert_eq!((most.longer_than(Nanos(2_000_000)), most.outliers()), (10, 10));
        all.push(50_000_000);
        assert!(of(&all).p99() > Some(Nanos(50_000_000)), "eleven of 1001 are no outliers");
        assert!(of(&[1000, 2000, 90_000_000]).p99() < Some(Nanos(10_000)));
        assert_eq!(of(&[]).p99(), None);
        assert!(of(&[5_000_000]).p99() > Some(Nanos(5_000_000)));
    }

    #[test]
    fn a_difference_survives_a_count_that_wraps() {
        let mut before = Latencies::new();
        before.add([u32::MAX, 3].into_iter(), u32::MAX);
        let mut after = before.clone();
        after.add([2, 1].into_iter(), 5);
        let new = after.since(&before);
        assert_eq!((new.total(), new.counts[0], new.counts[1]), (3, 2, 1));
        assert_eq!(of(&[1, 2]).in_flight(), 0);
        let mut two_more = of(&[1, 2]);
        two_more.add(std::iter::empty(), 2);
        assert_eq!(two_more.in_flight(), 2);
        // The counts were read a moment after the begun.
        two_more.add([3].into_iter(), 0);
        assert_eq!(two_more.in_flight(), 0);
    }
}
