//! Fields of PVs.

use lvshift_core::units::{ExtentSize, Extents, Sectors};

use super::super::Value;
use super::super::rows::Row;
use super::or_empty;

/// The PV's place in its VG: extent size, all extents, free extents.
fn extents(row: &Row<'_>) -> Option<(ExtentSize, Extents, Extents)> {
    let (vg, pv) = (row.vg?, row.pv?.index?);
    Some((vg.vg.extent_size(), vg.vg.pv(pv)?.pe_count, vg.vg.free_extents(pv)))
}

/// The size of the whole device, for a PV that no VG has.
fn whole(row: &Row<'_>) -> Option<Sectors> {
    row.pv?.size
}

fn is_missing(row: &Row<'_>) -> bool {
    row.pv.is_some_and(|pv| pv.size.is_none())
}

pub(super) fn name(row: &Row<'_>) -> Value {
    or_empty(row.pv.map(|pv| Value::text(pv.path)))
}

pub(super) fn format(_: &Row<'_>) -> Value {
    Value::text("lvshift")
}

pub(super) fn attr(row: &Row<'_>) -> Value {
    let allocatable = if row.vg.is_some() { 'a' } else { '-' };
    Value::text(format!("{allocatable}-{}", if is_missing(row) { 'm' } else { '-' }))
}

pub(super) fn size(row: &Row<'_>) -> Value {
    let in_vg = extents(row).map(|(size, all, _)| size.span(all));
    or_empty(in_vg.or_else(|| whole(row)).map(Value::Size))
}

pub(super) fn free(row: &Row<'_>) -> Value {
    let in_vg = extents(row).map(|(size, _, free)| size.span(free));
    or_empty(in_vg.or_else(|| whole(row)).map(Value::Size))
}

pub(super) fn used(row: &Row<'_>) -> Value {
    let used = extents(row)
        .map(|(size, all, free)| size.span(Extents(all.0.saturating_sub(free.0))))
        .unwrap_or_default();
    Value::Size(used)
}

pub(super) fn uuid(row: &Row<'_>) -> Value {
    or_empty(row.pv.map(|pv| Value::text(pv.uuid.to_string())))
}

pub(super) fn pe_count(row: &Row<'_>) -> Value {
    Value::number(extents(row).map_or(0, |(_, all, _)| all.0))
}

pub(super) fn pe_alloc_count(row: &Row<'_>) -> Value {
    Value::number(extents(row).map_or(0, |(_, all, free)| all.0.saturating_sub(free.0)))
}

pub(super) fn pe_start(row: &Row<'_>) -> Value {
    let start = || Some(row.vg?.vg.pv(row.pv?.index?)?.pe_start);
    or_empty(start().map(Value::Size))
}

pub(super) fn dev_size(row: &Row<'_>) -> Value {
    or_empty(whole(row).map(Value::Size))
}

pub(super) fn major(row: &Row<'_>) -> Value {
    or_empty(row.pv.and_then(|pv| Some(Value::number(pv.number?.major))))
}

pub(super) fn minor(row: &Row<'_>) -> Value {
    or_empty(row.pv.and_then(|pv| Some(Value::number(pv.number?.minor))))
}

pub(super) fn missing(row: &Row<'_>) -> Value {
    Value::Word(is_missing(row).then_some("missing"))
}

pub(super) fn in_use(row: &Row<'_>) -> Value {
    Value::Word(row.vg.map(|_| "used"))
}

pub(super) fn allocatable(row: &Row<'_>) -> Value {
    Value::Word(row.vg.map(|_| "allocatable"))
}
