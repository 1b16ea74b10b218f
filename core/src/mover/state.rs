//! Where a move stands.

/// The state of a move as its metadata record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recorded {
    /// Planned: destination extents are reserved, nothing is mirrored, the log means nothing.
    Queued,
    /// The source is in charge; where the LV is mirrored or inactive the log is to be believed.
    Copying,
    /// On the way back to the source; the log is void.
    Aborting,
    /// The destination is in charge; source extents are still reserved.
    Moved,
}

/// What an LV's device shows when a move is taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Live {
    /// The LV has no device.
    Absent,
    /// Its live table is this mapping.
    Is(super::Mapping),
    /// Its live table is none of the three that this move could have loaded.
    Foreign,
}

/// How a move ended, or where it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every byte is on the destination, which is in charge; the record is gone.
    Moved,
    /// The source is in charge and alone; the record is gone.
    Aborted(super::AbortReason),
    /// Left running on request; a later run carries on.
    Left,
    /// A step on the way out failed for good. What is true now:
    Stuck {
        /// The record on disk says that the destination is in charge.
        destination_in_charge: bool,
        /// The LVs may still be mirrored (harmless: both legs are written).
        maybe_mirrored: bool,
    },
    /// Metadata and devices contradict each other; nothing was touched.
    Refused,
}
