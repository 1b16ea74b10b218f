//! The moves of one command, one after the other.

use std::ops::ControlFlow;

use lvshift_core::metadata::{Change, MoveState};
use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;

use super::host::{self, Means};
use super::series::{Moves, Turn, lock_to_abort, run_all};
use super::{MoveReport, Options, Report};
use crate::error::{Error, Kind, Result};
use crate::front_end::FrontEnd;
use crate::journal::Journal;
use crate::lock;
use crate::system_id;
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
    let _lock = lock_to_abort(vg.vg().uuid(), only.unwrap_or_default())?;
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
    // Whoever looked before may have waited for a person, or for the lock.
    system_id::check(vg.vg())?;
    let journal = Journal::open()?;
    run_all(&mut Recorded { vg, front_end, journal: &journal }, moves, options, abort)
}

/// The moves that the metadata of a VG record.
struct Recorded<'a> {
    vg: &'a mut OpenVg,
    front_end: &'a mut dyn FrontEnd,
    journal: &'a Journal,
}

impl Moves for Recorded<'_> {
    type Command = Uuid;

    fn vg(&self) -> Uuid {
        self.vg.vg().uuid()
    }

    fn command(&self, of: Uuid) -> Option<Uuid> {
        let model = self.vg.vg();
        model.move_at(model.move_by_uuid(of)?).map(|entry| entry.command)
    }

    fn bytes(&self, of: Uuid) -> u64 {
        let model = self.vg.vg();
        let Some(at) = model.move_by_uuid(of) else { return 0 };
        let size = model.extent_size();
        model.parts_of(at).iter().filter_map(|part| size.span(part.count).bytes()).sum()
    }

    fn drive(&mut self, of: Uuid, turn: Turn<'_>) -> MoveReport {
        let Turn { place, interval, verify, requests, wishes, tell } = turn;
        let (vg, front_end, journal) = (&mut *self.vg, &mut *self.front_end, self.journal);
        let means = Means { vg, front_end, journal, requests, wishes, tell, verify };
        host::run(means, of, place, interval)
    }

    fn failed(
        &mut self,
        command: Uuid,
        _outcome: Outcome,
        tell: &mut dyn FnMut(Report<'_>),
    ) -> ControlFlow<()> {
        forget_queued(self.vg, command, tell);
        ControlFlow::Continue(())
    }
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
