//! Extents with sectors that cannot be read: they stay where they are, and everything else is moved.

use std::collections::BTreeSet;
use std::ops::Range;

use lvshift_core::Leg;
use lvshift_core::mover::{AbortReason, Outcome};

use super::super::Context;
use crate::cli::spec::{PeRange, PvSpec};
use crate::drive::MoveReport;
use crate::error::{Error, Kind};

/// A disk that gets worse while it is left: so often the rest is tried again.
const ROUNDS: u32 = 16;

/// A run of sectors of the source that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// 512-byte sectors of the device.
    pub(super) sectors: Range<u64>,
    /// The extents of the PV that they are of.
    pub(super) extents: Range<u32>,
    /// All of it, in words: sectors, device, LV, the error.
    pub(super) words: String,
}

/// What stays.
#[derive(Debug, Default)]
pub(super) struct Around {
    found: Vec<Unreadable>,
    extents: BTreeSet<u32>,
    rounds: u32,
}

impl Around {
    /// Whether nothing was found so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether all of these extents stay.
    pub(super) fn keeps_all(&self, mut extents: impl Iterator<Item = Range<u32>>) -> bool {
        extents.all(|run| run.into_iter().all(|extent| self.extents.contains(&extent)))
    }

    /// Adds what was found; whether an extent is among it that was to be moved until now.
    pub(super) fn add(&mut self, found: Vec<Unreadable>) -> bool {
        let before = self.extents.len();
        for run in found {
            self.extents.extend(run.extents.clone());
            if !self.found.contains(&run) {
                self.found.push(run);
            }
        }
        self.extents.len() > before
    }

    /// The extents that are asked for, of a PV that has `count`, without those that stay; `None` if none
    /// is left.
    pub(super) fn rest_of(&self, source: &PvSpec, count: u32) -> Option<PvSpec> {
        if self.extents.is_empty() {
            return Some(source.clone());
        }
        let all = [PeRange { first: 0, last: None }];
        let asked = if source.ranges.is_empty() { &all[..] } else { &source.ranges };
        let mut ranges = Vec::new();
        for range in asked {
            // What is beyond the PV is refused by who looks the range up.
            let end = range.last.map_or(count, |last| last.saturating_add(1));
            let mut first = range.first;
            for &stays in self.extents.range(range.first.min(end)..end) {
                if stays > first {
                    ranges.push(PeRange { first, last: Some(stays - 1) });
                }
                first = stays.saturating_add(1);
            }
            if first < end {
                ranges.push(PeRange { first, last: Some(end - 1) });
            }
        }
        (!ranges.is_empty()).then(|| PvSpec { device: source.device.clone(), ranges })
    }

    /// Whether a move was undone because its source could not be read, and the rest may be tried.
    pub(super) fn is_worth_another_round(&mut self, reports: &[MoveReport]) -> bool {
        let unreadable = |report: &MoveReport| {
            matches!(report.outcome, Outcome::Aborted(AbortReason::LegFailed(Leg::Source, _)))
        };
        self.rounds += 1;
        self.rounds < ROUNDS && reports.iter().any(unreadable)
    }

    /// Says early that not everything will move, if so.
    pub(super) fn warn(&self, context: &mut Context<'_>, source: &PvSpec) {
        if self.is_empty() {
            return;
        }
        let (stay, device) = (stay(self.extents.len()), source.device.display());
        context
            .warn(format!("{stay} on {device}, where sectors cannot be read; all else is moved"));
    }

    /// What stays, as the end of a command that moved everything else. `None` if nothing does.
    pub(super) fn error(&self, source: &PvSpec) -> Option<Error> {
        let device = source.device.display().to_string();
        let error = self.told(&format!("{} on {device}", stay(self.extents.len())), device)?;
        Some(error.state("everything else that was asked for is moved").next(
            "restore those sectors from a backup by writing to the LV, or read the disk again later: the same \
             pvmove then moves what is left",
        ))
    }

    /// The refusal of a command that can or may move nothing because of this.
    pub(super) fn refusal(&self, source: &PvSpec, atomic: bool) -> Error {
        let device = source.device.display().to_string();
        let error = self
            .told("nothing was moved", device)
            .unwrap_or_else(|| Error::new(Kind::Io, "the source cannot be read"));
        let next = if atomic {
            "without --atomic everything else is moved; restore those sectors from a backup by writing to the \
             LV, then move all of it"
        } else {
            "restore those sectors from a backup by writing to the LV, then move it"
        };
        error.state("the source is in charge, and all else on it can be read").next(next)
    }

    fn told(&self, what: &str, device: String) -> Option<Error> {
        if self.found.is_empty() {
            return None;
        }
        let mut text = format!("{what}: the source has sectors that cannot be read:");
        for run in &self.found {
            text.push_str("\n  ");
            text.push_str(&run.words);
        }
        let sectors = self.found.iter().map(|run| run.sectors.clone()).collect();
        Some(Error::new(Kind::Io, text).device(device).sectors(sectors))
    }
}

fn stay(count: usize) -> String {
    if count == 1 { "1 extent stays".to_owned() } else { format!("{count} extents stay") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(extents: &[(u32, u32)]) -> Around {
        let mut around = Around::default();
        let run = |&(first, end): &(u32, u32)| Unreadable {
            sectors: 0..8,
            extents: first..end,
            words: format!("{first}"),
        };
        around.add(extents.iter().map(run).collect());
        around
    }

    fn rest(stays: &[(u32, u32)], spec: &str) -> Option<String> {
        let spec = PvSpec::parse(spec).expect("a PV");
        let rest = around(stays).rest_of(&spec, 100)?;
        let range = |range: &PeRange| match range.last {
            Some(last) => format!("{}-{last}", range.first),
            None => format!("{}-", range.first),
        };
        Some(rest.ranges.iter().map(range).collect::<Vec<_>>().join(":"))
    }

    #[test]
    fn what_stays_is_cut_out_of_what_is_asked_for() {
        assert_eq!(rest(&[], "/dev/a"), Some(String::new()));
        assert_eq!(rest(&[(3, 4)], "/dev/a"), Some("0-2:4-99".into()));
        assert_eq!(rest(&[(0, 2), (99, 100)], "/dev/a"), Some("2-98".into()));
        assert_eq!(rest(&[(5, 7)], "/dev/a:4-8:20-"), Some("4-4:7-8:20-99".into()));
        assert_eq!(rest(&[(50, 51)], "/dev/a:4-8"), Some("4-8".into()));
        assert_eq!(rest(&[(4, 9)], "/dev/a:4-8"), None, "nothing is left, which is not everything");
        assert_eq!(rest(&[(0, 100)], "/dev/a"), None);
    }

    #[test]
    fn only_what_is_new_is_worth_another_try() {
        let mut around = around(&[(3, 5)]);
        let known = around.found.clone();
        assert!(!around.add(known));
        let new = Unreadable { sectors: 9..10, extents: 4..6, words: String::new() };
        assert!(around.add(vec![new]));
        assert_eq!(around.extents.len(), 3);
    }
}
