//! The lock of one PV's metadata, beside that of its VG: it is held by whatever still writes there. Who holds
//! the VG's lock has ended by its death; a write of it that a device keeps has not.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use lvshift_core::units::Uuid;

use super::{LIMIT, open_in_run, try_for};
use crate::error::Result;

/// How long one is waited for that is not known to be late: as long as itself waits for its device.
const PATIENCE: Duration = Duration::from_secs(30);
/// What stands in the file of one that is.
const LATE: &[u8] = b"late";

/// The PV's lock, not taken.
///
/// # Errors
/// `Kind::Kernel` when the file cannot be used.
pub(crate) fn fence(pv: Uuid) -> Result<File> {
    // Tests run side by side, each on a thread of its own, and their PVs have the same few UUIDs.
    #[cfg(test)]
    let pv = format!("{pv}-{:?}", std::thread::current().id());
    open_in_run(&format!("{pv}.writes"))
}

/// Takes it for a writer, or looks whether a reader may go on; false where what was given up, or has survived who
/// began it, may still be written.
///
/// # Errors
/// `Kind::Kernel` when the kernel refuses.
pub(crate) fn pass_fence(fence: &File, writes: bool) -> Result<bool> {
    let mut note = [0; LATE.len()];
    let is_late = fence.read_at(&mut note, 0).is_ok_and(|length| length > 0) && note == LATE;
    let patience = if is_late { Duration::ZERO } else { LIMIT.get().unwrap_or(PATIENCE) };
    if writes {
        let taken = try_for(fence, patience, || fence.try_lock())?;
        if taken {
            let _ = fence.set_len(0);
        } else {
            note_if_late(fence, patience);
        }
        return Ok(taken);
    }
    let free = try_for(fence, patience, || fence.try_lock_shared())?;
    if free {
        fence.unlock().map_err(super::cannot_lock)?;
    } else {
        note_if_late(fence, patience);
    }
    Ok(free)
}

/// Who waited for less than a holder may take knows nothing of it.
fn note_if_late(fence: &File, waited: Duration) {
    if waited >= PATIENCE {
        note_late(fence);
    }
}

/// Whoever comes next does not wait for this one.
pub(crate) fn note_late(fence: &File) {
    // It costs others a wait where it cannot be noted.
    let _ = fence.write_all_at(LATE, 0);
}
