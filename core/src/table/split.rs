//! Splitting a request at the edges of a table.

use core::fmt;

use super::{Area, Segment, Table, Target};
use crate::units::{DeviceNumber, Sectors};

#[cfg(test)]
mod tests;

/// A part of a request that lies in one segment (and, if asked for, in one chunk).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a, D = DeviceNumber> {
    /// Its segment.
    pub segment: &'a Segment<D>,
    /// Its first sector, counted from the start of the segment.
    pub into: Sectors,
    /// How many sectors; never 0.
    pub len: Sectors,
}

/// The pieces of a request, in order. They cover it exactly.
#[derive(Clone, Debug)]
pub struct Split<'a, D = DeviceNumber> {
    segments: &'a [Segment<D>],
    at: Sectors,
    end: Sectors,
    at_chunks: bool,
}

/// A request reaches past the end of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Its first sector.
    pub start: Sectors,
    /// Its length.
    pub len: Sectors,
    /// How many sectors the table maps.
    pub limit: Sectors,
}

impl<'a, D: Copy> Table<'a, D> {
    /// The pieces of the request for `len` sectors from `start`, cut at the edges of segments;
    /// with `at_chunks` at the edges of chunks as well, where the segment is a mirror.
    ///
    /// # Errors
    /// [`OutOfRange`] if it does not lie within the table.
    pub fn split(
        &self,
        start: Sectors,
        len: Sectors,
        at_chunks: bool,
    ) -> Result<Split<'a, D>, OutOfRange> {
        let out_of_range = OutOfRange { start, len, limit: self.len() };
        let end = start.checked_add(len).ok_or(out_of_range)?;
        if end > self.len() {
            return Err(out_of_range);
        }
        // An empty request at the very end has no segment, and no pieces.
        let first = self.position(start).unwrap_or(self.segments.len());
        let segments = self.segments.get(first..).unwrap_or_default();
        Ok(Split { segments, at: start, end, at_chunks })
    }
}

impl<'a, D: Copy> Iterator for Split<'a, D> {
    type Item = Piece<'a, D>;

    fn next(&mut self) -> Option<Piece<'a, D>> {
        if self.at >= self.end {
            return None;
        }
        let (segment, rest) = self.segments.split_first()?;
        // `Table::new` has checked that segments are contiguous and end below 2^64.
        let into = self.at.0.checked_sub(segment.start.0)?;
        let mut len = segment.len.0.checked_sub(into)?;
        if let (true, Target::Mirror(mirror)) = (self.at_chunks, segment.target) {
            let chunk = u64::from(mirror.chunk_sectors);
            let to_edge = chunk.checked_sub(into.checked_rem(chunk)?)?;
            len = len.min(to_edge);
        }
        len = len.min(self.end.0.checked_sub(self.at.0)?);
        self.at = self.at.checked_add(Sectors(len))?;
        if into.checked_add(len)? == segment.len.0 {
            self.segments = rest;
        }
        Some(Piece { segment, into: Sectors(into), len: Sectors(len) })
    }
}

impl<D: Copy> Piece<'_, D> {
    /// Where it is read: the device of a linear segment, the source leg of a mirror.
    pub fn read_area(&self) -> Option<Area<D>> {
        match self.segment.target {
            Target::Linear(area) => area.after(self.into),
            Target::Mirror(mirror) => mirror.source.after(self.into),
            Target::Error => None,
        }
    }

    /// Its place on the destination leg, if it is mirrored.
    pub fn mirror_area(&self) -> Option<Area<D>> {
        match self.segment.target {
            Target::Mirror(mirror) => mirror.destination.after(self.into),
            Target::Linear(_) | Target::Error => None,
        }
    }

    /// The chunk that it starts in, counted from the start of the segment, if it is mirrored.
    pub fn chunk(&self) -> Option<u64> {
        match self.segment.target {
            Target::Mirror(mirror) => self.into.0.checked_div(u64::from(mirror.chunk_sectors)),
            Target::Linear(_) | Target::Error => None,
        }
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sectors from sector {} reach past the end at {}",
            self.len, self.start, self.limit
        )
    }
}

impl core::error::Error for OutOfRange {}
