//! The moves of one command, one after the other.

use std::fs;

use lvshift_core::metadata::{Change, MoveState};
use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;
use rustix::mm::{MlockAllFlags, mlockall};

use super::host::{self, Means};
use super::ticker::Place;
use super::wishes::Wishes;
use super::{MoveReport, Options, Report};
use crate::control::{self, Control};
use crate::error::{Error, Kind, Result};
use crate::front_end::FrontEnd;
use crate::journal::Journal;
use crate::lock;
use crate::vg::OpenVg;

/// Runs these moves, planned and committed as Queued, in order. Takes the mover lock (refusing a
/// second mover with `Kind::Locked`), writes the journal. Stops at the first that does not end in
/// `Moved`; with a failed one the queued ones after it are forgotten, with `Left` they stay.
///
/// # Errors
/// When nothing could be started; how the moves ended is in their reports.
pub fn run(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    moves: &[Uuid],
    options: Options<'_>,
) -> Result<Vec<MoveReport>> {
    vg.release();
    let _lock = lock::mover(vg.vg().uuid(), "pvmove")?;
    all(vg, front_end, moves, options, false)
}

/// `pvmove` without arguments: carries on every recorded move of the VG (`only`: of these).
///
/// # Errors
/// As [`run`].
pub fn carry_on(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    only: Option<&[Uuid]>,
    options: Options<'_>,
) -> Result<Vec<MoveReport>> {
    vg.release();
    let _lock = lock::mover(vg.vg().uuid(), "pvmove carries on")?;
    vg.reread()?;
    let moves = recorded(vg, only);
    all(vg, front_end, &moves, options, false)
}

/// `pvmove --abort`: takes the VG's recorded moves (`only`: these) back to their source. When
/// another process drives them it is asked to, and this returns when it has let go.
///
/// # Errors
/// As [`run`].
pub fn abort(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    only: Option<&[Uuid]>,
    options: Options<'_>,
) -> Result<Vec<MoveReport>> {
    vg.release();
    let uuid = vg.vg().uuid();
    let _lock = match lock::mover(uuid, "pvmove --abort") {
        Err(error) if error.kind == Kind::Locked => {
            control::ask_to_abort(uuid, only.unwrap_or_default())?;
            lock::mover_after_others(uuid)?
        }
        other => other?,
    };
    vg.reread()?;
    let moves = recorded(vg, only);
    all(vg, front_end, &moves, options, true)
}

fn recorded(vg: &OpenVg, only: Option<&[Uuid]>) -> Vec<Uuid> {
    let wanted = |of: &Uuid| only.is_none_or(|only| only.contains(of));
    vg.vg().moves().iter().map(|entry| entry.uuid).filter(wanted).collect()
}

fn all(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    moves: &[Uuid],
    options: Options<'_>,
    abort: bool,
) -> Result<Vec<MoveReport>> {
    let journal = Journal::open()?;
    let mut control = Control::new(vg.vg().uuid())?;
    keep_alive();
    let bytes: Vec<u64> = moves.iter().map(|of| bytes_of(vg, *of)).collect();
    let mut place = Place { number: 0, count: moves.len(), before: 0, total: bytes.iter().sum() };
    let mut wishes = if abort { Wishes::to_abort(moves) } else { Wishes::default() };
    let mut reports = Vec::new();
    for (of, bytes) in moves.iter().zip(bytes) {
        place.number += 1;
        if vg.vg().move_by_uuid(*of).is_none() {
            continue; // Forgotten with a failed one before it.
        }
        let command =
            vg.vg().move_by_uuid(*of).and_then(|at| vg.vg().move_at(at)).map(|m| m.command);
        let means = Means {
            vg: &mut *vg,
            front_end: &mut *front_end,
            journal: &journal,
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
            _ => {
                if let Some(command) = command {
                    forget_queued(vg, command, options.report);
                }
            }
        }
    }
    Ok(reports)
}

/// The moves of a command that were to follow one that failed.
fn forget_queued(vg: &mut OpenVg, command: Uuid, report: &mut dyn FnMut(Report<'_>)) {
    let queued: Vec<Uuid> = vg
        .vg()
        .moves()
        .iter()
        .filter(|entry| entry.command == command && entry.state == MoveState::Queued)
        .map(|entry| entry.uuid)
        .collect();
    if queued.is_empty() {
        return;
    }
    let done = vg.commit_without(
        |vg| {
            for of in &queued {
                vg.apply(*of, Change::Forget)
                    .map_err(|error| Error::new(Kind::State, error.to_string()))?;
            }
            Ok(())
        },
        &|_, _| false,
    );
    match done {
        Ok(()) => report(Report::Note("the rest of the command was not begun and is forgotten")),
        Err(error) => report(Report::Note(&format!(
            "the rest of the command was not begun, but is still recorded: {error}"
        ))),
    }
}

fn bytes_of(vg: &OpenVg, of: Uuid) -> u64 {
    let Some(at) = vg.vg().move_by_uuid(of) else { return 0 };
    let size = vg.vg().extent_size();
    vg.vg().parts_of(at).iter().filter_map(|part| size.span(part.count).bytes()).sum()
}

/// What is moved may hold this very program, or the swap: nothing of us may need the disk, and
/// nobody is to kill us for memory.
pub(crate) fn keep_alive() {
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE) {
        tracing::warn!(%error, "memory cannot be locked");
    }
    if let Err(error) = fs::write("/proc/self/oom_score_adj", "-1000") {
        tracing::debug!(%error, "the oom score stays as it is");
    }
}
