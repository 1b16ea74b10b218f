//! Extents with sectors that cannot be read: they stay where they are, and everything else is moved.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use lvshift_core::mover::{AbortReason, Outcome};
use lvshift_core::units::Uuid;
use lvshift_core::{Leg, LegFault};

use super::super::Context;
use super::map::{Mapper, Pictures};
use crate::cli::spec::{PeRange, PvSpec};
use crate::drive::MoveReport;
use crate::error::{Error, Kind};
use crate::front_end::PvSectors;
use crate::progress::{Bad, Event, UnreadableJson};
use crate::{output, report};

/// A disk that gets worse while it is left: so often the rest is tried again.
const ROUNDS: u32 = 16;

/// A run of sectors of the source that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The PV.
    pub(super) pv: Uuid,
    /// Its device.
    pub(super) device: String,
    /// 512-byte sectors of the device.
    pub(super) sectors: Range<u64>,
    /// The extents of the PV that they are of.
    pub(super) extents: Range<u32>,
    /// The LV whose data it is, as VG/LV.
    pub(super) lv: String,
    /// The same sectors, counted on the LV.
    pub(super) lv_sectors: Range<u64>,
    /// What the system says.
    pub(super) error: String,
    /// How the file is found that they are of, where a file system says so.
    pub(super) file: Option<String>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (on, of) = (&self.sectors, &self.lv_sectors);
        write!(
            f,
            "sectors {}-{} of {}, which are sectors {}-{} of LV {}: {}",
            on.start,
            on.end.saturating_sub(1),
            self.device,
            of.start,
            of.end.saturating_sub(1),
            self.lv,
            self.error
        )?;
        match &self.file {
            Some(file) => write!(f, "\n    {file}"),
            None => Ok(()),
        }
    }
}

/// What stays.
#[derive(Debug, Default)]
pub(super) struct Around {
    found: Vec<Unreadable>,
    extents: BTreeSet<u32>,
    rounds: u32,
    /// A plan was refused since all that was asked for stays.
    all_stay: Cell<bool>,
    /// What stayed is given up: it is moved now, and nothing else.
    given_up: bool,
    /// What the disk looked like last.
    pictures: Pictures,
}

impl Around {
    /// Whether nothing was found so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether everything that was asked for stays, as the plan found out.
    pub(super) fn all_stay(&self) -> bool {
        self.all_stay.get()
    }

    /// From now on what stays is what is moved.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Where the sectors are.
    pub(super) fn places(&self) -> Vec<PvSectors> {
        let place = |run: &Unreadable| PvSectors { pv: run.pv, sectors: run.sectors.clone() };
        self.found.iter().map(place).collect()
    }

    /// How much that is, with extents of so many bytes.
    pub(super) fn bad(&self, extent: u64) -> Bad {
        let sectors = |run: &Unreadable| run.sectors.end.saturating_sub(run.sectors.start);
        let extents = if self.given_up { 0 } else { self.extents.len() as u64 };
        Bad {
            areas: self.found.len() as u64,
            bytes: self.found.iter().map(sectors).sum::<u64>().saturating_mul(512),
            stays: extents.saturating_mul(extent),
        }
    }

    /// Who draws the disk, if it is to be drawn.
    pub(super) fn mapper(&self) -> Mapper {
        Mapper::new(self.places(), Arc::clone(&self.pictures))
    }

    /// The list, a line or two for each run of sectors.
    pub(super) fn list(&self) -> &[Unreadable] {
        &self.found
    }

    /// Whether all of these extents stay.
    pub(super) fn keeps_all(&self, mut extents: impl Iterator<Item = Range<u32>>) -> bool {
        !self.given_up
            && extents.all(|run| run.into_iter().all(|extent| self.extents.contains(&extent)))
    }

    /// Adds what was found; whether an extent is among it that was to be moved until now, or a sector that
    /// was not given up.
    pub(super) fn add(&mut self, found: Vec<Unreadable>) -> bool {
        if self.given_up {
            let news = found.iter().any(|run| !self.has(run));
            let old = std::mem::replace(&mut self.found, found);
            let missing: Vec<_> = old.into_iter().filter(|run| !self.has(run)).collect();
            self.found.extend(missing);
            return news;
        }
        let before = self.extents.len();
        for run in found {
            self.extents.extend(run.extents.clone());
            if !self.found.contains(&run) {
                self.found.push(run);
            }
        }
        self.extents.len() > before
    }

