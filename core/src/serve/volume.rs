//! The volume that a queue serves.

use crate::chunk::Cells;
use crate::device::{DeviceIndex, DeviceSet};
use crate::mirror::{Part, PartIndex, Volume};
use crate::table::{Segment, Table, Target};
use crate::units::Sectors;

/// A volume with its table. What these say does not change while queues serve by it, but for
/// [`Served::is_committing`].
pub trait Served: Volume {
    /// Which device and sector each of its sectors is on. Where a segment is a mirror, one of
    /// [`Volume::parts`] begins at its first sector; the parts are in the order of the table.
    fn table(&self) -> Table<'_, DeviceIndex>;

    /// The devices below it, as [`Below::of`] finds them.
    fn below(&self) -> Below;

    /// Whether the commit of a move is under way: from then on no flush is acknowledged until it is
    /// decided which leg is in charge.
    fn is_committing(&self) -> bool {
        false
    }
}

/// The devices below a volume, which a flush goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Below {
    /// All of them.
    pub all: DeviceSet,
    /// Those of which one that fails a flush fails the volume's while the source is in charge.
    pub source: DeviceSet,
}

impl Below {
    /// The devices of these segments and these parts' logs.
    pub fn of<S: Cells>(segments: &[Segment<DeviceIndex>], parts: &[Part<S>]) -> Below {
        let mut below = Below::default();
        for segment in segments {
            let (source, destination) = match segment.target {
                Target::Linear(area) => (area, None),
                Target::Mirror(mirror) => (mirror.source, Some(mirror.destination)),
                Target::Error => continue,
            };
            below.source.insert(source.device);
            below.all.insert(source.device);
            if let Some(area) = destination {
                below.all.insert(area.device);
            }
        }
        for part in parts {
            below.all.insert(part.place().log.device);
        }
        below
    }
}

/// The part of the mirror segment that begins at `start`.
pub(super) fn part_at<S: Cells>(
    parts: &[Part<S>],
    start: Sectors,
) -> Option<(PartIndex, &Part<S>)> {
    let at = parts.partition_point(|part| part.place().start < start);
    let part = parts.get(at).filter(|part| part.place().start == start)?;
    Some((PartIndex(u16::try_from(at).ok()?), part))
}
