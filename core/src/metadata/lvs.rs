//! Making, growing, renaming and removing LVs. Each is done whole or not at all.

use core::fmt;

use super::{Lv, Name, Run, Segment, Store, Vg};
use crate::list::List;
use crate::units::{Extents, Le, LvIndex, MoveIndex, Uuid};

#[cfg(test)]
mod tests;

/// Why an LV could not be changed; the VG is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LvError {
    /// No LV at this index.
    NoSuchLv,
    /// The name is taken.
    NameTaken,
    /// The UUID is zero or taken.
    BadUuid,
    /// No extents, or more than 2^32 in all.
    BadSize,
    /// A run is empty, outside its PV, not free, or named twice.
    NotFree {
        /// The first extent of the run.
        run: Run,
    },
    /// As many LVs as the limits allow.
    TooManyLvs {
        /// The limit.
        limit: u32,
    },
    /// More segments than the limits allow, counting what the recorded moves may still add.
    TooManySegments {
        /// The limit.
        limit: u32,
    },
    /// A move touches the LV.
    Moving {
        /// Which move.
        by: MoveIndex,
    },
}

impl<S: Store> Vg<S> {
    /// Makes an LV of the runs, in their order.
    ///
    /// # Errors
    /// [`LvError`].
    pub fn add_lv(&mut self, uuid: Uuid, name: Name, runs: &[Run]) -> Result<LvIndex, LvError> {
        if self.lv_by_name(name.as_str()).is_some() {
            return Err(LvError::NameTaken);
        }
        if uuid.is_nil() || self.lv_by_uuid(uuid).is_some() {
            return Err(LvError::BadUuid);
        }
        if self.lvs.is_full() {
            return Err(LvError::TooManyLvs { limit: S::Lvs::LIMIT as u32 });
        }
        let le_count = self.check_runs(0, runs)?;
        let lv = LvIndex(u16::try_from(self.lvs.len()).map_err(|_| LvError::NoSuchLv)?);
        let _ = self.lvs.push(Lv { uuid, name, le_count, no_autoactivation: false }); // Not full.
        self.append_runs(lv, 0, runs);
        Ok(lv)
    }

    /// Adds the runs to the end of an LV, in their order. A move does not mind.
    ///
    /// # Errors
    /// [`LvError`].
    pub fn extend_lv(&mut self, lv: LvIndex, runs: &[Run]) -> Result<(), LvError> {
        let before = self.lv(lv).ok_or(LvError::NoSuchLv)?.le_count.0;
        let after = self.check_runs(before, runs)?;
        if let Some(entry) = self.lvs.get_mut(lv.index()) {
            entry.le_count = after;
        }
        self.append_runs(lv, before, runs);
        Ok(())
    }

    /// Gives an LV another name. (Whether that is wise while it is active or moving is the front
    /// end's to say.)
    ///
    /// # Errors
    /// [`LvError`].
    pub fn rename_lv(&mut self, lv: LvIndex, name: Name) -> Result<(), LvError> {
        let taken = self.lv_by_name(name.as_str()).is_some_and(|other| other != lv);
        let entry = self.lvs.get_mut(lv.index()).ok_or(LvError::NoSuchLv)?;
        if taken {
            return Err(LvError::NameTaken);
        }
        entry.name = name;
        Ok(())
    }

    /// Whether an LV is activated because the disks of its VG have appeared.
    pub fn autoactivates(&self, lv: LvIndex) -> bool {
        !self.no_autoactivation && self.lv(lv).is_some_and(|lv| !lv.no_autoactivation)
    }

    /// Says that of all LVs of the VG.
    pub fn set_autoactivation(&mut self, wanted: bool) {
        self.no_autoactivation = !wanted;
    }

    /// Whether the VG itself says so.
    pub fn autoactivation(&self) -> bool {
        !self.no_autoactivation
    }

    /// Says that of one LV.
    ///
    /// # Errors
    /// [`LvError::NoSuchLv`].
    pub fn set_autoactivation_of(&mut self, lv: LvIndex, wanted: bool) -> Result<(), LvError> {
        let entry = self.lvs.get_mut(lv.index()).ok_or(LvError::NoSuchLv)?;
        entry.no_autoactivation = !wanted;
        Ok(())
    }