    fn has(&self, run: &Unreadable) -> bool {
        let within = |other: &Unreadable| {
            other.pv == run.pv
                && other.sectors.start <= run.sectors.start
                && run.sectors.end <= other.sectors.end
        };
        self.found.iter().any(within)
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
            if self.given_up {
                for &at in self.extents.range(first.min(end)..end) {
                    match ranges.last_mut() {
                        Some(PeRange { last: Some(last), .. }) if *last + 1 == at => *last = at,
                        _ => ranges.push(PeRange { first: at, last: Some(at) }),
                    }
                }
                continue;
            }
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
            // To read what does not answer would be to wait for ever.
            matches!(report.outcome, Outcome::Aborted(AbortReason::LegFailed(Leg::Source, fault))
                if fault != LegFault::Silent)
        };
        self.rounds += 1;
        self.rounds < ROUNDS && reports.iter().any(unreadable)
    }

    /// Says early that not everything will move, if so.
    pub(super) fn warn(&self, context: &mut Context<'_>, source: &PvSpec) {
        if self.is_empty() || self.given_up {
            return;
        }
        let (stay, device) = (stay(self.extents.len()), source.device.display());
        context
            .warn(format!("{stay} on {device}, where sectors cannot be read; all else is moved"));
    }

    /// Tells programs what stays, or that it was given up and where the list of it is.
    pub(super) fn tell(&self, context: &Context<'_>, given_up: Option<&Path>) {
        if !context.json || self.is_empty() {
            return;
        }
        let event = Event::Unreadable {
            given_up: given_up.is_some(),
            list: given_up.map(|path| path.display().to_string()),
            places: self.found.iter().map(json).collect(),
        };
        output::out(&format!("{}\n", report::to_json(&event)));
    }

    /// What stays, as the end of a command that moved everything else. `None` if nothing does.
    pub(super) fn error(&self, source: &PvSpec) -> Option<Error> {
        let device = source.device.display().to_string();
        let error = self.told(&format!("{} on {device}", stay(self.extents.len())), device)?;
        Some(error.state("everything else that was asked for is moved").next(
            "the same pvmove tries these again, later, or after they were restored from a backup by writing to \
             the LV; `lvshift-ublk pvmove --fill-unreadable zero` gives them up",
        ))
    }

    /// The refusal of a command that can or may move nothing because of this.
    pub(super) fn refusal(&self, source: &PvSpec, atomic: bool) -> Error {
        self.all_stay.set(true);
        let device = source.device.display().to_string();
        let error = self
            .told("nothing was moved", device)
            .unwrap_or_else(|| Error::new(Kind::Io, "the source cannot be read"));
        let next = if atomic {
            "without --atomic everything else is moved; restore those sectors from a backup by writing to the \
             LV, then move all of it"
        } else {
            "restore those sectors from a backup by writing to the LV, then move it; or give them up with \
             `lvshift-ublk pvmove --fill-unreadable zero`"
        };
        error.state("the source is in charge, and all else on it can be read").next(next)
    }

    /// What is known of the source when something else ends the command. `None` if nothing cannot be read.
    pub(super) fn unfinished(&self, source: &PvSpec) -> Option<Error> {
        let device = source.device.display().to_string();
        let error = self.told("not everything was moved", device)?;
        Some(error.state("what was not moved yet is where it was").next("see below"))
    }

    fn told(&self, what: &str, device: String) -> Option<Error> {
        if self.found.is_empty() {
            return None;
        }
        let mut text = format!("{what}: the source has sectors that cannot be read:");
        for run in &self.found {
            text.push_str("\n  ");
            text.push_str(&run.to_string());
        }
        let sectors = self.found.iter().map(|run| run.sectors.clone()).collect();
        Some(Error::new(Kind::Io, text).device(device).sectors(sectors))
    }
}

fn json(run: &Unreadable) -> UnreadableJson<'_> {
    UnreadableJson {
        device: &run.device,
        device_first_sector: run.sectors.start,
        device_last_sector: run.sectors.end.saturating_sub(1),
        lv: &run.lv,
        lv_first_sector: run.lv_sectors.start,
        lv_last_sector: run.lv_sectors.end.saturating_sub(1),
        error: &run.error,
        file: run.file.as_deref(),
    }
}

fn stay(count: usize) -> String {
    if count == 1 { "1 extent stays".to_owned() } else { format!("{count} extents stay") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(extents: Range<u32>) -> Unreadable {
        Unreadable {
            pv: Uuid::NIL,
            device: "/dev/a".into(),
            sectors: 0..8,
            extents,
            lv: "vg/lv".into(),
            lv_sectors: 16..24,
            error: "EIO".into(),
            file: None,
        }
    }

    fn around(extents: &[(u32, u32)]) -> Around {
        let mut around = Around::default();
        let run = |&(first, end): &(u32, u32)| run(first..end);
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
    fn what_is_given_up_is_moved_and_nothing_else() {
        let mut around = around(&[(3, 5), (8, 9), (40, 41)]);
        around.give_up();
        let spec = PvSpec::parse("/dev/a:0-20").expect("a PV");
        let ranges = around.rest_of(&spec, 100).expect("something").ranges;
        let range = |first, last| PeRange { first, last: Some(last) };
        assert_eq!(ranges, [range(3, 4), range(8, 8)]);
        // Read once more: a run that has grown is news, and what could be read this time stays in the list.
        let grown = Unreadable { sectors: 0..16, ..run(3..5) };
        let far = Unreadable { sectors: 99..100, ..run(8..9) };
        assert!(around.add(vec![grown.clone()]));
        assert!(!around.add(vec![grown]));
        assert!(around.add(vec![far]));
        assert_eq!(around.list().len(), 2);
    }

    #[test]
    fn only_what_is_new_is_worth_another_try() {
        let mut around = around(&[(3, 5)]);
        let known = around.found.clone();
        assert!(!around.add(known));
        assert!(around.add(vec![Unreadable { sectors: 9..10, ..run(4..6) }]));
        assert_eq!(around.extents.len(), 3);
    }
}
