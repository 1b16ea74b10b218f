//! From "move what lies there" to the records of moves.
//!
//! One part is one mirror target with one dirty-log image, contiguous on both sides. The moves of
//! a plan run one after another; so the images of each start anew at the start of the dirty-log
//! areas.

use core::fmt;

use lvshift_on_disk_format::dirty_log;

use super::{AllocError, AllocRequest, Area, Move, MovePart, Place, Policy, Segment, Store, Vg};
use crate::limits::{
    DEFAULT_CHUNK_SECTORS, MAX_LVS_PER_MOVE, MAX_PARTS_PER_MOVE, MAX_PVS, MIN_SPLIT_SECTORS,
    PARTS_PER_BATCH, SIDE_BY_SIDE,
};
use crate::list::{Bounded, List};
use crate::metadata::MoveState;
use crate::units::{Extents, Le, LvIndex, MoveIndex, Pe, PvIndex, Sectors, Uuid};

#[cfg(test)]
mod tests;

/// What a `pvmove` command asks for.
#[derive(Clone, Copy, Debug)]
pub struct MoveRequest<'a> {
    /// A new UUID that the command's moves will share.
    pub command: Uuid,
    /// What is to move: the extents of these areas that LVs use.
    pub sources: &'a [Area],
    /// Only this LV's.
    pub only_lv: Option<LvIndex>,
    /// Where to, in this order; none means any other PV.
    pub destinations: &'a [Area],
    /// The policy: with `Contiguous` each segment moves to one run.
    pub policy: Policy,
    /// Everything in one move, which takes over all at once or not at all.
    pub atomic: bool,
}

/// What was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The first of the new moves; they are the last of the VG's.
    pub first: MoveIndex,
    /// How many moves.
    pub moves: u32,
    /// How many parts in all.
    pub parts: u32,
    /// How many extents in all.
    pub extents: Extents,
}

/// Why there is no plan; the VG is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// No source area, or one that is not on a PV of the VG.
    NoSource,
    /// No LV extents in the source areas (of the LV asked for).
    NothingToMove,
    /// A destination lies on the source's PV, and the policy is not `anywhere`.
    SourceIsDestination {
        /// The PV.
        pv: PvIndex,
    },
    /// A move touches the LV already.
    AlreadyMoving {
        /// The LV.
        lv: LvIndex,
        /// The move.
        by: Uuid,
    },
    /// No room at the destination.
    Alloc(AllocError),
    /// More parts than the limits allow.
    TooManyParts {
        /// The limit.
        limit: u32,
    },
    /// More LVs than an atomic move may have.
    TooManyLvs {
        /// The limit.
        limit: u32,
    },
    /// More moves than a VG may record.
    TooManyMoves {
        /// The limit.
        limit: u32,
    },
    /// The VG could get more segments than the limits allow.
    TooManySegments {
        /// The limit.
        limit: u32,
    },
    /// A destination's dirty-log area is too small for the move.
    LogFull {
        /// The PV.
        pv: PvIndex,
    },
    /// A UUID is zero or taken.
    BadUuid,
}

impl<S: Store> Vg<S> {
    /// Adds the records of the moves that a request needs, all [`MoveState::Queued`], with UUIDs
    /// from `fresh`.
    ///
    /// # Errors
    /// [`PlanError`], before any change.
    pub fn plan(
        &mut self,
        request: &MoveRequest<'_>,
        fresh: &mut dyn FnMut() -> Uuid,
    ) -> Result<Planned, PlanError> {
        let moves = self.moves.len();
        let parts = self.parts.len();
        let result = self.plan_moves(request, fresh);
        if result.is_err() {
            self.moves.truncate(moves);
            self.parts.truncate(parts);
            self.rebuild_used();
        }
        let extents = result?;
        let added = self.parts.len().saturating_sub(parts);
        Ok(Planned {
            first: MoveIndex(moves as u16), // At most 2^16.
            moves: self.moves.len().saturating_sub(moves) as u32,
            parts: added as u32,
            extents,
        })
    }

