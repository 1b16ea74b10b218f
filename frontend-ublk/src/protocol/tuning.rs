//! How is a copy made: what was asked for, and what holds where nothing was?

use lvshift_core::copier::Nanos;
use lvshift_core::mirror::{self, DEADLINE};
use serde::{Deserialize, Serialize};

/// The pace of a copy of which nothing else is asked, in hundredths: what `--pace` means.
const USUAL_PACE: u32 = 150;

/// How a copy is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tuning {
    /// Bytes a second; `Some(0)` is no limit, `None` leaves it as it is.
    pub(crate) max_rate: Option<u64>,
    /// The LV's 99th percentile may be so many hundredths of what it is without the copy;
    /// `Some(0)` is no such pace, `None` the usual one unless there is a limit.
    pub(crate) pace: Option<u32>,
    /// Bytes a second that a paced copy keeps; `Some(0)` is the usual floor.
    pub(crate) min_rate: Option<u64>,
    /// Copies rest.
    pub(crate) paused: Option<bool>,
    /// The kernel's mirror is about to go on from the log: nothing is copied, and no bit becomes clean.
    #[serde(default)]
    pub(crate) hands_over: Option<bool>,
    /// The write policy is source-first, not copy-first.
    pub(crate) source_first: Option<bool>,
    /// The copy is equal only once both sides were compared.
    #[serde(default)]
    pub(crate) verify: Option<bool>,
    /// A destination that has not answered for so many seconds has failed; `Some(0)` is never, `None` the
    /// usual time.
    #[serde(default)]
    pub(crate) deadline: Option<u32>,
}

impl From<Tuning> for mirror::Tuning {
    fn from(tuning: Tuning) -> mirror::Tuning {
        let Tuning { max_rate, pace, min_rate, source_first, verify, .. } = tuning;
        let hands_over = tuning.hands_over == Some(true);
        let paused = if hands_over { Some(true) } else { tuning.paused };
        // What was paused only for that goes on.
        let paused = paused.or(tuning.hands_over);
        let deadline = Some(tuning.deadline());
        // Also after a boot, when nothing is kept of what was asked for.
        let usual = if max_rate.is_some_and(|rate| rate > 0) { 0 } else { USUAL_PACE };
        let pace = pace.or(Some(usual));
        let log_only_dirties = Some(hands_over);
        mirror::Tuning {
            max_rate,
            pace,
            min_rate,
            paused,
            log_only_dirties,
            source_first,
            verify,
            deadline,
        }
    }
}

impl Tuning {
    /// How long a destination may take to answer; 0: for ever.
    pub(crate) fn deadline(self) -> Nanos {
        self.deadline.map_or(DEADLINE, |seconds| Nanos(u64::from(seconds) * 1_000_000_000))
    }

    /// This, with what `newer` says instead where it says something.
    pub(crate) fn changed_by(self, newer: Tuning) -> Tuning {
        Tuning {
            max_rate: newer.max_rate.or(self.max_rate),
            pace: newer.pace.or(self.pace),
            min_rate: newer.min_rate.or(self.min_rate),
            paused: newer.paused.or(self.paused),
            hands_over: newer.hands_over.or(self.hands_over),
            source_first: newer.source_first.or(self.source_first),
            verify: newer.verify.or(self.verify),
            deadline: newer.deadline.or(self.deadline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuning_changes_what_it_names_and_nothing_else() {
        let old = Tuning { max_rate: Some(5), paused: Some(true), ..Tuning::default() };
        let new = Tuning { paused: Some(false), ..Tuning::default() };
        let both = Tuning { max_rate: Some(5), paused: Some(false), ..Tuning::default() };
        assert_eq!(old.changed_by(new), both);
        let paced = Tuning { pace: Some(150), ..Tuning::default() };
        assert_eq!(both.changed_by(paced), Tuning { pace: Some(150), ..both });
        assert_eq!(both.changed_by(paced).changed_by(new).pace, Some(150));
    }

    #[test]
    fn a_copy_of_which_nothing_is_asked_is_polite_and_one_with_a_limit_keeps_to_that() {
        let pace = |tuning: Tuning| mirror::Tuning::from(tuning).pace;
        assert_eq!(pace(Tuning::default()), Some(USUAL_PACE));
        let limited = Tuning { max_rate: Some(5), ..Tuning::default() };
        assert_eq!(pace(limited), Some(0));
        assert_eq!(pace(Tuning { max_rate: Some(0), ..limited }), Some(USUAL_PACE));
        assert_eq!(pace(Tuning { pace: Some(200), ..limited }), Some(200));
        assert_eq!(pace(Tuning { pace: Some(0), ..Tuning::default() }), Some(0));
    }
}
