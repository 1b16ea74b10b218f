//! The rows of LVM2's own VGs, from LVM2's own reports; what a move of ours does there is put in.

use super::super::Context;
use super::super::driven::is_driven;
use crate::cli::report_args::ReportArgs;
use crate::error::{Error, Result};
use crate::lvm2::stack::Stack;
use crate::lvm2::text::{Record, State};
use crate::lvm2::tools::Lvm;
use crate::lvm2::vg::LvmVg;
use crate::lvm2::{self, each};
use crate::report::{FULL, ForeignRow, Interrupted, Noun, Wanted, state_word};

/// What LVM2 knows nothing of.
const OURS: &[&str] = &["move_to", "move_state", "vg_move_count"];

/// A VG in which there are moves of ours.
struct Moving {
    vg: LvmVg,
    driven: bool,
}

/// LVM2's rows of this report; none without LVM2. What it does not say, or not in time, is told (then there is no
/// list), and the report goes on without it.
pub(super) fn rows(
    context: &mut Context<'_>,
    noun: Noun,
    wanted: &Wanted,
    all: bool,
) -> Option<Vec<ForeignRow>> {
    let Some(lvm) = lvm2::in_use() else { return Some(Vec::new()) };
    let asked = asked(context, &lvm.within(lvm2::PATIENCE), noun, wanted, all);
    asked.map_err(|error| left_out(context, error)).ok()
}

fn left_out(context: &mut Context<'_>, error: Error) {
    context.warn_of(&error.state("VGs of LVM2's are left out of this report"));
    context.status = context.status.max(5);
}

/// All rows of `fullreport`, a list for each of its reports: `vgs` is the first. With `only` no other VG is shown.
pub(super) fn full(
    context: &mut Context<'_>,
    vgs: Vec<ForeignRow>,
    only: bool,
    args: &ReportArgs,
) -> Result<Vec<Vec<ForeignRow>>> {
    let mut all = vec![vgs];
    for (noun, segments) in FULL.into_iter().skip(1) {
        let wanted = Wanted::of(noun, &ReportArgs { segments, ..args.clone() })?;
        // Nothing is better than the half of it.
        let Some(mut rows) = rows(context, noun, &wanted, args.all) else { return Ok(Vec::new()) };
        let known = |row: &ForeignRow| {
            all.iter().take(1).flatten().any(|vg| row.is_of(vg.cell("vg_name"), None))
        };
        rows.retain(|row| !only || known(row));
        all.push(rows);
    }
    Ok(all)
}

