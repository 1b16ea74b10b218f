//! What a front end tells the mover.

use crate::{Leg, LegFault};

/// Why a move ends without having moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortReason {
    /// It was asked for.
    Requested,
    /// A leg failed.
    LegFailed(Leg, LegFault),
    /// A step failed before the switch; its error is the front end's to report.
    StepFailed,
    /// An earlier run had begun to go back; the record does not say why.
    Earlier,
}

/// A fact handed to the mover. At most one action is under way, so `Done` and `Failed` need not
/// name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The last action was done.
    Done,
    /// The last action failed; it may or may not have had an effect.
    Failed,
    /// During `AwaitCopy` or `CheckLegs`: every part is equal on both legs and every leg is
    /// healthy.
    CopyEqual,
    /// During `AwaitCopy`, `CheckLegs` or `FlushDestination`: a leg failed. During `CheckDestination`: the
    /// destination did. During the commit of
    /// `Moved`: a flush of the destination did.
    LegFailed(Leg, LegFault),
    /// During `CheckLegs`: not equal at the moment (a write is being mirrored again): wait on.
    NotEqual,
    /// At any time: go back to the source if the destination has not taken over yet.
    AbortRequested,
    /// At any time: stop and leave all as it is; a later run carries on. Heeded while the copy
    /// runs; in the other steps it waits until then, or until the end.
    LeaveRequested,
}
