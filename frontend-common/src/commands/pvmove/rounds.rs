//! A move from its plan to its end, and again without what turned out to be unreadable, in a VG of either kind.

use lvshift_core::units::Uuid;

use super::super::Context;
use super::around::Around;
use super::{Ended, Way, background, give_up, leave};
use crate::cli::pv_args::Pvmove;
use crate::cli::spec::PvSpec;
use crate::error::{Kind, Result};

/// What is asked for, as both rounds and kinds have it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) args: &'a Pvmove,
    pub(super) source: &'a PvSpec,
}

/// A VG in which a move is planned and made.
pub(super) trait Rounds {
    fn vg_name(&self) -> String;

    /// Plans without what stays, and commits that as queued.
    fn record(
        &mut self,
        context: &mut Context<'_>,
        asked: Asked<'_>,
        around: &mut Around,
    ) -> Result<Vec<Uuid>>;

    fn drive(
        &mut self,
        context: &mut Context<'_>,
        asked: Asked<'_>,
        around: &Around,
        moves: &[Uuid],
    ) -> Result<Ended>;

    /// Takes moves out again of which nothing was begun. What fails here is found by the next run.
    fn forget(&mut self, context: &mut Context<'_>, moves: &[Uuid]);

    /// Reads what is to be moved, but for what stays; adds what cannot be read, and answers whether that is news.
    fn look_again(
        &self,
        context: &mut Context<'_>,
        asked: Asked<'_>,
        around: &mut Around,
    ) -> Result<bool>;

    /// Whether the source takes no changes, and is being left.
    fn is_source_left(&mut self, source: &PvSpec) -> bool;
}

/// Moves what can be read, and then what is given up; tells at the end what stays.
pub(super) fn in_rounds(
    context: &mut Context<'_>,
    asked: Asked<'_>,
    vg: &mut dyn Rounds,
) -> Result<()> {
    let Asked { args, source } = asked;
    let fills = args.fill_unreadable.is_some();
    if fills {
        context.front_end.give_up(&[])?;
    }
    let mut around = Around::default();
    match what_can_be_read(context, asked, vg, &mut around) {
        Err(_) if fills && around.all_stay() => {}
        Err(error) => {
            // Whatever ends it: what is known of the source by then is said.
            around.tell(context, None);
            if let Some(list) = around.unfinished(source) {
                context.fail(&list);
            }
            return Err(error);
        }
        Ok(()) => {}
    }
    if around.is_empty() {
        return Ok(());
    }
    around.tell(context, None);
    if fills && context.status == 0 {
        return give_up::move_it(context, asked, vg, &mut around);
    }
    if let Some(error) = around.error(source) {
        context.fail(&error);
    }
    Ok(())
}

fn what_can_be_read(
    context: &mut Context<'_>,
    asked: Asked<'_>,
    vg: &mut dyn Rounds,
    around: &mut Around,
) -> Result<()> {
    let Asked { args, source } = asked;
    loop {
        let moves = vg.record(context, asked, around)?;
        if args.background {
            let device = source.device.display().to_string();
            return background::leave(context, args, &vg.vg_name(), device);
        }
        let ended = driven(context, asked, vg, around, &moves)?;
        let again = around.is_worth_another_round(&ended.reports)
            && ((leave::is_worth_another_round(&ended.reports) && vg.is_source_left(source))
                || (!args.atomic && vg.look_again(context, asked, around)?));
        if !again {
            ended.conclude(context, Way::Run);
            return Ok(());
        }
    }
}

/// Has the moves driven; one of which nothing was begun leaves no trace.
pub(super) fn driven(
    context: &mut Context<'_>,
    asked: Asked<'_>,
    vg: &mut dyn Rounds,
    around: &Around,
    moves: &[Uuid],
) -> Result<Ended> {
    match vg.drive(context, asked, around, moves) {
        Err(error) if error.kind == Kind::Locked => {
            vg.forget(context, moves);
            Err(error)
        }
        other => other,
    }
}
