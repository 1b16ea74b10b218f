//! What the mover asks its front end to do next.

use crate::metadata::Change;
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

/// One step for the front end. It does it and answers with
/// [`Event::Done`](super::Event::Done) or [`Event::Failed`](super::Event::Failed)
/// (or, for [`Action::AwaitCopy`] and [`Action::CheckLegs`], with what the copy did).
///
/// Every action may be asked for again after a crash or a failure, and must then find its own
/// earlier effect in order: "already so" is `Done`.
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
    /// Create the shadow device with the LV's source table, and the log devices of its parts.
    /// What is already there and right is left.
    CreateShadow {
        /// The LV whose shadow is meant.
        lv: Uuid,
    },
    /// Load a table into the LV's inactive slot. An LV without a device
    /// gets one, with this table waiting in it.
    Load {
        /// The LV.
        lv: Uuid,
        /// What the table expresses.
        mapping: Mapping,
    },
    /// Suspend, flush pending I/O, switch to the loaded table, resume: one ioctl on dm.
    /// `Done` only if the live table is then this mapping: a
    /// kernel that failed an earlier swap has dropped the loaded table, and a swap with nothing
    /// loaded succeeds and changes nothing.
    Swap {
        /// The LV.
        lv: Uuid,
        /// What was loaded, for messages and fail points.
        mapping: Mapping,
    },
    /// Wait until every part is equal, or a leg fails, or the mover is asked to stop. Event-driven.
    AwaitCopy,
    /// Read every part's status now: all equal and every leg healthy ever since?
    ///
    /// From a `Done` to this on, a write that the destination did not take must not be
    /// acknowledged, since the hand-over may be committed at any moment: until the LV is swapped,
    /// or Commit Aborting, or Commit Confirm of a move that is still copying, is `Done`.
    /// dm-mirror with `handle_errors` holds such a write at all times; ublk has to park it.
    CheckLegs,
    /// Flush the volatile caches of every destination PV. A flush that failed is never tried
    /// again and believed: the device may have dropped what it was to make durable.
    FlushDestination,
    /// *Moved* is committed and every LV is still mirrored: has the destination failed until now? Answered with
    /// [`Event::LegFailed`](super::Event::LegFailed) of the destination if it has. Asked where the front end may hear of a
    /// failure late (dm-mirror tells of a flush when it is over on both legs), and `Done` at once where no flush is
    /// acknowledged before the commit is decided.
    CheckDestination,
    /// Find the sectors that cannot be read on the source or written on the destination among
    /// the chunks that are not clean, for the message; best effort. Nothing is mirrored now.
    Diagnose,
    /// Point the shadow at nothing, take it and the log devices down; deferred where they are
    /// held open by another process. No shadow is `Done`.
    RemoveShadow {
        /// The LV whose shadow is meant.
        lv: Uuid,
    },
    /// The end: the mover gives no further action.
    Finish(super::Outcome),
}

impl Action {
    /// Every name that [`Action::name`] can give, in the order of a move that goes well, then
    /// those of the way back. Fail points and tests are written against these.
    pub const NAMES: [&'static str; 20] = [
        "commit-confirm",
        "init-log",
        "commit-begin",
        "create-shadow",
        "load-mirrored",
        "swap-mirrored",
        "await-copy",
        "check-legs",
        "flush-destination",
        "commit-moved",
        "check-destination",
        "load-final",
        "swap-final",
        "remove-shadow",
        "commit-forget",
        "finish",
        "commit-aborting",
        "load-source",
        "swap-source",
        "diagnose",
    ];

    /// A stable name for fail points, logs and tests.
    pub const fn name(&self) -> &'static str {
        match self {
            Action::InitLog { .. } => "init-log",
            Action::Commit(Change::Confirm) => "commit-confirm",
            Action::Commit(Change::Begin) => "commit-begin",
            Action::Commit(Change::Moved) => "commit-moved",
            Action::Commit(Change::Aborting) => "commit-aborting",
            Action::Commit(Change::Forget) => "commit-forget",
            Action::CreateShadow { .. } => "create-shadow",
            Action::Load { mapping: Mapping::Source, .. } => "load-source",
            Action::Load { mapping: Mapping::Mirrored, .. } => "load-mirrored",
            Action::Load { mapping: Mapping::Final, .. } => "load-final",
            Action::Swap { mapping: Mapping::Source, .. } => "swap-source",
            Action::Swap { mapping: Mapping::Mirrored, .. } => "swap-mirrored",
            Action::Swap { mapping: Mapping::Final, .. } => "swap-final",
            Action::AwaitCopy => "await-copy",
            Action::CheckLegs => "check-legs",
            Action::FlushDestination => "flush-destination",
            Action::CheckDestination => "check-destination",
            Action::Diagnose => "diagnose",
            Action::RemoveShadow { .. } => "remove-shadow",
            Action::Finish(_) => "finish",
        }
    }

    /// The LV that the action is about, if it is about one.
    pub const fn lv(&self) -> Option<Uuid> {
        match self {
            Action::InitLog { lv }
            | Action::CreateShadow { lv }
            | Action::Load { lv, .. }
            | Action::Swap { lv, .. }
            | Action::RemoveShadow { lv } => Some(*lv),
            _ => None,
        }
    }
}
