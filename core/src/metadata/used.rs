//! Which physical extents are free: a sorted list of those that are not.

use super::sort::sort_by_key;
use super::{Fixed, MovePart, Place, Run, Store, Vg};
use crate::list::List;
use crate::metadata::MoveState;
use crate::units::{Extents, Pe, PvIndex};

impl<S: Store> Vg<S> {
    /// The extents of the side of a part that the LV does not lie on: reserved until the move's
    /// record goes.
    pub(super) fn reserved_run(&self, part: &MovePart) -> Run {
        let moved = self.move_at(part.of).is_some_and(|of| of.state == MoveState::Moved);
        if moved { part.source_run() } else { part.destination_run() }
    }

    /// Derives `used` from segments, moves and parts.
    pub(super) fn rebuild_used(&mut self) {
        self.used.clear();
        for segment in self.segments.iter() {
            // Room for all segments and parts: the list is as long as both.
            let _ = self.used.push(segment.run());
        }
        for index in 0..self.parts.len() {
            if let Some(part) = self.parts.get(index) {
                let run = self.reserved_run(part);
                let _ = self.used.push(run);
            }
        }
        sort_by_key(&mut self.used, |run| (run.place, run.count));
    }

    /// Adds one run to `used`, for a segment or part that is pushed at the same time.
    pub(super) fn mark_used(&mut self, run: Run) {
        let at = self.used.partition_point(|other| other.place < run.place);
        self.used.insert(at, run);
    }

    /// The runs in use on one PV, from its first extent to its last.
    pub fn used_runs(&self, pv: PvIndex) -> &[Run] {
        let start = self.used.partition_point(|run| run.place.pv < pv);
        let end = self.used.partition_point(|run| run.place.pv <= pv);
        self.used.get(start..end).unwrap_or_default()
    }

    /// How many extents of a PV are in use, by LVs or reserved by moves.
    pub fn used_extents(&self, pv: PvIndex) -> Extents {
        Extents(self.used_runs(pv).iter().fold(0, |sum, run| sum.saturating_add(run.count.0)))
    }

    /// How many extents of a PV are free.
    pub fn free_extents(&self, pv: PvIndex) -> Extents {
        let all = self.pv(pv).map_or(0, |pv| pv.pe_count.0);
        Extents(all.saturating_sub(self.used_extents(pv).0))
    }

    /// The free runs of a PV, from its first extent to its last.
    pub fn free_runs(&self, pv: PvIndex) -> FreeRuns<'_, S> {
        let end = self.pv(pv).map_or(0, |pv| pv.pe_count.0);
        FreeRuns { vg: self, pv, at: 0, end }
    }

    /// The first free run on `pv` that starts in `from..end`, cut off at `end`.
    pub(super) fn next_free(&self, pv: PvIndex, from: u32, end: u32) -> Option<Run> {
        let mut from = from;
        let start = self.used.partition_point(|run| run.place <= Place { pv, pe: Pe(from) });
        // The run before may reach over `from`.
        let before = start.saturating_sub(1);
        for run in self.used.get(before..).unwrap_or_default() {
            if run.place.pv < pv {
                continue;
            }
            if run.place.pv > pv || run.place.pe.0 >= end {
                break;
            }
            if run.place.pe.0 > from {
                return free_run(pv, from, run.place.pe.0);
            }
            from = from.max(u32::try_from(run.end()).unwrap_or(u32::MAX));
        }
        free_run(pv, from, end)
    }
}

fn free_run(pv: PvIndex, from: u32, end: u32) -> Option<Run> {
    let count = end.checked_sub(from).filter(|&count| count > 0)?;
    Some(Run { place: Place { pv, pe: Pe(from) }, count: Extents(count) })
}

/// See [`Vg::free_runs`].
#[derive(Clone, Debug)]
pub struct FreeRuns<'a, S: Store = Fixed> {
    vg: &'a Vg<S>,
    pv: PvIndex,
    at: u32,
    end: u32,
}

impl<S: Store> Iterator for FreeRuns<'_, S> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let run = self.vg.next_free(self.pv, self.at, self.end)?;
        self.at = u32::try_from(run.end()).unwrap_or(u32::MAX);
        Some(run)
    }
}
