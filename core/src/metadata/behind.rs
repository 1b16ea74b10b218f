//! PVs that a commit did without: which it may, and what may be believed of one that comes back.
//!
//! Two rules. A PV is never left behind a change that concerns it: what its own extents hold, and what a move
//! that has begun makes of them. So whatever PVs are there, the newest metadata among them is right about the
//! extents on them. And more than half of the VG's PVs hold each change that a PV was left behind: any two such halves
//! have a PV in common, so there is one line of changes and not two.

use super::{Lv, Move, MovePart, MoveState, Place, Segment, Store, Vg};
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

    /// Records that a PV may hold this commit and none after it; `None`: that it lacks none.
    pub fn set_behind(&mut self, pv: PvIndex, left: Option<u64>) {
        if let Some(pv) = self.pvs.get_mut(pv.index()) {
            pv.behind = left;
        }
    }

    /// Whether the change from these metadata to `new` concerns a PV of `new`, so that it must hold it. An LV that is
    /// removed, and a queued move that is forgotten, concern none: a PV that still knows them is the home of nothing else,
    /// and is given nothing new before it has heard.
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
        let stays = |(lv, ..): &(Option<&Lv>, u32, u32, u32)| {
            lv.is_some_and(|lv| new.lv_by_uuid(lv.uuid).is_some())
        };
        let goes_on = |part: &PartOn<'_>| {
            part.of.is_some_and(|of| {
                of.state != MoveState::Queued || new.move_by_uuid(of.uuid).is_some()
            })
        };
        of_vg(self) != of_vg(new)
            || self.name != new.name
            || self.system_id != new.system_id
            || record(self, old_at) != record(new, new_at)
            || !self.segments_on(old_at).filter(stays).eq(new.segments_on(new_at))
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

    /// Whether these of the VG's PVs are more than half of them.
    pub fn is_majority(&self, those: impl Fn(Uuid) -> bool) -> bool {
        let count = self.pvs.iter().filter(|pv| those(pv.uuid)).count();
        count.saturating_mul(2) > self.pvs.len()
    }
}
