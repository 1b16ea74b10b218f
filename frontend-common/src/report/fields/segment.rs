//! Fields of LV segments and of runs of a PV.

use lvshift_core::metadata::Run;
use lvshift_core::units::Extents;

use super::super::Value;
use super::super::rows::Row;
use super::or_empty;

pub(super) fn kind(row: &Row<'_>) -> Value {
    match (row.segment, row.run) {
        (Some(_), _) => Value::text("linear"),
        (None, Some(_)) if row.lv.is_some() => Value::text("reserved"),
        (None, Some(_)) => Value::text("free"),
        (None, None) => or_empty(row.lv.map(|_| Value::text("linear"))),
    }
}

pub(super) fn stripes(row: &Row<'_>) -> Value {
    or_empty(row.lv.map(|_| Value::Number(1)))
}

fn span(row: &Row<'_>, extents: u32) -> Value {
    or_empty(row.vg.map(|vg| Value::Size(vg.vg.extent_size().span(Extents(extents)))))
}

pub(super) fn start(row: &Row<'_>) -> Value {
    or_empty(row.segment.map(|s| span(row, s.first.0)))
}

pub(super) fn start_pe(row: &Row<'_>) -> Value {
    or_empty(row.segment.map(|s| Value::number(s.first.0)))
}

pub(super) fn size(row: &Row<'_>) -> Value {
    or_empty(row.segment.map(|s| span(row, s.count.0)))
}

pub(super) fn size_pe(row: &Row<'_>) -> Value {
    or_empty(row.segment.map(|s| Value::number(s.count.0)))
}

fn place(row: &Row<'_>, show: impl Fn(&str, Run) -> String) -> Value {
    let (Some(vg), Some(run)) = (row.vg, row.segment.map(|s| s.run()).or(row.run)) else {
        return Value::Empty;
    };
    Value::Text(show(vg.path(run.place.pv), run))
}

pub(super) fn pe_ranges(row: &Row<'_>) -> Value {
    place(row, |path, run| format!("{path}:{}-{}", run.place.pe.0, run.end().saturating_sub(1)))
}

pub(super) fn devices(row: &Row<'_>) -> Value {
    place(row, |path, run| format!("{path}({})", run.place.pe.0))
}

pub(super) fn run_start(row: &Row<'_>) -> Value {
    or_empty(row.run.map(|run| Value::number(run.place.pe.0)))
}

pub(super) fn run_size(row: &Row<'_>) -> Value {
    or_empty(row.run.map(|run| Value::number(run.count.0)))
}
