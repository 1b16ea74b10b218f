//! The lock of one PV's metadata, beside that of its VG: it is held by whatever still writes there. Who holds
//! the VG's lock has ended by its death; a write of it that a device keeps has not.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use lvshift_core::units::Uuid;

use super::{LIMIT, open_in_run, try_for};
use crate::error::Result;

/// How long one is waited for that is not known to be late: as long as itself waits for its device.
const PATIENCE: Duration = Duration::from_secs(30);
/// What stands in the file of one that is.
const LATE: &[u8] = b"late";

/// The lock of one PV's metadata.
#[derive(Debug)]
pub(crate) struct Fence {
    file: File,
    taken: bool,
}

impl Fence {
    /// The PV's, not taken.
    ///
    /// # Errors
    /// `Kind::Kernel` when the file cannot be used.
    pub(crate) fn of(pv: Uuid) -> Result<Fence> {
        // Tests run side by side, each on a thread of its own, and their PVs have the same few UUIDs.
        #[cfg(test)]
        let pv = format!("{pv}-{:?}", std::thread::current().id());
        Ok(Fence { file: open_in_run(&format!("{pv}.writes"))?, taken: false })
    }

    /// Takes it for a writer, or looks whether a reader may go on; false where what was given up, or has survived who
    /// began it, may still be written. Where it is taken already both may.
    ///
    /// # Errors
    /// `Kind::Kernel` when the kernel refuses.
    pub(crate) fn pass(&mut self, writes: bool) -> Result<bool> {
        if self.taken {
            return Ok(true);
        }
        let mut note = [0; LATE.len()];
        let is_late =
            self.file.read_at(&mut note, 0).is_ok_and(|length| length > 0) && note == LATE;
        let patience = if is_late { Duration::ZERO } else { LIMIT.get().unwrap_or(PATIENCE) };
        let passed = match writes {
            true => try_for(&self.file, patience, || self.file.try_lock())?,
            false => try_for(&self.file, patience, || self.file.try_lock_shared())?,
        };
        match (passed, writes) {
            (true, true) => {
                self.taken = true;
                let _ = self.file.set_len(0);
            }
            (true, false) => self.file.unlock().map_err(super::cannot_lock)?,
            // Who waited for less than a holder may take knows nothing of it.
            (false, _) if patience >= PATIENCE => self.note_late(),
            (false, _) => {}
        }
        Ok(passed)
    }

    /// Whether this process, or a child of its, may write under it.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken
    }

    /// Lets go of it for whoever has it open together with this one, too.
    ///
    /// # Errors
    /// `Kind::Kernel` when the kernel refuses.
    pub(crate) fn let_go(&mut self) -> Result<()> {
        if std::mem::take(&mut self.taken) {
            self.file.unlock().map_err(super::cannot_lock)?;
        }
        Ok(())
    }

    /// Whoever comes next does not wait for this one.
    pub(crate) fn note_late(&self) {
        // It costs others a wait where it cannot be noted.
        let _ = self.file.write_all_at(LATE, 0);
    }
}

impl AsFd for Fence {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
