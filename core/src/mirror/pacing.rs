//! How fast the copy may be: what is asked for, and a pace by the latencies of the volume's requests.

use crate::copier::{Factor, Latencies, Nanos, PACE_FLOOR, Pace, Pacer, Seen, Stats};

/// What is asked of a copy. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Bytes per second at most; 0 is no limit.
    pub max_rate: Option<u64>,
    /// The 99th percentile of the volume's requests may be so many hundredths of what it is without the
    /// copy ([`Factor`]); what is no factor, 0 above all, is no such pace.
    pub pace: Option<u32>,
    /// Bytes per second that a paced copy keeps whatever the volume's users suffer; 0 is
    /// [`PACE_FLOOR`].
    pub min_rate: Option<u64>,
    /// The copy rests.
    pub paused: Option<bool>,
    /// Another mirror is about to go on from the dirty log: no bit of it becomes clean any more.
    pub log_only_dirties: Option<bool>,
    /// Writes to chunks that are not copied yet go to the source alone, instead of waiting for the copy.
    pub source_first: Option<bool>,
    /// The copy counts as equal only once both legs were read, past all caches, and compared.
    pub verify: Option<bool>,
    /// A destination that has not answered for so long has failed; 0: it may take for ever. At first it is
    /// [`DEADLINE`].
    pub deadline: Option<Nanos>,
}

/// How long a destination may take to answer, unless something else is asked for.
pub const DEADLINE: Nanos = Nanos(30_000_000_000);

/// The pace, if there is one, and the limit that stands beside it.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    pace: Option<Pace>,
    limit: Option<u64>,
    floor: Option<u64>,
}

impl Pacing {
    pub(super) const fn new() -> Pacing {
        Pacing { pace: None, limit: None, floor: None }
    }

    /// Takes over what is asked for.
    pub(super) fn tune(&mut self, tuning: Tuning, window: u16, pacer: &mut Pacer, now: Nanos) {
        if let Some(rate) = tuning.max_rate {
            self.limit = (rate > 0).then_some(rate);
        }
        if let Some(rate) = tuning.min_rate {
            self.floor = (rate > 0).then_some(rate);
        }
        if let Some(hundredths) = tuning.pace {
            match (Factor::from_hundredths(hundredths), &mut self.pace) {
                (Some(factor), Some(pace)) => pace.set_factor(factor),
                (Some(factor), none) => *none = Some(Pace::new(factor, window, now)),
                (None, pace) => *pace = None,
            }
        }
        if let Some(pace) = &mut self.pace {
            pace.set_floor(self.floor.unwrap_or(PACE_FLOOR));
        }
        pacer.set_paced(self.pace.is_some());
        if self.pace.is_none() {
            pacer.set_rest(false);
            pacer.set_window(window);
            pacer.set_rate(self.limit, now);
        }
    }

    /// So many chunks at once are best for the copy. A pace, which looks at its users, knows better.
    pub(super) const fn set_window(&self, window: u16, pacer: &mut Pacer) {
        if self.pace.is_none() {
            pacer.set_window(window);
        }
    }

    /// When the latencies are to be looked at; `None`: never.
    pub(super) fn next_look(&self) -> Option<Nanos> {
        self.pace.as_ref().map(Pace::next_look)
    }

    /// Looks at the latencies.
    pub(super) fn look(
        &mut self,
        latencies: &Latencies,
        stats: &Stats,
        pacer: &mut Pacer,
        now: Nanos,
    ) {
        let Some(pace) = &mut self.pace else { return };
        let copied = stats.copied_bytes.saturating_add(stats.zeroed_bytes);
        let in_flight = pacer.window().in_flight();
        let speed = pace.look(Seen { latencies, copied, in_flight }, now);
        pacer.set_rest(speed.rest);
        pacer.set_window(speed.window);
        pacer.set_rate(least(speed.rate, self.limit), now);
    }
}

/// The lower of two limits.
fn least(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_stays_one_beside_a_pace_and_after_it() {
        let mut pacing = Pacing::default();
        let mut pacer = Pacer::new(4, None, Nanos(0));
        let stats = Stats::default();
        let asked = Tuning { max_rate: Some(3000), pace: Some(150), ..Tuning::default() };
        pacing.tune(asked, 4, &mut pacer, Nanos(0));
        // The volume is not in use: the pace itself has no limit then.
        for ms in 0..2000 {
            let now = Nanos(ms * 1_000_000);
            if pacing.next_look().is_some_and(|look| now >= look) {
                pacing.look(&Latencies::new(), &stats, &mut pacer, now);
            }
        }
        assert_eq!((pacer.rate(), pacer.window().limit()), (Some(3000), 4));
        let none = Tuning { pace: Some(0), ..Tuning::default() };
        pacing.tune(none, 4, &mut pacer, Nanos(3_000_000_000));
        assert_eq!(pacer.rate(), Some(3000));
        assert_eq!(pacing.next_look(), None);
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
