//! Reads `-o` and `-O`.

use super::Noun;
use super::fields::{Class, FIELDS, Field};
use super::filter::{Filter, Parser};
use super::rows::Grain;
use crate::cli::report_args::ReportArgs;
use crate::error::{Error, Kind, Result};

/// What a report shows, in which order, and what one row stands for.
pub(super) struct Selection {
    pub(super) shown: Vec<&'static Field>,
    /// With whether it is downwards.
    pub(super) sorted: Vec<(&'static Field, bool)>,
    pub(super) grain: Grain,
    /// What JSON calls the list of rows.
    pub(super) key: &'static str,
    /// Of the values of the fields `tested`.
    pub(super) filter: Filter,
    pub(super) tested: Vec<&'static Field>,
}

const LVS: &str = "lv_name,vg_name,lv_attr,lv_size,pool_lv,origin,data_percent,metadata_percent,\
                   move_pv,mirror_log,copy_percent,convert_lv";
const LV_SEGMENTS: &str = "lv_name,vg_name,lv_attr,stripes,segtype,seg_size";
const PVS: &str = "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free";
const PV_SEGMENTS: &str = "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,pvseg_start,pvseg_size";
const VGS: &str = "vg_name,pv_count,lv_count,snap_count,vg_attr,vg_size,vg_free";

impl Selection {
    /// # Errors
    /// `Kind::Usage` naming the field.
    pub(super) fn new(noun: Noun, args: &ReportArgs) -> Result<Selection> {
        if args.segments && noun == Noun::Vg {
            return Err(Error::new(Kind::Usage, "vgs has no --segments")
                .next("use `pvs --segments` or `lvs --segments`"));
        }
        let (defaults, sort) = match (noun, args.segments) {
            (Noun::Pv, false) => (PVS, "pv_name"),
            (Noun::Pv, true) => (PV_SEGMENTS, "pv_name,pvseg_start"),
            (Noun::Vg, _) => (VGS, "vg_name"),
            (Noun::Lv, false) => (LVS, "vg_name,lv_name"),
            (Noun::Lv, true) => (LV_SEGMENTS, "vg_name,lv_name,seg_start"),
        };
        let mut shown = list(noun, defaults)?;
        for option in &args.options {
            choose(noun, option, &mut shown)?;
        }
        let find = |name: &str| find(noun, name);
        let (filter, tested) = match &args.select {
            Some(text) => Parser::read(text, &find)?,
            None => (Filter::All, Vec::new()),
        };
        let all: Vec<&Field> = shown.iter().chain(&tested).copied().collect();
        let grain = grain(noun, &all, args.segments)?;
        let sorted = match (&args.sort, grain) {
            (Some(sort), _) => sort_keys(noun, sort)?,
            (None, Grain::Segment) => sort_keys(noun, "vg_name,lv_name,seg_start")?,
            (None, Grain::Run) => sort_keys(noun, "pv_name,pvseg_start")?,
            (None, _) => sort_keys(noun, sort)?,
        };
        let key = match (noun, grain) {
            (_, Grain::Segment) => "seg",
            (_, Grain::Run) => "pvseg",
            (Noun::Pv, _) => "pv",
            (Noun::Vg, _) => "vg",
            (Noun::Lv, _) => "lv",
        };
        Ok(Selection { shown, sorted, grain, key, filter, tested })
    }
}

/// One `-o`: the fields to show, or with a sign in front what to add (`+`), to leave out (`-`), or what
/// LVM would leave out where it is empty everywhere (`#`: shown here). A sign holds until the next.
fn choose(noun: Noun, option: &str, shown: &mut Vec<&'static Field>) -> Result<()> {
    let mut sign = None;
    for (at, word) in option.split(',').map(str::trim).enumerate() {
        let signed = word.chars().next().filter(|c| "+-#".contains(*c));
        if at == 0 && signed.is_none() {
            shown.clear();
        }
        sign = signed.or(sign);
        let fields = list(noun, word.trim_start_matches(['+', '-', '#']))?;
        match sign {
            Some('-') => shown.retain(|known| fields.iter().all(|field| field.name != known.name)),
            Some('#') => {}
            _ => shown.extend(fields),
        }
    }
    Ok(())
}

/// The fields named in a list separated by commas.
fn list(noun: Noun, names: &str) -> Result<Vec<&'static Field>> {
    let mut fields = Vec::new();
    for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let every = name.strip_suffix("_all").unwrap_or(name);
        if name == "all" || (every != name && ["pv", "vg", "lv"].contains(&every)) {
            fields.extend(FIELDS.iter().filter(|f| f.class == own(noun)));
        } else {
            fields.push(find(noun, name)?);
        }
    }
    Ok(fields)
}

