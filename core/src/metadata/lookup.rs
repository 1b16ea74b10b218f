//! Finding things in a VG.

use super::{Lv, Move, MovePart, Place, Pv, Segment, Store, Vg};
use crate::limits::MAX_LVS_PER_MOVE;
use crate::list::{Bounded, List};
use crate::units::{Le, LvIndex, MoveIndex, Pe, PvIndex, Sectors, Uuid};

/// The LVs that a move touches.
pub type LvsOfMove = Bounded<LvIndex, MAX_LVS_PER_MOVE>;

impl<S: Store> Vg<S> {
    /// The LV of this name.
    pub fn lv_by_name(&self, name: &str) -> Option<LvIndex> {
        position(self.lvs.iter().position(|lv| lv.name.as_str() == name)).map(LvIndex)
    }

    /// The LV of this UUID.
    pub fn lv_by_uuid(&self, uuid: Uuid) -> Option<LvIndex> {
        position(self.lvs.iter().position(|lv| lv.uuid == uuid)).map(LvIndex)
    }

    /// The PV of this UUID.
    pub fn pv_by_uuid(&self, uuid: Uuid) -> Option<PvIndex> {
        position(self.pvs.iter().position(|pv| pv.uuid == uuid)).map(PvIndex)
    }

    /// The move of this UUID.
    pub fn move_by_uuid(&self, uuid: Uuid) -> Option<MoveIndex> {
        position(self.moves.iter().position(|entry| entry.uuid == uuid)).map(MoveIndex)
    }

    /// The indices of all PVs, in order.
    pub fn pv_indices(&self) -> impl Iterator<Item = PvIndex> + use<S> {
        indices(self.pvs.len()).map(PvIndex)
    }

    /// The indices of all LVs, in order.
    pub fn lv_indices(&self) -> impl Iterator<Item = LvIndex> + use<S> {
        indices(self.lvs.len()).map(LvIndex)
    }

    /// The indices of all moves, in the order in which they run.
    pub fn move_indices(&self) -> impl Iterator<Item = MoveIndex> + use<S> {
        indices(self.moves.len()).map(MoveIndex)
    }

    /// The LV at this index.
    pub fn lv(&self, lv: LvIndex) -> Option<&Lv> {
        self.lvs.get(lv.index())
    }

    /// The PV at this index.
    pub fn pv(&self, pv: PvIndex) -> Option<&Pv> {
        self.pvs.get(pv.index())
    }

    /// The move at this index.
    pub fn move_at(&self, of: MoveIndex) -> Option<&Move> {
        self.moves.get(of.index())
    }

    /// The segments of an LV, from its first extent to its last.
    pub fn segments_of(&self, lv: LvIndex) -> &[Segment] {
        let start = self.segments.partition_point(|segment| segment.lv < lv);
        let end = self.segments.partition_point(|segment| segment.lv <= lv);
        self.segments.get(start..end).unwrap_or_default()
    }

    /// The parts of a move, sorted by LV, then by first extent.
    pub fn parts_of(&self, of: MoveIndex) -> &[MovePart] {
        let start = self.parts.partition_point(|part| part.of < of);
        let end = self.parts.partition_point(|part| part.of <= of);
        self.parts.get(start..end).unwrap_or_default()
    }

    /// The LVs that a move touches, in VG order.
    pub fn lvs_of_move(&self, of: MoveIndex) -> LvsOfMove {
        let mut lvs = LvsOfMove::new();
        for part in self.parts_of(of) {
            if lvs.last() != Some(&part.lv) && lvs.push(part.lv).is_err() {
                break; // Cannot happen: a valid VG keeps to the limit.
            }
        }
        lvs
    }

    /// The first move, in the order in which they run, that touches this LV.
    pub fn move_of_lv(&self, lv: LvIndex) -> Option<MoveIndex> {
        self.parts.iter().find(|part| part.lv == lv).map(|part| part.of)
    }

    /// Where a logical extent lies now.
    pub fn place_of(&self, lv: LvIndex, le: Le) -> Option<Place> {
        let segments = self.segments_of(lv);
        let after = segments.partition_point(|segment| segment.first <= le);
        let segment = segments.get(after.checked_sub(1)?)?;
        let skipped = le.0.checked_sub(segment.first.0)?;
        if skipped >= segment.count.0 {
            return None;
        }
        Some(Place { pv: segment.place.pv, pe: Pe(segment.place.pe.0.checked_add(skipped)?) })
    }

    /// The first sector of a physical extent on its PV's device.
    pub fn sector_of(&self, place: Place) -> Option<Sectors> {
        let pv = self.pv(place.pv)?;
        let span = u64::from(place.pe.0).checked_mul(u64::from(self.extent_size.sectors()))?;
        pv.pe_start.checked_add(Sectors(span))
    }
}

/// The limits of a VG are far below what an index can name.
fn indices(len: usize) -> core::ops::Range<u16> {
    0..u16::try_from(len).unwrap_or(u16::MAX)
}

fn position(index: Option<usize>) -> Option<u16> {
    u16::try_from(index?).ok()
}
