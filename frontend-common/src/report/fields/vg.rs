//! Fields of VGs.

use lvshift_core::units::Sectors;

use super::super::Value;
use super::super::facts::VgFacts;
use super::super::rows::Row;
use super::{or_empty, sum};

fn of(row: &Row<'_>, get: impl Fn(&VgFacts<'_>) -> Value) -> Value {
    or_empty(row.vg.map(get))
}

fn all(vg: &VgFacts<'_>) -> u64 {
    sum(vg.vg.pvs().iter().map(|pv| pv.pe_count))
}

fn free_extents(vg: &VgFacts<'_>) -> u64 {
    sum(vg.pv_indices().map(|pv| vg.vg.free_extents(pv)))
}

fn span(vg: &VgFacts<'_>, extents: u64) -> Value {
    Value::Size(Sectors(extents.saturating_mul(u64::from(vg.vg.extent_size().sectors()))))
}

fn missing(vg: &VgFacts<'_>) -> usize {
    vg.pv_indices().filter(|pv| vg.is_missing(*pv)).count()
}

pub(super) fn name(row: &Row<'_>) -> Value {
    of(row, |vg| Value::text(vg.vg.name().as_str()))
}

pub(super) fn format(_: &Row<'_>) -> Value {
    Value::text("lvshift")
}

pub(super) fn attr(row: &Row<'_>) -> Value {
    of(row, |vg| Value::text(format!("wz-{}n-", if missing(vg) > 0 { 'p' } else { '-' })))
}

pub(super) fn size(row: &Row<'_>) -> Value {
    of(row, |vg| span(vg, all(vg)))
}

pub(super) fn free(row: &Row<'_>) -> Value {
    of(row, |vg| span(vg, free_extents(vg)))
}

pub(super) fn uuid(row: &Row<'_>) -> Value {
    of(row, |vg| Value::text(vg.vg.uuid().to_string()))
}

pub(super) fn system_id(row: &Row<'_>) -> Value {
    of(row, |vg| Value::text(vg.vg.system_id().map_or("", |id| id.as_str())))
}

pub(super) fn autoactivation(row: &Row<'_>) -> Value {
    Value::Word(row.vg.is_some_and(|vg| vg.vg.autoactivation()).then_some("enabled"))
}

pub(super) fn seqno(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(vg.vg.sequence()))
}

pub(super) fn extent_size(row: &Row<'_>) -> Value {
    of(row, |vg| span(vg, 1))
}

pub(super) fn extent_count(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(all(vg)))
}

pub(super) fn free_count(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(free_extents(vg)))
}

pub(super) fn pv_count(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(vg.vg.pvs().len()))
}

pub(super) fn missing_count(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(missing(vg)))
}

pub(super) fn lv_count(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(vg.vg.lvs().len()))
}

pub(super) fn move_count(row: &Row<'_>) -> Value {
    of(row, |vg| Value::number(vg.vg.moves().len()))
}

pub(super) fn partial(row: &Row<'_>) -> Value {
    Value::Word(row.vg.filter(|vg| missing(vg) > 0).map(|_| "partial"))
}
