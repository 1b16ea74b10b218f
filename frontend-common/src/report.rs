//! Reports: rows of fields, as a table for people or as LVM's JSON.
//!
//! `facts` is what was found out, `rows` cuts it into rows, `fields` says what can be shown of a
//! row, `foreign` is what LVM2 says of its own VGs, `select` reads `-o` and `-O`, `text` and `json` write.

mod display;
mod facts;
mod fields;
mod filter;
mod foreign;
mod json;
mod metrics;
mod moves;
mod rows;
mod select;
mod text;

use std::cmp::Ordering;

use lvshift_core::units::Sectors;

use crate::cli::report_args::ReportArgs;
use crate::cli::values::ReportFormat;
use crate::error::Result;
use crate::size::Units;

pub use display::{render as render_paragraphs, wanted as wanted_in_paragraphs};
pub use facts::MemberFacts;
pub use facts::{Facts, Only, OrphanPv, VgFacts};
pub(crate) use fields::state_word;
pub use foreign::ForeignRow;
pub(crate) use json::to_json;
pub use json::{ErrorJson, Log, LogLine};
pub use metrics::{LvSample, MoveSample, metrics};
pub use moves::{Interrupted, interrupted};
pub use select::help;

/// Which of the three reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// `pvs`.
    Pv,
    /// `vgs`.
    Vg,
    /// `lvs`.
    Lv,
}

/// The value of a field, before it is written.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// Nothing to say.
    Empty,
    /// Words, aligned to the left.
    Text(String),
    /// A number, aligned to the right.
    Number(i64),
    /// A size, in the units asked for.
    Size(Sectors),
    /// A percentage with two decimals.
    Percent(f64),
    /// A word that is there or not: with `--binary` 1 or 0.
    Word(Option<&'static str>),
}

impl Value {
    fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    fn number(number: impl TryInto<i64>) -> Value {
        Value::Number(number.try_into().unwrap_or(i64::MAX))
    }

    /// As it is written.
    fn show(&self, units: Units) -> String {
        match self {
            Value::Empty => String::new(),
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Size(size) => units.show(*size),
            Value::Percent(percent) => format!("{percent:.2}"),
            Value::Word(word) => word.unwrap_or_default().to_owned(),
        }
    }

    /// With `--binary`.
    fn into_binary(self) -> Value {
        match self {
            Value::Word(word) => Value::Number(i64::from(word.is_some())),
            other => other,
        }
    }

    /// The order of sorting: by what is meant, not by how it is written.
    fn order(&self, other: &Value) -> Ordering {
        let rank = |v: &Value| match v {
            Value::Empty => f64::NEG_INFINITY,
            Value::Text(_) | Value::Word(Some(_)) => f64::INFINITY,
            Value::Word(None) => f64::NEG_INFINITY,
            Value::Number(n) => *n as f64,
            Value::Size(s) => s.0 as f64,
            Value::Percent(p) => *p,
        };
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Size(a), Value::Size(b)) => a.cmp(b),
            _ => rank(self).total_cmp(&rank(other)),
        }
    }
}

/// The whole report as text, ending in a newline unless it is empty.
///
/// # Errors
/// `Kind::Usage` for a field that is not there or does not go with this report.
pub fn render(noun: Noun, facts: &Facts<'_>, args: &ReportArgs, log: &Log) -> Result<String> {
    let (selection, cells, rows) = table(noun, facts, args)?;
    Ok(match args.reportformat {
        ReportFormat::Basic if args.rows => text::transposed(&selection, &cells, args),
        ReportFormat::Basic => text::table(&selection, &rows, &cells, args),
        format => {
            let standard = format == ReportFormat::JsonStd;
            let part = json::part(&selection, &rows, &cells, standard);
            json::document(&[vec![part]], log)
        }
    })
}

/// What a report asks of whoever knows: the fields that it shows, tests and sorts by, under LVM's names, and
/// whether a row is a segment.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Each once.
    pub fields: Vec<&'static str>,
    /// A row is a segment of an LV, or a run of extents of a PV.
    pub segments: bool,
}

impl Wanted {
    /// # Errors
    /// As [`render`].
    pub fn of(noun: Noun, args: &ReportArgs) -> Result<Wanted> {
        let selection = select::Selection::new(noun, args)?;
        let sorted = selection.sorted.iter().map(|(field, _)| *field);
        let all = selection.shown.iter().chain(&selection.tested).copied().chain(sorted);
        let mut fields: Vec<&'static str> = Vec::new();
        for field in all {
            if !fields.contains(&field.name) {
                fields.push(field.name);
            }
        }
        let segments = matches!(selection.grain, rows::Grain::Segment | rows::Grain::Run);
        Ok(Wanted { fields, segments })
    }
}

