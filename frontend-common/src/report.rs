//! Reports: rows of fields, as a table for people or as LVM's JSON.
//!
//! `facts` is what was found out, `rows` cuts it into rows, `fields` says what can be shown of a
//! row, `select` reads `-o` and `-O`, `text` and `json` write.

mod facts;
mod fields;
mod json;
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

pub use facts::MemberFacts;
pub use facts::{Facts, Only, OrphanPv, VgFacts};
pub(crate) use json::to_json;
pub use json::{ErrorJson, Log, LogLine};
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
        }
    }

    /// The order of sorting: by what is meant, not by how it is written.
    fn order(&self, other: &Value) -> Ordering {
        let rank = |v: &Value| match v {
            Value::Empty => f64::NEG_INFINITY,
            Value::Text(_) => f64::INFINITY,
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
    let selection = select::Selection::new(noun, args)?;
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut keys: Vec<Vec<Value>> = Vec::new();
    for row in rows::rows(noun, selection.grain, facts, args.all) {
        rows.push(selection.shown.iter().map(|field| (field.get)(&row)).collect());
        keys.push(selection.sorted.iter().map(|(field, _)| (field.get)(&row)).collect());
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
    let cells: Vec<Vec<String>> =
        order.iter().map(|at| rows[*at].iter().map(|v| v.show(units)).collect()).collect();
    Ok(match args.reportformat {
        ReportFormat::Basic => text::table(&selection, &rows, &cells, args),
        ReportFormat::Json => {
            let names: Vec<&str> = selection.shown.iter().map(|f| f.name).collect();
            json::document(selection.key, &names, &cells, log)
        }
    })
}

#[cfg(test)]
mod tests;
