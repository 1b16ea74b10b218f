//! PVs that a commit did without: which it may, and what may be believed of one that comes back.
//!
//! Two rules. A PV is never left behind a change that concerns it: what its own extents hold, and what a move
//! that has begun makes of them. So whatever PVs are there, the newest metadata among them is right about the
//! extents on them. And more than half of the VG's PVs hold each change that a PV was left behind: any two such halves
//! have a PV in common, so there is one line of changes and not two.
//!
//! A PV that takes no changes and is being left is the exception to the first: it can only lose what it holds, and never
//! hears of it. It does not count for the second. Why there is one line all the same: docs/adr/0009.

use super::{Lv, Move, MovePart, MoveState, Place, Pv, Run, Segment, Store, Vg};
use crate::units::{Extents, Le, Pe, PvIndex, Sectors, Uuid};

#[cfg(test)]
mod tests;

/// How far a PV is behind, for whoever would bring it up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// It holds the newest.
    None,
    /// It lacks what a crash or a failure kept from it, and nothing else: it may be brought up to date.
    Known,
    /// It was away without that being recorded, or holds a change that no other PV has.
    Unknown,
}

/// A part of a move, without the indices that only its own metadata share.
#[derive(PartialEq)]
struct PartOn<'a> {
    of: Option<&'a Move>,
    lv: Option<&'a Lv>,
    extents: (Le, Extents),
    sides: [(Option<Uuid>, Pe); 2],
    log: Sectors,
}

impl<S: Store> Vg<S> {
    /// How far a PV is behind these metadata whose newest of its own have this sequence number.
    pub fn lag(&self, pv: PvIndex, sequence: u64) -> Lag {
        let Some(lacks) = self.sequence.checked_sub(sequence).filter(|lacks| *lacks > 0) else {
            return Lag::None;
        };
        let known = match self.pv(pv).and_then(|pv| pv.behind) {
            // A commit that was cut off.
            None => lacks == 1,
            // What it held when it was left, or later ones that it was to be brought up to date with: never the very
            // next, which was made without it. Were that there, it is one that was cut off after this PV alone had it.
            Some(left) => {
                sequence == left
                    || Some(sequence) == left.checked_sub(1)
                    || sequence > left.saturating_add(1)
            }
        };
        if known { Lag::Known } else { Lag::Unknown }
    }

    /// Whether commits were made without it that it does not hold yet.
    pub fn is_behind(&self, pv: PvIndex) -> bool {
        self.pv(pv).is_some_and(|pv| pv.behind.is_some())
    }

    /// Records that a PV may hold this commit and none after it; `None`: that it lacks none, and is not being left.
    pub fn set_behind(&mut self, pv: PvIndex, left: Option<u64>) {
        if let Some(pv) = self.pvs.get_mut(pv.index()) {
            pv.behind = left;
            pv.leaving &= left.is_some();
        }
    }

    /// Whether it takes no changes and is being left: commits do without it also where they concern it.
    pub fn is_leaving(&self, pv: PvIndex) -> bool {
        self.pv(pv).is_some_and(|pv| pv.leaving)
    }

    /// Whether a PV may be recorded as one that is being left: nothing may be moving to it.
    pub fn may_be_leaving(&self, pv: PvIndex) -> bool {
        self.parts.iter().all(|part| part.destination.pv != pv)
    }

    /// Records that a PV takes no changes and is being left; it may hold the commit `left` and none after it, or one
    /// before, where that is recorded. At most one PV becomes so in one commit. Answers whether it may be.
    pub fn set_leaving(&mut self, pv: PvIndex, left: u64) -> bool {
        if !self.may_be_leaving(pv) {
            return false;
        }
        let Some(entry) = self.pvs.get_mut(pv.index()) else { return false };
        entry.behind = entry.behind.or(Some(left));
        entry.leaving = true;
        true
    }

