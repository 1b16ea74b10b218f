//! The copier over a volume that is lent to it.

use core::ops::Range;

use lvshift_core::chunk::{Borrowed, FlushEpochs};
use lvshift_core::copier::{Latencies, Nanos};
use lvshift_core::device::{Device, DeviceIndex};
use lvshift_core::mirror::{
    Buffer, Buffers, Copier, Ended, LogLoad, Next, Part, PartState, Tag, Tuning, Volume,
};
use lvshift_core::table::Area;
use lvshift_on_disk_format::dirty_log::DirtyLogError;

/// A volume of borrowed parts.
pub struct Lent<'a> {
    parts: &'a [Part<Borrowed<'a>>],
    devices: &'a [Device],
    flushes: &'a FlushEpochs,
}

impl<'a> Volume for Lent<'a> {
    type Cells = Borrowed<'a>;

    fn parts(&self) -> &[Part<Borrowed<'a>>] {
        self.parts
    }

    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.devices.get(usize::from(device.0))
    }

    fn flushes(&self) -> &FlushEpochs {
        self.flushes
    }
}

/// Memory in one piece.
pub struct Memory<'a> {
    bytes: &'a mut [u8],
}

fn range(buffer: Buffer) -> Range<usize> {
    match buffer {
        Buffer::Copy(slot) => usize::from(slot) << 20..usize::from(slot).wrapping_add(1) << 20,
        Buffer::Log(part) => {
            let start = (part.index() << 12).wrapping_add(8 << 20);
            start..start.wrapping_add(4096)
        }
    }
}

impl Buffers for Memory<'_> {
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        self.bytes.get(range(buffer)).unwrap_or(&[])
    }

    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8] {
        self.bytes.get_mut(range(buffer)).unwrap_or(&mut [])
    }
}

type Parts = [PartState; 4];

pub(super) fn new(volume: &Lent<'_>, tuning: Tuning, now: Nanos) -> Copier<Parts> {
    let parts = [PartState::new(), PartState::new(), PartState::new(), PartState::new()];
    Copier::new(parts, volume, tuning, now)
}

pub(super) fn next(
    copier: &mut Copier<Parts>,
    volume: &Lent<'_>,
    memory: &mut Memory<'_>,
    now: Nanos,
) -> Next {
    copier.next(volume, memory, now)
}

pub(super) fn ended(
    copier: &mut Copier<Parts>,
    tag: Tag,
    ended: Ended,
    volume: &Lent<'_>,
    memory: &mut Memory<'_>,
    now: Nanos,
) {
    copier.ended(tag, ended, volume, memory, now);
}

pub(super) fn tune(copier: &mut Copier<Parts>, tuning: Tuning, volume: &Lent<'_>, now: Nanos) {
    copier.tune(tuning, volume, now);
}

pub(super) fn latencies(copier: &mut Copier<Parts>, latencies: &Latencies, now: Nanos) {
    copier.latencies(latencies, now);
}

pub(super) fn load_next(load: &LogLoad) -> Option<(Area<DeviceIndex>, usize)> {
    load.next_read()
}

pub(super) fn load_take(
    load: &mut LogLoad,
    part: &Part<Borrowed<'_>>,
    bytes: &[u8],
) -> Result<(), DirtyLogError> {
    load.take(part, bytes)
}
