//! Which device of LVM2's is the mirror of a move, and does that move wait for a mover?

use lvshift_core::units::{DeviceNumber, Uuid};

use super::id;
use super::text::moves::PREFIX;
use crate::device::sysfs;
use crate::error::Result;
use crate::lock;

/// A device that stands for a hidden LV of a move of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    vg: String,
    lv: String,
    /// The id that the core knows the VG by.
    vg_uuid: Uuid,
}

impl Part {
    pub(crate) fn at(number: DeviceNumber) -> Option<Part> {
        Part::of(&sysfs::dm_name(number)?, &sysfs::dm_uuid(number)?)
    }

    fn of(name: &str, uuid: &str) -> Option<Part> {
        let vg_id = uuid.strip_prefix("LVM-")?.get(..32)?;
        let (vg, lv) = names(name)?;
        let ours = lv.strip_prefix(PREFIX)?.starts_with(|first: char| first.is_ascii_digit());
        ours.then(|| Part { vg, lv, vg_uuid: id::uuid(vg_id) })
    }

    /// The VG, if this is the mirror itself and no mover was at work in the VG since the boot: LVM2 alone has made
    /// the device then, and whoever stopped the move before did so before the last boot.
    ///
    /// # Errors
    /// `Kind::Kernel` when `/run/lvshift` cannot be used.
    pub(crate) fn waits(self) -> Result<Option<String>> {
        Ok((self.is_mirror() && !lock::had_mover(self.vg_uuid)?).then_some(self.vg))
    }

    fn is_mirror(&self) -> bool {
        let number = self.lv.strip_prefix(PREFIX).unwrap_or_default();
        number.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// The names of VG and LV in that of a dm device, in which a hyphen of theirs is doubled.
fn names(name: &str) -> Option<(String, String)> {
    let mut rest = name;
    let mut at = 0;
    while let Some(found) = rest.find('-') {
        let after = rest.get(found + 1..)?;
        if let Some(after) = after.strip_prefix('-') {
            at += found + 2;
            rest = after;
            continue;
        }
        let plain = |text: &str| text.replace("--", "-");
        return Some((plain(name.get(..at + found)?), plain(after)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_a_move_is_known_by_name_and_uuid() {
        let ids = "RwpZ2IWo1idXtvOzr0Ff4C4a2QKt3aLb0a0102030405060708090a0b0c0d0ef5";
        let part = |name: &str| Part::of(name, &format!("LVM-{ids}"));
        let mirror = part("my--data-lvshift12").expect("a part");
        assert!(mirror.is_mirror());
        assert_eq!(mirror.vg, "my-data");
        assert_eq!(mirror.vg_uuid, id::uuid("RwpZ2I-Wo1i-dXtv-Ozr0-Ff4C-4a2Q-Kt3aLb"));
        for name in ["vg0-lvshift0_mimage_0", "vg0-lvshift0_mlog", "vg0-lvshift0_mimage_1_ublk"] {
            assert!(!part(name).expect("a part").is_mirror(), "{name}");
        }
        for name in ["vg0-home", "vg0-lvshift", "vg0-lvshifted0", "vg0--lvshift0", "lvshift0", ""] {
            assert_eq!(part(name), None, "{name}");
        }
        assert_eq!(Part::of("vg0-lvshift0", ids), None, "not of LVM2");
    }
}
