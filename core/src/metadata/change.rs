//! How the record of a move may change.

/// A change of the move's record in the VG metadata, committed on every PV present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// No change: write what was read once more under a higher sequence number, so that every PV
    /// holds it. A commit that a crash cut short may stand on one PV alone; whoever acts on it
    /// while that PV could go missing would act on a record that no other PV holds.
    Confirm,
    /// Queued -> Copying: from now on the dirty log is believed.
    Begin,
    /// Copying -> Moved: the one moment in which the destination takes over.
    Moved,
    /// Queued or Copying (or a Moved that failed to commit) -> Aborting: the log is void, the
    /// source stays in charge.
    Aborting,
    /// Moved or Aborting -> no record: the extents of the side that lost are free again.
    Forget,
}
