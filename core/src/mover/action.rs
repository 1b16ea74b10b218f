//! What the mover asks its front end to do next.

use crate::units::Uuid;

/// Which mapping a table of an LV under a move expresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// As before the move: every extent on its source.
    Source,
    /// Linear onto the shadow where nothing moves, mirror (shadow -> destination) where it does.
    Mirrored,
    /// As after the move: moved extents on the destination.
    Final,
}

/// A change of the move's record in the VG metadata, committed on every PV present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Queued -> Copying: from now on the dirty log is believed.
    Begin,
    /// Copying -> Moved: the one moment in which the destination takes over (outline step 7).
    Moved,
    /// Queued or Copying -> Aborting: the log is void, the source stays in charge.
    Aborting,
    /// Moved or Aborting -> no record: the extents of the side that lost are free again.
    Forget,
}

/// One step for the front end. It does it and answers with
/// [`Event::Done`](super::Event::Done) or [`Event::Failed`](super::Event::Failed)
/// (or, for [`Action::AwaitCopy`], with what the copy did).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Write this LV's dirty-log images all-dirty onto the destination PVs, and flush them.
    InitLog {
        /// The LV whose parts are meant.
        lv: Uuid,
    },
    /// Commit a metadata change on every PV present and flush; answer only when all hold it.
    Commit(Change),
    /// Create the shadow device with the LV's source table, and the log devices of its parts
    /// (outline step 2). What is already there and right is left.
    CreateShadow {
        /// The LV whose shadow is meant.
        lv: Uuid,
    },
    /// Load a table into the LV's inactive slot (outline step 3 or 8).
    Load {
        /// The LV.
        lv: Uuid,
        /// What the table expresses.
        mapping: Mapping,
    },
    /// Suspend, flush pending I/O, switch to the loaded table, resume: one ioctl on dm
    /// (outline steps 1 and 4, 5 and 8).
    Swap {
        /// The LV.
        lv: Uuid,
        /// What was loaded, for messages and fail points.
        mapping: Mapping,
    },
    /// Wait until every part is equal, or a leg fails, or somebody asks to stop. Event-driven.
    AwaitCopy,
    /// Read every part's status now: all equal and every leg healthy ever since?
    CheckLegs,
    /// Flush the volatile caches of every destination PV.
    FlushDestination,
    /// Find the sectors that cannot be read on the source or written on the destination among
    /// the chunks that are not clean, for the message; best effort. Nothing is mirrored now.
    Diagnose,
    /// Point the shadow at nothing, take it and the log devices down; deferred where they are
    /// held open by somebody (outline step 6).
    RemoveShadow {
        /// The LV whose shadow is meant.
        lv: Uuid,
    },
    /// The end: the mover gives no further action.
    Finish(super::Outcome),
}
