//! The moves of one command, one after the other, whatever kind of VG holds them.

use std::fs;
use std::ops::ControlFlow;
use std::time::Duration;

use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;
use rustix::mm::{MlockAllFlags, mlockall};

use super::ticker::Place;
use super::wishes::Wishes;
use super::{MoveReport, Options, Report};
use crate::error::{Kind, Result};
use crate::lock::{self, Lock};
use crate::requests::{self, Listener, Requests};

/// The recorded moves of one VG.
pub(crate) trait Moves {
    /// What the moves that one command recorded have in common.
    type Command;

    fn vg(&self) -> Uuid;

    /// The command that recorded the move; none when the move is not recorded any more.
    fn command(&self, of: Uuid) -> Option<Self::Command>;

    /// How much the move is to move.
    fn bytes(&self, of: Uuid) -> u64;

    /// Drives the move from wherever it stands to its end.
    fn drive(&mut self, of: Uuid, turn: Turn<'_>) -> MoveReport;

    /// A move ended otherwise than it was asked to. Sees to those of its command that wait; whether the others
    /// are gone on with.
    fn failed(
        &mut self,
        command: Self::Command,
        outcome: Outcome,
        tell: &mut dyn FnMut(Report<'_>),
    ) -> ControlFlow<()>;
}

/// One move's turn among those of its command.
pub(crate) struct Turn<'a> {
    pub(crate) place: Place,
    /// How often to report progress; `None`: never.
    pub(crate) interval: Option<Duration>,
    /// See [`Options::verify`].
    pub(crate) verify: bool,
    pub(crate) requests: &'a mut dyn Requests,
    pub(crate) wishes: &'a mut Wishes,
    pub(crate) tell: &'a mut dyn FnMut(Report<'_>),
}

/// Drives these moves in order, with `abort` back to their source. The mover lock is held by the caller.
pub(crate) fn run_all(
    vg: &mut impl Moves,
    moves: &[Uuid],
    options: Options<'_>,
    abort: bool,
) -> Result<Vec<MoveReport>> {
    let mut listener = Listener::new(vg.vg())?;
    keep_alive();
    let bytes: Vec<u64> = moves.iter().map(|of| vg.bytes(*of)).collect();
    let mut place = Place { number: 0, count: moves.len(), before: 0, total: bytes.iter().sum() };
    let mut wishes = if abort { Wishes::to_abort(moves) } else { Wishes::default() };
    let mut reports = Vec::new();
    for (of, bytes) in moves.iter().zip(bytes) {
        place.number += 1;
        // One that is not recorded any more was forgotten with a failed one before it.
        let Some(command) = vg.command(*of) else { continue };
        let turn = Turn {
            place,
            interval: options.interval,
            verify: options.verify,
            requests: &mut listener,
            wishes: &mut wishes,
            tell: &mut *options.report,
        };
        let report = vg.drive(*of, turn);
        place.before += bytes;
        (options.report)(Report::Ended(&report));
        let outcome = report.outcome;
        reports.push(report);
        match outcome {
            Outcome::Moved => {}
            Outcome::Left => break,
            _ if abort => {}
            _ => {
                if vg.failed(command, outcome, options.report).is_break() {
                    break;
                }
            }
        }
    }
    Ok(reports)
}

/// The mover lock for `pvmove --abort`. Another process that drives the moves (none named: all) is asked to take
/// them back, and this returns when it has let go.
pub(crate) fn lock_to_abort(vg: Uuid, moves: &[Uuid]) -> Result<Lock> {
    match lock::mover(vg, "pvmove --abort") {
        Err(error) if error.kind == Kind::Locked => {
            requests::ask_to_abort(vg, moves)?;
            lock::mover_after_others(vg)
        }
        other => other,
    }
}

/// What is moved may hold this very program, or the swap: nothing of us may need the disk, and
/// we are not to be killed for memory.
pub(crate) fn keep_alive() {
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE) {
        tracing::warn!(%error, "memory cannot be locked");
    }
    if let Err(error) = fs::write("/proc/self/oom_score_adj", "-1000") {
        tracing::debug!(%error, "the oom score stays as it is");
    }
}
