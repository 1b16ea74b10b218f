//! What our dm devices are called. In a name every hyphen of a VG or LV name is doubled, so that
//! the single ones separate.

use lvshift_core::units::Uuid;
use lvshift_frontend_common::device::OWN_DM_PREFIX;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::lvm2::engine::PRIVATE_NAME;

/// dm's own limit on a name, without its final zero byte.
const MAX_DM_NAME: usize = 127;

/// The start of the dm UUIDs of LVM2's LVs.
const LVM2_DM_PREFIX: &str = "LVM-";

/// A device of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The LV itself.
    Lv,
    /// The device that keeps the LV's old mapping during a move.
    Shadow,
    /// The dirty log of one part, counted within the LV's parts of the move.
    Log(usize),
}

impl Role {
    fn suffix(self) -> String {
        match self {
            Role::Lv => String::new(),
            Role::Shadow => "-shadow".to_owned(),
            Role::Log(number) => format!("-log{number}"),
        }
    }
}

/// The name under `/dev/mapper`.
pub(crate) fn name(vg: &str, lv: &str, role: Role) -> Result<String> {
    let double = |name: &str| name.replace('-', "--");
    let name = format!("{}-{}{}", double(vg), double(lv), role.suffix());
    if name.len() > MAX_DM_NAME {
        return Err(Error::new(
            Kind::Limit,
            format!("the names {vg} and {lv} make a device name of {} bytes", name.len()),
        )
        .state("nothing was changed")
        .next(format!("device-mapper takes {MAX_DM_NAME}: choose a shorter name")));
    }
    Ok(name)
}

/// The dm UUID, by which a device is found.
pub(crate) fn uuid(vg: Uuid, lv: Uuid, role: Role) -> String {
    format!("{}{}", lv_uuid(vg, lv), role.suffix())
}

fn lv_uuid(vg: Uuid, lv: Uuid) -> String {
    format!("{OWN_DM_PREFIX}{vg}-{lv}")
}

/// Whether a dm UUID of ours is one of a helper device.
pub(crate) fn is_helper(dm_uuid: &str) -> bool {
    dm_uuid.len() > OWN_DM_PREFIX.len() + 36 + 1 + 36
}

/// Whether a device is a helper of a move, in a VG of ours or of LVM2's: udev is to look at none.
pub(crate) fn is_hidden(dm_uuid: &str, dm_name: &str) -> bool {
    if !dm_uuid.starts_with(LVM2_DM_PREFIX) {
        return is_helper(dm_uuid);
    }
    // The one single hyphen stands before the LV's name.
    let lv = dm_name.replace("--", "  ").split_once('-').map(|(_, lv)| lv.to_owned());
    let lv = lv.as_deref().map(|lv| lv.strip_suffix(PRIVATE_NAME).unwrap_or(lv));
    lv.is_some_and(lvshift_frontend_common::lvm2::text::moves::is_ours)
}

/// Whether a dm UUID is one of a helper device (shadow or log) of this LV.
pub(crate) fn is_helper_of(dm_uuid: &str, vg: Uuid, lv: Uuid) -> bool {
    dm_uuid.strip_prefix(&lv_uuid(vg, lv)).is_some_and(|rest| rest.starts_with('-'))
}

/// The VG that a dm UUID of ours names.
pub(crate) fn vg_of(dm_uuid: &str) -> Option<Uuid> {
    let text = dm_uuid.strip_prefix(OWN_DM_PREFIX)?.get(..36)?;
    lvshift_frontend_common::requests::parse_uuid(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_are_doubled_and_so_helpers_cannot_clash_with_lvs() {
        assert_eq!(name("vg", "lv", Role::Lv).expect("short"), "vg-lv");
        assert_eq!(name("a-b", "c", Role::Lv).expect("short"), "a--b-c");
        assert_eq!(name("vg", "lv", Role::Shadow).expect("short"), "vg-lv-shadow");
        assert_eq!(name("vg", "lv-shadow", Role::Lv).expect("short"), "vg-lv--shadow");
        assert_eq!(name("vg", "lv", Role::Log(7)).expect("short"), "vg-lv-log7");
    }

    #[test]
    fn the_hidden_lvs_of_a_move_are_told_from_lvm2s_lvs() {
        assert!(is_hidden("LVM-abc", "my--vg-lvshift0_mimage_1"));
        assert!(is_hidden("LVM-abc", "vg-lvshift12"));
        for name in ["vg-home", "vg-lvshift0--x", "vg-lvshifts", "lvshift0", "a--lvshift0-home"] {
            assert!(!is_hidden("LVM-abc", name), "{name}");
        }
        assert!(!is_hidden("other", "vg-lvshift0"));
    }

    #[test]
    fn a_name_that_dm_cannot_take_is_refused() {
        let half = "x".repeat(63);
        assert!(name(&half, &half, Role::Lv).is_ok());
        assert_eq!(name(&half, &half, Role::Shadow).expect_err("long").kind, Kind::Limit);
    }

    #[test]
    fn a_uuid_tells_its_vg_and_its_helpers() {
        let (vg, lv) = (Uuid([1; 16]), Uuid([2; 16]));
        assert_eq!(vg_of(&uuid(vg, lv, Role::Shadow)), Some(vg));
        assert!(is_helper_of(&uuid(vg, lv, Role::Log(3)), vg, lv));
        assert!(!is_helper_of(&uuid(vg, lv, Role::Lv), vg, lv));
        assert!(is_helper(&uuid(vg, lv, Role::Log(0))) && !is_helper(&uuid(vg, lv, Role::Lv)));
        assert!(uuid(vg, lv, Role::Log(255)).len() < 128);
    }
}
