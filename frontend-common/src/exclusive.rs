//! An LV is active under one front end alone, as LVM activates exclusively. Both know the same VGs, but each only its own
//! devices, and an LV that both served would be two LVs on the same sectors.

use std::fs;

use lvshift_core::units::{LvIndex, Uuid};

use crate::device::OWN_DM_PREFIX;
use crate::error::{Error, Kind, Result};
use crate::lock::run_directory;
use crate::vg::Vg;

const DM: &str = "lvshift-dm";
const UBLK: &str = "lvshift-ublk";

/// Refuses an LV that another front end than `own` has active.
///
/// # Errors
/// `Kind::InUse` naming who has it.
pub(crate) fn check(own: &str, vg: &Vg, lv: LvIndex) -> Result<()> {
    let Some(record) = vg.lv(lv) else { return Ok(()) };
    let Some((program, node)) = other_holder(own, vg.uuid(), record.uuid) else { return Ok(()) };
    let name = format!("{}/{}", vg.name(), record.name);
    Err(Error::new(Kind::InUse, format!("LV {name} is active under {program}"))
        .device(node)
        .state("nothing was changed")
        .next(format!("use {program}, or take it down first: {program} lvchange -a n {name}")))
}

/// The front end other than `own` that has the LV active, and its device.
pub(crate) fn other_holder(own: &str, vg: Uuid, lv: Uuid) -> Option<(&'static str, String)> {
    let found = if own == DM { on_ublk(vg, lv) } else { None };
    found.or_else(|| if own == UBLK { on_dm(vg, lv) } else { None })
}

fn on_dm(vg: Uuid, lv: Uuid) -> Option<(&'static str, String)> {
    let wanted = format!("{OWN_DM_PREFIX}{vg}-{lv}");
    let disks = fs::read_dir("/sys/block").ok()?.flatten();
    let mut names = disks.filter(|disk| {
        fs::read_to_string(disk.path().join("dm/uuid")).is_ok_and(|uuid| uuid.trim_end() == wanted)
    });
    let name = names.next()?.file_name().to_string_lossy().into_owned();
    Some((DM, format!("/dev/{name}")))
}

/// By the notes that the ublk daemon keeps of its devices.
fn on_ublk(vg: Uuid, lv: Uuid) -> Option<(&'static str, String)> {
    let notes = fs::read_dir(run_directory().ok()?.join("ublk")).ok()?.flatten();
    for note in notes {
        let name = note.file_name().to_string_lossy().into_owned();
        let is_there =
            name.starts_with("ublkb") && fs::exists(format!("/sys/block/{name}")).ok()?;
        if is_there && is_of(&fs::read(note.path()).unwrap_or_default(), vg, lv) {
            return Some((UBLK, format!("/dev/{name}")));
        }
    }
    None
}

fn is_of(note: &[u8], vg: Uuid, lv: Uuid) -> bool {
    let Ok(note) = serde_json::from_slice::<serde_json::Value>(note) else { return false };
    let is = |key: &str, uuid: Uuid| {
        note.get(key).and_then(|value| serde_json::from_value::<[u8; 16]>(value.clone()).ok())
            == Some(uuid.0)
    };
    is("vg", vg) && is("lv", lv)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_lv() {
        let (vg, lv) = (Uuid([1; 16]), Uuid([2; 16]));
        let note = format!(r#"{{"vg":{:?},"lv":{:?},"device":3}}"#, vg.0, lv.0);
        assert!(is_of(note.as_bytes(), vg, lv));
        assert!(!is_of(note.as_bytes(), vg, vg));
        assert!(!is_of(b"", vg, lv));
    }
}
