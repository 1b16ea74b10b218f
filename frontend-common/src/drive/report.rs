//! What a driver tells: progress while a move runs, and how it ended.

use std::time::Duration;

use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;
use lvshift_driver::Aside;

use crate::error::{Error, Kind};
use crate::front_end::BadPlace;

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
    /// How long it will take at this rate, without what was set aside.
    pub left: Option<Duration>,
    /// What the copy has set aside since the source did not give it at once.
    pub aside: Aside,
    /// How long it will take with that.
    pub left_with_bad: Option<Duration>,
}

impl Progress {
    /// Bytes that are neither on the destination as well nor set aside.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        self.bytes_total.saturating_sub(self.bytes_done).saturating_sub(self.aside.bytes)
    }
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
    /// The errors of the steps that failed, in order; of a move that failed the last one sums up.
    pub errors: Vec<Error>,
}

impl MoveReport {
    /// The error for the person and the exit status, unless the move did what was asked.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        if matches!(self.outcome, Outcome::Moved | Outcome::Left) {
            return None;
        }
        let Some(last) = self.errors.last() else {
            return Some(Error::new(Kind::MoveFailed, "the move ended without moving"));
        };
        let mut error = Error::new(last.kind, last.what.clone()).sectors(last.sectors.clone());
        error.device.clone_from(&last.device);
        error.state.clone_from(&last.state);
        error.next.clone_from(&last.next);
        match &last.source {
            Some(source) => Some(error.because(source.to_string())),
            None => Some(error),
        }
    }
}

/// What a driver needs besides the VG.
pub struct Options<'a> {
    /// How often to report progress; `None`: only at the ends.
    pub interval: Option<Duration>,
    /// A move counts as equal only once both sides were compared.
    pub verify: bool,
    /// Who is told.
    pub report: &'a mut dyn FnMut(Report<'_>),
}
