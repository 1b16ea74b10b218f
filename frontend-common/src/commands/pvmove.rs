//! `pvmove`: plans and records a move, carries on what was interrupted, or undoes it.

mod around;
mod background;
mod estimate;
mod file;
mod give_up;
mod leave;
mod lvm2;
mod map;
mod plan;
mod readable;
mod rounds;
mod select;
mod watch;

use std::time::Duration;

use lvshift_core::units::{Extents, Uuid};

use self::around::Around;
use self::map::{Drawer, Mapper};
use self::rounds::{Asked, Rounds, in_rounds};
use super::Context;
use super::driven::{driver, is_driven};
use super::lookup::{full_name, refuse};
use super::sights::Seen;
use crate::cli::pv_args::{Pvmove, WritePolicy};
use crate::cli::spec::PvSpec;
use crate::cli::values::OrNone;
use crate::drive::{self, MoveReport, Options};
use crate::error::{Error, Kind, Result};
use crate::front_end::{Felt, FrontEnd, Pace};
use crate::journald;
use crate::output;
use crate::pause;
use crate::progress::{Bad, Event, Style, Teller};
use crate::system_id;
use crate::vg::{Hold, OpenVg};

/// Which of the driver's three ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Run,
    CarryOn,
    Abort,
}

pub(super) fn run(context: &mut Context<'_>, args: &Pvmove) -> Result<()> {
    if args.watch {
        return watch::run(context, args);
    }
    if args.detached {
        background::detach();
    }
    if !context.test {
        // From here on a reader that takes nothing keeps nothing waiting: the first line comes before anything
        // is moved, when the move is recorded already.
        output::never_block();
    }
    context.front_end.revive();
    context.front_end.set_pace(pace(args))?;
    if args.verify {
        context.front_end.verify();
    }
    let (Some(source), false) = (&args.source, args.abort) else {
        return recorded(context, args);
    };
    if let Some((vg, key)) = lvm2::vg_of(&source.device)? {
        return lvm2::begin(context, args, source, vg, &key);
    }
    let name = select::vg_of(&source.device)?;
    let mut open = OpenVg::open(&name, Hold::Release)?;
    system_id::check(open.vg())?;
    let interrupted = select::moves_from(&open, &source.device)?;
    if context.test {
        if let [_, ..] = interrupted.as_slice() {
            let device = source.device.display();
            context.say(format!(
                "pvmove: the move from {device} that is recorded would be carried on"
            ));
            context.say("pvmove: with --test nothing was changed");
            return Ok(());
        }
        return plan::show(context, args, source, &open);
    }
    if args.detached || (!interrupted.is_empty() && !is_driven(open.vg().uuid())) {
        if !args.detached {
            let device = source.device.display();
            context.say(format!("Detected pvmove in progress for {device}: carrying it on."));
            if !args.destinations.is_empty()
                || args.name.is_some()
                || args.atomic
                || args.fill_unreadable.is_some()
            {
                context.warn("Ignoring remaining command line arguments.");
            }
        }
        return carry_on(context, args, open, &interrupted);
    }
    if is_driven(open.vg().uuid()) {
        return Err(refuse(
            Kind::Locked,
            format!("extents of VG {name} are being moved by {}", driver(open.vg().uuid())),
        )
        .next(format!("wait for it, or stop it with `{} pvmove --abort`", context.program)));
    }
    context.front_end.check_kernel(true)?;
    open.keep_children();
    in_rounds(context, Asked { args, source }, &mut open)
}

impl Rounds for OpenVg {
    fn vg_name(&self) -> String {
        self.vg().name().as_str().to_owned()
    }

    fn record(
        &mut self,
        context: &mut Context<'_>,
        Asked { args, source }: Asked<'_>,
        around: &mut Around,
    ) -> Result<Vec<Uuid>> {
        plan::record(context, args, source, self, around)
    }

    fn drive(
        &mut self,
        context: &mut Context<'_>,
        Asked { args, .. }: Asked<'_>,
        around: &Around,
        moves: &[Uuid],
    ) -> Result<Ended> {
        drive(context, args, self, Way::Run, around, moves)
    }

    fn forget(&mut self, _context: &mut Context<'_>, moves: &[Uuid]) {
        plan::forget(self, moves);
    }

    fn look_again(
        &self,
        context: &mut Context<'_>,
        Asked { args, source }: Asked<'_>,
        around: &mut Around,
    ) -> Result<bool> {
        plan::look_again(context, args, source, self, around)
    }

    fn is_source_left(&mut self, source: &PvSpec) -> bool {
        let pv = plan::pv_of(source, self).ok().flatten();
        pv.is_some_and(|pv| {
            self.can_be_read(pv) && (self.is_leaving(pv) || self.try_write(pv).is_err())
        })
    }
}