    /// The pieces of segments that a request would move, in VG order.
    pub fn moving_pieces<'a>(
        &'a self,
        sources: &'a [Area],
        only_lv: Option<LvIndex>,
    ) -> impl Iterator<Item = Segment> + 'a {
        let wanted = move |segment: &&Segment| only_lv.is_none_or(|lv| segment.lv == lv);
        self.segments.iter().filter(wanted).flat_map(move |&segment| {
            let mut at = u64::from(segment.place.pe.0);
            core::iter::from_fn(move || {
                let piece = clip(segment, at, sources)?;
                at = piece.run().end();
                Some(piece)
            })
        })
    }

    fn plan_moves(
        &mut self,
        request: &MoveRequest<'_>,
        fresh: &mut dyn FnMut() -> Uuid,
    ) -> Result<Extents, PlanError> {
        if request.command.is_nil() {
            return Err(PlanError::BadUuid);
        }
        let extents = self.check_request(request)?;
        let avoid = avoided(request);
        let avoid = avoid.get(..).unwrap_or_default();
        let first_move = self.moves.len();
        // Segments do not change while parts are added, so an index and a place find the next.
        let mut index = 0;
        let mut at = 0;
        while let Some(&segment) = self.segments.get(index) {
            let wanted = request.only_lv.is_none_or(|lv| segment.lv == lv);
            let from = at.max(u64::from(segment.place.pe.0));
            let piece = if wanted { clip(segment, from, request.sources) } else { None };
            let Some(piece) = piece else {
                index += 1;
                at = 0;
                continue;
            };
            at = piece.run().end();
            self.plan_piece(request, piece, avoid, first_move, fresh)?;
        }
        for of in first_move..self.moves.len() {
            self.finish_move(MoveIndex(of as u16))?; // At most 2^16.
        }
        self.rebuild_used();
        if self.segments_fully_cut() > S::Segments::LIMIT {
            return Err(PlanError::TooManySegments { limit: S::Segments::LIMIT as u32 });
        }
        Ok(extents)
    }

    /// Refuses what needs no trying, and counts the extents to move.
    fn check_request(&self, request: &MoveRequest<'_>) -> Result<Extents, PlanError> {
        let unknown = |area: &Area| self.pv(area.pv).is_none();
        if request.sources.is_empty() || request.sources.iter().any(unknown) {
            return Err(PlanError::NoSource);
        }
        if let Some(area) = request.destinations.iter().find(|area| unknown(area)) {
            return Err(PlanError::Alloc(AllocError::NoSuchPv { pv: area.pv }));
        }
        if request.policy != Policy::Anywhere {
            let both = |area: &&Area| request.sources.iter().any(|source| source.pv == area.pv);
            if let Some(area) = request.destinations.iter().find(both) {
                return Err(PlanError::SourceIsDestination { pv: area.pv });
            }
        }
        self.refuse_leaving(request.destinations).map_err(PlanError::Alloc)?;
        let mut wanted = 0u32;
        for piece in self.moving_pieces(request.sources, request.only_lv) {
            if let Some(of) = self.move_of_lv(piece.lv) {
                let by = self.move_at(of).map_or(Uuid::NIL, |entry| entry.uuid);
                return Err(PlanError::AlreadyMoving { lv: piece.lv, by });
            }
            wanted = wanted.saturating_add(piece.count.0);
        }
        if wanted == 0 {
            return Err(PlanError::NothingToMove);
        }
        let wanted = Extents(wanted);
        let avoid = avoided(request);
        let free = self.free_in(request.destinations, avoid.get(..).unwrap_or_default());
        if free < wanted {
            return Err(PlanError::Alloc(AllocError::NoSpace { wanted, free }));
        }
        Ok(wanted)
    }

    /// Finds room for one piece and adds its parts, with new moves where they are needed.
    fn plan_piece(
        &mut self,
        request: &MoveRequest<'_>,
        piece: Segment,
        avoid: &[Area],
        first_move: usize,
        fresh: &mut dyn FnMut() -> Uuid,
    ) -> Result<(), PlanError> {
        let runs = self
            .allocate(&AllocRequest {
                count: piece.count,
                areas: request.destinations,
                avoid,
                policy: request.policy,
                grows: None,
            })
            .map_err(PlanError::Alloc)?;
        let mut rest = piece;
        for run in &runs {
            let of = self.move_for(request, rest.lv, first_move, fresh)?;
            let part = MovePart {
                of,
                lv: rest.lv,
                first: rest.first,
                count: run.count,
                source: rest.place,
                destination: run.place,
                log_offset: Sectors(0),
            };
            let limit = S::Parts::LIMIT as u32;
            self.parts.push(part).map_err(|_| PlanError::TooManyParts { limit })?;
            self.mark_used(*run);
            rest = behind(rest, run.count);
        }
        Ok(())
    }

    /// The move that the next part of an LV goes into: the last one, or a new one.
    fn move_for(
        &mut self,
        request: &MoveRequest<'_>,
        lv: LvIndex,
        first_move: usize,
        fresh: &mut dyn FnMut() -> Uuid,
    ) -> Result<MoveIndex, PlanError> {
        let last = self.moves.len().checked_sub(1).filter(|&last| last >= first_move);
        if let Some(last) = last {
            let of = MoveIndex(last as u16); // At most 2^16.
            let parts = self.parts_of(of);
            let same_lv = parts.last().is_some_and(|part| part.lv == lv);
            if request.atomic {
                if parts.len() >= MAX_PARTS_PER_MOVE {
                    return Err(PlanError::TooManyParts { limit: MAX_PARTS_PER_MOVE as u32 });
                }
                if !same_lv && self.lvs_of_move(of).is_full() {
                    return Err(PlanError::TooManyLvs { limit: MAX_LVS_PER_MOVE as u32 });
                }
                return Ok(of);
            }
            if same_lv && parts.len() < PARTS_PER_BATCH {
                return Ok(of);
            }
        }
        let uuid = fresh();
        if uuid.is_nil() || self.move_by_uuid(uuid).is_some() {
            return Err(PlanError::BadUuid);
        }
        let of = MoveIndex(self.moves.len() as u16); // At most 2^16.
        let entry = Move {
            uuid,
            command: request.command,
            state: MoveState::Queued,
            chunk_sectors: DEFAULT_CHUNK_SECTORS,
        };
        let limit = S::Moves::LIMIT as u32;
        self.moves.push(entry).map_err(|_| PlanError::TooManyMoves { limit })?;
        Ok(of)
    }

    /// Splits long parts, so that the kernel copies several regions at once; then chooses the
    /// chunk size and places the dirty-log images.
    fn finish_move(&mut self, of: MoveIndex) -> Result<(), PlanError> {
        let extent = u64::from(self.extent_size.sectors());
        let smallest = u32::try_from(MIN_SPLIT_SECTORS.div_ceil(extent)).unwrap_or(u32::MAX);
        while self.parts_of(of).len() < SIDE_BY_SIDE && !self.parts.is_full() {
            let longest = self.parts.iter().enumerate().filter(|(_, part)| part.of == of);
            let Some((index, part)) = longest.max_by_key(|(_, part)| part.count) else { break };
            let half = Extents(part.count.0 / 2);
            if half.0 < smallest {
                break;
            }
            let mut rest = *part;
            rest.first = Le(rest.first.0.saturating_add(half.0));
            rest.source.pe = Pe(rest.source.pe.0.saturating_add(half.0));
            rest.destination.pe = Pe(rest.destination.pe.0.saturating_add(half.0));
            rest.count = Extents(rest.count.0.saturating_sub(half.0));
            self.parts.insert(index + 1, rest); // Not full.
            if let Some(part) = self.parts.get_mut(index) {
                part.count = half;
            }
        }
        let shortest = self.parts_of(of).iter().map(|part| part.count).min().unwrap_or_default();
        let sectors = self.extent_size.span(shortest).0.min(u64::from(DEFAULT_CHUNK_SECTORS));
        if let Some(entry) = self.moves.get_mut(of.index()) {
            // A power of two: dm-mirror wants that, and no chunk longer than its part.
            entry.chunk_sectors = sectors.checked_ilog2().map_or(0, |log| 1 << log);
        }
        self.place_logs(of)
    }

    /// Puts the images of a move one behind the other in each destination's dirty-log area.
    fn place_logs(&mut self, of: MoveIndex) -> Result<(), PlanError> {
        let mut ends = [0u64; MAX_PVS];
        for index in 0..self.parts.len() {
            let Some(&part) = self.parts.get(index).filter(|part| part.of == of) else { continue };
            let pv = part.destination.pv;
            let full = PlanError::LogFull { pv };
            let chunks = self.part_chunks(&part).ok_or(full)?;
            let offset = ends.get_mut(pv.index()).ok_or(full)?;
            let end = offset.saturating_add(dirty_log::image_size(chunks) / 512);
            if self.pv(pv).is_none_or(|pv| end > pv.log_size.0) {
                return Err(full);
            }
            if let Some(part) = self.parts.get_mut(index) {
                part.log_offset = Sectors(*offset);
            }
            *offset = end;
        }
        Ok(())
    }
}

