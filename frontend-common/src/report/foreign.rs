//! Rows of VGs that are not ours: LVM2 reports them in words, and they stand in our tables, sorted and
//! selected as ours are.

use std::collections::HashMap;

use lvshift_core::units::{DeviceNumber, Sectors};

use super::Value;

/// One row of LVM2's, its sizes in sectors and without a unit.
#[derive(Clone, Debug, Default)]
pub struct ForeignRow {
    cells: HashMap<String, String>,
}

/// What a field's words mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Text,
    Word,
    Number,
    Size,
    Percent,
}

const SIZES: &[&str] = &[
    "pv_size",
    "pv_free",
    "pv_used",
    "pe_start",
    "dev_size",
    "vg_size",
    "vg_free",
    "vg_extent_size",
    "lv_size",
    "origin_size",
    "lv_metadata_size",
    "seg_start",
    "seg_size",
    "stripe_size",
    "chunk_size",
];

const NUMBERS: &[&str] = &[
    "pv_pe_count",
    "pv_pe_alloc_count",
    "pv_major",
    "pv_minor",
    "pv_mda_count",
    "vg_seqno",
    "vg_extent_count",
    "vg_free_count",
    "pv_count",
    "vg_missing_pv_count",
    "lv_count",
    "snap_count",
    "max_pv",
    "max_lv",
    "vg_mda_count",
    "vg_move_count",
    "lv_kernel_major",
    "lv_kernel_minor",
    "seg_count",
    "raid_mismatch_count",
    "stripes",
    "seg_start_pe",
    "seg_size_pe",
    "pvseg_start",
    "pvseg_size",
];

const PERCENTS: &[&str] = &["copy_percent", "snap_percent", "data_percent", "metadata_percent"];

/// Fields of two values, with the word of the one.
const WORDS: &[(&str, &str)] = &[
    ("pv_missing", "missing"),
    ("pv_in_use", "used"),
    ("pv_allocatable", "allocatable"),
    ("pv_exported", "exported"),
    ("pv_duplicate", "duplicate"),
    ("vg_extendable", "extendable"),
    ("vg_autoactivation", "enabled"),
    ("lv_autoactivation", "enabled"),
    ("vg_exported", "exported"),
    ("vg_partial", "partial"),
    ("vg_clustered", "clustered"),
    ("vg_shared", "shared"),
    ("lv_active_locally", "active locally"),
    ("lv_skip_activation", "skip activation"),
    ("lv_device_open", "open"),
    ("lv_suspended", "suspended"),
];

fn meaning(field: &str) -> Meaning {
    if SIZES.contains(&field) {
        Meaning::Size
    } else if NUMBERS.contains(&field) {
        Meaning::Number
    } else if PERCENTS.contains(&field) {
        Meaning::Percent
    } else if WORDS.iter().any(|(name, _)| *name == field) {
        Meaning::Word
    } else {
        Meaning::Text
    }
}

impl ForeignRow {
    /// A row with these cells, by LVM2's names of fields.
    #[must_use]
    pub fn new(cells: HashMap<String, String>) -> ForeignRow {
        ForeignRow { cells }
    }

    /// A cell, empty where there is none.
    #[must_use]
    pub fn cell(&self, field: &str) -> &str {
        self.cells.get(field).map_or("", String::as_str)
    }

    /// Says it otherwise than LVM2 did.
    pub fn set(&mut self, field: &str, words: impl Into<String>) {
        self.cells.insert(field.to_owned(), words.into());
    }

    /// The LV's name without the brackets of what is hidden.
    #[must_use]
    pub fn lv(&self) -> &str {
        self.cell("lv_name").trim_matches(['[', ']'])
    }

    /// The PV's device, unless it is missing.
    #[must_use]
    pub fn device(&self) -> Option<DeviceNumber> {
        let number = |field| self.cell(field).parse().ok();
        Some(DeviceNumber { major: number("pv_major")?, minor: number("pv_minor")? })
    }

