//! How far the mirrors of a move reach, and how they are given more.
//!
//! The kernel's table knows it, so a mover that comes later does, too. What is under a mirror stays there: the
//! table of an LV that is activated amid a move, and has no mover yet that gives it more, mirrors all of each part.

use lvshift_core::metadata::MovePart;
use lvshift_core::table::{Segment, Target};
use lvshift_core::units::{Extents, LvIndex, MoveIndex, Sectors};
use lvshift_frontend_common::front_end::View;
use lvshift_frontend_common::stages::Stage;

use crate::tables::parts;

#[cfg(test)]
mod tests;

/// How many sectors of each part of an LV are under the mirror, by its index among all parts; nothing of those
/// that it does not name.
pub(crate) type Reach = Vec<(usize, Sectors)>;

/// One part, as far as a mirror's length goes.
#[derive(Clone, Copy, Debug)]
struct Part {
    index: usize,
    start: Sectors,
    len: u64,
}

fn lengths(view: View<'_>, of: MoveIndex, lv: LvIndex) -> Vec<Part> {
    let extent = view.vg.extent_size();
    let length = |(index, part): (usize, MovePart)| Part {
        index,
        start: extent.span(Extents(part.first.0)),
        len: extent.span(part.count).0,
    };
    parts(view, of, lv).into_iter().map(length).collect()
}

/// How far the mirrors of an LV's table reach; `None` where there are none.
pub(crate) fn in_table(
    view: View<'_>,
    of: MoveIndex,
    lv: LvIndex,
    table: &[Segment],
) -> Option<Reach> {
    found(&lengths(view, of, lv), table)
}

fn found(parts: &[Part], table: &[Segment]) -> Option<Reach> {
    let mirrors = || table.iter().filter(|line| matches!(line.target, Target::Mirror(_)));
    mirrors().next()?;
    let of_part = |part: &Part| {
        let mirror = mirrors().find(|line| line.start == part.start)?;
        Some((part.index, mirror.len))
    };
    Some(parts.iter().filter_map(of_part).collect())
}

/// Where `reach` comes to with another stage; `None` if all is mirrored already.
pub(crate) fn grown(
    view: View<'_>,
    of: MoveIndex,
    lv: LvIndex,
    reach: &Reach,
    stage: Stage,
) -> Option<Reach> {
    let chunk = view.vg.move_at(of).map_or(1, |record| u64::from(record.chunk_sectors));
    more(&lengths(view, of, lv), reach, stage, chunk.max(1))
}

fn more(parts: &[Part], reach: &Reach, stage: Stage, chunk: u64) -> Option<Reach> {
    let now = |part: &Part| {
        let known = reach.iter().find(|(index, _)| *index == part.index);
        known.map_or(0, |(_, sectors)| sectors.0.min(part.len))
    };
    let short = parts.iter().filter(|part| now(part) < part.len).count() as u64;
    if short == 0 {
        return None;
    }
    let mut left = stage.chunks.max(1);
    let share = if stage.one_by_one { left } else { left.div_ceil(short) };
    let mut grown = Reach::new();
    for part in parts {
        let mut sectors = now(part);
        let chunks = (part.len - sectors).div_ceil(chunk).min(share);
        // Side by side every part gets its share, at least a chunk.
        let chunks = if stage.one_by_one { chunks.min(left) } else { chunks };
        left = left.saturating_sub(chunks);
        sectors = sectors.saturating_add(chunks.saturating_mul(chunk)).min(part.len);
        if sectors > 0 {
            grown.push((part.index, Sectors(sectors)));
        }
    }
    Some(grown)
}