/// What a move must not take: the source's PVs, unless `anywhere`.
fn avoided(request: &MoveRequest<'_>) -> Bounded<Area, MAX_PVS> {
    let mut avoid = Bounded::<Area, MAX_PVS>::new();
    if request.policy != Policy::Anywhere {
        for source in request.sources {
            if !avoid.iter().any(|area| area.pv == source.pv) {
                let _ = avoid.push(Area::whole(source.pv)); // As many as there are PVs.
            }
        }
    }
    avoid
}

/// The first piece of a segment, from physical extent `from` on, that lies in an area.
fn clip(segment: Segment, from: u64, areas: &[Area]) -> Option<Segment> {
    let pv = segment.place.pv;
    let start = areas
        .iter()
        .filter(|area| area.pv == pv && u64::from(area.end()) > from)
        .map(|area| from.max(area.first.0.into()))
        .min()
        .filter(|&start| start < segment.run().end())?;
    let mut end = start;
    // Areas that touch or overlap make one piece.
    while let Some(area) = areas
        .iter()
        .find(|area| area.pv == pv && u64::from(area.first.0) <= end && u64::from(area.end()) > end)
    {
        end = area.end().into();
    }
    let end = end.min(segment.run().end());
    let skipped = u32::try_from(start.checked_sub(segment.place.pe.0.into())?).ok()?;
    let count = Extents(u32::try_from(end.checked_sub(start)?).ok().filter(|&count| count > 0)?);
    Some(Segment { count, ..behind(segment, Extents(skipped)) })
}