/// The reports of which `fullreport` is made, and whether their rows are segments.
pub const FULL: [(Noun, bool); 5] =
    [(Noun::Vg, false), (Noun::Pv, false), (Noun::Lv, false), (Noun::Pv, true), (Noun::Lv, true)];

/// `fullreport`: for each VG all that there is of it. `foreign` are the rows of LVM2's, a list for each of [`FULL`].
///
/// # Errors
/// As [`render`].
pub fn render_full(
    facts: Facts<'_>,
    foreign: &[Vec<ForeignRow>],
    args: &ReportArgs,
    log: &Log,
) -> Result<String> {
    let Facts { vgs, orphans, only, .. } = facts;
    let chosen = |vg: &VgFacts<'_>| only.as_ref().is_none_or(|o| o.vgs.contains(&vg.vg.uuid()));
    let mut each: Vec<Facts<'_>> = vgs
        .into_iter()
        .filter(|vg| chosen(vg))
        .map(|vg| Facts { vgs: vec![vg], ..Facts::default() })
        .collect();
    if only.is_none() && !orphans.is_empty() {
        each.push(Facts { orphans, ..Facts::default() });
    }
    let ours = each.len();
    // VG by VG; the PVs of LVM2's that are in none come last, as ours do.
    let mut others: Vec<&str> = foreign.iter().flatten().map(|row| row.cell("vg_name")).collect();
    others.sort_unstable_by_key(|name| (name.is_empty(), *name));
    others.dedup();
    each.extend(others.iter().map(|_| Facts::default()));
    let mut text = String::new();
    let mut document = Vec::new();
    for (at, facts) in each.iter_mut().enumerate() {
        let mut parts = Vec::new();
        let other = at.checked_sub(ours).and_then(|at| others.get(at));
        for (report, (noun, segments)) in FULL.into_iter().enumerate() {
            let args = ReportArgs { segments, ..args.clone() };
            if let (Some(vg), Some(rows)) = (other, foreign.get(report)) {
                facts.foreign = rows.iter().filter(|row| row.is_of(vg, None)).cloned().collect();
            }
            let (selection, cells, rows) = table(noun, facts, &args)?;
            text.push_str(&text::table(&selection, &rows, &cells, &args));
            let standard = args.reportformat == ReportFormat::JsonStd;
            parts.push(json::part(&selection, &rows, &cells, standard));
        }
        document.push(parts);
    }
    let basic = args.reportformat == ReportFormat::Basic;
    Ok(if basic { text } else { json::document(&document, log) })
}

type Table = (select::Selection, Vec<Vec<String>>, Vec<Vec<Value>>);

/// What is shown, sorted: as it is written and as it is meant.
fn table(noun: Noun, facts: &Facts<'_>, args: &ReportArgs) -> Result<Table> {
    let selection = select::Selection::new(noun, args)?;
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut keys: Vec<Vec<Value>> = Vec::new();
    let mut add = |get: &dyn Fn(&fields::Field) -> Value| {
        let tested: Vec<Value> = selection.tested.iter().map(|field| get(field)).collect();
        if !selection.filter.passes(&tested) {
            return;
        }
        let shown = selection.shown.iter().map(|field| get(field));
        let shown = shown.map(|value| if args.binary { value.into_binary() } else { value });
        rows.push(shown.collect());
        keys.push(selection.sorted.iter().map(|(field, _)| get(field)).collect());
    };
    for row in rows::rows(noun, selection.grain, facts, args.all) {
        add(&|field| (field.get)(&row));
    }
    for row in &facts.foreign {
        add(&|field| row.value(field.name));
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| {
        let pairs = keys[*a].iter().zip(&keys[*b]).zip(&selection.sorted);
        pairs
            .map(|((x, y), (_, down))| if *down { y.order(x) } else { x.order(y) })
            .find(|o| *o != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
    let units = args.units.unwrap_or_default();
    let units = if args.nosuffix { units.without_suffix() } else { units };
    let rows: Vec<Vec<Value>> = order.iter().map(|at| rows[*at].clone()).collect();
    let cells = rows.iter().map(|row| row.iter().map(|v| v.show(units)).collect()).collect();
    Ok((selection, cells, rows))
}

#[cfg(test)]
mod tests;
