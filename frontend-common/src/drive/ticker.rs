//! When progress is due, and how fast the copy goes: never a timer that the end of the copy would
//! have to wait for.

use std::time::{Duration, Instant};

use lvshift_core::copier::{Nanos, Rate};
use lvshift_core::mover::Event;
use lvshift_core::units::Uuid;
use lvshift_driver::CopyStatus;

use super::Progress;

/// How long at most until the status is read again although nothing woke us.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

/// Where a move stands among those of its command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) number: usize,
    pub(crate) count: usize,
    /// Bytes of the moves before it.
    pub(crate) before: u64,
    /// Bytes of all.
    pub(crate) total: u64,
}

/// Chooses the looks at a copy that are reported.
pub(crate) struct Ticker {
    of: Uuid,
    place: Place,
    /// How often to report; `None`: never.
    interval: Option<Duration>,
    begun: Instant,
    rate: Rate,
    /// Bytes that the rate has counted; those that were equal at the first look are no part of the speed.
    counted: Option<u64>,
    told: Option<Instant>,
}

impl Ticker {
    pub(crate) fn new(of: Uuid, place: Place, interval: Option<Duration>) -> Ticker {
        let rate = Rate::new(Nanos(0));
        Ticker { of, place, interval, begun: Instant::now(), rate, counted: None, told: None }
    }

    /// The waiting begins anew.
    pub(crate) fn restart(&mut self) {
        (self.begun, self.rate) = (Instant::now(), Rate::new(Nanos(0)));
        (self.counted, self.told) = (None, None);
    }

    /// What to tell of this look, if anything.
    pub(crate) fn look(&mut self, status: &CopyStatus) -> Option<Progress> {
        let interval = self.interval?;
        let now = Instant::now();
        let at = Nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let new = status.bytes_done.saturating_sub(self.counted.unwrap_or(status.bytes_done));
        self.rate.count(new, at);
        self.counted = Some(status.bytes_done);
        let due = self.told.is_none_or(|told| now.duration_since(told) >= interval);
        if !due && status.verdict() != Some(Event::CopyEqual) {
            return None;
        }
        self.told = Some(now);
        let done = self.place.before + status.bytes_done;
        let aside = status.aside;
        let unread = self.place.total.saturating_sub(done).saturating_sub(aside.bytes);
        let found = self.rate.progress(unread, at);
        let rate = (found.bytes_per_second > 0).then_some(found.bytes_per_second as f64);
        let left = found.remaining.map(|left| Duration::from_nanos(left.0));
        Some(Progress {
            of: self.of,
            number: self.place.number,
            count: self.place.count,
            bytes_done: done,
            bytes_total: self.place.total,
            rate,
            left,
            aside,
            left_with_bad: left.map(|left| left + Duration::from_nanos(aside.nanos)),
        })
    }

    /// When the copy is to be looked at next although nothing woke us.
    pub(crate) fn until(&self) -> Duration {
        match (self.interval, self.told) {
            (Some(interval), Some(told)) => interval.saturating_sub(told.elapsed()),
            _ => LOOK_ANYWAY,
        }
        .min(LOOK_ANYWAY)
    }
}
