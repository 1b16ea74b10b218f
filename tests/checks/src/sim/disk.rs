//! A disk with a volatile cache that survives a power cut in any part.
//!
//! A sector is written whole or not at all; nothing else is promised. What was not flushed may be
//! there after a cut or not, sector by sector, also a value that was overwritten in the cache
//! since. A sector of the data area holds a number and otherwise zeroes, and is kept as that.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::rng::Rng;

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// Where the dirty logs begin.
const LOG_START: u64 = 4 * 2048;
/// What a sector of the metadata areas holds; none: zeroes.
pub type Bytes = Option<Rc<[u8; SECTOR]>>;

/// One place on the medium and what is on its way there.
#[derive(Clone, Debug, Default)]
pub struct Cell<T> {
    /// What stands on the medium for certain, as long as nothing below arrives.
    pub durable: T,
    /// Unflushed writes, in order.
    pub cached: Vec<T>,
}

impl<T: Clone> Cell<T> {
    /// What a read gives.
    pub fn now(&self) -> &T {
        self.cached.last().unwrap_or(&self.durable)
    }

    /// All that may be there after a power cut.
    pub fn survivors(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.durable).chain(&self.cached)
    }

    fn flush(&mut self) {
        if let Some(last) = self.cached.pop() {
            self.durable = last;
            self.cached.clear();
        }
    }

    fn crash(&mut self, rng: &mut Rng) {
        if !self.cached.is_empty() {
            let at = rng.index(self.cached.len() + 1);
            if at > 0 {
                self.durable = self.cached[at - 1].clone();
            }
            self.cached.clear();
        }
    }
}

/// What goes wrong on a disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Data sectors that cannot be read, as bits.
    pub read: u128,
    /// Data sectors that cannot be written, as bits.
    pub write: u128,
    /// The log area cannot be written.
    pub log_write: bool,
    /// This many flushes fail from now on; `u32::MAX`: all.
    pub flushes: u32,
    /// This many writes of metadata slots fail from now on.
    pub slots: u32,
    /// The disk does not answer any more.
    pub gone: bool,
    /// Nothing that the daemon asks of it ends.
    pub silent: bool,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// How many sectors.
    pub sectors: u64,
    /// Where the data area starts.
    pub data_start: u64,
    meta: BTreeMap<u64, Cell<Bytes>>,
    data: Vec<Cell<u64>>,
    unflushed_meta: Vec<u64>,
    unflushed_data: Vec<u32>,
    /// What goes wrong.
    pub faults: Faults,
    /// When a flush failed last.
    pub flush_failed: u64,
}

