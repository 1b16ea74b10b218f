//! Who wants which moves of a command stopped or undone.

use lvshift_core::units::Uuid;
use lvshift_driver::Request as OfMove;

use super::Report;
use crate::requests::{Request, Requests};

/// What was asked for since the command began.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Moves that are to go back on their source.
    unwanted: Vec<Uuid>,
    /// All of them.
    all: bool,
}

impl Wishes {
    /// These are to go back from the start.
    pub(crate) fn to_abort(moves: &[Uuid]) -> Wishes {
        Wishes { unwanted: moves.to_vec(), all: false }
    }

    /// Whether this move, which is yet to be taken up, is to go back.
    pub(crate) fn abort(&self, of: Uuid) -> bool {
        self.all || self.unwanted.contains(&of)
    }

    /// Hears what is wanted now, and says to `each` what concerns the move `of`.
    pub(crate) fn hear(
        &mut self,
        of: Uuid,
        requests: &mut dyn Requests,
        tell: &mut dyn FnMut(Report<'_>),
        each: &mut dyn FnMut(OfMove),
    ) {
        for request in requests.requests() {
            match request {
                Request::Leave(signal) => {
                    tell(Report::Note(&format!(
                        "{signal}: the move is left as it is and loses nothing; pvmove carries it on"
                    )));
                    each(OfMove::Leave);
                }
                Request::Abort(moves) => {
                    self.all |= moves.is_empty();
                    if moves.is_empty() || moves.contains(&of) {
                        tell(Report::Note("another command wants the move undone"));
                        each(OfMove::Abort);
                    }
                    self.unwanted.extend(moves);
                }
            }
        }
    }
}
