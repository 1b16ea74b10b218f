//! `udev`: what a device is, in the words of udev's rules. An LV: the names of its link. A PV: that it
//! is one, and of which VG; and when it is the last PV to appear, the unit that activates the VG. The mirror of a
//! move in a VG of LVM2's: that VG, if the move waits for a mover.

use super::Context;
use crate::cli::udev_args::Udev;
use crate::device::{Access, BlockDevice};
use crate::error::Result;
use crate::lvm2::waiting::Part;
use crate::output;
use crate::pv::{Scan, online};
use crate::{systemd, vg};

pub(super) fn run(context: &mut Context<'_>, args: &Udev) -> Result<()> {
    let number = crate::device::number_at(&args.device)?;
    let mut lines = Vec::new();
    if let Some((vg, lv)) = context.front_end.lv_at(number)? {
        lines.push(("LVSHIFT_VG", vg));
        lines.push(("LVSHIFT_LV", lv));
    } else if let Some(part) = Part::at(number) {
        if let Some(vg) = part.waits()? {
            lines.push(("LVSHIFT_CARRY_ON", vg));
        }
    } else {
        let device = BlockDevice::open(&args.device, Access::Read)?;
        if let Some(pv) = Scan::of(std::iter::once((device, Vec::new()))).pvs.pop() {
            lines.push(("ID_FS_TYPE", "lvshift_member".to_owned()));
            lines.push(("ID_FS_USAGE", "raid".to_owned()));
            lines.push(("ID_FS_UUID", pv.uuid.to_string()));
            lines.push(("ID_FS_UUID_ENC", pv.uuid.to_string()));
            online::note(pv.uuid, pv.number)?;
            if let Some((_, name, _)) = pv.vg.clone() {
                // Another host's VG is never complete here: nothing activates it on its own.
                let (listed, foreign) = vg::listed_by(pv)?;
                let complete = online::are_all(&listed)? && !foreign;
                lines.push(("LVSHIFT_VG", name.clone()));
                // What lsblk and udisks show beside the type.
                lines.push(("ID_FS_LABEL", name.clone()));
                lines.push(("ID_FS_LABEL_ENC", name.clone()));
                lines.push(("LVSHIFT_VG_COMPLETE", u8::from(complete).to_string()));
                lines.push(("LVSHIFT_VG_UNIT", systemd::escape(&name)));
            }
        }
    }
    let text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    output::out(&text);
    Ok(())
}