    /// Whether it is of this VG, and of this LV if one is named.
    #[must_use]
    pub fn is_of(&self, vg: &str, lv: Option<&str>) -> bool {
        self.cell("vg_name") == vg && lv.is_none_or(|lv| self.lv() == lv)
    }

    /// A size.
    #[must_use]
    pub fn size(&self, field: &str) -> Option<Sectors> {
        self.cell(field).parse().ok().map(Sectors)
    }

    /// What a field of ours shows of it.
    pub(super) fn value(&self, field: &str) -> Value {
        let text = self.cell(field);
        let meaning = meaning(field);
        if text.is_empty() && meaning != Meaning::Word {
            return Value::Empty;
        }
        let as_meant = match meaning {
            Meaning::Text => None,
            Meaning::Number => text.parse().ok().map(Value::Number),
            Meaning::Size => text.parse().ok().map(|sectors| Value::Size(Sectors(sectors))),
            Meaning::Percent => text.parse().ok().map(Value::Percent),
            Meaning::Word => {
                let word = WORDS.iter().find(|(name, _)| *name == field);
                Some(Value::Word(word.filter(|_| !text.is_empty()).map(|(_, word)| *word)))
            }
        };
        as_meant.unwrap_or_else(|| Value::text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Noun;
    use super::super::fields::FIELDS;
    use super::super::rows::{self, Grain};
    use super::super::tests::{facts, idle, moving_facts};
    use super::*;

    fn meaning_of(value: &Value) -> Option<Meaning> {
        match value {
            Value::Empty => None,
            Value::Text(_) => Some(Meaning::Text),
            Value::Word(_) => Some(Meaning::Word),
            Value::Number(_) => Some(Meaning::Number),
            Value::Size(_) => Some(Meaning::Size),
            Value::Percent(_) => Some(Meaning::Percent),
        }
    }

    /// Else a column of LVM2's rows and ours would be sorted and aligned by two rules.
    #[test]
    fn each_field_means_the_same_in_lvm2s_rows_as_in_ours() {
        let (idle, moving) = (idle(), moving_facts());
        let mut seen = 0;
        for facts in [facts(&idle), facts(&moving)] {
            for noun in [Noun::Pv, Noun::Vg, Noun::Lv] {
                for grain in [Grain::Whole, Grain::Segment, Grain::Run] {
                    for row in rows::rows(noun, grain, &facts, true) {
                        for field in FIELDS {
                            let Some(ours) = meaning_of(&(field.get)(&row)) else { continue };
                            assert_eq!(meaning(field.name), ours, "{}", field.name);
                            seen += 1;
                        }
                    }
                }
            }
        }
        assert!(seen > 1000, "only {seen} cells were compared");
    }

    #[test]
    fn lvm2s_words_become_values() {
        let cells = [
            ("lv_name", "[lvshift0]"),
            ("vg_name", "lvg"),
            ("lv_size", "2048"),
            ("copy_percent", "37.50"),
            ("lv_kernel_major", "-1"),
            ("lv_suspended", ""),
            ("lv_device_open", "open"),
            ("origin", ""),
        ];
        let cells = cells.map(|(field, words)| (field.to_owned(), words.to_owned()));
        let row = ForeignRow::new(cells.into_iter().collect());
        let value = |name: &str| row.value(name);
        assert_eq!(value("lv_size"), Value::Size(Sectors(2048)));
        assert_eq!(value("copy_percent"), Value::Percent(37.5));
        assert_eq!(value("lv_kernel_major"), Value::Number(-1));
        assert_eq!(value("lv_suspended"), Value::Word(None));
        assert_eq!(value("lv_device_open"), Value::Word(Some("open")));
        assert_eq!(value("origin"), Value::Empty);
        assert_eq!(value("lv_name"), Value::text("[lvshift0]"));
        assert!(row.is_of("lvg", None) && row.is_of("lvg", Some("lvshift0")));
        assert!(!row.is_of("vg", None) && !row.is_of("lvg", Some("home")));
    }
}
