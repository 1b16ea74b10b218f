//! The moves of one command in a VG of LVM2's, one after the other.

use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;

use super::host::{self, Means};
use super::id;
use super::mapper::Mapper;
use super::text::State;
use super::vg::LvmVg;
use crate::control::{self, Control};
use crate::drive::{MoveReport, Options, Place, Report, Wishes, keep_alive};
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
    let _lock = lock::mover(vg.uuid(), "pvmove")?;
    vg.reread()?;
    all(vg, mapper, moves, options, false)
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
    let uuid = vg.uuid();
    let _lock = match lock::mover(uuid, "pvmove --abort") {
        Err(error) if error.kind == Kind::Locked => {
            control::ask_to_abort(uuid, moves)?;
            lock::mover_after_others(uuid)?
        }
        other => other?,
    };
    vg.reread()?;
    all(vg, mapper, moves, options, true)
}

fn all(
    vg: &mut LvmVg,
    mapper: &mut dyn Mapper,
    moves: &[Uuid],
    options: Options<'_>,
    abort: bool,
) -> Result<Vec<MoveReport>> {
    let mut control = Control::new(vg.uuid())?;
    keep_alive();
    let bytes: Vec<u64> =
        moves.iter().map(|of| vg.record(*of).map_or(0, |record| host::bytes(vg, record))).collect();
    let mut place = Place { number: 0, count: moves.len(), before: 0, total: bytes.iter().sum() };
    let mut wishes = if abort { Wishes::to_abort(moves) } else { Wishes::default() };
    let mut reports = Vec::new();
    for (of, bytes) in moves.iter().zip(bytes) {
        place.number += 1;
        let Ok(record) = vg.record(*of) else { continue };
        let command = record.command.clone();
        let means = Means {
            vg: &mut *vg,
            mapper: &mut *mapper,
            requests: &mut control,
            wishes: &mut wishes,
            tell: &mut *options.report,
        };
        let report = host::run(means, *of, place, options.interval);
        place.before += bytes;
        (options.report)(Report::Ended(&report));
        let outcome = report.outcome;
        reports.push(report);
        match outcome {
            Outcome::Moved => {}
            Outcome::Left => break,
            _ if abort => {}
            // Nothing may be done with what is not understood; the others wait as they are.
            Outcome::Refused | Outcome::Stuck { .. } => break,
            Outcome::Aborted(_) => {
                forget_queued(vg, mapper, &command, options.report);
            }
        }
    }
    Ok(reports)
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
