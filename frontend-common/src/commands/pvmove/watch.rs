//! `pvmove --watch`: follows recorded moves, whoever drives them, to their end; changes nothing.

use std::time::{Duration, Instant};

use lvshift_core::metadata::MoveState;
use lvshift_core::mover::{AbortReason, Outcome};

use super::super::Context;
use super::super::sights::{self, Seen, Sight};
use super::map::{Mapper, Pictures};
use super::{nothing, select};
use crate::cli::pv_args::Pvmove;
use crate::drive::{MoveReport, Place, Report, Ticker};
use crate::error::{Error, Kind, Result};
use crate::output;
use crate::progress::{Style, Teller};
use crate::report::state_word;

/// Between two looks.
const STEP: Duration = Duration::from_secs(1);
/// LVM2's text is read by programs of LVM2's, so it is not read at each look: only how far the copy is.
const LOOKS_A_TEXT: u32 = 4;
/// So long a move may be without a process: its unit is being started, or started again.
const ALONE: Duration = Duration::from_secs(15);

/// A move that is followed.
struct Watched {
    last: Sight,
    ticker: Ticker,
    outcome: Option<Outcome>,
}

pub(super) fn run(context: &mut Context<'_>, args: &Pvmove) -> Result<()> {
    context.front_end.look_only();
    let vg = match (&args.vg, &args.source) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(source)) => Some(select::vg_of_either(&source.device)?),
        (None, None) => None,
    };
    let mut seen = sights::with_moves(context, vg.as_deref())?;
    let found = look(context, &seen);
    if found.is_empty() {
        nothing(context, args);
        return Ok(());
    }
    let style = Style::choose(context.json, context.common.quiet > 0);
    let mut teller = Teller::new(style, context.program, output::stdout());
    let (total, count) = (found.iter().map(|sight| sight.bytes).sum(), found.len());
    let (mut before, mut all) = (0, Vec::new());
    for (at, sight) in found.into_iter().enumerate() {
        let place = Place { number: at + 1, count, before, total };
        before += sight.bytes;
        let ticker = Ticker::new(sight.of, place, style.interval(args.interval));
        let again = sight.state != MoveState::Queued;
        teller.hear(Report::Started { of: sight.of, again, from: &sight.from, to: &sight.to });
        teller.state(sight.of, state_word(sight.state, sight.driven));
        all.push(Watched { last: sight, ticker, outcome: None });
    }
    let mapper = args.map.then(|| Mapper::new(Vec::new(), Pictures::default()));
    let alone = follow(context, &mut seen, &mut all, &mut teller, mapper.as_ref())?;
    let reports: Vec<MoveReport> = all.iter().map(report).collect();
    teller.finish(&reports);
    if let Some(error) = error(context, &all, alone) {
        teller.error(&error);
        context.fail(&error);
    }
    Ok(())
}

/// Until all have ended, or no process moves them.
fn follow(
    context: &mut Context<'_>,
    seen: &mut [Seen],
    all: &mut [Watched],
    teller: &mut Teller<output::Stream>,
    mapper: Option<&Mapper>,
) -> Result<bool> {
    let mut alone_since: Option<Instant> = None;
    for look_number in 1_u32.. {
        std::thread::sleep(STEP);
        for vg in seen.iter_mut() {
            if matches!(vg, Seen::Own(_)) || look_number.is_multiple_of(LOOKS_A_TEXT) {
                vg.reread()?;
            }
        }
        let found = look(context, seen);
        if let Some(mapper) = mapper {
            teller.disks(&mapper.look(seen));
        }
        for watched in all.iter_mut().filter(|watched| watched.outcome.is_none()) {
            match found.iter().find(|sight| sight.of == watched.last.of) {
                Some(sight) => watched.see(sight, seen, teller, mapper.is_none()),
                None => {
                    watched.end(seen);
                    teller.hear(Report::Ended(&report(watched)));
                }
            }
        }
        let left: Vec<&Watched> = all.iter().filter(|one| one.outcome.is_none()).collect();
        if left.is_empty() {
            return Ok(false);
        }
        if left.iter().any(|one| one.last.driven) {
            alone_since = None;
        } else if alone_since.get_or_insert_with(Instant::now).elapsed() > ALONE {
            return Ok(true);
        }
    }
    Ok(true)
}

fn look(context: &mut Context<'_>, seen: &[Seen]) -> Vec<Sight> {
    seen.iter().flat_map(|vg| vg.sights(context.front_end)).collect()
}

impl Watched {
    fn see(
        &mut self,
        sight: &Sight,
        seen: &[Seen],
        teller: &mut Teller<output::Stream>,
        chunks: bool,
    ) {
        let word = state_word(sight.state, sight.driven);
        if word != state_word(self.last.state, self.last.driven) {
            teller.state(sight.of, word);
        }
        if let Some(progress) = sight.copy.and_then(|copy| self.ticker.look(&copy)) {
            let vg = seen.iter().find(|vg| chunks && vg.name() == sight.vg);
            if let Some(map) = vg.and_then(|vg| vg.chunks(sight.of)) {
                teller.chunks(sight.of, &map);
            }
            teller.hear(Report::Copied(&progress));
        }
        self.last = sight.clone();
    }

    /// The record is gone: where the data is now says how it ended.
    fn end(&mut self, seen: &[Seen]) {
        let vg = seen.iter().find(|vg| vg.name() == self.last.vg);
        let is_there = vg.map(|vg| vg.has(&self.last.landing));
        let moved = match self.last.state {
            // A destination that failed while that was committed has not taken over.
            MoveState::Moved => is_there.unwrap_or(true),
            MoveState::Aborting => false,
            MoveState::Queued | MoveState::Copying => is_there.unwrap_or(false),
        };
        let undone = Outcome::Aborted(AbortReason::Requested);
        self.outcome = Some(if moved { Outcome::Moved } else { undone });
    }
}

fn report(watched: &Watched) -> MoveReport {
    MoveReport {
        of: watched.last.of,
        outcome: watched.outcome.unwrap_or(Outcome::Left),
        bytes_total: watched.last.bytes,
        bad_places: Vec::new(),
        errors: Vec::new(),
    }
}

fn error(context: &Context<'_>, all: &[Watched], alone: bool) -> Option<Error> {
    let program = context.program;
    if alone {
        return Some(
            Error::new(Kind::MoveFailed, "no process carries the move on")
                .state("the LV works, the source is still in charge, what is copied is remembered")
                .next(format!(
                    "`{program} pvmove` carries it on, `{program} pvmove --abort` undoes it"
                )),
        );
    }
    let undone = all.iter().find(|one| one.outcome != Some(Outcome::Moved))?;
    let from = undone.last.from.join(", ");
    Some(
        Error::new(Kind::MoveFailed, format!("the move from {from} was undone"))
            .state("the source is in charge; nothing was switched")
            .next("who moved has said why: in its terminal, or `journalctl -t lvshift`"),
    )
}
