//! What is not handled, by name. What is not known to be right is here, too: only LVs whose every word is
//! understood are moved.

use super::moves;
use super::roles::{Uses, kind_of};
use super::tree::Section;
use super::volumes::{Metadata, Shape};

/// Words of a VG with which its LVs can be moved.
const VG_STATUS: &[&str] = &["RESIZEABLE", "READ", "WRITE"];
/// Words of an LV that a move does not mind.
const LV_STATUS: &[&str] = &["READ", "WRITE", "VISIBLE", "FIXED_MINOR", "NOTSYNCED", "WRITEMOSTLY"];
/// Flags of an LV that a move does not mind.
const LV_FLAGS: &[&str] = &["ACTIVATION_SKIP", "NOAUTOACTIVATE", "CACHE_VOL", "ERROR_WHEN_FULL"];
/// Types of segments below or beside which LVs are moved.
const KINDS: &[&str] = &[
    "striped",
    "linear",
    "mirror",
    "raid1",
    "raid4",
    "raid10",
    "thin-pool",
    "thin",
    "cache-pool",
    "cache",
    "writecache",
    "snapshot",
];
/// Types that come in variants: `raid5_ls`.
const FAMILIES: &[&str] = &["raid5", "raid6"];
/// Flags of a segment's type that a move does not mind.
const KIND_FLAGS: &[&str] = &["METADATA_FORMAT", "CACHE_USES_CACHEVOL"];
/// Words of an LV that say that LVM2 itself is about to change it.
const BUSY: &[(&str, &str)] = &[
    ("PVMOVE", "LVM2's own pvmove is under way"),
    ("CONVERTING", "a conversion is under way"),
    ("MERGING", "a merge is under way"),
    ("LV_NOSCAN", "it is about to be removed"),
    ("LV_REMOVE_AFTER_RESHAPE", "a reshape is under way"),
    ("LV_RESHAPE", "a reshape is under way"),
    ("LV_RESHAPE_DELTA_DISKS_PLUS", "a reshape is under way"),
    ("LV_RESHAPE_DELTA_DISKS_MINUS", "a reshape is under way"),
];

/// Why nothing in this VG can be moved now, if that is so.
#[must_use]
pub fn vg(metadata: &Metadata) -> Option<String> {
    let section = metadata.vg();
    let name = metadata.name();
    if let Some(word) = section.texts("status").iter().find(|word| !VG_STATUS.contains(word)) {
        return Some(format!("VG {name} is {word}"));
    }
    if let Some(flag) = section.texts("flags").first() {
        return Some(format!("VG {name} has the flag {flag}"));
    }
    if let Some(kind) = section.text("lock_type").filter(|kind| *kind != "none") {
        return Some(format!("VG {name} is shared by lvmlockd ({kind})"));
    }
    if !["RESIZEABLE", "READ", "WRITE"].iter().all(|word| section.texts("status").contains(word)) {
        return Some(format!("VG {name} may not be changed (its status lacks a word)"));
    }
    for pv in metadata.pvs() {
        let words = pv.status.iter().chain(&pv.flags);
        if let Some(word) = words.into_iter().find(|word| *word != "ALLOCATABLE") {
            return Some(format!("PV {} ({}) is {word}", pv.device, pv.id));
        }
    }
    metadata.lv_sections().find_map(|lv| {
        let status = lv.texts("status");
        let busy = BUSY.iter().find(|(word, _)| status.contains(word))?;
        Some(format!("LV {name}/{}: {}", lv.name, busy.1))
    })
}

/// Why the extents of this LV cannot be moved, if that is so: because of itself, or of an LV that it is a part
/// of. One that moves already is no matter of this.
#[must_use]
pub fn lv(metadata: &Metadata, name: &str) -> Option<String> {
    metadata.lv(name)?;
    let uses = Uses::of(metadata);
    uses.family(name).iter().find_map(|member| {
        let why = alone(metadata, &uses, member)?;
        let shown = format!("LV {}/{member}", metadata.name());
        Some(if member == name {
            format!("{shown} {why}")
        } else {
            format!("LV {}/{name} is part of {shown}, which {why}", metadata.name())
        })
    })
}

