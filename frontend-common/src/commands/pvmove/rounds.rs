//! A move from its plan to its end, and again without what turned out to be unreadable, in a VG of either kind.

use lvshift_core::units::Uuid;

use super::super::Context;
use super::around::Around;
use super::{Ended, Way, background};
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
        moves: &[Uuid],
    ) -> Result<Ended>;

    /// Takes moves out again of which nothing was begun. What fails here is found by the next run.
    fn forget(&mut self, context: &mut Context<'_>, moves: &[Uuid]);

    /// Reads what is to be moved, but for what stays; adds what cannot be read, and answers whether that is news.
    fn look_again(
        &self,
        context: &Context<'_>,
        asked: Asked<'_>,
        around: &mut Around,
    ) -> Result<bool>;
}

/// Moves what can be read, and tells at the end what stays.
pub(super) fn in_rounds(
    context: &mut Context<'_>,
    asked: Asked<'_>,
    vg: &mut dyn Rounds,
) -> Result<()> {
    let Asked { args, source } = asked;
    let mut around = Around::default();
    loop {
        let moves = vg.record(context, asked, &mut around)?;
        if args.background {
            let device = source.device.display().to_string();
            background::leave(context, args, &vg.vg_name(), device)?;
            break;
        }
        let ended = match vg.drive(context, asked, &moves) {
            // Nothing was begun: no trace of the plan is left.
            Err(error) if error.kind == Kind::Locked => {
                vg.forget(context, &moves);
                return Err(error);
            }
            other => other?,
        };
        let again = !args.atomic
            && around.is_worth_another_round(&ended.reports)
            && vg.look_again(context, asked, &mut around)?;
        if !again {
            ended.conclude(context, Way::Run);
            break;
        }
    }
    if let Some(error) = around.error(source) {
        context.fail(&error);
    }
    Ok(())
}
