//! `pvdisplay`, `vgdisplay`, `lvdisplay`: a paragraph for each, under LVM's words.

use super::rows::{self, Grain};
use super::select::field;
use super::{Facts, Noun, Value, Wanted};
use crate::error::Result;
use crate::size::Units;

type Lines = &'static [(&'static str, &'static str)];

const PV: Lines = &[
    ("PV Name", "pv_name"),
    ("VG Name", "vg_name"),
    ("PV Size", "pv_size"),
    ("Allocatable", "pv_allocatable"),
    ("PE Size", "vg_extent_size"),
    ("Total PE", "pv_pe_count"),
    ("Allocated PE", "pv_pe_alloc_count"),
    ("PV Free", "pv_free"),
    ("PV UUID", "pv_uuid"),
];
const VG: Lines = &[
    ("VG Name", "vg_name"),
    ("Format", "vg_fmt"),
    ("Metadata Sequence No", "vg_seqno"),
    ("VG Access", "vg_permissions"),
    ("Cur LV", "lv_count"),
    ("Cur PV", "pv_count"),
    ("VG Size", "vg_size"),
    ("PE Size", "vg_extent_size"),
    ("Total PE", "vg_extent_count"),
    ("Free PE", "vg_free_count"),
    ("VG Free", "vg_free"),
    ("VG UUID", "vg_uuid"),
];
const LV: Lines = &[
    ("LV Path", "lv_path"),
    ("LV Name", "lv_name"),
    ("VG Name", "vg_name"),
    ("LV UUID", "lv_uuid"),
    ("LV Write Access", "lv_permissions"),
    ("LV Status", "lv_active"),
    ("LV Size", "lv_size"),
    ("Segments", "seg_count"),
    ("Allocation", "lv_allocation_policy"),
    ("Read ahead sectors", "lv_read_ahead"),
    ("Kernel major", "lv_kernel_major"),
    ("Kernel minor", "lv_kernel_minor"),
];

fn lines(noun: Noun) -> (&'static str, Lines) {
    match noun {
        Noun::Pv => ("Physical volume", PV),
        Noun::Vg => ("Volume group", VG),
        Noun::Lv => ("Logical volume", LV),
    }
}

/// What is shown in a paragraph.
#[must_use]
pub fn wanted(noun: Noun) -> Wanted {
    Wanted { fields: lines(noun).1.iter().map(|(_, name)| *name).collect(), segments: false }
}

/// All paragraphs, those of LVM2's VGs last.
///
/// # Errors
/// None that a person could cause.
pub fn render(noun: Noun, facts: &Facts<'_>, units: Units) -> Result<String> {
    let mut text = String::new();
    for row in rows::rows(noun, Grain::Whole, facts, false) {
        paragraph(&mut text, noun, |name| Ok((field(noun, name)?.get)(&row)), units)?;
    }
    for row in &facts.foreign {
        paragraph(&mut text, noun, |name| Ok(row.value(name)), units)?;
    }
    Ok(text)
}

fn paragraph(
    text: &mut String,
    noun: Noun,
    get: impl Fn(&str) -> Result<Value>,
    units: Units,
) -> Result<()> {
    let (title, lines) = lines(noun);
    text.push_str(&format!("  --- {title} ---\n"));
    for (label, name) in lines {
        let value = get(name)?.show(units);
        let value = match *name {
            "lv_active" if value.is_empty() => "NOT available".to_owned(),
            "lv_active" => "available".to_owned(),
            "pv_allocatable" => if value.is_empty() { "NO" } else { "yes" }.to_owned(),
            _ => value,
        };
        text.push_str(format!("  {label:<22} {value}").trim_end());
        text.push('\n');
    }
    text.push_str("   \n");
    Ok(())
}
