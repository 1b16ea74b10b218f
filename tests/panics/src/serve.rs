//! A queue over a volume that is lent to it.

use lvshift_core::chunk::{Borrowed, FlushEpochs};
use lvshift_core::device::{Device, DeviceIndex};
use lvshift_core::mirror::{Ended, Part, Volume};
use lvshift_core::serve::{Below, IoTag, Operation, Queue, Request, Served, TagInUse};
use lvshift_core::table::{Segment, StoredTable, Table};

use super::copier::Lent;

/// A volume of borrowed parts, with its table.
pub struct Mapped<'a> {
    volume: Lent<'a>,
    table: StoredTable<&'a [Segment<DeviceIndex>], DeviceIndex>,
    below: Below,
}

impl<'a> Volume for Mapped<'a> {
    type Cells = Borrowed<'a>;

    fn parts(&self) -> &[Part<Borrowed<'a>>] {
        self.volume.parts()
    }

    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.volume.device(device)
    }

    fn flushes(&self) -> &FlushEpochs {
        self.volume.flushes()
    }
}

impl Served for Mapped<'_> {
    fn table(&self) -> Table<'_, DeviceIndex> {
        self.table.table()
    }

    fn below(&self) -> Below {
        self.below
    }
}

type Four = Queue<4>;

pub(super) fn came(queue: &mut Four, tag: u16, request: Request) -> Result<(), TagInUse> {
    queue.came(tag, request)
}

pub(super) fn ended(queue: &mut Four, io: IoTag, ended: Ended) {
    queue.ended(io, ended);
}

pub(super) fn next(queue: &mut Four, volume: &Mapped<'_>) -> Option<Operation> {
    queue.next(volume)
}

pub(super) fn change(queue: &mut Four, before: &Mapped<'_>) {
    queue.suspend();
    queue.leave(before);
    queue.resume();
}
