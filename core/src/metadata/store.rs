//! Where a VG keeps its records: the caller chooses.

use core::fmt::Debug;

use super::{Lv, Move, MovePart, Pv, Run, Segment};
use crate::limits::{MAX_LVS, MAX_MOVES, MAX_PARTS, MAX_PVS, MAX_SEGMENTS};
use crate::list::{Bounded, List};

/// The lists of a VG. [`Fixed`] keeps them in the VG itself; a host with a heap writes one whose lists
/// grow, so that a small VG is small.
///
/// Each list's limit is the most records of that kind that the VG takes; metadata with more are
/// refused when they are read. Above the limits of [`limits`](crate::limits) metadata would not fit
/// their slots.
pub trait Store: Clone + Debug + PartialEq + Eq {
    /// The PVs.
    type Pvs: List<Pv>;
    /// The LVs.
    type Lvs: List<Lv>;
    /// The segments of all LVs.
    type Segments: List<Segment>;
    /// The recorded moves.
    type Moves: List<Move>;
    /// The parts of all moves.
    type Parts: List<MovePart>;
    /// The extents in use: needs room for all segments and all parts together.
    type Used: List<Run>;
    /// Numbers of parts, in the order in which a check looks at them: for as long as it runs.
    type Order: List<u16>;
}

/// Lists of fixed sizes inside the VG, by default of the sizes that [`limits`](crate::limits) allows:
/// then a [`Vg`](super::Vg) has 661,208 bytes, whatever it holds, and belongs into a `static`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed<
    const PVS: usize = MAX_PVS,
    const LVS: usize = MAX_LVS,
    const SEGMENTS: usize = MAX_SEGMENTS,
    const MOVES: usize = MAX_MOVES,
    const PARTS: usize = MAX_PARTS,
    const USED: usize = { MAX_SEGMENTS + MAX_PARTS },
>;

impl<
    const PVS: usize,
    const LVS: usize,
    const SEGMENTS: usize,
    const MOVES: usize,
    const PARTS: usize,
    const USED: usize,
> Store for Fixed<PVS, LVS, SEGMENTS, MOVES, PARTS, USED>
{
    type Pvs = Bounded<Pv, PVS>;
    type Lvs = Bounded<Lv, LVS>;
    type Segments = Bounded<Segment, SEGMENTS>;
    type Moves = Bounded<Move, MOVES>;
    type Parts = Bounded<MovePart, PARTS>;
    type Used = Bounded<Run, USED>;
    type Order = Bounded<u16, PARTS>;
}