    /// Whether the change from these metadata to `new` concerns a PV of `new`, so that it must hold it. An LV that is
    /// removed, and a queued move that is forgotten, concern none: a PV that still knows them is the home of nothing else,
    /// and is given nothing new before it has heard. Of a PV that is being left that is true of all that it loses.
    pub fn concerns(&self, new: &Vg<S>, pv: Uuid) -> bool {
        let (Some(old_at), Some(new_at)) = (self.pv_by_uuid(pv), new.pv_by_uuid(pv)) else {
            return true;
        };
        // Who may change the VG, and how it is found, every PV has to say.
        let of_vg = |vg: &Vg<S>| (vg.uuid, vg.extent_size, vg.no_autoactivation);
        let record = |vg: &Vg<S>, at| {
            vg.pv(at)
                .map(|pv| (pv.device_size, pv.pe_start, pv.pe_count, pv.log_start, pv.log_size))
        };
        of_vg(self) != of_vg(new)
            || self.name != new.name
            || self.system_id != new.system_id
            || record(self, old_at) != record(new, new_at)
            || if new.is_leaving(new_at) {
                self.gains(old_at, new, new_at)
            } else {
                self.concerns_extents(old_at, new, new_at)
            }
    }

    /// Whether something lies on extents of a PV in `new` that were free.
    fn gains(&self, old_at: PvIndex, new: &Vg<S>, new_at: PvIndex) -> bool {
        let on = new.segments.iter().filter(|segment| segment.place.pv == new_at);
        on.map(|segment| segment.run()).any(|run| {
            let overlaps = |free: Run| {
                u64::from(free.place.pe.0) < run.end() && u64::from(run.place.pe.0) < free.end()
            };
            self.free_runs(old_at).any(overlaps)
        })
    }

    /// Whether the change concerns what lies on the extents of a PV.
    fn concerns_extents(&self, old_at: PvIndex, new: &Vg<S>, new_at: PvIndex) -> bool {
        let stays = |(lv, ..): &(Option<&Lv>, u32, u32, u32)| {
            lv.is_some_and(|lv| new.lv_by_uuid(lv.uuid).is_some())
        };
        let goes_on = |part: &PartOn<'_>| {
            part.of.is_some_and(|of| {
                of.state != MoveState::Queued || new.move_by_uuid(of.uuid).is_some()
            })
        };
        !self.segments_on(old_at).filter(stays).eq(new.segments_on(new_at))
            || !self.parts_on(old_at).filter(goes_on).eq(new.parts_on(new_at))
            || self.is_moving(old_at)
            || new.is_moving(new_at)
    }

    /// The segments on a PV, in words that other metadata of the VG share.
    fn segments_on(&self, pv: PvIndex) -> impl Iterator<Item = (Option<&Lv>, u32, u32, u32)> {
        let on = move |segment: &&Segment| segment.place.pv == pv;
        self.segments.iter().filter(on).map(|segment| {
            let Segment { lv, first, count, place } = *segment;
            (self.lv(lv), first.0, count.0, place.pe.0)
        })
    }

    /// The parts of moves on a PV, in the same way.
    fn parts_on(&self, pv: PvIndex) -> impl Iterator<Item = PartOn<'_>> {
        let on = move |part: &&MovePart| part.source.pv == pv || part.destination.pv == pv;
        let place = |at: Place| (self.pv(at.pv).map(|pv| pv.uuid), at.pe);
        self.parts.iter().filter(on).map(move |part| PartOn {
            of: self.move_at(part.of),
            lv: self.lv(part.lv),
            extents: (part.first, part.count),
            sides: [place(part.source), place(part.destination)],
            log: part.log_offset,
        })
    }

    /// Whether it is a side of a move that has begun.
    fn is_moving(&self, pv: PvIndex) -> bool {
        self.parts.iter().any(|part| {
            let state = self.move_at(part.of).map(|of| of.state);
            (part.source.pv == pv || part.destination.pv == pv)
                && state.is_some_and(|state| state != MoveState::Queued)
        })
    }

    /// Whether these of the VG's PVs are more than half of those that are not being left.
    pub fn is_majority(&self, those: impl Fn(Uuid) -> bool) -> bool {
        self.is_majority_without(|_| false, those)
    }

    /// The same where some others do not count either: what becomes one that is being left with this change.
    pub fn is_majority_without(
        &self,
        not_those: impl Fn(Uuid) -> bool,
        those: impl Fn(Uuid) -> bool,
    ) -> bool {
        let counts = |pv: &&Pv| !pv.leaving && !not_those(pv.uuid);
        let all = self.pvs.iter().filter(counts).count();
        let count = self.pvs.iter().filter(counts).filter(|pv| those(pv.uuid)).count();
        count.saturating_mul(2) > all
    }
}
