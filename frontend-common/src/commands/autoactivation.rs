//! `--setautoactivation`: what is activated when the disks of its VG have appeared, as at boot (`-aay`)?

use lvshift_core::units::Uuid;

use super::lookup::refuse;
use crate::error::{Kind, Result};
use crate::vg::{OpenVg, Vg};

/// Says it of all LVs of a VG.
pub(super) fn of_vg(open: &mut OpenVg, wanted: bool) -> Result<()> {
    open.commit(|vg| {
        vg.set_autoactivation(wanted);
        Ok(())
    })
}

/// Says it of these LVs.
pub(super) fn of_lvs(open: &mut OpenVg, lvs: &[Uuid], wanted: bool) -> Result<()> {
    open.commit(|vg| {
        for lv in lvs.iter().filter_map(|lv| vg.lv_by_uuid(*lv)).collect::<Vec<_>>() {
            vg.set_autoactivation_of(lv, wanted)
                .map_err(|error| refuse(Kind::State, "an LV is gone").because(error))?;
        }
        Ok(())
    })
}

/// Those of these LVs that are activated by themselves.
pub(super) fn among(vg: &Vg, lvs: Vec<Uuid>) -> Vec<Uuid> {
    let by_itself = |of: &Uuid| vg.lv_by_uuid(*of).is_some_and(|lv| vg.autoactivates(lv));
    lvs.into_iter().filter(by_itself).collect()
}