fn sort_keys(noun: Noun, names: &str) -> Result<Vec<(&'static Field, bool)>> {
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| match name.strip_prefix('-') {
            Some(name) => Ok((find(noun, name)?, true)),
            None => Ok((find(noun, name.strip_prefix('+').unwrap_or(name))?, false)),
        })
        .collect()
}

fn own(noun: Noun) -> Class {
    match noun {
        Noun::Pv => Class::Pv,
        Noun::Vg => Class::Vg,
        Noun::Lv => Class::Lv,
    }
}

/// The field of this name.
pub(super) fn field(noun: Noun, name: &str) -> Result<&'static Field> {
    find(noun, name)
}

/// LVM lets the prefix of the report's own noun be left out, and takes any case.
fn find(noun: Noun, name: &str) -> Result<&'static Field> {
    let lower = name.to_ascii_lowercase();
    let prefix = match noun {
        Noun::Pv => "pv_",
        Noun::Vg => "vg_",
        Noun::Lv => "lv_",
    };
    let alias = match lower.as_str() {
        "sync_percent" => "copy_percent",
        other => other,
    };
    let candidates = [alias.to_owned(), format!("{prefix}{alias}"), format!("seg_{alias}")];
    candidates.iter().find_map(|c| FIELDS.iter().find(|f| f.name == c)).ok_or_else(|| {
        Error::new(Kind::Usage, format!("Unrecognised field: {name}"))
            .next("`-o help` lists the fields")
    })
}

fn grain(noun: Noun, shown: &[&Field], segments: bool) -> Result<Grain> {
    let has = |class| shown.iter().any(|f| f.class == class);
    let cannot = |a: &str, b: &str| {
        Err(Error::new(Kind::Usage, format!("fields of {a} and of {b} do not go together here")))
    };
    Ok(match noun {
        Noun::Pv if segments || has(Class::Run) || has(Class::Segment) || has(Class::Lv) => {
            Grain::Run
        }
        Noun::Pv => Grain::Whole,
        Noun::Lv if has(Class::Pv) || has(Class::Run) => return cannot("LVs", "PVs"),
        Noun::Lv if segments || has(Class::Segment) => Grain::Segment,
        Noun::Lv => Grain::Whole,
        Noun::Vg if has(Class::Run) => return cannot("VGs", "PV segments"),
        Noun::Vg => match (has(Class::Pv), has(Class::Lv), has(Class::Segment)) {
            (true, false, false) => Grain::PvOfVg,
            (true, ..) => return cannot("LVs", "PVs"),
            (false, _, true) => Grain::Segment,
            (false, true, false) => Grain::LvOfVg,
            (false, false, false) => Grain::Whole,
        },
    })
}

/// The answer to `-o help`, if that was asked.
#[must_use]
pub fn help(args: &ReportArgs) -> Option<String> {
    let asked = |o: &String| matches!(o.trim_start_matches('+'), "help" | "?");
    if !args.options.iter().any(asked) {
        return None;
    }
    let mut text = String::new();
    for (class, title) in [
        (Class::Pv, "PVs"),
        (Class::Vg, "VGs"),
        (Class::Lv, "LVs"),
        (Class::Segment, "LV segments"),
        (Class::Run, "PV segments"),
    ] {
        text.push_str(&format!("  Fields of {title}\n"));
        for field in FIELDS.iter().filter(|f| f.class == class) {
            text.push_str(&format!("    {:<20} - {}\n", field.name, field.about));
        }
        text.push('\n');
    }
    Some(text)
}