fn alone(metadata: &Metadata, uses: &Uses<'_>, name: &str) -> Option<String> {
    let section = metadata.lv(name)?;
    let (status, segments) = (section.texts("status"), || section.sections());
    if let Some(why) = segments().find_map(segment) {
        return Some(why);
    }
    if uneven(metadata, name) {
        return Some("is striped in a form that is not known".to_owned());
    }
    // LVM2 makes a conversion of a mirror by another one below it.
    if name.contains("_mimagetmp_") {
        return Some("is the rest of a conversion that is under way".to_owned());
    }
    if status.contains(&"REBUILD") {
        return Some("is being repaired".to_owned());
    }
    if let Some(word) = status.iter().find(|word| !LV_STATUS.contains(word)) {
        return Some(format!("is {word}"));
    }
    let spare = name.ends_with("_pmspare");
    let used = uses.by(name).next().is_some();
    match status.contains(&"VISIBLE") {
        false if !used && !spare => return Some("is a hidden one".to_owned()),
        // Its own device, and the RAID LV keeps count of what differs.
        true if uses.by(name).any(|one| one.key == "raids") => {
            return Some("is an image that was split off, and is tracked".to_owned());
        }
        _ => {}
    }
    // What may be written to a thin LV is no matter of its pool.
    let thin = segments().all(|segment| kind_of(segment) == "thin");
    if !thin && !["READ", "WRITE"].iter().all(|word| status.contains(word)) {
        return Some("is read-only, which is not handled yet".to_owned());
    }
    let flag = section.texts("flags").into_iter().find(|flag| !LV_FLAGS.contains(flag));
    flag.map(|flag| format!("has the flag {flag}"))
}

fn segment(section: &Section) -> Option<String> {
    let kind = section.text("type").unwrap_or_default();
    let (base, mut flags) = (kind_of(section), kind.split('+').skip(1));
    let known = KINDS.contains(&base) || FAMILIES.iter().any(|family| base.starts_with(family));
    if let Some(flag) = flags.find(|flag| !KIND_FLAGS.contains(flag)) {
        return Some(match flag {
            "RESHAPE" | "RESHAPE_DELTA_DISKS_PLUS" | "RESHAPE_DELTA_DISKS_MINUS" => {
                format!("is of type {base}, and a reshape is under way")
            }
            "REMOVE_AFTER_RESHAPE" => {
                format!("is of type {base}, and images are to be removed after its reshape")
            }
            flag => format!("is of type {base} with the flag {flag}, which is not handled"),
        });
    }
    if ["merging_store", "merge"].iter().any(|key| section.value(key).is_some()) {
        return Some(format!("is of type {base}, and a merge is under way"));
    }
    if section.value("external_origin").is_some() {
        return Some("has an external origin, which is not handled yet".to_owned());
    }
    (!known).then(|| format!("is of type {kind}, which is not handled yet"))
}

/// Whether an LV lies on PVs in a way that is not understood.
fn uneven(metadata: &Metadata, name: &str) -> bool {
    let on_pv = |of: &str| metadata.pvs().iter().any(|pv| pv.key == of);
    let keys: Vec<String> = metadata.pvs().into_iter().map(|pv| pv.key).collect();
    metadata.segments(name).into_iter().any(|segment| match &segment.shape {
        // Even, and on PVs or on moves of ours.
        Shape::Striped { areas, .. } => {
            segment.shape.area_len(segment.count).is_none()
                || areas.iter().any(|area| !on_pv(&area.of) && !moves::is_ours(&area.of))
        }
        Shape::Mirror { areas, .. } => areas.iter().any(|area| on_pv(&area.of)),
        Shape::Other(_) => metadata.segment_names_pv(name, &keys),
    })
}
