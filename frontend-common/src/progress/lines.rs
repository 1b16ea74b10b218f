//! Progress in words.

use std::time::Duration;

use lvshift_core::mover::Outcome;

use super::Bad;
use crate::drive::{MoveReport, Progress};
use crate::size::Short;

/// Hundredths of a percent, rounded down: 100 % is said only of what is whole.
pub(super) fn percent(done: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let hundredths = u128::from(done.min(total)) * 10_000 / u128::from(total);
    hundredths as f64 / 100.0
}

/// `hh:mm:ss`.
fn clock(left: Duration) -> String {
    // A second that has begun counts: an ETA of 0 is only said when nothing is left.
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `455 MiB of 1000 MiB, 212 MiB/s, ETA 00:00:03`.
pub(super) fn amounts(progress: &Progress) -> String {
    let mut text = format!("{} of {}", Short(progress.bytes_done), Short(progress.bytes_total));
    if let Some(rate) = progress.rate {
        text.push_str(&format!(", {}/s", Short(rate as u64)));
    }
    if let Some(left) = progress.left {
        text.push_str(&format!(", ETA {}", clock(left)));
    }
    text
}

/// `pvmove: /dev/vdb: Moved: 45.50%  (455 MiB of 1000 MiB, 212 MiB/s, ETA 00:00:03)`.
pub(super) fn progress(source: &str, progress: &Progress, known: Bad) -> String {
    let percent = percent(progress.bytes_done, progress.bytes_total);
    let (amounts, bad) = (amounts(progress), bad(progress, known));
    format!("pvmove: {source}: Moved: {percent:.2}%  ({amounts}{bad})")
}

/// What is safe, left and bad of a source that does not give everything at once; nothing of one that does.
pub(super) fn bad(progress: &Progress, bad: Bad) -> String {
    let aside = progress.aside;
    if aside.areas == 0 && bad.areas == 0 {
        return String::new();
    }
    let areas = |count: u64| format!("{count} {}", if count == 1 { "area" } else { "areas" });
    let (safe, left) = (Short(progress.bytes_done), Short(progress.bytes_left()));
    let mut text = format!("; safe {safe}, left {left}");
    if aside.areas > 0 {
        text.push_str(&format!(", set aside {} in {}", Short(aside.bytes), areas(aside.areas)));
        if let Some(left) = progress.left_with_bad {
            text.push_str(&format!(" (ETA with that {})", clock(left)));
        }
    }
    if bad.areas > 0 {
        text.push_str(&format!(", bad {} in {}", Short(bad.bytes), areas(bad.areas)));
        if bad.stays > 0 {
            text.push_str(&format!(", so {} stay", Short(bad.stays)));
        }
    }
    text
}

/// What a command did in all.
#[derive(Debug)]
pub(super) struct Summary {
    /// `moved`, `aborted`, `left`, `failed`.
    pub(super) outcome: &'static str,
    /// Bytes of the moves that ended in `Moved`.
    pub(super) bytes_moved: u64,
    /// Bytes that this run copied, as far as it was told.
    pub(super) bytes_copied: u64,
    bytes_done: u64,
    bytes_total: u64,
}

impl Summary {
    pub(super) fn new(
        reports: &[MoveReport],
        last: Option<&Progress>,
        at_start: Option<u64>,
    ) -> Summary {
        let moved = |r: &&MoveReport| r.outcome == Outcome::Moved;
        let bytes_moved: u64 = reports.iter().filter(moved).map(|r| r.bytes_total).sum();
        let outcome = match reports.iter().map(|r| r.outcome).find(|o| *o != Outcome::Moved) {
            None => "moved",
            Some(Outcome::Left) => "left",
            Some(Outcome::Aborted(lvshift_core::mover::AbortReason::Requested)) => "aborted",
            Some(_) => "failed",
        };
        let bytes_total = last.map_or(bytes_moved, |p| p.bytes_total);
        let bytes_done = last.map_or(0, |p| p.bytes_done).max(bytes_moved);
        let at_start = at_start.unwrap_or(0);
        Summary {
            outcome,
            bytes_moved,
            bytes_copied: bytes_done.saturating_sub(at_start),
            bytes_done,
            bytes_total,
        }
    }

    /// Bytes each second of what this run copied.
    pub(super) fn rate(&self, took: Duration) -> Option<f64> {
        let seconds = took.as_secs_f64();
        (seconds > 0.0 && self.bytes_copied > 0).then(|| self.bytes_copied as f64 / seconds)
    }

    pub(super) fn sentences(
        &self,
        program: &str,
        from: &[String],
        to: &[String],
        took: Duration,
    ) -> Vec<String> {
        let (from, to) = (from.join(", "), to.join(", "));
        let rate =
            self.rate(took).map_or_else(String::new, |r| format!(" ({}/s)", Short(r as u64)));
        let time = format!("{:.1} s{rate}", took.as_secs_f64());
        let done = percent(self.bytes_done, self.bytes_total);
        match self.outcome {
            "moved" => vec![
                format!("pvmove: {from}: Moved: 100.00%"),
                format!("pvmove: moved {} from {from} to {to} in {time}", Short(self.bytes_moved)),
            ],
            "left" => vec![
                format!(
                    "pvmove: stopped at {done:.2}% after {time}: the LV works, {from} is still in \
                     charge, and what is copied is remembered"
                ),
                format!(
                    "pvmove: run `{program} pvmove` to carry on, `{program} pvmove --abort` to undo"
                ),
            ],
            "aborted" => vec![format!(
                "pvmove: undone: the data is where it was, on {from}; nothing was switched"
            )],
            _ if self.bytes_moved > 0 => vec![format!(
                "pvmove: failed after {time}; {} had been moved before and stay moved",
                Short(self.bytes_moved)
            )],
            _ => vec![format!("pvmove: failed after {time}")],
        }
    }
}
