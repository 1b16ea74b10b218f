//! The driver loop of a move: take an action from the mover, do it, hand back what happened.

pub mod failpoint;

use std::time::Duration;

use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;

use crate::error::{Error, Kind, Result};
use crate::front_end::{BadPlace, FrontEnd};
use crate::vg::OpenVg;

/// How far one move of a command is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The move.
    pub of: Uuid,
    /// Which of the command's moves it is, from 1.
    pub number: usize,
    /// How many moves the command has.
    pub count: usize,
    /// Bytes known to be equal on both sides, over all moves of the command.
    pub bytes_done: u64,
    /// Bytes in all, over all moves of the command.
    pub bytes_total: u64,
    /// Bytes each second, lately; none before the second look.
    pub rate: Option<f64>,
    /// How long it will take at this rate.
    pub left: Option<Duration>,
}

/// What there is to tell while a move runs.
#[derive(Debug)]
pub enum Report<'a> {
    /// A move begins or is taken up again; its source and destination PVs by path.
    Started {
        /// The move.
        of: Uuid,
        /// It was interrupted before and goes on from its dirty log.
        again: bool,
        /// Source devices.
        from: &'a [String],
        /// Destination devices.
        to: &'a [String],
    },
    /// The copy went on.
    Copied(&'a Progress),
    /// A sentence worth saying that is neither progress nor an error.
    Note(&'a str),
    /// A move ended.
    Ended(&'a MoveReport),
}

/// How one move ended.
#[derive(Debug)]
pub struct MoveReport {
    /// The move.
    pub of: Uuid,
    /// Its end.
    pub outcome: Outcome,
    /// Bytes it was to move.
    pub bytes_total: u64,
    /// The sectors that could not be read or written, when that is why it failed.
    pub bad_places: Vec<BadPlace>,
    /// The errors of the steps that failed, in order.
    pub errors: Vec<Error>,
}

impl MoveReport {
    /// The error for the person and the exit status, unless the move did what was asked.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        match self.outcome {
            Outcome::Moved | Outcome::Left => None,
            _ => Some(Error::new(Kind::MoveFailed, "the move ended without moving")),
        }
    }
}

/// What a driver needs besides the VG.
pub struct Options<'a> {
    /// How often to report progress; `None`: only at the ends.
    pub interval: Option<Duration>,
    /// Who is told.
    pub report: &'a mut dyn FnMut(Report<'_>),
}

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
    let _ = (vg, front_end, moves, options);
    Err(Error::new(Kind::Unsupported, "moving is not written yet"))
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
    let _ = (vg, front_end, only, options);
    Err(Error::new(Kind::Unsupported, "moving is not written yet"))
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
    let _ = (vg, front_end, only, options);
    Err(Error::new(Kind::Unsupported, "moving is not written yet"))
}
