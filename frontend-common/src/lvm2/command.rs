//! The moves of one command in a VG of LVM2's, one after the other.

use std::ops::ControlFlow;

use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;

use super::hand_over::take_over;
use super::host::{self, Means};
use super::id;
use super::mapper::Mapper;
use super::text::State;
use super::vg::LvmVg;
use crate::drive::{MoveReport, Moves, Options, Report, Turn, lock_to_abort, run_all};
use crate::error::{Error, Kind, Result};
use crate::lock;

/// Runs these moves, recorded as Queued, in order, as [`crate::drive::run`].
///
/// # Errors
/// When nothing could be started; how the moves ended is in their reports.
pub fn run(
    vg: &mut LvmVg,
    mapper: &mut dyn Mapper,
    moves: &[Uuid],
    options: Options<'_>,
) -> Result<Vec<MoveReport>> {
    vg.locks()?;
    let _lock = take_over(vg, mapper, moves, &|vg| lock::mover(vg.uuid(), "pvmove"))?;
    run_all(&mut Recorded { vg, mapper }, moves, options, false)
}

/// Takes these moves back to their source. When another process drives them it is asked to, and this returns
/// when it has let go.
///
/// # Errors
/// As [`run`].
pub fn abort(
    vg: &mut LvmVg,
    mapper: &mut dyn Mapper,
    moves: &[Uuid],
    options: Options<'_>,
) -> Result<Vec<MoveReport>> {
    vg.locks()?;
    let _lock = take_over(vg, mapper, moves, &|vg| lock_to_abort(vg.uuid(), moves))?;
    run_all(&mut Recorded { vg, mapper }, moves, options, true)
}

/// The moves that the VG's text records.
struct Recorded<'a> {
    vg: &'a mut LvmVg,
    mapper: &'a mut dyn Mapper,
}

impl Moves for Recorded<'_> {
    type Command = String;

    fn vg(&self) -> Uuid {
        self.vg.uuid()
    }

    fn command(&self, of: Uuid) -> Option<String> {
        self.vg.record(of).ok().map(|record| record.command.clone())
    }

    fn bytes(&self, of: Uuid) -> u64 {
        self.vg.record(of).map_or(0, |record| host::bytes(self.vg, record))
    }

    fn drive(&mut self, of: Uuid, turn: Turn<'_>) -> MoveReport {
        let Turn { place, interval, verify, requests, wishes, tell } = turn;
        let (vg, mapper) = (&mut *self.vg, &mut *self.mapper);
        host::run(Means { vg, mapper, requests, wishes, tell, verify }, of, place, interval)
    }

    fn failed(
        &mut self,
        command: String,
        outcome: Outcome,
        tell: &mut dyn FnMut(Report<'_>),
    ) -> ControlFlow<()> {
        // Nothing may be done with what is not understood; the others wait as they are.
        if matches!(outcome, Outcome::Refused | Outcome::Stuck { .. }) {
            return ControlFlow::Break(());
        }
        forget_queued(self.vg, self.mapper, &command, tell);
        ControlFlow::Continue(())
    }
}

/// The moves of a command that were to follow one that failed.
fn forget_queued(
    vg: &mut LvmVg,
    mapper: &mut dyn Mapper,
    command: &str,
    report: &mut dyn FnMut(Report<'_>),
) {
    let queued: Vec<Uuid> = vg
        .moves()
        .iter()
        .filter(|entry| {
            // One that has lost its destination with the others was not begun, either.
            let waits = entry.state == State::Queued || entry.lost.is_some();
            entry.command == command && waits
        })
        .map(|entry| id::uuid(&entry.id))
        .collect();
    for of in queued {
        if let Err(error) = host::forget(vg, mapper, of) {
            report(Report::Note(&format!(
                "the rest of the command was not begun, but is still recorded: {error}"
            )));
            return;
        }
    }
}

/// Takes moves that were recorded and not begun out again.
///
/// # Errors
/// `Kind::State` for one that has begun.
pub fn forget(vg: &mut LvmVg, mapper: &mut dyn Mapper, moves: &[Uuid]) -> Result<()> {
    for of in moves {
        if vg.record(*of).is_ok_and(|record| record.state != State::Queued) {
            return Err(Error::new(Kind::State, "the move has begun"));
        }
        host::forget(vg, mapper, *of)?;
    }
    Ok(())
}
