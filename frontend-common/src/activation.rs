//! Which mapping an LV is activated with when a move of it is recorded. One rule never breaks: an
//! LV whose record says Copying is never made writable on the source alone before the dirty log
//! is durably void.

use lvshift_core::units::Uuid;

use crate::error::{Error, Kind, Result};
use crate::front_end::{ActiveLv, FrontEnd};
use crate::vg::OpenVg;

/// What an activation of several LVs did.
#[derive(Debug, Default)]
pub struct Activated {
    /// The LVs that are active now (also those that already were).
    pub active: Vec<(Uuid, ActiveLv)>,
    /// The LVs that are not, and why.
    pub failed: Vec<Error>,
    /// Sentences worth saying: a move that waits for `pvmove`, a log that was voided.
    pub notes: Vec<String>,
}

/// Activates one LV and returns its device with sentences worth saying.
///
/// # Errors
/// `Kind::Missing` when one of its PVs is missing, `Kind::Kernel`, `Kind::Io`.
pub fn activate(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    lv: Uuid,
) -> Result<(ActiveLv, Vec<String>)> {
    let _ = (vg, front_end, lv);
    Err(Error::new(Kind::Unsupported, "activation is not written yet"))
}

/// Activates every LV of the VG that can be.
pub fn activate_all(vg: &mut OpenVg, front_end: &mut dyn FrontEnd) -> Activated {
    let mut activated = Activated::default();
    let uuids: Vec<Uuid> = vg.vg().lvs().iter().map(|lv| lv.uuid).collect();
    for lv in uuids {
        match activate(vg, front_end, lv) {
            Ok((device, notes)) => {
                activated.active.push((lv, device));
                activated.notes.extend(notes);
            }
            Err(error) => activated.failed.push(error),
        }
    }
    activated
}

/// Takes the LV's device down; refused while a mover drives a move of it.
///
/// # Errors
/// `Kind::InUse` when it is open, `Kind::Locked` when it is being moved.
pub fn deactivate(vg: &OpenVg, front_end: &mut dyn FrontEnd, lv: Uuid) -> Result<()> {
    let _ = (vg, front_end, lv);
    Err(Error::new(Kind::Unsupported, "activation is not written yet"))
}
