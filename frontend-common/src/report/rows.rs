//! Cuts the facts into rows.

use lvshift_core::metadata::{MoveState, Run, Segment};
use lvshift_core::units::{DeviceNumber, Extents, LvIndex, MoveIndex, PvIndex, Sectors, Uuid};

use super::Noun;
use super::facts::{Facts, Only, VgFacts};

/// What one row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// A PV, VG or LV, as the report is.
    Whole,
    /// `vgs` with PV fields: a PV of a VG.
    PvOfVg,
    /// `vgs` with LV fields: an LV of a VG.
    LvOfVg,
    /// A segment of an LV.
    Segment,
    /// A run of extents of a PV, used by one segment or free.
    Run,
}

/// What a field may look at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) pv: Option<PvRow<'a>>,
    pub(super) vg: Option<&'a VgFacts<'a>>,
    pub(super) lv: Option<LvRow>,
    pub(super) segment: Option<Segment>,
    pub(super) run: Option<Run>,
}

/// A PV, in a VG or not, there or missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct PvRow<'a> {
    pub(super) path: &'a str,
    pub(super) uuid: Uuid,
    pub(super) size: Option<Sectors>,
    pub(super) number: Option<DeviceNumber>,
    pub(super) index: Option<PvIndex>,
}

/// An LV, or a hidden helper device of a move of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LvRow {
    /// An LV.
    Lv(LvIndex),
    /// The shadow that keeps the old mapping while a move runs.
    Shadow(MoveIndex, LvIndex),
    /// The dirty log of the part with this number among the LV's parts of the move.
    Log(MoveIndex, LvIndex, usize),
}

impl LvRow {
    /// The LV itself, or the one that is moved.
    pub(super) fn lv(self) -> LvIndex {
        match self {
            LvRow::Lv(lv) | LvRow::Shadow(_, lv) | LvRow::Log(_, lv, _) => lv,
        }
    }
}

/// All rows of a report, unsorted.
pub(super) fn rows<'a>(noun: Noun, grain: Grain, facts: &'a Facts<'a>, all: bool) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for vg in &facts.vgs {
        let of_vg = Row { vg: Some(vg), ..Row::default() };
        match (noun, grain) {
            (Noun::Pv, Grain::Whole) | (_, Grain::PvOfVg) => rows.extend(pvs(vg)),
            (Noun::Pv, _) => rows.extend(pvs(vg).flat_map(|row| runs(vg, row))),
            (Noun::Vg, Grain::Whole) => rows.push(of_vg),
            (_, Grain::Segment | Grain::Run) => {
                rows.extend(lvs(vg, all).flat_map(|row| segments(vg, row)));
            }
            (Noun::Vg, Grain::LvOfVg) => rows.extend(lvs(vg, false)),
            (Noun::Lv, _) => rows.extend(lvs(vg, all)),
        }
    }
    if noun == Noun::Pv {
        rows.extend(facts.orphans.iter().map(|orphan| Row {
            pv: Some(PvRow {
                path: &orphan.path,
                uuid: orphan.uuid,
                size: Some(orphan.size),
                number: Some(orphan.number),
                index: None,
            }),
            ..Row::default()
        }));
    }
    if let Some(only) = &facts.only {
        rows.retain(|row| is_named(only, row));
    }
    rows
}

fn is_named(only: &Only, row: &Row<'_>) -> bool {
    let lv =
        |vg: &VgFacts<'_>, lv: LvIndex| vg.vg.lv(lv).is_some_and(|l| only.lvs.contains(&l.uuid));
    row.pv.is_some_and(|pv| only.pvs.contains(&pv.uuid))
        || row.vg.is_some_and(|vg| only.vgs.contains(&vg.vg.uuid()))
        || row.vg.zip(row.lv).is_some_and(|(vg, which)| lv(vg, which.lv()))
}

fn pvs<'a>(vg: &'a VgFacts<'a>) -> impl Iterator<Item = Row<'a>> {
    vg.pv_indices().filter_map(move |index| {
        let member = vg.members.get(index.index()).and_then(Option::as_ref);
        let pv = PvRow {
            path: vg.path(index),
            uuid: vg.vg.pv(index)?.uuid,
            size: member.map(|m| m.size),
            number: member.map(|m| m.number),
            index: Some(index),
        };
        Some(Row { pv: Some(pv), vg: Some(vg), ..Row::default() })
    })
}

/// The LVs, and with `all` the helper devices of moves that may have them.
fn lvs<'a>(vg: &'a VgFacts<'a>, all: bool) -> impl Iterator<Item = Row<'a>> {
    let row = move |lv| Row { vg: Some(vg), lv: Some(lv), ..Row::default() };
    let hidden = vg.move_indices().filter(move |of| {
        let state = vg.vg.move_at(*of).map(|m| m.state);
        all && state.is_some_and(|state| state != MoveState::Queued)
    });
    let hidden = hidden.flat_map(move |of| {
        let shadows = vg.vg.lvs_of_move(of).into_iter().map(move |lv| LvRow::Shadow(of, lv));
        let logs = vg.vg.lvs_of_move(of).into_iter().flat_map(move |lv| {
            let parts = vg.vg.parts_of(of).iter().filter(|part| part.lv == lv).count();
            (0..parts).map(move |part| LvRow::Log(of, lv, part))
        });
        shadows.chain(logs)
    });
    vg.lv_indices().map(LvRow::Lv).chain(hidden).map(row)
}

fn segments<'a>(vg: &'a VgFacts<'a>, row: Row<'a>) -> Vec<Row<'a>> {
    match row.lv {
        Some(LvRow::Lv(lv) | LvRow::Shadow(_, lv)) => vg
            .vg
            .segments_of(lv)
            .iter()
            .map(|segment| Row { segment: Some(*segment), ..row })
            .collect(),
        _ => vec![row],
    }
}

/// The used runs of a PV with the LV segments on them, and the free ones.
fn runs<'a>(vg: &'a VgFacts<'a>, row: Row<'a>) -> Vec<Row<'a>> {
    let Some(pv) = row.pv.and_then(|pv| pv.index) else { return vec![row] };
    let used = vg.vg.segments().iter().filter(|s| s.place.pv == pv).map(|segment| Row {
        run: Some(segment.run()),
        segment: Some(*segment),
        lv: Some(LvRow::Lv(segment.lv)),
        ..row
    });
    let free = vg.vg.free_runs(pv).map(|run| Row { run: Some(run), ..row });
    // What a move has reserved, or has not yet given back.
    let owed = vg.vg.parts().iter().filter_map(|part| {
        let moved = vg.vg.move_at(part.of)?.state == MoveState::Moved;
        let run = if moved { part.source_run() } else { part.destination_run() };
        let shadow = LvRow::Shadow(part.of, part.lv);
        (run.place.pv == pv && run.count != Extents(0)).then_some(Row {
            run: Some(run),
            lv: Some(shadow),
            ..row
        })
    });
    let mut runs: Vec<Row<'a>> = used.chain(free).chain(owed).collect();
    runs.sort_by_key(|row| row.run.map(|run| run.place.pe));
    runs
}
