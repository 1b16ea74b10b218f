//! A move's record from its beginning to its end.

use core::fmt;

use super::{MovePart, Segment, Store, Vg};
use crate::Leg;
use crate::list::List;
use crate::metadata::{Change, MoveState};
use crate::units::{Extents, Le, LvIndex, MoveIndex, Pe, Uuid};

#[cfg(test)]
mod tests;

/// Why a change does not apply; the VG is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// No record of this move (any more).
    NoSuchMove,
    /// The change was made before. After a commit that failed half-way that may be true of one
    /// PV alone: apply [`Change::Confirm`] instead and commit that.
    AlreadyDone {
        /// The change.
        change: Change,
    },
    /// The record's state does not allow it.
    WrongState {
        /// The state.
        state: MoveState,
        /// The change.
        change: Change,
    },
    /// Another move that is being copied uses the same sectors of a dirty-log area.
    LogBusy {
        /// The other move.
        other: Uuid,
    },
    /// The metadata contradict themselves; they were not read with [`Vg::decode_from`].
    Inconsistent,
}

impl<S: Store> Vg<S> {
    /// Makes a change of a move's record. Meant for metadata that were read anew just before, as
    /// other commands may commit in between; hence the move is named by its UUID.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn apply(&mut self, uuid: Uuid, change: Change) -> Result<(), ApplyError> {
        let of = self.move_by_uuid(uuid).ok_or(ApplyError::NoSuchMove)?;
        let state = self.move_at(of).ok_or(ApplyError::NoSuchMove)?.state;
        let next = match (change, state) {
            (Change::Confirm, _) => return Ok(()),
            (Change::Begin, MoveState::Copying)
            | (Change::Moved, MoveState::Moved)
            | (Change::Aborting, MoveState::Aborting) => {
                return Err(ApplyError::AlreadyDone { change });
            }
            (Change::Begin, MoveState::Queued) => {
                if let Some(other) = self.log_rival(of) {
                    return Err(ApplyError::LogBusy { other });
                }
                Some(MoveState::Copying)
            }
            (Change::Moved, MoveState::Copying) => {
                self.put_on(of, Leg::Destination)?;
                Some(MoveState::Moved)
            }
            // Only while the legs are still mirrored, after a `Moved` whose commit failed half-way, or a destination that
            // has failed since: the mover sees to that.
            (Change::Aborting, MoveState::Moved) => {
                self.put_on(of, Leg::Source)?;
                Some(MoveState::Aborting)
            }
            (Change::Aborting, MoveState::Queued | MoveState::Copying) => Some(MoveState::Aborting),
            (Change::Forget, MoveState::Queued | MoveState::Aborting | MoveState::Moved) => None,
            (change, state) => return Err(ApplyError::WrongState { state, change }),
        };
        match next {
            Some(state) => {
                if let Some(entry) = self.moves.get_mut(of.index()) {
                    entry.state = state;
                }
            }
            None => {
                self.moves.remove(of.index());
                self.parts.retain(|part| part.of != of);
                for part in self.parts.iter_mut().filter(|part| part.of > of) {
                    part.of.0 -= 1;
                }
            }
        }
        self.rebuild_used();
        Ok(())
    }

    /// Lets the LVs' segments lie on one side of a move's parts, from the other.
    fn put_on(&mut self, of: MoveIndex, side: Leg) -> Result<(), ApplyError> {
        // Each part finds its segment before anything is changed, and there is room to cut.
        let places = |part: &MovePart| match side {
            Leg::Destination => (part.source, part.destination),
            Leg::Source => (part.destination, part.source),
        };
        let fits = |part: &MovePart| self.place_of(part.lv, part.first) == Some(places(part).0);
        if !self.parts_of(of).iter().all(fits) || self.segments_fully_cut() > S::Segments::LIMIT {
            return Err(ApplyError::Inconsistent);
        }
        for index in 0..self.parts.len() {
            if let Some(&part) = self.parts.get(index).filter(|part| part.of == of) {
                self.cut_at(part.lv, u64::from(part.first.0));
                self.cut_at(part.lv, part.end());
                let at = self.segments.partition_point(|s| (s.lv, s.first) < (part.lv, part.first));
                if let Some(segment) = self.segments.get_mut(at) {
                    segment.place = places(&part).1;
                }
            }
        }
        self.merge_segments();
        Ok(())
    }

    /// Makes two segments of the one that holds extents on both sides of `le`.
    fn cut_at(&mut self, lv: LvIndex, le: u64) {
        let behind = self.segments.partition_point(|s| (s.lv, u64::from(s.first.0)) < (lv, le));
        let Some(segment) = behind.checked_sub(1).and_then(|at| self.segments.get_mut(at)) else {
            return;
        };
        if segment.lv != lv || segment.end() <= le {
            return;
        }
        // Both differences are less than the segment's own length.
        let head = (le - u64::from(segment.first.0)) as u32;
        let tail = (segment.end() - le) as u32;
        let mut place = segment.place;
        place.pe = Pe(place.pe.0 + head);
        let rest = Segment { lv, first: Le(le as u32), count: Extents(tail), place };
        segment.count = Extents(head);
        self.segments.insert(behind, rest); // `put_on` saw to the room.
    }
}

fn wish(change: Change) -> &'static str {
    match change {
        Change::Confirm => "be confirmed",
        Change::Begin => "begin",
        Change::Moved => "be switched to the destination",
        Change::Aborting => "be aborted",
        Change::Forget => "be forgotten",
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::NoSuchMove => write!(f, "the metadata have no record of this move"),
            ApplyError::WrongState { state, change } => {
                let state = match state {
                    MoveState::Queued => "queued",
                    MoveState::Copying => "being copied",
                    MoveState::Aborting => "being aborted",
                    MoveState::Moved => "moved",
                };
                write!(f, "the move cannot {}: it is {state}", wish(*change))
            }
            ApplyError::AlreadyDone { change } => {
                write!(f, "the move was to {}: that was done before", wish(*change))
            }
            ApplyError::LogBusy { other } => {
                write!(f, "move {other} uses the same sectors for its dirty log")
            }
            ApplyError::Inconsistent => write!(f, "the move's record and its LVs disagree"),
        }
    }
}

impl core::error::Error for ApplyError {}
