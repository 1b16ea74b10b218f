//! Holding writes off some sectors for a moment, so that both legs can be compared.

use super::effects::Effects;
use super::piece::Piece;
use super::queue::{MAX_QUEUES, QueueId};
use super::tracker::{Cells, Tracker};
use crate::units::Sectors;

/// Sectors that no write touches until they are given back with [`Tracker::release`].
#[must_use = "writes of these sectors wait until they are released"]
#[derive(Debug)]
pub struct Held {
    piece: Piece,
}

impl Held {
    /// The sectors, counted from the part's start.
    pub const fn piece(&self) -> Piece {
        self.piece
    }
}

impl<S: Cells> Tracker<S> {
    /// Holds writes off these sectors, as a write in flight there would. `None` where a write is in flight
    /// now: ask again. The effects are of others that this had stopped for an instant.
    ///
    /// On a part that has failed writes wait for no other: what is seen there then means nothing.
    pub fn hold(&self, piece: Piece) -> (Option<Held>, Effects) {
        // Who asks is woken by no queue's thread and asks again by itself.
        let Some(none) = QueueId::new(MAX_QUEUES - 1) else { return (None, Effects::NONE) };
        match self.guard.take(piece, none) {
            Ok(()) => (Some(Held { piece }), Effects::NONE),
            Err(wake) => (None, Effects::waking(wake)),
        }
    }

    /// Lets writes in again.
    pub fn release(&self, held: Held) -> Effects {
        Effects::waking(self.guard.give_back(held.piece))
    }

    /// Whether both legs are meant to hold the same in all of these sectors.
    pub fn is_mirrored(&self, piece: Piece) -> bool {
        let chunk = u64::from(self.geometry.chunk_sectors()).max(1);
        let end = piece.first.0.saturating_add(piece.count.0);
        let mut at = piece.first.0;
        while at < end {
            let start = Piece { first: Sectors(at), count: Sectors(1) };
            let mirrored = self.geometry.locate(start).ok().and_then(|(chunk, _)| self.word(chunk));
            if !mirrored.is_some_and(|word| word.phase().is_mirrored()) {
                return false;
            }
            at = (at / chunk).saturating_add(1).saturating_mul(chunk);
        }
        true
    }
}
