//! The memory of a moving part, and what its copy could not read.

use std::ops::Range;

use lvshift_core::chunk::{Cells, ChunkCell, Geometry, Group, Tracker};
use lvshift_core::io::{Discards, Zeroing};
use lvshift_core::mirror::{Part, PartIndex, PartPlace};
use lvshift_core::units::Sectors;
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;

/// The tracker's memory.
#[derive(Debug)]
pub(crate) struct Storage {
    cells: Box<[ChunkCell]>,
    groups: Box<[Group]>,
}

impl Cells for Storage {
    fn cells(&self) -> &[ChunkCell] {
        &self.cells
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// Sectors of a part's source that could not be read one by one, counted from the part's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) part: PartIndex,
    pub(crate) sectors: Range<u64>,
    pub(crate) errno: i32,
}

/// Sectors of a part that were compared and differ, counted from the part's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Differs {
    pub(crate) part: PartIndex,
    pub(crate) sectors: Range<u64>,
    /// They differ after they were copied again.
    pub(crate) again: bool,
}

/// A part of `length` sectors in which nothing is known equal yet.
pub(crate) fn new_part(
    place: PartPlace,
    length: Sectors,
    chunk_sectors: u32,
    source: &BackingDevice,
    destination: &BackingDevice,
) -> Result<Part<Storage>> {
    let impossible = |what: String| {
        Error::new(Kind::Limit, format!("a part cannot be mirrored: {what}"))
            .state("the table in use was not touched")
    };
    let geometry = Geometry::new(length, chunk_sectors);
    let geometry = geometry.map_err(|error| impossible(error.to_string()))?;
    let storage = Storage {
        cells: (0..geometry.chunks()).map(|_| ChunkCell::new()).collect(),
        groups: (0..geometry.groups()).map(|_| Group::new()).collect(),
    };
    let tracker = Tracker::new(geometry, storage);
    let tracker = tracker.map_err(|error| impossible(error.to_string()))?;
    let zeroing = |device: &BackingDevice| {
        if device.below.zeroes() { Zeroing::Offloaded } else { Zeroing::ByWriting }
    };
    let discards = Discards::for_legs(zeroing(source), zeroing(destination));
    Ok(Part::new(place, tracker, discards, &destination.below))
}
