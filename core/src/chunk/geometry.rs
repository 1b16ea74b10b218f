//! How a part is cut into chunks.

use core::fmt;

use crate::units::Sectors;

use super::guard::MAX_GUARDED_SECTORS;
use super::piece::Piece;

/// The index of a chunk in its part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u32);

/// A part's length and the length of its chunks; the last chunk may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    length: u64,
    chunk_shift: u32,
    chunks: u32,
}

/// Why a part cannot be tracked.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// Not a power of two from 8 sectors to 128 MiB.
    BadChunkSize {
        /// What was asked for.
        sectors: u32,
    },
    /// The part has no sector.
    Empty,
    /// More chunks than 2^32 - 1.
    TooManyChunks {
        /// How many it would have.
        chunks: u64,
    },
    /// The memory handed in has fewer cells or groups than the part needs.
    StorageTooSmall {
        /// Cells or groups needed.
        needed: usize,
        /// Cells or groups handed in.
        found: usize,
    },
}

/// Why a piece is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It has no sector.
    Empty,
    /// It ends past the part's end.
    PastEnd,
    /// It lies in more than one chunk: split it first.
    CrossesChunk,
}

impl Geometry {
    /// A part of `length` sectors in chunks of `chunk_sectors`.
    ///
    /// # Errors
    /// [`GeometryError`] where the sizes are past a limit.
    pub const fn new(length: Sectors, chunk_sectors: u32) -> Result<Geometry, GeometryError> {
        if !chunk_sectors.is_power_of_two()
            || chunk_sectors < 8
            || chunk_sectors > MAX_GUARDED_SECTORS
        {
            return Err(GeometryError::BadChunkSize { sectors: chunk_sectors });
        }
        if length.0 == 0 {
            return Err(GeometryError::Empty);
        }
        let chunks = length.0.div_ceil(chunk_sectors as u64);
        if chunks > u32::MAX as u64 {
            return Err(GeometryError::TooManyChunks { chunks });
        }
        let chunk_shift = chunk_sectors.trailing_zeros();
        Ok(Geometry { length: length.0, chunk_shift, chunks: chunks as u32 })
    }

    /// The part's length.
    pub const fn length(self) -> Sectors {
        Sectors(self.length)
    }

    /// Sectors of every chunk but perhaps the last.
    pub const fn chunk_sectors(self) -> u32 {
        1 << self.chunk_shift
    }

    /// How many chunks there are, so many [`ChunkCell`](super::ChunkCell)s are needed.
    pub const fn chunks(self) -> u32 {
        self.chunks
    }

    /// How many [`Group`](super::Group)s are needed.
    pub const fn groups(self) -> u32 {
        self.chunks.div_ceil(super::GROUP_CHUNKS)
    }

    /// The sectors of a chunk, `None` past the last one.
    pub const fn piece_of(self, chunk: ChunkIndex) -> Option<Piece> {
        if chunk.0 >= self.chunks {
            return None;
        }
        let first = (chunk.0 as u64) << self.chunk_shift;
        let left = self.length - first;
        let full = self.chunk_sectors() as u64;
        let count = if left < full { left } else { full };
        Some(Piece { first: Sectors(first), count: Sectors(count) })
    }

    /// The chunk that `piece` lies in, and whether it is all of it.
    ///
    /// # Errors
    /// [`RangeError`] where it is empty, or not within one chunk of the part.
    pub const fn locate(self, piece: Piece) -> Result<(ChunkIndex, bool), RangeError> {
        if piece.count.0 == 0 {
            return Err(RangeError::Empty);
        }
        let Some(last) = piece.first.0.checked_add(piece.count.0 - 1) else {
            return Err(RangeError::PastEnd);
        };
        if last >= self.length {
            return Err(RangeError::PastEnd);
        }
        let chunk = piece.first.0 >> self.chunk_shift;
        if chunk != last >> self.chunk_shift {
            return Err(RangeError::CrossesChunk);
        }
        let chunk = ChunkIndex(chunk as u32);
        let whole = match self.piece_of(chunk) {
            Some(all) => all.count.0 == piece.count.0,
            None => false,
        };
        Ok((chunk, whole))
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GeometryError::BadChunkSize { sectors } => {
                write!(f, "a chunk of {sectors} sectors is not a power of two in 4 KiB to 128 MiB")
            }
            GeometryError::Empty => f.write_str("the part has no sectors"),
            GeometryError::TooManyChunks { chunks } => {
                write!(f, "the part has {chunks} chunks, more than can be tracked")
            }
            GeometryError::StorageTooSmall { needed, found } => {
                write!(f, "memory for {found} was given where {needed} are needed")
            }
        }
    }
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RangeError::Empty => "the piece has no sectors",
            RangeError::PastEnd => "the piece ends past the part",
            RangeError::CrossesChunk => "the piece lies in more than one chunk",
        })
    }
}