/// What a read or write hits that it must not.
pub fn io_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(data_start: u64, data_sectors: u64) -> Disk {
        Disk {
            sectors: data_start + data_sectors,
            data_start,
            meta: BTreeMap::new(),
            data: vec![Cell::default(); data_sectors as usize],
            unflushed_meta: Vec::new(),
            unflushed_data: Vec::new(),
            faults: Faults::default(),
            flush_failed: 0,
        }
    }

    /// A data sector's cell.
    #[must_use]
    pub fn data(&self, at: u32) -> &Cell<u64> {
        &self.data[at as usize]
    }

    /// Gives a data sector a value for certain.
    pub fn format(&mut self, at: u32, value: u64) {
        self.data[at as usize] = Cell { durable: value, cached: Vec::new() };
    }

    /// A metadata sector's cell, if anything was ever written there.
    #[must_use]
    pub fn meta(&self, sector: u64) -> Option<&Cell<Bytes>> {
        self.meta.get(&sector)
    }

    /// Reads whole sectors.
    ///
    /// # Errors
    /// Where a sector cannot be read.
    pub fn read(&self, start: u64, into: &mut [u8]) -> io::Result<()> {
        if self.faults.gone || start + (into.len() / SECTOR) as u64 > self.sectors {
            return Err(io_error());
        }
        for (sector, bytes) in (start..).zip(into.chunks_mut(SECTOR)) {
            if sector >= self.data_start {
                let at = sector - self.data_start;
                if self.faults.read >> at & 1 == 1 {
                    return Err(io_error());
                }
                bytes.fill(0);
                bytes[..8].copy_from_slice(&self.data[at as usize].now().to_le_bytes());
            } else {
                match self.meta.get(&sector).and_then(|cell| cell.now().as_ref()) {
                    Some(content) => bytes.copy_from_slice(&content[..]),
                    None => bytes.fill(0),
                }
            }
        }
        Ok(())
    }

    /// Takes whole sectors into the cache. On an error those before the bad one are taken.
    ///
    /// # Errors
    /// Where a sector cannot be written.
    pub fn write(&mut self, start: u64, from: &[u8]) -> io::Result<()> {
        assert!(from.len().is_multiple_of(SECTOR), "part of a sector is written");
        if self.faults.gone || start + (from.len() / SECTOR) as u64 > self.sectors {
            return Err(io_error());
        }
        if self.faults.log_write && (LOG_START..self.data_start).contains(&start) {
            return Err(io_error());
        }
        for (sector, bytes) in (start..).zip(from.chunks(SECTOR)) {
            if sector >= self.data_start {
                let mut number = [0; 8];
                number.copy_from_slice(&bytes[..8]);
                assert!(bytes[8..].iter().all(|byte| *byte == 0), "torn inside of a sector");
                self.put(sector - self.data_start, u64::from_le_bytes(number))?;
            } else {
                let content = bytes.iter().any(|byte| *byte != 0).then(|| {
                    let mut content = [0; SECTOR];
                    content.copy_from_slice(bytes);
                    Rc::new(content)
                });
                if content.is_none() && !self.meta.contains_key(&sector) {
                    continue;
                }
                let cell = self.meta.entry(sector).or_default();
                if cell.cached.is_empty() {
                    self.unflushed_meta.push(sector);
                }
                cell.cached.push(content);
            }
        }
        Ok(())
    }

    fn put(&mut self, at: u64, value: u64) -> io::Result<()> {
        if self.faults.write >> at & 1 == 1 {
            return Err(io_error());
        }
        let cell = &mut self.data[at as usize];
        if cell.cached.is_empty() {
            self.unflushed_data.push(at as u32);
        }
        cell.cached.push(value);
        Ok(())
    }

    /// Another bit stands in a data sector than was written there last.
    pub fn flip(&mut self, at: u32) {
        let cell = &mut self.data[at as usize];
        match cell.cached.last_mut() {
            Some(last) => *last ^= 1 << 50,
            None => cell.durable ^= 1 << 50,
        }
    }

    /// Zeroes data sectors.
    ///
    /// # Errors
    /// Where a sector cannot be written.
    pub fn zero(&mut self, start: u64, sectors: u64) -> io::Result<()> {
        if self.faults.gone || start < self.data_start || start + sectors > self.sectors {
            return Err(io_error());
        }
        for sector in start..start + sectors {
            self.put(sector - self.data_start, 0)?;
        }
        Ok(())
    }

    /// Makes the cache durable.
    ///
    /// # Errors
    /// When it fails, and then, if it `drops`, any part of the cache may be lost.
    pub fn flush(&mut self, rng: &mut Rng, drops: bool) -> io::Result<()> {
        if self.faults.gone {
            return Err(io_error());
        }
        if self.faults.flushes > 0 {
            if self.faults.flushes != u32::MAX {
                self.faults.flushes -= 1;
            }
            if drops && rng.one_in(2) {
                self.crash(rng);
            }
            return Err(io_error());
        }
        for sector in self.unflushed_meta.drain(..) {
            if let Some(cell) = self.meta.get_mut(&sector) {
                cell.flush();
            }
        }
        for at in self.unflushed_data.drain(..) {
            self.data[at as usize].flush();
        }
        Ok(())
    }

    /// Makes these sectors durable alone, as a write with FUA does.
    pub fn flush_only(&mut self, start: u64, sectors: u64) {
        for sector in start..start + sectors {
            if sector >= self.data_start {
                self.data[(sector - self.data_start) as usize].flush();
            } else if let Some(cell) = self.meta.get_mut(&sector) {
                cell.flush();
            }
        }
        let (meta, data, start) = (&self.meta, &self.data, self.data_start);
        self.unflushed_meta.retain(|at| meta.get(at).is_some_and(|c| !c.cached.is_empty()));
        self.unflushed_data.retain(|at| !data[*at as usize].cached.is_empty());
        let _ = start;
    }

    /// The power fails: of each sector's unflushed writes any one or none survives.
    pub fn crash(&mut self, rng: &mut Rng) {
        for sector in self.unflushed_meta.drain(..) {
            if let Some(cell) = self.meta.get_mut(&sector) {
                cell.crash(rng);
            }
        }
        for at in self.unflushed_data.drain(..) {
            self.data[at as usize].crash(rng);
        }
    }
}
