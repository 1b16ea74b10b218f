//! Disks that are plain sectors in memory, and this thread's host, whose devices they are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use lvshift_core::units::{DeviceNumber, Sectors};
use lvshift_frontend_common::device::{BlockDevice, Medium};
use lvshift_frontend_common::simulation;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 512;
/// Sectors before the data.
pub(crate) const DATA_START: u64 = 8 * 2048;
/// Where `pvcreate` puts the slots.
pub(crate) const SLOTS: [u64; 2] = [2048, 4096];
/// Sectors of a disk.
pub(crate) const SIZE: u64 = DATA_START + 8 * 400;

/// A disk; what is not there are zeroes. Copies share what they have in common: a walk keeps very many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    sectors: Rc<BTreeMap<u64, Rc<[u8; SECTOR]>>>,
    /// What cannot be read.
    pub(crate) bad: BTreeSet<u64>,
}

/// What was done to a device, in order.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A write, into the device's cache.
    Write {
        /// The device.
        disk: usize,
        /// The first sector.
        start: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A flush of all before it.
    Flush {
        /// The device.
        disk: usize,
    },
}

/// What a device fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Its flushes.
    Flushes,
    /// Its writes, which arrive or not.
    Writes {
        /// They do, and the answer is an error all the same.
        arrive: bool,
    },
    /// All that changes it, after so many writes and flushes.
    After(u32),
}

#[derive(Default)]
struct Host {
    disks: Vec<Disk>,
    ops: Vec<Op>,
    trouble: Vec<Trouble>,
    /// So many writes and flushes are done until the power fails.
    until_cut: Option<u32>,
}

impl Host {
    /// Whether a write or a flush of this device goes well; `None` where it fails before it has begun.
    fn goes_well(&mut self, disk: usize, write: bool) -> Option<bool> {
        if let Some(left) = &mut self.until_cut {
            *left = left.checked_sub(1)?;
        }
        match self.trouble.get_mut(disk) {
            Some(Trouble::Flushes) if !write => None,
            Some(Trouble::Writes { arrive }) if write => arrive.then_some(false),
            Some(Trouble::After(left)) => {
                *left = left.checked_sub(1)?;
                Some(true)
            }
            _ => Some(true),
        }
    }
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

impl Disk {
    /// Whole sectors, also those that cannot be read.
    pub(crate) fn raw(&self, start: u64, bytes: usize) -> Vec<u8> {
        let mut into = vec![0; bytes];
        for (sector, chunk) in (start..).zip(into.chunks_mut(SECTOR)) {
            if let Some(content) = self.sectors.get(&sector) {
                chunk.copy_from_slice(&content[..chunk.len()]);
            }
        }
        into
    }

    /// Writes whole sectors; they can be read then.
    pub(crate) fn write(&mut self, start: u64, from: &[u8]) {
        let sectors = Rc::make_mut(&mut self.sectors);
        for (sector, bytes) in (start..).zip(from.chunks_exact(SECTOR)) {
            self.bad.remove(&sector);
            if bytes.iter().all(|byte| *byte == 0) {
                sectors.remove(&sector);
            } else {
                let mut content = [0; SECTOR];
                content.copy_from_slice(bytes);
                sectors.insert(sector, Rc::new(content));
            }
        }
    }

    /// Copies sectors from another disk.
    pub(crate) fn copy(&mut self, from: &Disk, start: u64, sectors: u64) {
        self.write(start, &from.raw(start, sectors as usize * SECTOR));
    }
}

/// A device of the host.
#[derive(Debug)]
struct Port(usize);

impl Medium for Port {
    fn size(&self) -> Sectors {
        Sectors(SIZE)
    }

    fn read(&self, start: Sectors, buffer: &mut [u8]) -> io::Result<()> {
        HOST.with_borrow(|host| {
            let disk = host.disks.get(self.0).ok_or_else(gone)?;
            let end = start.0 + (buffer.len() / SECTOR) as u64;
            if disk.bad.range(start.0..end).next().is_some() || end > SIZE {
                return Err(gone());
            }
            buffer.copy_from_slice(&disk.raw(start.0, buffer.len()));
            Ok(())
        })
    }

    fn write(&self, start: Sectors, buffer: &[u8]) -> io::Result<()> {
        HOST.with_borrow_mut(|host| {
            let well = host.goes_well(self.0, true).ok_or_else(gone)?;
            let op = Op::Write { disk: self.0, start: start.0, bytes: buffer.to_vec() };
            host.disks.get_mut(self.0).ok_or_else(gone)?.write(start.0, buffer);
            host.ops.push(op);
            if well { Ok(()) } else { Err(gone()) }
        })
    }

    fn flush(&self) -> io::Result<()> {
        HOST.with_borrow_mut(|host| {
            host.goes_well(self.0, false).ok_or_else(gone)?;
            host.ops.push(Op::Flush { disk: self.0 });
            Ok(())
        })
    }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// The device at this place of the host.
pub(crate) fn device(at: usize) -> BlockDevice {
    let number = DeviceNumber { major: 240, minor: u32::try_from(at).unwrap_or(0) };
    BlockDevice::simulated(Path::new(&format!("/dev/proof{at}")), number, Arc::new(Port(at)))
}

/// From now on these are the devices of this thread's host, and nothing was done to them yet.
pub(crate) fn show(disks: Vec<Disk>) {
    show_with(disks, Vec::new(), None);
}

/// The same, with what they fail, and after how many writes and flushes in all the power does.
pub(crate) fn show_with(disks: Vec<Disk>, trouble: Vec<Trouble>, until_cut: Option<u32>) {
    HOST.with_borrow_mut(|host| *host = Host { disks, ops: Vec::new(), trouble, until_cut });
    simulation::set_devices(|| {
        (0..HOST.with_borrow(|host| host.disks.len())).map(device).collect()
    });
}

/// The devices as they are now.
pub(crate) fn now() -> Vec<Disk> {
    HOST.with_borrow(|host| host.disks.clone())
}

/// What was done since this was asked last.
pub(crate) fn done() -> Vec<Op> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.ops))
}
