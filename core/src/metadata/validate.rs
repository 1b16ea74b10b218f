//! Whether a VG makes sense as a whole. Nothing is activated on metadata that fail this.

use lvshift_on_disk_format::dirty_log;

use super::sort::sort_by_key;
use super::{Invalid, MovePart, Records, Store, Vg};
use crate::limits::{MAX_LVS_PER_MOVE, MAX_PARTS_PER_MOVE};
use crate::list::List;
use crate::metadata::MoveState;
use crate::units::{LvIndex, MoveIndex, Sectors, Uuid};

#[cfg(test)]
mod tests;

impl<S: Store> Vg<S> {
    /// Checks everything that the operations of this module keep true.
    ///
    /// # Errors
    /// [`Invalid`] names the first contradiction.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.sequence == 0 || self.sequence == u64::MAX {
            return Err(Invalid::Sequence);
        }
        if self.name.as_str().is_empty() {
            let (records, error) = (Records::Vg, super::NameError::Empty);
            return Err(Invalid::Name { records, index: 0, error });
        }
        check_uuids(Records::Vg, [self.uuid].iter().copied())?;
        self.check_pvs()?;
        self.check_lvs()?;
        self.check_segments()?;
        self.check_moves()?;
        self.check_parts()?;
        self.check_overlap()?;
        self.check_logs()
    }

    fn check_pvs(&self) -> Result<(), Invalid> {
        check_uuids(Records::Pv, self.pvs.iter().map(|pv| pv.uuid))?;
        if let Some((_, index)) =
            self.pvs.iter().zip(0..).find(|(pv, _)| !pv.is_sound(self.extent_size))
        {
            return Err(Invalid::PvAreas { index });
        }
        let possible = |left: u64| left > 0 && left < self.sequence;
        let impossible = |(pv, _): &(&super::Pv, u32)| !pv.behind.is_none_or(possible);
        if let Some((_, index)) = self.pvs.iter().zip(0..).find(impossible) {
            return Err(Invalid::Behind { index });
        }
        let fills = |at: u32| self.parts.iter().any(|part| u32::from(part.destination.pv.0) == at);
        let wrong =
            |(pv, at): &(&super::Pv, u32)| pv.leaving && (pv.behind.is_none() || fills(*at));
        match self.pvs.iter().zip(0..).find(wrong) {
            Some((_, index)) => Err(Invalid::Leaving { index }),
            None => Ok(()),
        }
    }

    fn check_lvs(&self) -> Result<(), Invalid> {
        check_uuids(Records::Lv, self.lvs.iter().map(|lv| lv.uuid))?;
        for (index, lv) in (0..).zip(self.lvs.iter()) {
            if self.lvs.iter().take(index as usize).any(|other| other.name == lv.name) {
                return Err(Invalid::SameName { index });
            }
        }
        Ok(())
    }

    /// Segments are sorted, whole, merged, inside their PVs, and cover their LVs.
    fn check_segments(&self) -> Result<(), Invalid> {
        let mut before: Option<super::Segment> = None;
        for (index, &segment) in (0..).zip(self.segments.iter()) {
            let lv = self.lv(segment.lv).ok_or(Invalid::SegmentIndex { index })?;
            let pv = self.pv(segment.place.pv).ok_or(Invalid::SegmentIndex { index })?;
            let follows = match before {
                Some(before) if before.lv == segment.lv => {
                    before.end() == u64::from(segment.first.0)
                }
                Some(before) => before.lv < segment.lv && segment.first.0 == 0,
                None => segment.first.0 == 0,
            };
            if segment.count.0 == 0 || !follows || segment.end() > u64::from(lv.le_count.0) {
                return Err(Invalid::SegmentOrder { index });
            }
            if segment.run().end() > u64::from(pv.pe_count.0) {
                return Err(Invalid::SegmentOutside { index });
            }
            if before.is_some_and(|before| before.continues_in(segment)) {
                return Err(Invalid::SegmentNotMerged { index });
            }
            before = Some(segment);
        }
        // They start at 0 and have no gaps, so the last one's end tells.
        for (index, lv) in (0u16..).zip(self.lvs.iter()) {
            let end = self.segments_of(LvIndex(index)).last().map_or(0, |last| last.end());
            if lv.le_count.0 == 0 || end != u64::from(lv.le_count.0) {
                return Err(Invalid::NotCovered { index: index.into() });
            }
        }
        Ok(())
    }

    fn check_moves(&self) -> Result<(), Invalid> {
        check_uuids(Records::Move, self.moves.iter().map(|entry| entry.uuid))?;
        for (index, entry) in (0u16..).zip(self.moves.iter()) {
            let error = Invalid::MoveSize { index: index.into() };
            let parts = self.parts_of(MoveIndex(index));
            let lvs = 1 + parts.windows(2).filter(|pair| !same_lv(pair)).count();
            if parts.is_empty() || parts.len() > MAX_PARTS_PER_MOVE || lvs > MAX_LVS_PER_MOVE {
                return Err(error);
            }
            let chunk = entry.chunk_sectors;
            if !chunk.is_power_of_two() || !(8..=1 << 23).contains(&chunk) {
                return Err(Invalid::ChunkSize { index: index.into() });
            }
            if entry.command.is_nil() {
                return Err(Invalid::NilUuid { records: Records::Move, index: index.into() });
            }
        }
        Ok(())
    }

    /// Parts are sorted, whole, inside their PVs, and agree with the segments of their LVs.
    fn check_parts(&self) -> Result<(), Invalid> {
        let mut before: Option<&MovePart> = None;
        for (index, part) in (0..).zip(self.parts.iter()) {
            let of = self.move_at(part.of).ok_or(Invalid::PartIndex { index })?;
            let source = self.pv(part.source.pv).ok_or(Invalid::PartIndex { index })?;
            let destination = self.pv(part.destination.pv).ok_or(Invalid::PartIndex { index })?;
            self.lv(part.lv).ok_or(Invalid::PartIndex { index })?;
            let behind = before.is_none_or(|before| {
                let (was, is) = ((before.of, before.lv), (part.of, part.lv));
                was < is || (was == is && before.end() <= u64::from(part.first.0))
            });
            if part.count.0 == 0 || !behind {
                return Err(Invalid::PartOrder { index });
            }
            if part.source_run().end() > u64::from(source.pe_count.0)
                || part.destination_run().end() > u64::from(destination.pe_count.0)
            {
                return Err(Invalid::PartOutside { index });
            }
            let moved = of.state == MoveState::Moved;
            let now = if moved { part.destination } else { part.source };
            // Segments are merged, so a part lies within one.
            let segments = self.segments_of(part.lv);
            let at = segments.partition_point(|segment| segment.first <= part.first);
            let holds = at.checked_sub(1).and_then(|at| segments.get(at)).is_some_and(|segment| {
                segment.end() >= part.end() && self.place_of(part.lv, part.first) == Some(now)
            });
            if !holds {
                return Err(Invalid::PartDisagrees { index });
            }
            if self.part_sectors(part).0 < u64::from(of.chunk_sectors) {
                return Err(Invalid::PartTooShort { index });
            }
            before = Some(part);
        }
        self.check_parts_apart()
    }

    /// No logical extent is moved twice, not even by two moves; and each move can finish.
    fn check_parts_apart(&self) -> Result<(), Invalid> {
        let order = self.parts_by_extent();
        for pair in order.windows(2) {
            let &[first, second] = pair else { continue };
            if let (Some(one), Some(other)) = (self.part_at(first), self.part_at(second))
                && one.lv == other.lv
                && one.end() > u64::from(other.first.0)
            {
                return Err(Invalid::PartOverlap { index: second.into() });
            }
        }
        if self.segments_fully_cut() > S::Segments::LIMIT {
            return Err(Invalid::SegmentsOwed);
        }
        Ok(())
    }

    /// How many segments there would be if each part were cut out of the segment around it. No
    /// change of a move's state ever needs more, so while this many fit, no move can fail for
    /// want of segments at its end; and it stays the same whichever side the parts lie on.
    pub(super) fn segments_fully_cut(&self) -> usize {
        let order = self.parts_by_extent();
        let mut count = self.segments.len();
        let mut before: Option<&MovePart> = None;
        for part in order.iter().filter_map(|&index| self.part_at(index)) {
            let segments = self.segments_of(part.lv);
            let inside = |le: u64| {
                let starts = |segment: &super::Segment| u64::from(segment.first.0) == le;
                let at = segments.partition_point(|segment| u64::from(segment.first.0) < le);
                segments.last().is_some_and(|last| le < last.end())
                    && !segments.get(at).is_some_and(starts)
            };
            let first = u64::from(part.first.0);
            let touches = before.is_some_and(|b| b.lv == part.lv && b.end() == first);
            count += usize::from(inside(first) && !touches) + usize::from(inside(part.end()));
            before = Some(part);
        }
        count
    }

    fn part_at(&self, index: u16) -> Option<&MovePart> {
        self.parts.get(usize::from(index))
    }

    /// The indices of all parts, sorted by what they move.
    fn parts_by_extent(&self) -> S::Order {
        let mut order = S::Order::EMPTY;
        for (index, _) in (0u16..).zip(self.parts.iter()) {
            let _ = order.push(index); // Room for all; collecting could panic.
        }
        sort_by_key(&mut order, |&at| (self.part_at(at).map(|part| (part.lv, part.first)), at));
        order
    }

    /// No physical extent has two users, be it a segment or the reserved side of a part.
    fn check_overlap(&self) -> Result<(), Invalid> {
        for pair in self.used.windows(2) {
            let &[one, other] = pair else { continue };
            if one.place.pv == other.place.pv && one.end() > u64::from(other.place.pe.0) {
                return Err(Invalid::Overlap { pv: other.place.pv, pe: other.place.pe });
            }
        }
        Ok(())
    }

    /// Every dirty-log image lies in its area; those of one move lie apart, and so do those of
    /// all moves that are being copied. (Moves run one after another, so a queued one may have
    /// the room of another.)
    fn check_logs(&self) -> Result<(), Invalid> {
        for (index, part) in (0..).zip(self.parts.iter()) {
            let error = Invalid::LogOutside { index };
            if !part.log_offset.0.is_multiple_of(8) || self.log_image(part).is_none() {
                return Err(error);
            }
        }
        for (index, _) in (0u16..).zip(self.moves.iter()) {
            let of = MoveIndex(index);
            if let Some(index) = self.logs_meet(|part| part.of == of) {
                return Err(Invalid::LogOverlap { index });
            }
        }
        let copying = |part: &MovePart| self.is_copying(part.of);
        match self.logs_meet(copying) {
            Some(index) => Err(Invalid::LogOverlap { index }),
            None => Ok(()),
        }
    }

    fn is_copying(&self, of: MoveIndex) -> bool {
        self.move_at(of).is_some_and(|entry| entry.state == MoveState::Copying)
    }

    /// Some part among the wanted whose image overlaps that of another of them.
    fn logs_meet(&self, wanted: impl Fn(&MovePart) -> bool) -> Option<u32> {
        let mut order = S::Order::EMPTY;
        for (index, part) in (0u16..).zip(self.parts.iter()) {
            if wanted(part) {
                let _ = order.push(index); // Room for all.
            }
        }
        let part = |index: u16| self.parts.get(usize::from(index));
        sort_by_key(&mut order, |&at| (part(at).map(|p| (p.destination.pv, p.log_offset)), at));
        for pair in order.windows(2) {
            let &[first, second] = pair else { continue };
            if let (Some(one), Some(other)) = (part(first), part(second))
                && one.destination.pv == other.destination.pv
                && self.log_end(one).is_none_or(|end| end > other.log_offset.0)
            {
                return Some(second.into());
            }
        }
        None
    }

    /// Another move that is being copied and whose images overlap those of `of`.
    pub(super) fn log_rival(&self, of: MoveIndex) -> Option<Uuid> {
        let rival = self.parts.iter().find(|other| {
            other.of != of
                && self.is_copying(other.of)
                && self.parts_of(of).iter().any(|part| {
                    part.destination.pv == other.destination.pv
                        && self.log_end(part).is_none_or(|end| end > other.log_offset.0)
                        && self.log_end(other).is_none_or(|end| end > part.log_offset.0)
                })
        })?;
        self.move_at(rival.of).map(|entry| entry.uuid)
    }

    /// Sectors of a part.
    pub fn part_sectors(&self, part: &MovePart) -> Sectors {
        self.extent_size.span(part.count)
    }

    /// Chunks of a part, the last of which may be short; `None` for more than 2^32 or a chunk
    /// size of 0.
    pub fn part_chunks(&self, part: &MovePart) -> Option<u32> {
        let chunk = u64::from(self.move_at(part.of)?.chunk_sectors);
        u32::try_from(self.part_sectors(part).0.div_ceil(chunk.max(1))).ok()
    }

    /// The sector after a part's dirty-log image in the area of its destination.
    fn log_end(&self, part: &MovePart) -> Option<u64> {
        let sectors = dirty_log::image_size(self.part_chunks(part)?) / 512;
        part.log_offset.0.checked_add(sectors)
    }
}

fn same_lv(pair: &[MovePart]) -> bool {
    matches!(pair, [one, other] if one.lv == other.lv)
}

fn check_uuids(records: Records, uuids: impl Iterator<Item = Uuid> + Clone) -> Result<(), Invalid> {
    for (index, uuid) in (0..).zip(uuids.clone()) {
        if uuid.is_nil() {
            return Err(Invalid::NilUuid { records, index });
        }
        if uuids.clone().take(index as usize).any(|other| other == uuid) {
            return Err(Invalid::SameUuid { records, index });
        }
    }
    Ok(())
}