fn pace(args: &Pvmove) -> Pace {
    Pace {
        max_rate: args.max_rate.and_then(|rate| rate.0.bytes()),
        felt: args.pace.map(|OrNone(factor)| factor.map_or(Felt::Any, Felt::Within)),
        min_rate: args.min_rate.and_then(|rate| rate.0.bytes()),
        source_first: args.write_policy.map(|policy| policy == WritePolicy::SourceFirst),
        deadline: args.deadline.map(|OrNone(seconds)| seconds.unwrap_or(0)),
    }
}

/// `pvmove` and `pvmove --abort`, of one PV or of everything.
fn recorded(context: &mut Context<'_>, args: &Pvmove) -> Result<()> {
    let mut found = false;
    let of_lvm2 = args.source.as_ref().map(|source| lvm2::vg_of(&source.device)).transpose()?;
    if let Some(Some((vg, key))) = of_lvm2 {
        if !lvm2::recorded(context, args, vg, Some(&key))? {
            nothing(context, args);
        }
        return Ok(());
    }
    // The unit of `-b` names its VG, whoever's it is.
    let of_lvm2 = args.vg.as_deref().map(select::is_not_ours).transpose()?.unwrap_or(false);
    for opened in if of_lvm2 { Vec::new() } else { select::vgs(args)? } {
        let mut open = match opened {
            Ok(open) => open,
            Err(error) => {
                context.fail(&error);
                continue;
            }
        };
        let moves = match &args.source {
            Some(source) => select::moves_from(&open, &source.device)?,
            None => open.vg().moves().iter().map(|m| m.uuid).collect(),
        };
        if let Err(error) = system_id::check(open.vg()) {
            // A move of another host is none of ours, unless just that is asked for.
            if args.source.is_some() || args.vg.is_some() {
                return Err(error);
            }
            if !moves.is_empty() {
                context.warn_of(&error);
            }
            continue;
        }
        if moves.is_empty() {
            heal(context, &mut open);
            continue;
        }
        found = true;
        let done = if args.abort {
            drive(context, args, &mut open, Way::Abort, &Around::default(), &moves)
                .map(|ended| ended.conclude(context, Way::Abort))
        } else {
            carry_on(context, args, open, &moves)
        };
        if let Err(error) = done {
            context.fail(&error);
        }
    }
    if args.source.is_none() && (of_lvm2 || args.vg.is_none()) {
        for vg in lvm2::with_moves(context, args.vg.as_deref()) {
            match lvm2::recorded(context, args, vg, None) {
                Ok(some) => found |= some,
                Err(error) => {
                    found = true;
                    context.fail(&error);
                }
            }
        }
    }
    if !found {
        nothing(context, args);
    }
    Ok(())
}

fn nothing(context: &Context<'_>, args: &Pvmove) {
    let what = match (args.abort, args.watch) {
        (true, _) => "undo",
        (_, true) => "watch",
        _ => "carry on",
    };
    context.say(format!("pvmove: there is nothing to {what}: no move is recorded"));
}

/// A command that was killed in the middle of its last commit leaves no move, but PVs that say
/// different things. Carrying on ends that too.
fn heal(context: &mut Context<'_>, open: &mut OpenVg) {
    if open.health().is_sound() || !open.missing().is_empty() {
        return;
    }
    match open.update_metadata() {
        Ok(()) => context.say(open.was_updated()),
        Err(error) => context.fail(&error),
    }
}

fn carry_on(
    context: &mut Context<'_>,
    args: &Pvmove,
    mut open: OpenVg,
    moves: &[Uuid],
) -> Result<()> {
    context.front_end.check_kernel(true)?;
    if args.background {
        let of = open.vg().move_by_uuid(moves.first().copied().unwrap_or_default());
        let part = of.and_then(|of| open.vg().parts_of(of).first());
        let source = part.map(|part| super::lookup::pv_path(&open, part.source.pv));
        return background::leave(
            context,
            args,
            open.vg().name().as_str(),
            source.unwrap_or_default(),
        );
    }
    if !is_driven(open.vg().uuid()) {
        leave::see_to_all(context, &mut open, moves)?;
    }
    let around = Around::default();
    drive(context, args, &mut open, Way::CarryOn, &around, moves)?.conclude(context, Way::CarryOn);
    Ok(())
}

/// Hands the moves to the driver, and tells what it does.
fn drive(
    context: &mut Context<'_>,
    args: &Pvmove,
    open: &mut OpenVg,
    way: Way,
    around: &Around,
    moves: &[Uuid],
) -> Result<Ended> {
    if let Some(OrNone(seconds)) = args.deadline {
        open.patience = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    }
    open.keep_children();
    if !args.detached {
        pause::forget(open.vg().name().as_str())?;
    }
    let recorded = moves.iter().filter_map(|of| open.vg().move_by_uuid(*of));
    plan::check_exclusive(context.front_end.name(), open.vg(), recorded)?;
    let telling = Telling {
        vg: open.vg().name().as_str().to_owned(),
        open: Seen::own,
        bad: around.bad(open.vg().extent_size().span(Extents(1)).bytes().unwrap_or(0)),
        mapper: around.mapper(),
    };
    tell(context, args, telling, |front_end, options| match way {
        Way::Run => drive::run(open, front_end, moves, options),
        Way::CarryOn => drive::carry_on(open, front_end, Some(moves), options),
        Way::Abort => drive::abort(open, front_end, Some(moves), options),
    })
}