    /// Removes an LV; the LVs behind it move up by one index.
    ///
    /// # Errors
    /// [`LvError::Moving`] while a move touches it, [`LvError::NoSuchLv`].
    pub fn remove_lv(&mut self, lv: LvIndex) -> Result<(), LvError> {
        self.lv(lv).ok_or(LvError::NoSuchLv)?;
        if let Some(by) = self.move_of_lv(lv) {
            return Err(LvError::Moving { by });
        }
        self.lvs.remove(lv.index());
        self.segments.retain(|segment| segment.lv != lv);
        let down = |index: &mut LvIndex| {
            if *index > lv {
                index.0 -= 1;
            }
        };
        self.segments.iter_mut().for_each(|segment| down(&mut segment.lv));
        self.parts.iter_mut().for_each(|part| down(&mut part.lv));
        self.rebuild_used();
        Ok(())
    }

    /// Checks runs that would follow `before` extents of an LV, and gives the new extent count.
    fn check_runs(&self, before: u32, runs: &[Run]) -> Result<Extents, LvError> {
        let mut after = before;
        for (index, &run) in runs.iter().enumerate() {
            let error = LvError::NotFree { run };
            let pv = self.pv(run.place.pv).ok_or(error)?;
            let end = u32::try_from(run.end()).map_err(|_| error)?;
            let free = self.next_free(run.place.pv, run.place.pe.0, end);
            let twice = runs.iter().take(index).any(|other| {
                other.place.pv == run.place.pv
                    && u64::from(other.place.pe.0) < run.end()
                    && u64::from(run.place.pe.0) < other.end()
            });
            if run.count.0 == 0 || end > pv.pe_count.0 || free != Some(run) || twice {
                return Err(error);
            }
            after = after.checked_add(run.count.0).ok_or(LvError::BadSize)?;
        }
        if runs.is_empty() {
            return Err(LvError::BadSize);
        }
        if self.segments_fully_cut().saturating_add(runs.len()) > S::Segments::LIMIT {
            return Err(LvError::TooManySegments { limit: S::Segments::LIMIT as u32 });
        }
        Ok(Extents(after))
    }

    /// Adds checked runs behind an LV's segments.
    fn append_runs(&mut self, lv: LvIndex, before: u32, runs: &[Run]) {
        let end = self.segments.partition_point(|segment| segment.lv <= lv);
        let mut first = before;
        for (at, run) in (end..).zip(runs) {
            let segment = Segment { lv, first: Le(first), count: run.count, place: run.place };
            self.segments.insert(at, segment); // `check_runs` saw to the room.
            first = first.saturating_add(run.count.0);
        }
        self.merge_segments();
        self.rebuild_used();
    }

    /// Makes one of each two segments that go on from one to the next.
    pub(super) fn merge_segments(&mut self) {
        let mut kept = 0usize;
        for index in 0..self.segments.len() {
            let Some(&segment) = self.segments.get(index) else { break };
            let last = kept.checked_sub(1).and_then(|last| self.segments.get_mut(last));
            match last {
                Some(last) if last.continues_in(segment) => {
                    last.count = Extents(last.count.0.saturating_add(segment.count.0));
                }
                _ => {
                    if let Some(place) = self.segments.get_mut(kept) {
                        *place = segment;
                    }
                    kept += 1;
                }
            }
        }
        self.segments.truncate(kept);
    }
}

impl fmt::Display for LvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LvError::NoSuchLv => write!(f, "there is no such LV"),
            LvError::NameTaken => write!(f, "an LV of this name exists already"),
            LvError::BadUuid => write!(f, "the UUID is zero or taken"),
            LvError::BadSize => write!(f, "no extents, or more than an LV can have"),
            LvError::NotFree { run } => write!(
                f,
                "{} extents from extent {} of PV {} are not all free",
                run.count.0, run.place.pe.0, run.place.pv.0
            ),
            LvError::TooManyLvs { limit } => write!(f, "a VG has at most {limit} LVs"),
            LvError::TooManySegments { limit } => {
                write!(f, "a VG has at most {limit} segments, with room for the moves to finish")
            }
            LvError::Moving { by } => write!(f, "move {} touches the LV", by.0),
        }
    }
}

impl core::error::Error for LvError {}
