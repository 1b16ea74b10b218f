//! Which physical extents an LV's logical extents lie on, under each of a move's mappings.

use super::{MovePart, Place, Segment, Store, Vg};
use crate::mover::Mapping;
use crate::units::{Extents, Le, LvIndex, MoveIndex, Pe};

#[cfg(test)]
mod tests;

/// A run of logical extents of an LV, in the order of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first logical extent.
    pub first: Le,
    /// How many extents; never 0.
    pub count: Extents,
    /// Where the first extent lies. For a mirrored piece: on the source.
    pub place: Place,
    /// Under [`Mapping::Mirrored`], the index in [`Vg::parts`] of the part that this piece is,
    /// where it is one; always `None` under the other mappings.
    pub part: Option<usize>,
}

/// See [`Vg::pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    segments: &'a [Segment],
    parts: &'a [MovePart],
    /// The index in [`Vg::parts`] of the first of `parts`.
    part_index: usize,
    mapping: Mapping,
    le: u64,
    ahead: Option<Piece>,
}

impl<S: Store> Vg<S> {
    /// The LV's extents from first to last. With a move and a mapping: as that mapping of that
    /// move has them, whatever the move's state (so `Source` of a move that is already `Moved`
    /// gives the old places). Without: as the metadata has them now.
    ///
    /// Pieces that go on from one to the next are one, except that a mirrored part is always one
    /// piece of its own.
    pub fn pieces(&self, lv: LvIndex, view: Option<(MoveIndex, Mapping)>) -> Pieces<'_> {
        let (part_index, parts, mapping) = match view {
            None => (0, [].as_slice(), Mapping::Source),
            Some((of, mapping)) => {
                let start = self.parts.partition_point(|part| (part.of, part.lv) < (of, lv));
                let end = self.parts.partition_point(|part| (part.of, part.lv) <= (of, lv));
                (start, self.parts.get(start..end).unwrap_or_default(), mapping)
            }
        };
        Pieces { segments: self.segments_of(lv), parts, part_index, mapping, le: 0, ahead: None }
    }
}

impl Pieces<'_> {
    fn next_unmerged(&mut self) -> Option<Piece> {
        let part = self.parts.first();
        let piece = match part {
            Some(part) if u64::from(part.first.0) <= self.le => {
                let mirrored = self.mapping == Mapping::Mirrored;
                let piece = Piece {
                    first: part.first,
                    count: part.count,
                    place: match self.mapping {
                        Mapping::Source | Mapping::Mirrored => part.source,
                        Mapping::Final => part.destination,
                    },
                    part: mirrored.then_some(self.part_index),
                };
                self.parts = self.parts.get(1..).unwrap_or_default();
                self.part_index += 1;
                piece
            }
            part => {
                while self.segments.first().is_some_and(|segment| segment.end() <= self.le) {
                    self.segments = self.segments.get(1..).unwrap_or_default();
                }
                let segment = self.segments.first()?;
                let end =
                    part.map_or(segment.end(), |part| segment.end().min(u64::from(part.first.0)));
                // A valid LV has no gaps and a part ends inside it, so these fit.
                let skipped =
                    u32::try_from(self.le.checked_sub(u64::from(segment.first.0))?).ok()?;
                let pe = Pe(segment.place.pe.0.checked_add(skipped)?);
                Piece {
                    first: Le(u32::try_from(self.le).ok()?),
                    count: Extents(u32::try_from(end.checked_sub(self.le)?).ok()?),
                    place: Place { pv: segment.place.pv, pe },
                    part: None,
                }
            }
        };
        self.le = u64::from(piece.first.0) + u64::from(piece.count.0);
        Some(piece)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let mut piece = match self.ahead.take() {
            Some(piece) => piece,
            None => self.next_unmerged()?,
        };
        while let Some(next) = self.next_unmerged() {
            let goes_on = piece.part.is_none()
                && next.part.is_none()
                && piece.place.pv == next.place.pv
                && piece.place.pe.0.checked_add(piece.count.0) == Some(next.place.pe.0);
            match piece.count.0.checked_add(next.count.0) {
                Some(sum) if goes_on => piece.count = Extents(sum),
                _ => {
                    self.ahead = Some(next);
                    break;
                }
            }
        }
        Some(piece)
    }
}
