//! How much a device's queues take, and which slots of their rings are whose.

use lvshift_core::chunk::{MAX_QUEUES, MAX_WRITERS};
use lvshift_core::device::MAX_DEVICES;

use crate::platform::Slot;

/// Requests that a queue has in flight at most.
pub(crate) const DEPTH: u16 = 64;
const _: () = assert!(
    MAX_QUEUES as u32 * DEPTH as u32 <= MAX_WRITERS,
    "all requests together may be writes in one chunk"
);
/// The longest request's bytes.
pub(crate) const MAX_IO_BYTES: u32 = 256 << 10;
/// The slot of the device's own file in every ring of a queue.
pub(crate) const DEVICE: Slot = Slot(0);
/// The slot of what wakes the thread, in every ring.
pub(crate) const WAKEUP: Slot = Slot(1);
/// The first slot of a ring that names a PV's device.
pub(crate) const FIRST_BACKING: u32 = 2;
/// Files that a ring can name: its own two, and as many devices as a volume can have below.
pub(crate) const FILES: u32 = FIRST_BACKING + MAX_DEVICES as u32;