/// What is told of moves beside what the driver tells.
struct Telling {
    vg: String,
    /// Opens the VG once more, to look at it.
    open: fn(&str) -> Result<Seen>,
    bad: Bad,
    mapper: Mapper,
}

/// Has the moves driven, and tells what is done of them.
fn tell(
    context: &mut Context<'_>,
    args: &Pvmove,
    Telling { vg, open, bad, mapper }: Telling,
    drive: impl FnOnce(&mut dyn FrontEnd, Options<'_>) -> Result<Vec<MoveReport>>,
) -> Result<Ended> {
    let style = Style::choose(context.json, context.common.quiet > 0);
    let mut teller = Teller::new(style, context.program, output::stdout());
    teller.set_bad(bad);
    let drawer = args.map.then(|| Drawer::start(vg.clone(), open, mapper));
    let mut copied = None;
    let mut report = |report: drive::Report<'_>| {
        journald::hear(&vg, &report);
        if let Some(drawer) = &drawer {
            // Only from its first look on is the log that of this move; at its end it is none any more.
            let now = match &report {
                drive::Report::Copied(progress) => Some(progress.of),
                drive::Report::Ended(_) => None,
                _ => copied,
            };
            if std::mem::replace(&mut copied, now) != now {
                drawer.changed();
            }
            if let Some(maps) = drawer.take() {
                teller.disks(&maps);
            }
        }
        teller.hear(report);
    };
    let options = Options {
        interval: style.interval(args.interval),
        verify: args.verify,
        report: &mut report,
    };
    let reports = drive(context.front_end, options)?;
    Ok(Ended { reports, teller })
}

/// Moves that have ended, and who told of them.
struct Ended {
    reports: Vec<MoveReport>,
    teller: Teller<output::Stream>,
}

impl Ended {
    /// Says how they ended, and turns that into an exit status.
    fn conclude(mut self, context: &mut Context<'_>, way: Way) {
        if way == Way::Abort && self.reports.is_empty() {
            // The process that drove them was asked, and has let go.
            context.say("pvmove: undone by the process that was moving");
            return;
        }
        self.teller.finish(&self.reports);
        for error in self.reports.iter().filter_map(|report| failure(way, report)) {
            self.teller.error(&error);
            context.fail(&error);
        }
    }
}

/// An abort that was asked for is no failure of `--abort`, but it is one of the move; and a move that was
/// stopped by a signal has not moved: no status says that it has.
fn failure(way: Way, report: &MoveReport) -> Option<Error> {
    use lvshift_core::mover::{AbortReason, Outcome};
    match (way, report.outcome) {
        (_, Outcome::Left) => Some(
            Error::new(Kind::MoveFailed, "the move was stopped before its end")
                .state("the LV works, the source is still in charge, what is copied is remembered")
                .next("`pvmove` carries it on, `pvmove --abort` undoes it"),
        ),
        (Way::Abort, Outcome::Aborted(_)) => None,
        (_, Outcome::Aborted(AbortReason::Requested)) => Some(
            Error::new(Kind::MoveFailed, "the move was undone because it was asked for")
                .state("the source is in charge; nothing was switched"),
        ),
        _ => report.error(),
    }
}

/// For JSON: what was recorded before anything is moved.
fn announce(context: &Context<'_>, open: &OpenVg, moves: &[Uuid], bytes: u64, background: bool) {
    if context.json {
        let event = Event::Planned {
            vg: open.vg().name().as_str(),
            moves: moves.len(),
            bytes_total: bytes,
            background,
        };
        crate::output::out(&format!("{}\n", crate::report::to_json(&event)));
        return;
    }
    for uuid in moves {
        let Some(of) = open.vg().move_by_uuid(*uuid) else { continue };
        for part in open.vg().parts_of(of) {
            context.detail(format!(
                "{}: extents {}-{} from {}:{} to {}:{}",
                full_name(open.vg(), part.lv),
                part.first.0,
                part.end().saturating_sub(1),
                super::lookup::pv_path(open, part.source.pv),
                part.source.pe.0,
                super::lookup::pv_path(open, part.destination.pv),
                part.destination.pe.0
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use lvshift_core::mover::Outcome;

    use super::*;

    #[test]
    fn a_move_that_a_signal_stopped_is_no_success() {
        let ended = |outcome| MoveReport {
            of: Uuid([1; 16]),
            outcome,
            bytes_total: 0,
            bad_places: Vec::new(),
            errors: Vec::new(),
        };
        for way in [Way::Run, Way::CarryOn, Way::Abort] {
            let error = failure(way, &ended(Outcome::Left)).expect("it has not moved");
            assert_eq!(error.exit_status(), 5);
        }
        assert!(failure(Way::Run, &ended(Outcome::Moved)).is_none());
    }
}
