//! A valid table and the search in it.

use core::fmt;

use super::{Segment, Target};
use crate::units::{DeviceNumber, Sectors};

#[cfg(test)]
mod tests;

/// A table: segments that cover an LV from sector 0 without gap or overlap. Borrowed, so that a
/// front end keeps the segments where it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a, D = DeviceNumber> {
    pub(super) segments: &'a [Segment<D>],
    pub(super) len: Sectors,
    /// Segments for each sector, in 2^-64ths: multiplied with a sector, where its segment would be
    /// if all were as long.
    pub(super) density: u64,
}

/// Segments on each side of that place among which the search begins.
const NEAR: usize = 32;

/// Why a list of segments is not a table. The index is that of the first offender.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// It maps nothing.
    Empty,
    /// It does not start where the one before ends (or, the first, at 0).
    NotContiguous {
        /// Which segment.
        index: usize,
        /// Where it had to start.
        expected: Sectors,
        /// Where it starts.
        found: Sectors,
    },
    /// It maps no sector.
    ZeroLength {
        /// Which segment.
        index: usize,
    },
    /// Its end, on the LV or on a device, lies past 2^64 sectors.
    Overflow {
        /// Which segment.
        index: usize,
    },
    /// A mirror's chunk is not a power of two.
    BadChunk {
        /// Which segment.
        index: usize,
        /// Its chunk size.
        chunk_sectors: u32,
    },
}

impl<'a, D: Copy> Table<'a, D> {
    /// Checks the segments, once, so that nothing has to be checked in a lookup.
    ///
    /// # Errors
    /// [`TableError`] names the first segment that breaks a rule.
    pub fn new(segments: &'a [Segment<D>]) -> Result<Table<'a, D>, TableError> {
        let mut end = Sectors(0);
        for (index, segment) in segments.iter().enumerate() {
            if segment.start != end {
                return Err(TableError::NotContiguous {
                    index,
                    expected: end,
                    found: segment.start,
                });
            }
            if segment.len == Sectors(0) {
                return Err(TableError::ZeroLength { index });
            }
            end = segment.end().ok_or(TableError::Overflow { index })?;
            let fits = match segment.target {
                Target::Linear(area) => area.after(segment.len).is_some(),
                Target::Mirror(mirror) => {
                    let chunk_sectors = mirror.chunk_sectors;
                    if !chunk_sectors.is_power_of_two() {
                        return Err(TableError::BadChunk { index, chunk_sectors });
                    }
                    mirror.source.after(segment.len).is_some()
                        && mirror.destination.after(segment.len).is_some()
                }
                Target::Error => true,
            };
            if !fits {
                return Err(TableError::Overflow { index });
            }
        }
        if segments.is_empty() {
            return Err(TableError::Empty);
        }
        // There are no more segments than sectors; 2^64 where each maps one is rounded down.
        let density = ((segments.len() as u128) << 64).checked_div(u128::from(end.0)).unwrap_or(0);
        Ok(Table { segments, len: end, density: u64::try_from(density).unwrap_or(u64::MAX) })
    }

    /// How many sectors it maps.
    pub fn len(&self) -> Sectors {
        self.len
    }

    /// Never: an empty table is refused by [`Table::new`].
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Its segments, sorted.
    pub fn segments(&self) -> &'a [Segment<D>] {
        self.segments
    }

    /// The segment that maps `sector`, or `None` past the end.
    pub fn lookup(&self, sector: Sectors) -> Option<&'a Segment<D>> {
        self.segments.get(self.position(sector)?)
    }

    /// The index of the segment that maps `sector`.
    pub(super) fn position(&self, sector: Sectors) -> Option<usize> {
        if sector >= self.len {
            return None;
        }
        // The segments of an LV are of many lengths, but seldom so that all short ones lie together: a
        // look at two places around the guess mostly leaves a search within a few cache lines, where
        // one over all segments of a large table misses the cache at every step.
        let all = self.segments.len();
        let guess = ((u128::from(sector.0) * u128::from(self.density)) >> 64) as usize;
        let (from, to) = (guess.saturating_sub(NEAR), guess.saturating_add(NEAR));
        let starts_behind =
            |at: usize| self.segments.get(at).is_none_or(|segment| segment.start > sector);
        // The first segment starts at 0, so at least one start is not greater.
        let (from, to) = if all <= 2 * NEAR {
            (0, all)
        } else {
            match (starts_behind(from), starts_behind(to)) {
                (true, _) => (0, from.min(all)),
                (false, true) => (from, to.min(all)),
                (false, false) => (to, all),
            }
        };
        let among = self.segments.get(from..to)?;
        let found = among.partition_point(|segment| segment.start <= sector);
        from.saturating_add(found).checked_sub(1)
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Empty => write!(f, "the table is empty"),
            TableError::NotContiguous { index, expected, found } => {
                write!(f, "segment {index} starts at sector {found} where {expected} was due")
            }
            TableError::ZeroLength { index } => write!(f, "segment {index} maps no sector"),
            TableError::Overflow { index } => {
                write!(f, "segment {index} ends past the largest sector number")
            }
            TableError::BadChunk { index, chunk_sectors } => {
                write!(
                    f,
                    "segment {index} has chunks of {chunk_sectors} sectors, not a power of two"
                )
            }
        }
    }
}

impl core::error::Error for TableError {}
