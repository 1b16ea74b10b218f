//! A run of sectors that a request, or a copy, is about.

use crate::units::Sectors;

/// A run of sectors of a part, counted from the part's start. Never empty where it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// The first sector.
    pub first: Sectors,
    /// How many.
    pub count: Sectors,
}