fn asked(
    context: &mut Context<'_>,
    lvm: &Lvm,
    noun: Noun,
    wanted: &Wanted,
    all: bool,
) -> Result<Vec<ForeignRow>> {
    // Those that we look at ourselves; none of them makes a row stand for something else.
    let (command, needed): (_, &[&'static str]) = match noun {
        Noun::Pv => ("pvs", &["vg_name", "pv_major", "pv_minor"]),
        Noun::Vg => ("vgs", &["vg_name"]),
        Noun::Lv => ("lvs", &["vg_name", "lv_name", "lv_role", "lv_tags", "copy_percent"]),
    };
    let mut fields: Vec<&str> = wanted.fields.clone();
    fields.extend(needed.iter().filter(|field| !wanted.fields.contains(field)));
    fields.retain(|field| !OURS.contains(field));
    let fields = fields.join(",");
    let mut args = vec![command, "-o", &fields];
    args.extend((wanted.segments && noun != Noun::Vg).then_some("--segments"));
    // Who moves is seen from what is hidden.
    args.extend((noun == Noun::Lv).then_some("--all"));
    let mut rows: Vec<ForeignRow> = lvm.rows(&args)?.into_iter().map(ForeignRow::new).collect();
    rows.iter_mut().for_each(|row| row.set("vg_move_count", "0"));
    for moving in moves(context, lvm, noun, &rows)? {
        for interrupted in interrupted(&moving) {
            context.warn(interrupted.sentence(context.program));
        }
        tell(context, &moving, &mut rows);
    }
    if noun == Noun::Lv && !all {
        rows.retain(|row| !is_hidden(row));
    }
    Ok(rows)
}

/// LVM2 calls the parts of others private, and sets what is not visible in brackets unless it is told not to.
fn is_hidden(row: &ForeignRow) -> bool {
    let private = row.cell("lv_role").split(',').any(|word| word == "private");
    private || row.cell("lv_name").starts_with('[') || lvm2::text::moves::is_ours(row.lv())
}

/// The VGs with moves of ours. One that cannot be read is told, and stands in the report as LVM2 has it.
fn moves(
    context: &mut Context<'_>,
    lvm: &Lvm,
    noun: Noun,
    rows: &[ForeignRow],
) -> Result<Vec<Moving>> {
    let names = if noun == Noun::Lv {
        let tagged = |row: &&ForeignRow| {
            row.cell("lv_tags").split(',').any(|tag| tag == lvm2::text::moves::TAG)
        };
        let mut names: Vec<String> =
            rows.iter().filter(tagged).map(|row| row.cell("vg_name").to_owned()).collect();
        names.sort();
        names.dedup();
        names
    } else {
        lvm.vgs_with_moves()?
    };
    let mut found = Vec::new();
    for name in names {
        match LvmVg::open(lvm, &name) {
            Ok(vg) => found.push(Moving { driven: is_driven(vg.uuid()), vg }),
            Err(error) => {
                context.warn_of(&error);
                context.status = context.status.max(5);
            }
        }
    }
    Ok(found)
}

fn interrupted(moving: &Moving) -> Vec<Interrupted> {
    if moving.driven {
        return Vec::new();
    }
    let one = |record: &Record| Interrupted {
        lvs: each(record.parts.iter().map(|part| format!("{}/{}", moving.vg.name(), part.lv))),
        from: sources(moving, record),
        to: destinations(moving, record),
        state: record.state,
    };
    moving.vg.moves().iter().map(one).collect()
}

fn sources(moving: &Moving, record: &Record) -> Vec<String> {
    each(record.parts.iter().map(|part| moving.vg.path_of(&part.source.of)))
}

fn destinations(moving: &Moving, record: &Record) -> Vec<String> {
    each(record.parts.iter().map(|part| moving.vg.path_of(&part.destination.of)))
}

/// Puts the moves of a VG into its rows.
fn tell(context: &mut Context<'_>, moving: &Moving, rows: &mut [ForeignRow]) {
    let name = moving.vg.name();
    let mut percents = Vec::new();
    for record in moving.vg.moves() {
        let served = served_percent(context, moving, record);
        percents.push(served.unwrap_or_else(|| percent(name, record, rows)));
    }
    for row in rows.iter_mut().filter(|row| row.is_of(name, None)) {
        row.set("vg_move_count", moving.vg.moves().len().to_string());
        let lv = row.lv().to_owned();
        let records = moving.vg.moves().iter().zip(&percents);
        // One that waits for its turn says less than the one that runs.
        let mut of_lv: Vec<_> = records
            .filter(|(record, _)| {
                record.names.all().contains(&lv.as_str())
                    || record.parts.iter().any(|part| part.lv == lv)
            })
            .collect();
        of_lv.sort_by_key(|(record, _)| record.state == State::Queued);
        let Some((record, percent)) = of_lv.first() else { continue };
        row.set("move_pv", sources(moving, record).join(","));
        row.set("move_to", destinations(moving, record).join(","));
        row.set("move_state", state_word(record.state, moving.driven));
        if lv == record.names.mirror || record.parts.iter().any(|part| part.lv == lv) {
            row.set("copy_percent", percent.as_str());
        }
    }
}

/// How much of a move is copied whose mirror is this front end's own, of which LVM2 knows nothing.
fn served_percent(context: &mut Context<'_>, moving: &Moving, record: &Record) -> Option<String> {
    if record.state != State::Copying || !context.front_end.has_daemon() {
        return None;
    }
    let vg = &moving.vg;
    let mapper = context.front_end.lvm2().ok()?;
    let stack = Stack::new(mapper, vg.text(), vg.moves(), vg.members());
    let copy = stack.copy_status(record).ok()?;
    let hundredths = u128::from(copy.bytes_done) * 10_000 / u128::from(copy.bytes_total.max(1));
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

/// How much of a move is copied, while it copies: LVM2 asks the kernel for its mirror.
fn percent(vg: &str, record: &Record, rows: &[ForeignRow]) -> String {
    let mirror = rows.iter().find(|row| row.is_of(vg, Some(&record.names.mirror)));
    match record.state {
        State::Copying => mirror.map_or("", |row| row.cell("copy_percent")).to_owned(),
        _ => String::new(),
    }
}
