//! What the holder of an admitted write or a begun copy owes: to say how it ended.

use core::mem;

use super::effects::Effects;
use super::geometry::ChunkIndex;
use super::piece::Piece;
use super::step::Route;

/// An admitted write piece. It must come back through [`WriteTicket::complete`] when nothing of it
/// is in flight any more; dropping it leaves its chunk blocked and is a panic in debug builds.
#[must_use = "an admitted write blocks its chunk until it is completed"]
#[derive(Debug)]
pub struct WriteTicket {
    pub(crate) chunk: ChunkIndex,
    pub(crate) piece: Piece,
    pub(crate) route: Route,
    /// Whether the overlap guard holds its blocks.
    pub(crate) guarded: bool,
}

/// How a write piece ended on the legs that it went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteOutcome {
    /// Well on all of them.
    Done,
    /// The source took it, the destination did not.
    DestinationFailed,
    /// The source did not take it, whatever the destination did.
    SourceFailed,
}

/// What the application is told.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppResult {
    /// It succeeded.
    Done,
    /// It failed (`EIO`).
    Failed,
    /// Not yet: the commit of `Moved` is under way. Once it is known, ask
    /// [`Tracker::held_result`](super::Tracker::held_result).
    Held,
}

/// What follows from the end of a write piece.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// For the application.
    pub app: AppResult,
    /// For the other threads.
    pub effects: Effects,
}

impl WriteTicket {
    /// Which legs the piece goes to.
    pub fn route(&self) -> Route {
        self.route
    }

    /// The piece, counted from the part's start.
    pub fn piece(&self) -> Piece {
        self.piece
    }

    /// The chunk it lies in.
    pub fn chunk(&self) -> ChunkIndex {
        self.chunk
    }

    /// Gives the ticket up because the whole part is no longer served by this process.
    pub fn leave_in_flight(self) {
        mem::forget(self);
    }
}

impl Drop for WriteTicket {
    fn drop(&mut self) {
        panic_in_debug("an admitted write was dropped instead of completed");
    }
}

/// A chunk that the copier owns and must copy.
#[must_use = "a chunk stays blocked until its copy is completed"]
#[derive(Debug)]
pub struct CopyTicket {
    pub(crate) chunk: ChunkIndex,
    pub(crate) piece: Piece,
    pub(crate) wanted: bool,
}

/// How the copy of a chunk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CopyOutcome {
    /// Every sector was read from the source and written to the destination.
    Copied,
    /// A sector of the source could not be read.
    SourceFailed,
    /// A sector of the destination could not be written.
    DestinationFailed,
    /// It was left, and nothing of it is in flight: it is to be copied still.
    NotTried,
}

impl CopyTicket {
    /// The chunk's sectors, counted from the part's start.
    pub fn piece(&self) -> Piece {
        self.piece
    }

    /// The chunk.
    pub fn chunk(&self) -> ChunkIndex {
        self.chunk
    }

    /// Whether a request waits for it.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Gives the ticket up because the whole part is no longer served by this process.
    pub fn leave_in_flight(self) {
        mem::forget(self);
    }
}

impl Drop for CopyTicket {
    fn drop(&mut self) {
        panic_in_debug("a chunk's copy was dropped instead of completed");
    }
}

/// A ticket that is lost is a bug of the caller.
fn panic_in_debug(what: &str) {
    #[cfg(test)]
    if std::thread::panicking() {
        return;
    }
    debug_assert!(false, "{what}");
}
