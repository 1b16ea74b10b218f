//! Fields of LVs and of the helper devices of moves.

use lvshift_core::metadata::{Lv, MovePart};
use lvshift_core::units::{MoveIndex, PvIndex};

use super::super::Value;
use super::super::facts::VgFacts;
use super::super::rows::{LvRow, Row};
use super::{or_empty, state_word, sum};
use crate::front_end::ActiveLv;

/// The VG, the LV (that a helper serves), and which of them the row is.
fn lv<'a>(row: &Row<'a>) -> Option<(&'a VgFacts<'a>, &'a Lv, LvRow)> {
    let (vg, which) = (row.vg?, row.lv?);
    Some((vg, vg.vg.lv(which.lv())?, which))
}

/// The LV's device; helpers have none that we look at.
fn device<'a>(row: &Row<'a>) -> Option<&'a ActiveLv> {
    match lv(row)? {
        (vg, _, LvRow::Lv(index)) => vg.device(index),
        _ => None,
    }
}

/// The move that the row belongs to, and its parts of this LV.
fn moving<'a>(row: &Row<'a>) -> Option<(&'a VgFacts<'a>, MoveIndex, Vec<&'a MovePart>)> {
    let (vg, _, which) = lv(row)?;
    let of = match which {
        LvRow::Lv(index) => vg.vg.move_of_lv(index)?,
        LvRow::Shadow(of, _) | LvRow::Log(of, ..) => of,
    };
    let parts = vg.vg.parts_of(of).iter().filter(|p| p.lv == which.lv()).collect();
    Some((vg, of, parts))
}

fn plain_name(row: &Row<'_>) -> Option<String> {
    let (_, lv, which) = lv(row)?;
    Some(match which {
        LvRow::Lv(_) => lv.name.to_string(),
        LvRow::Shadow(..) => format!("[{}-shadow]", lv.name),
        LvRow::Log(_, _, part) => format!("[{}-log{part}]", lv.name),
    })
}

pub(super) fn name(row: &Row<'_>) -> Value {
    or_empty(plain_name(row).map(Value::Text))
}

pub(super) fn full_name(row: &Row<'_>) -> Value {
    let name = || Some(format!("{}/{}", row.vg?.vg.name(), plain_name(row)?));
    or_empty(name().map(Value::Text))
}

pub(super) fn attr(row: &Row<'_>) -> Value {
    let Some((vg, _, which)) = lv(row) else { return Value::Empty };
    let helper = which != LvRow::Lv(which.lv());
    let device = device(row);
    let kind = match which {
        LvRow::Lv(_) => '-',
        LvRow::Shadow(..) => 'p',
        LvRow::Log(..) => 'l',
    };
    // A capital says that the LV is locked against changes of its places.
    let policy = if !helper && moving(row).is_some() { 'I' } else { 'i' };
    let state = match device {
        Some(device) if device.suspended => 's',
        Some(_) => 'a',
        None => '-',
    };
    let open = if device.is_some_and(|d| d.open_count > 0) { 'o' } else { '-' };
    let health = if partial(vg, which) { 'p' } else { '-' };
    Value::text(format!("{kind}w{policy}-{state}{open}--{health}-"))
}

pub(super) fn autoactivation(row: &Row<'_>) -> Value {
    Value::Word(lv(row).is_some_and(|(_, lv, _)| !lv.no_autoactivation).then_some("enabled"))
}

fn partial(vg: &VgFacts<'_>, which: LvRow) -> bool {
    vg.vg.segments_of(which.lv()).iter().any(|segment| vg.is_missing(segment.place.pv))
}

pub(super) fn size(row: &Row<'_>) -> Value {
    let Some((vg, lv, which)) = lv(row) else { return Value::Empty };
    match which {
        LvRow::Log(..) => Value::Empty,
        _ => Value::Size(vg.vg.extent_size().span(lv.le_count)),
    }
}

pub(super) fn uuid(row: &Row<'_>) -> Value {
    match lv(row) {
        Some((_, lv, LvRow::Lv(_))) => Value::text(lv.uuid.to_string()),
        _ => Value::Empty,
    }
}

