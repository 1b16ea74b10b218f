//! When progress is due, and how fast the copy goes: never a timer that the end of the copy would
//! have to wait for.

use std::time::{Duration, Instant};

use lvshift_core::mover::Event;
use lvshift_core::units::Uuid;
use lvshift_driver::CopyStatus;

use super::Progress;

/// How long at most until the status is read again although nothing woke us.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

/// Where a move stands among those of its command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) number: usize,
    pub(super) count: usize,
    /// Bytes of the moves before it.
    pub(super) before: u64,
    /// Bytes of all.
    pub(super) total: u64,
}

/// Bytes each second, smoothed.
#[derive(Default)]
struct Rate {
    last: Option<(Instant, u64)>,
    smooth: Option<f64>,
}

impl Rate {
    fn update(&mut self, now: Instant, bytes: u64) -> Option<f64> {
        if let Some((then, before)) = self.last {
            let seconds = now.duration_since(then).as_secs_f64();
            if seconds > 0.0 {
                let fresh = bytes.saturating_sub(before) as f64 / seconds;
                self.smooth = Some(self.smooth.map_or(fresh, |old| 0.7 * old + 0.3 * fresh));
            }
        }
        self.last = Some((now, bytes));
        self.smooth
    }
}

/// Chooses the looks at a copy that somebody is told of.
pub(super) struct Ticker {
    of: Uuid,
    place: Place,
    /// How often somebody wants to hear; `None`: never.
    interval: Option<Duration>,
    rate: Rate,
    told: Option<Instant>,
}

impl Ticker {
    pub(super) fn new(of: Uuid, place: Place, interval: Option<Duration>) -> Ticker {
        Ticker { of, place, interval, rate: Rate::default(), told: None }
    }

    /// The waiting begins anew.
    pub(super) fn restart(&mut self) {
        (self.rate, self.told) = (Rate::default(), None);
    }

    /// What to tell of this look, if anything.
    pub(super) fn look(&mut self, status: &CopyStatus) -> Option<Progress> {
        let interval = self.interval?;
        let now = Instant::now();
        let due = self.told.is_none_or(|told| now.duration_since(told) >= interval);
        if !due && status.verdict() != Some(Event::CopyEqual) {
            return None;
        }
        self.told = Some(now);
        let rate = self.rate.update(now, status.bytes_done);
        let done = self.place.before + status.bytes_done;
        let rest = self.place.total.saturating_sub(done);
        let left = rate
            .filter(|rate| *rate >= 1.0)
            .and_then(|rate| Duration::try_from_secs_f64(rest as f64 / rate).ok());
        Some(Progress {
            of: self.of,
            number: self.place.number,
            count: self.place.count,
            bytes_done: done,
            bytes_total: self.place.total,
            rate,
            left,
        })
    }

    /// When the copy is to be looked at next although nothing woke us.
    pub(super) fn until(&self) -> Duration {
        match (self.interval, self.told) {
            (Some(interval), Some(told)) => interval.saturating_sub(told.elapsed()),
            _ => LOOK_ANYWAY,
        }
        .min(LOOK_ANYWAY)
    }
}
