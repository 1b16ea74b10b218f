//! Which PVs a commit may do without when a device is gone.

use core::cell::Cell;

use lvshift_core::Leg;
use lvshift_core::metadata::{Change, MoveState};

/// Says of each PV that cannot be written whether a commit of a move may do without it. One value for
/// one commit.
///
/// On the way back a device that is gone must not stand in the way: until the LV is switched back,
/// dm-mirror holds the application's writes. One side of the move may be gone: without the
/// destination the source alone decides what the LV is; without the source the destination, which
/// holds the dirty log, says that the log is void, so it will not be believed. Were the commit to
/// stand on neither, a source and a destination that come back together would still agree on a log
/// that lies. So the first PV that is done without settles which side may be.
///
/// Every other commit needs both sides. What it may do without beside them is not for the move to say.
#[derive(Debug)]
pub struct MayLack {
    change: Change,
    side: Cell<Option<Leg>>,
}

impl MayLack {
    /// For a commit of this change to the record of a move.
    #[must_use]
    pub fn new(change: Change) -> MayLack {
        MayLack { change, side: Cell::new(None) }
    }

    /// Whether a PV may be missing that holds some of the move's `source`, of its `destination`, of
    /// both or neither, while the record says `recorded`.
    #[must_use]
    pub fn pv(&self, recorded: Option<MoveState>, source: bool, destination: bool) -> bool {
        let way_back = match self.change {
            Change::Aborting => true,
            Change::Forget | Change::Confirm => recorded == Some(MoveState::Aborting),
            Change::Begin | Change::Moved => false,
        };
        let side = match (source, destination) {
            (true, false) => Leg::Source,
            (false, true) => Leg::Destination,
            _ => return false,
        };
        if !way_back {
            return false;
        }
        if self.side.get().is_none() {
            self.side.set(Some(side));
        }
        self.side.get() == Some(side)
    }
}
