//! The devices below a volume, as the data plane knows them: by index.

use crate::sync::{AtomicU32, Ordering};

/// Devices below one volume at most: what a [`DeviceSet`] can hold.
pub const MAX_DEVICES: usize = 64;

/// A device below a volume: its place in the front end's list of them, below [`MAX_DEVICES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(pub u8);

/// What the data plane has to know of a device, and what it finds out about it.
///
/// One and the same `Device` serves every volume that has something there: a flush that failed for one
/// of them may have dropped what another had written.
#[derive(Debug)]
pub struct Device {
    sector_bytes: u32,
    zeroes: bool,
    flush_failures: AtomicU32,
}

impl Device {
    /// A device whose smallest I/O is `sector_bytes` long; `zeroes` where it can make a range read as
    /// zeroes and free its space in one command.
    pub fn new(sector_bytes: u32, zeroes: bool) -> Device {
        let sector_bytes = sector_bytes.max(512);
        Device { sector_bytes, zeroes, flush_failures: AtomicU32::new(0) }
    }

    /// Bytes of its smallest I/O.
    pub const fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// Whether it can make a range read as zeroes and free its space in one command.
    pub const fn zeroes(&self) -> bool {
        self.zeroes
    }

    /// How often it has failed to make something durable, for whichever volume.
    pub fn flush_failures(&self) -> u32 {
        self.flush_failures.load(Ordering::SeqCst)
    }

    /// It has failed to make something durable.
    pub fn flush_has_failed(&self) {
        self.flush_failures.fetch_add(1, Ordering::SeqCst);
    }
}

/// A set of devices of one volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceSet(u64);

impl DeviceSet {
    /// None.
    pub const EMPTY: DeviceSet = DeviceSet(0);

    /// Puts one in; one past [`MAX_DEVICES`] is left out.
    pub const fn insert(&mut self, device: DeviceIndex) {
        self.0 |= bit(device);
    }

    /// Takes one out; false if it was not in.
    pub const fn remove(&mut self, device: DeviceIndex) -> bool {
        let was = self.contains(device);
        self.0 &= !bit(device);
        was
    }

    /// Takes the first one out.
    pub const fn pop(&mut self) -> Option<DeviceIndex> {
        if self.0 == 0 {
            return None;
        }
        let first = DeviceIndex(self.0.trailing_zeros() as u8);
        self.remove(first);
        Some(first)
    }

    /// Whether it is in.
    pub const fn contains(self, device: DeviceIndex) -> bool {
        self.0 & bit(device) != 0
    }

    /// How many are in.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether none is in.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

const fn bit(device: DeviceIndex) -> u64 {
    if (device.0 as usize) < MAX_DEVICES { 1 << device.0 } else { 0 }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_and_nothing_else() {
        let mut set = DeviceSet::EMPTY;
        for device in [3, 63, 64, 255, 0] {
            set.insert(DeviceIndex(device));
        }
        assert!(set.contains(DeviceIndex(63)) && !set.contains(DeviceIndex(64)));
        assert!(set.remove(DeviceIndex(3)) && !set.remove(DeviceIndex(3)));
        assert_eq!(set.pop(), Some(DeviceIndex(0)));
        assert_eq!(set.pop(), Some(DeviceIndex(63)));
        assert_eq!(set.pop(), None);
        assert!(set.is_empty());
    }
}
