//! A copy's pace by the latencies of its LV: read from the queues, decided in the core.

use std::time::Duration;

use lvshift_core::copier::{Factor, Latencies, Nanos, Pace, Pacer, Seen, Stats};

use crate::protocol::Tuning;
use crate::queues::Queues;

/// The pace, if there is one, and the limit that stands beside it.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    pace: Option<Box<Pace>>,
    limit: Option<u64>,
}

impl Pacing {
    /// Takes over what somebody asks for.
    pub(super) fn tune(&mut self, tuning: Tuning, window: u16, pacer: &mut Pacer, now: Nanos) {
        if let Some(rate) = tuning.max_rate {
            self.limit = (rate > 0).then_some(rate);
        }
        if let Some(hundredths) = tuning.pace {
            // What is no factor is none: the commands refuse it before.
            match (Factor::from_hundredths(hundredths), &mut self.pace) {
                (Some(factor), Some(pace)) => pace.set_factor(factor),
                (Some(factor), none) => *none = Some(Box::new(Pace::new(factor, window, now))),
                (None, pace) => *pace = None,
            }
        }
        pacer.set_paced(self.pace.is_some());
        if self.pace.is_none() {
            pacer.set_rest(false);
            pacer.set_window(window);
            pacer.set_rate(self.limit, now);
        }
    }

    /// So many chunks at once are best for the copy. A pace, which looks at its users, knows better.
    pub(super) fn set_window(&self, window: u16, pacer: &mut Pacer) {
        if self.pace.is_none() {
            pacer.set_window(window);
        }
    }

    /// Looks at the latencies where it is time, and says when to look again.
    pub(super) fn look(
        &mut self,
        queues: &Queues,
        stats: &Stats,
        pacer: &mut Pacer,
        now: Nanos,
    ) -> Option<Duration> {
        let pace = self.pace.as_mut()?;
        if now >= pace.next_look() {
            let mut latencies = Latencies::new();
            queues.latencies().iter().for_each(|queue| queue.add_to(&mut latencies));
            let copied = stats.copied_bytes.saturating_add(stats.zeroed_bytes);
            let in_flight = pacer.window().in_flight();
            let speed = pace.look(Seen { latencies: &latencies, copied, in_flight }, now);
            pacer.set_rest(speed.rest);
            pacer.set_window(speed.window);
            pacer.set_rate(least(speed.rate, self.limit), now);
        }
        Some(Duration::from_nanos(pace.next_look().0.saturating_sub(now.0)))
    }
}

/// The device of two limits.
fn least(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_stays_one_beside_a_pace_and_after_it() {
        let mut pacing = Pacing::default();
        let mut pacer = Pacer::new(4, None, Nanos(0));
        let queues = Queues::new(Vec::new());
        let stats = Stats::new(Nanos(0));
        let asked = Tuning { max_rate: Some(3000), pace: Some(150), ..Tuning::default() };
        pacing.tune(asked, 4, &mut pacer, Nanos(0));
        // Nobody uses the LV: the pace itself has no limit then.
        for ms in 0..2000 {
            let _ = pacing.look(&queues, &stats, &mut pacer, Nanos(ms * 1_000_000));
        }
        assert_eq!((pacer.rate(), pacer.window().limit()), (Some(3000), 4));
        let none = Tuning { pace: Some(0), ..Tuning::default() };
        pacing.tune(none, 4, &mut pacer, Nanos(3_000_000_000));
        assert_eq!(pacer.rate(), Some(3000));
        assert_eq!(pacing.look(&queues, &stats, &mut pacer, Nanos(4_000_000_000)), None);
    }

    #[test]
    fn a_tuning_that_names_no_pace_leaves_it() {
        let mut pacing = Pacing::default();
        let mut pacer = Pacer::new(4, None, Nanos(0));
        let asked = Tuning { pace: Some(200), ..Tuning::default() };
        pacing.tune(asked, 4, &mut pacer, Nanos(0));
        pacing.tune(Tuning { max_rate: Some(0), ..Tuning::default() }, 4, &mut pacer, Nanos(0));
        assert!(pacing.pace.is_some());
    }
}
