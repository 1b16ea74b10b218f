//! A source that takes no changes: what is asked before the VG goes on without it.

use lvshift_core::mover::{AbortReason, Outcome};
use lvshift_core::units::Uuid;
use lvshift_core::{Leg, LegFault};

use super::super::Context;
use crate::drive::MoveReport;
use crate::error::{Error, Result};
use crate::vg::OpenVg;

/// Finds out whether a source takes changes of the metadata. From one that does not, nothing is moved before a person has
/// agreed that the VG goes on without it, and that is recorded; one that ceases to under a move is left without a question, since
/// the way back would need it as well.
pub(super) fn see_to(context: &mut Context<'_>, open: &mut OpenVg, source: Uuid) -> Result<()> {
    if open.is_leaving(source) || !open.can_be_read(source) {
        return Ok(());
    }
    if let Err(error) = open.try_write(source) {
        let ceased = open.is_left_if_it_fails(source);
        let device = open.members().by_uuid(source);
        let Some(path) = device.map(|member| member.path.display().to_string()) else {
            return Err(error);
        };
        if !ceased {
            context.ask(&question(&path, open.vg().name().as_str(), &error))?;
        }
        open.begin_leaving(source)?;
        let vg = open.vg().name();
        context.warn(format!(
            "VG {vg} goes on without {path}, which takes no changes: move all of it away, then vgreduce {vg} {path}"
        ));
    }
    open.leaves(source);
    Ok(())
}

/// Whether moves from a source that takes no changes are worth another try: what undid them was a write of an application
/// that it did not take, and whatever gets such an error seldom goes on writing.
pub(super) fn is_worth_another_round(reports: &[MoveReport]) -> bool {
    let refused = AbortReason::LegFailed(Leg::Source, LegFault::Write);
    reports.iter().any(|report| report.outcome == Outcome::Aborted(refused))
}

/// The same of the sources of moves that are carried on.
pub(super) fn see_to_all(
    context: &mut Context<'_>,
    open: &mut OpenVg,
    moves: &[Uuid],
) -> Result<()> {
    let mut sources: Vec<Uuid> = Vec::new();
    for of in moves.iter().filter_map(|of| open.vg().move_by_uuid(*of)) {
        for pv in open.vg().parts_of(of).iter().filter_map(|part| open.vg().pv(part.source.pv)) {
            if !sources.contains(&pv.uuid) {
                sources.push(pv.uuid);
            }
        }
    }
    sources.retain(|pv| open.members().by_uuid(*pv).is_some());
    sources.into_iter().try_for_each(|pv| see_to(context, open, pv))
}

fn question(path: &str, vg: &str, error: &Error) -> String {
    let why = error.source.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!(
        "{path} takes no changes: {}{why}. It can be left: VG {vg} goes on without it, what an application writes to what is not \
         moved yet may fail, and what stands on it now, its label too, cannot be wiped and must never be used \
         without the VG's other PVs. Leave it?",
        error.what
    )
}