/// What is left of a segment behind its first `skipped` extents.
fn behind(segment: Segment, skipped: Extents) -> Segment {
    let place = segment.place;
    Segment {
        lv: segment.lv,
        first: Le(segment.first.0.saturating_add(skipped.0)),
        count: Extents(segment.count.0.saturating_sub(skipped.0)),
        place: Place { pv: place.pv, pe: Pe(place.pe.0.saturating_add(skipped.0)) },
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::NoSource => write!(f, "no source on a PV of the VG"),
            PlanError::NothingToMove => write!(f, "no data to move there"),
            PlanError::SourceIsDestination { pv } => {
                write!(f, "PV {} is source and destination; that needs --alloc anywhere", pv.0)
            }
            PlanError::AlreadyMoving { lv, by } => {
                write!(f, "LV {} is under move {by} already: let that finish or abort it", lv.0)
            }
            PlanError::Alloc(error) => error.fmt(f),
            PlanError::TooManyParts { limit } => write!(
                f,
                "the move would have more than {limit} parts: move ranges of the PV, or one LV at a time with -n"
            ),
            PlanError::TooManyLvs { limit } => write!(
                f,
                "an atomic move touches at most {limit} LVs: move without --atomic, or with -n"
            ),
            PlanError::TooManyMoves { limit } => {
                write!(f, "a VG records at most {limit} moves: move fewer LVs at a time with -n")
            }
            PlanError::TooManySegments { limit } => {
                write!(f, "the VG could get more than {limit} segments: move smaller ranges")
            }
            PlanError::LogFull { pv } => write!(
                f,
                "the dirty-log area of PV {} is too small for this move: move smaller ranges",
                pv.0
            ),
            PlanError::BadUuid => write!(f, "the UUID of a move is zero or taken"),
        }
    }
}

impl core::error::Error for PlanError {}