pub(super) fn path(row: &Row<'_>) -> Value {
    match lv(row) {
        Some((vg, lv, LvRow::Lv(_))) => Value::text(format!("/dev/{}/{}", vg.vg.name(), lv.name)),
        _ => Value::Empty,
    }
}

pub(super) fn dm_path(row: &Row<'_>) -> Value {
    let doubled = |name: &str| name.replace('-', "--");
    let Some((vg, lv, which)) = lv(row) else { return Value::Empty };
    let suffix = match which {
        LvRow::Lv(_) => String::new(),
        LvRow::Shadow(..) => "-shadow".to_owned(),
        LvRow::Log(_, _, part) => format!("-log{part}"),
    };
    let (vg, lv) = (doubled(vg.vg.name().as_str()), doubled(lv.name.as_str()));
    Value::Text(format!("/dev/mapper/{vg}-{lv}{suffix}"))
}

pub(super) fn layout(row: &Row<'_>) -> Value {
    or_empty(row.lv.map(|_| Value::text("linear")))
}

pub(super) fn role(row: &Row<'_>) -> Value {
    or_empty(row.lv.map(|which| match which {
        LvRow::Lv(_) => Value::text("public"),
        _ => Value::text("private,pvmove"),
    }))
}

pub(super) fn active(row: &Row<'_>) -> Value {
    Value::text(if device(row).is_some() { "active" } else { "" })
}

pub(super) fn active_locally(row: &Row<'_>) -> Value {
    Value::Word(device(row).map(|_| "active locally"))
}

pub(super) fn open(row: &Row<'_>) -> Value {
    Value::Word(device(row).filter(|d| d.open_count > 0).map(|_| "open"))
}

pub(super) fn suspended(row: &Row<'_>) -> Value {
    Value::Word(device(row).filter(|d| d.suspended).map(|_| "suspended"))
}

pub(super) fn kernel_major(row: &Row<'_>) -> Value {
    device(row).map_or(Value::Number(-1), |d| Value::number(d.number.major))
}

pub(super) fn kernel_minor(row: &Row<'_>) -> Value {
    device(row).map_or(Value::Number(-1), |d| Value::number(d.number.minor))
}

pub(super) fn health(row: &Row<'_>) -> Value {
    let bad = lv(row).is_some_and(|(vg, _, which)| partial(vg, which));
    Value::text(if bad { "partial" } else { "" })
}

pub(super) fn parent(row: &Row<'_>) -> Value {
    match lv(row) {
        Some((_, _, LvRow::Lv(_))) | None => Value::Empty,
        Some((_, lv, _)) => Value::text(lv.name.as_str()),
    }
}

pub(super) fn seg_count(row: &Row<'_>) -> Value {
    or_empty(lv(row).map(|(vg, _, which)| Value::number(vg.vg.segments_of(which.lv()).len())))
}

fn side(row: &Row<'_>, side: impl Fn(&MovePart) -> PvIndex) -> Value {
    or_empty(
        moving(row).map(|(vg, _, parts)| Value::Text(vg.side(parts.into_iter(), side).join(","))),
    )
}

pub(super) fn move_pv(row: &Row<'_>) -> Value {
    side(row, |part| part.source.pv)
}

pub(super) fn move_to(row: &Row<'_>) -> Value {
    side(row, |part| part.destination.pv)
}

pub(super) fn move_state(row: &Row<'_>) -> Value {
    let word = || {
        let (vg, of, _) = moving(row)?;
        Some(state_word(vg.vg.move_at(of)?.state, vg.driven))
    };
    or_empty(word().map(Value::text))
}

pub(super) fn copy_percent(row: &Row<'_>) -> Value {
    let percent = || {
        let (vg, of, parts) = moving(row)?;
        let status = vg.copy(of)?;
        let total = if status.bytes_total > 0 {
            status.bytes_total
        } else {
            let sectors = vg.vg.extent_size().sectors();
            sum(parts.iter().map(|p| p.count)) * u64::from(sectors) * 512
        };
        (total > 0).then(|| 100.0 * status.bytes_done as f64 / total as f64)
    };
    or_empty(percent().map(Value::Percent))
}
