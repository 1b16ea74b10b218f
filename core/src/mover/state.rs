//! Where a move stands: on disk, on the devices, and within a run of the mover.

use super::{AbortReason, Mapping};
use crate::metadata::MoveState;

/// What an LV's device shows when a move is taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Live {
    /// The LV has no device. (A device that never got a live table is taken down first and then
    /// counts as this.)
    Absent,
    /// Its live table is this mapping.
    Is(Mapping),
    /// Its live table is none of the three that this move could have loaded.
    Foreign,
}

/// Which side holds the truth, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InCharge {
    /// The source; the record says so.
    Source,
    /// The destination; the record says so.
    Destination,
    /// The PVs may disagree: a commit failed half-way, and so did every try to end that.
    /// Whichever record a later run reads is right, since nothing was done that favours one.
    Either,
}

/// How a move ended, or where it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every byte is on the destination, which is in charge; the record is gone.
    Moved,
    /// The source is in charge and alone; the record is gone.
    Aborted(AbortReason),
    /// Left running on request; a later run carries on.
    Left,
    /// A step on the way out failed for good; a later run can carry on. What is true now:
    Stuck {
        /// Which side the metadata has in charge.
        in_charge: InCharge,
        /// The LVs may still be mirrored (harmless: both legs are written). If not, only the
        /// tidying up is missing.
        maybe_mirrored: bool,
    },
    /// Metadata and devices contradict each other; nothing was touched.
    Refused,
}

/// The step of a run. A number is the position of an LV in the mover's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Recovery: commit what was read, so that all PVs agree before anything acts on it.
    Confirm,
    /// Make the log say that nothing is copied.
    InitLog(u8),
    /// Commit Begin.
    Begin,
    /// Build the mirror, an LV at a time.
    CreateShadow(u8),
    /// See [`Phase::CreateShadow`].
    LoadMirrored(u8),
    /// See [`Phase::CreateShadow`].
    SwapMirrored(u8),
    /// The copy runs.
    AwaitCopy,
    /// Equal and healthy before the flush?
    Check,
    /// Make the destination durable.
    Flush,
    /// Equal and healthy still, after the flush?
    CheckFlushed,
    /// Commit Moved: no wish leads back once it is issued.
    CommitMoved,
    /// Has the destination failed meanwhile? The last point from which a failure leads back.
    CheckMoved,
    /// Switch to the destination, an LV at a time.
    LoadFinal(u8),
    /// See [`Phase::LoadFinal`].
    SwapFinal(u8),
    /// Commit Aborting: before anything is taken back.
    CommitAborting,
    /// Switch back to the source, an LV at a time.
    LoadSource(u8),
    /// See [`Phase::LoadSource`].
    SwapSource(u8),
    /// Take the shadows down, on either way.
    RemoveShadow(u8),
    /// Find the sectors to name.
    Diagnose,
    /// Commit Forget, on either way.
    Forget,
    /// Over.
    End(Outcome),
}

/// A set of LVs by their position in the mover's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LvSet(pub u64);

// One bit for each LV of a move.
const _: () = assert!(crate::limits::MAX_LVS_PER_MOVE <= u64::BITS as usize);

impl LvSet {
    /// Is this LV in the set?
    pub const fn has(self, lv: u8) -> bool {
        match self.0.checked_shr(lv as u32) {
            Some(shifted) => shifted & 1 == 1,
            None => false,
        }
    }

    /// The set with this LV.
    pub const fn with(self, lv: u8) -> LvSet {
        match 1u64.checked_shl(lv as u32) {
            Some(bit) => LvSet(self.0 | bit),
            None => self,
        }
    }

    /// No LV at all?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Everything a run of the mover knows, apart from the LVs' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The step.
    pub phase: Phase,
    /// Its action has been given out and is not answered yet.
    pub issued: bool,
    /// The record as last read or committed for certain.
    pub recorded: MoveState,
    /// The way back is wanted or under way, and why.
    pub abort: Option<AbortReason>,
    /// The mover was asked to leave.
    pub leave: bool,
    /// Failures of this step in a row.
    pub failures: u8,
    /// Failures of Commit Moved in this run.
    pub moved_failures: u8,
    /// The PVs may disagree about who is in charge: what was read is not confirmed yet, or
    /// Commit Moved has failed.
    pub unsure: bool,
    /// How many LVs.
    pub lvs: u8,
    /// Their log may be believed: no InitLog.
    pub log_kept: LvSet,
    /// They were found mirrored: nothing to build.
    pub attached: LvSet,
    /// Their device may hold a table of this move, live or loaded: the way back loads and swaps.
    pub touched: LvSet,
    /// They were found on the destination, or without a device: nothing to switch.
    pub switched: LvSet,
}
