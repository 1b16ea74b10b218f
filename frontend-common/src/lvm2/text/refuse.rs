//! What is not handled, by name. What is not known to be right is here, too: only LVs whose every word is
//! understood are moved.

use super::moves;
use super::tree::{Node, Section, Value};
use super::volumes::{Metadata, Shape};

/// Words of a VG with which its LVs can be moved.
const VG_STATUS: &[&str] = &["RESIZEABLE", "READ", "WRITE"];
/// Words of an LV that a move does not mind.
const LV_STATUS: &[&str] = &["READ", "WRITE", "VISIBLE", "FIXED_MINOR"];
/// Flags of an LV that a move does not mind.
const LV_FLAGS: &[&str] = &["ACTIVATION_SKIP", "NOAUTOACTIVATE"];
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

/// Why this LV cannot be moved, if that is so. One that moves already is no matter of this.
#[must_use]
pub fn lv(metadata: &Metadata, name: &str) -> Option<String> {
    let section = metadata.lv(name)?;
    let shown = format!("{}/{name}", metadata.name());
    if let Some(other) = user_of(metadata, name) {
        let what = kind(metadata, other).unwrap_or("linear");
        return Some(format!(
            "LV {shown} is part of LV {}/{other} of type {what}, which is not handled yet",
            metadata.name()
        ));
    }
    if let Some(kind) = kind(metadata, name) {
        return Some(format!("LV {shown} is of type {kind}, which is not handled yet"));
    }
    let status = section.texts("status");
    if let Some(word) = status.iter().find(|word| !LV_STATUS.contains(word)) {
        return Some(format!("LV {shown} is {word}"));
    }
    if !status.contains(&"VISIBLE") {
        return Some(format!("LV {shown} is a hidden one"));
    }
    if !["READ", "WRITE"].iter().all(|word| status.contains(word)) {
        return Some(format!("LV {shown} is read-only, which is not handled yet"));
    }
    let flag = section.texts("flags").into_iter().find(|flag| !LV_FLAGS.contains(flag));
    flag.map(|flag| format!("LV {shown} has the flag {flag}"))
}

/// The type of the first segment of an LV that is neither linear nor striped.
fn kind<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    let strange = metadata.segments(name).into_iter().any(|segment| match &segment.shape {
        // Even, and on PVs or on moves of ours.
        Shape::Striped { areas, .. } => {
            segment.shape.area_len(segment.count).is_none()
                || areas.iter().any(|area| {
                    let on_pv = metadata.pvs().iter().any(|pv| pv.key == area.of);
                    !on_pv && !moves::is_ours(&area.of)
                })
        }
        _ => true,
    });
    if !strange {
        return None;
    }
    let types = metadata.lv(name)?.sections().filter_map(|segment| segment.text("type"));
    types.filter(|kind| *kind != "striped").last().or(Some("striped, in a form that is not known"))
}

/// Another LV that has a segment in which this one is named, in whatever role: image, pool, origin, log.
fn user_of<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    let names = |section: &Section| mentions(section, name);
    let others = metadata.lv_sections().filter(|other| other.name != name);
    others.filter(|other| other.sections().any(names)).map(|other| other.name.as_str()).next()
}

fn mentions(section: &Section, name: &str) -> bool {
    fn value(of: &Value, name: &str) -> bool {
        match of {
            Value::Text(text) => text == name,
            Value::List(values) => values.iter().any(|item| value(item, name)),
            Value::Number(_) => false,
        }
    }
    section.nodes.iter().any(|node| match node {
        Node::Section(inner) => mentions(inner, name),
        // A tag may be any word.
        Node::Value(key, _) if key == "tags" || key == "type" => false,
        Node::Value(_, of) => value(of, name),
    })
}
