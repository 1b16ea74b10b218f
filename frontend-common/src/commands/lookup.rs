//! From names on the command line to VGs, LVs and PVs.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use lvshift_core::metadata::{Area, Name};
use lvshift_core::units::{DeviceNumber, Extents, LvIndex, Pe, PvIndex, Uuid};

use crate::cli::spec::{PvSpec, VolumeName};
use crate::error::{Error, Kind, Result};
use crate::lvm2;
use crate::pv::FoundPv;
use crate::vg::{Hold, OpenVg, Vg};

/// A refusal before anything was written.
pub(super) fn refuse(kind: Kind, what: impl Into<String>) -> Error {
    Error::new(kind, what).state("nothing was changed")
}

/// A legal name of a VG or LV.
pub(super) fn name(text: &str) -> Result<Name> {
    Name::new(text).map_err(|error| refuse(Kind::Usage, format!("`{text}`: {error}")))
}

/// `VG`, `VG/LV`, `/dev/VG/LV`...
pub(super) fn volume(text: &str) -> Result<VolumeName> {
    VolumeName::parse(text).map_err(|error| refuse(Kind::Usage, error))
}

/// The name of a VG alone.
pub(super) fn vg_name(text: &str) -> Result<String> {
    match volume(text)? {
        VolumeName { vg, lv: None } => Ok(vg),
        _ => Err(refuse(Kind::Usage, format!("`{text}`: the name of a VG was expected"))),
    }
}

/// The names of a VG and of an LV in it.
pub(super) fn lv_name(text: &str) -> Result<(String, String)> {
    match volume(text)? {
        VolumeName { vg, lv: Some(lv) } => Ok((vg, lv)),
        _ => Err(refuse(Kind::Usage, format!("`{text}`: an LV was expected"))
            .next("write VG/LV or /dev/VG/LV")),
    }
}

/// The LV of this name.
pub(super) fn lv(vg: &Vg, name: &str) -> Result<LvIndex> {
    vg.lv_by_name(name).ok_or_else(|| {
        refuse(Kind::NotFound, format!("Failed to find logical volume \"{}/{name}\"", vg.name()))
            .next(format!("`lvs {}` lists what there is", vg.name()))
    })
}

/// `VG/LV` of an LV.
pub(super) fn full_name(vg: &Vg, lv: LvIndex) -> String {
    match vg.lv(lv) {
        Some(lv) => format!("{}/{}", vg.name(), lv.name),
        None => vg.name().to_string(),
    }
}

/// The number of the block device at a path.
pub(super) fn device_number(path: &Path) -> Result<DeviceNumber> {
    let metadata = fs::metadata(path).map_err(|error| {
        refuse(Kind::NotFound, format!("there is no device {}", path.display())).because(error)
    })?;
    if !metadata.file_type().is_block_device() {
        return Err(refuse(Kind::NotFound, format!("{} is no block device", path.display())));
    }
    let number = metadata.rdev();
    Ok(DeviceNumber { major: rustix::fs::major(number), minor: rustix::fs::minor(number) })
}

/// The VG of a PV: the one that its own metadata name or, where it holds none that can be believed, the one that lists it.
/// Every VG is looked at then, so none may be locked by the caller.
pub(super) fn vg_of(found: &FoundPv) -> Result<Option<String>> {
    if let Some((_, name, _)) = &found.vg {
        return Ok(Some(name.clone()));
    }
    let lists = |open: &OpenVg| open.vg().pv_by_uuid(found.uuid).is_some();
    let opened = OpenVg::open_all(Hold::Release)?;
    Ok(opened.into_iter().flatten().find(lists).map(|open| open.vg().name().to_string()))
}

/// The PV of this VG at a path.
pub(super) fn pv(open: &OpenVg, path: &Path) -> Result<PvIndex> {
    let number = device_number(path)?;
    let member = open.members().iter().find(|(_, member)| member.number == number);
    member.map(|(index, _)| index).ok_or_else(|| {
        let shown = crate::device::sysfs::path_of(number);
        let refused = [Some(path), shown.as_deref()].into_iter().flatten();
        if let Some(why) = refused.filter_map(|path| open.why_refused(path)).next() {
            let what = format!("{} cannot be used: {why}", path.display());
            return refuse(Kind::Missing, what).device(path.display());
        }
        let what = format!("{} is not a PV of VG {}", path.display(), open.vg().name());
        refuse(Kind::NotFound, what).next("`pvs -o pv_name,vg_name` shows whose it is")
    })
}

/// The error of a device that is no PV, or the refusal of one that is a PV of LVM2's.
pub(super) fn or_lvm2s(path: &Path, error: Error) -> Error {
    if error.kind == Kind::NotFound && lvm2::is_pv(path) {
        return lvm2::not_ours(format!("{} is a PV of LVM2's", path.display()));
    }
    error
}

/// The path of a PV, for messages.
pub(super) fn pv_path(open: &OpenVg, pv: PvIndex) -> String {
    match open.members().get(pv) {
        Some(member) => member.path.display().to_string(),
        None => "[unknown]".to_owned(),
    }
}

/// The areas that `PV[:PE-PE]...` names. A range past the end of the PV is refused.
pub(super) fn areas(open: &OpenVg, specs: &[PvSpec]) -> Result<Vec<Area>> {
    let mut areas = Vec::new();
    for spec in specs {
        let index = pv(open, &spec.device)?;
        let count = open.vg().pv(index).map_or(0, |pv| pv.pe_count.0);
        if spec.ranges.is_empty() {
            areas.push(Area::whole(index));
        }
        for range in &spec.ranges {
            let last = range.last.unwrap_or(count.saturating_sub(1));
            if last >= count || range.first > last {
                let device = spec.device.display();
                return Err(refuse(
                    Kind::Usage,
                    format!("{device} has extents 0-{}, not {}-{last}", count - 1, range.first),
                ));
            }
            let extents = Extents(last - range.first + 1);
            areas.push(Area { pv: index, first: Pe(range.first), count: extents });
        }
    }
    Ok(areas)
}

/// A new UUID.
pub(super) fn fresh() -> Uuid {
    Uuid(uuid::Uuid::new_v4().into_bytes())
}

/// The LVs named, by VG in the order named; a VG alone (no LVs) means all of its LVs.
pub(super) fn by_vg(names: &[String]) -> Result<Vec<(String, Vec<String>)>> {
    let mut groups: Vec<(String, Vec<String>, bool)> = Vec::new();
    for text in names {
        let volume = volume(text)?;
        let at = groups.iter().position(|(vg, ..)| *vg == volume.vg).unwrap_or_else(|| {
            groups.push((volume.vg.clone(), Vec::new(), false));
            groups.len() - 1
        });
        match volume.lv {
            Some(lv) if !groups[at].1.contains(&lv) => groups[at].1.push(lv),
            Some(_) => {}
            None => groups[at].2 = true,
        }
    }
    let whole = |(vg, lvs, all)| (vg, if all { Vec::new() } else { lvs });
    Ok(groups.into_iter().map(whole).collect())
}

/// The LVs of these names, or all if there are none.
pub(super) fn chosen(open: &OpenVg, names: &[String]) -> Result<Vec<LvIndex>> {
    if names.is_empty() {
        return Ok(open.vg().lv_indices().collect());
    }
    names.iter().map(|name| lv(open.vg(), name)).collect()
}
