//! Waiting for the copy: woken by the kernel and by requests, never by a timer that the end of the
//! copy would have to wait for.

use std::time::{Duration, Instant};

use lvshift_core::mover::Event;

use super::driver::Driver;
use super::{Progress, Report};
use crate::error::Result;
use crate::front_end::{CopyStatus, Wake};

/// How long at most until the status is read again although nothing woke us.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

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

impl Driver<'_> {
    /// See [`Action::AwaitCopy`](lvshift_core::mover::Action::AwaitCopy).
    pub(super) fn await_copy(&mut self, tell: &mut dyn FnMut(Report<'_>)) -> Result<Event> {
        self.vg.reread()?;
        let (of, _) = self.record()?;
        self.flushed = false;
        let mut rate = Rate::default();
        let mut told: Option<Instant> = None;
        loop {
            let status = self.front_end.copy_status(self.vg.view(), of)?;
            let event = judge(&status);
            let now = Instant::now();
            let due = self.interval.is_some_and(|interval| {
                told.is_none_or(|told| now.duration_since(told) >= interval)
            });
            if due || (event == Some(Event::CopyEqual) && self.interval.is_some()) {
                told = Some(now);
                let progress = self.progress(&status, rate.update(now, status.bytes_done));
                tell(Report::Copied(&progress));
            }
            if let Some(event) = event {
                return Ok(event);
            }
            let until = match (self.interval, told) {
                (Some(interval), Some(told)) => interval.saturating_sub(told.elapsed()),
                _ => LOOK_ANYWAY,
            };
            if self.front_end.wait(Some(until.min(LOOK_ANYWAY)))? == Wake::Signal
                && let Some(event) = self.interrupted(tell)
            {
                return Ok(event);
            }
        }
    }

    /// See [`Action::CheckLegs`](lvshift_core::mover::Action::CheckLegs).
    pub(super) fn check_legs(&mut self) -> Result<Event> {
        self.vg.reread()?;
        let (of, _) = self.record()?;
        let status = self.front_end.copy_status(self.vg.view(), of)?;
        Ok(match judge(&status) {
            Some(Event::CopyEqual) if self.front_end.seal(self.vg.view(), of, self.flushed)? => {
                Event::Done
            }
            Some(Event::CopyEqual) | None => Event::NotEqual,
            Some(event) => event,
        })
    }

    fn progress(&self, status: &CopyStatus, rate: Option<f64>) -> Progress {
        let done = self.place.before + status.bytes_done;
        let rest = self.place.total.saturating_sub(done);
        let left = rate
            .filter(|rate| *rate >= 1.0)
            .and_then(|rate| Duration::try_from_secs_f64(rest as f64 / rate).ok());
        Progress {
            of: self.of,
            number: self.place.number,
            count: self.place.count,
            bytes_done: done,
            bytes_total: self.place.total,
            rate,
            left,
        }
    }
}

fn judge(status: &CopyStatus) -> Option<Event> {
    match status.failed {
        Some((leg, fault)) => Some(Event::LegFailed(leg, fault)),
        None if status.chunks_done == status.chunks_total => Some(Event::CopyEqual),
        None => None,
    }
}
