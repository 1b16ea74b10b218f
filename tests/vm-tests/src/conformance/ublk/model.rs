//! An LV and what it must read as: every request is done to the device and to bytes in memory.

use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{ReadWriteFlags, pwritev2};

use super::rig::noise;
use crate::writer::Aligned;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Writes data.
    Write,
    /// The same, durable before it is acknowledged.
    Fua,
    /// Zeroes that may be unmapped.
    Unmap,
    /// Zeroes that keep their space.
    Zero,
    /// A read and nothing else.
    Read,
}

impl Op {
    /// All of them.
    pub(crate) const ALL: [Op; 5] = [Op::Write, Op::Fua, Op::Unmap, Op::Zero, Op::Read];
}

/// The longest request in sectors.
const LONGEST: u64 = 1024;

/// A run of an LV's sectors that nobody else writes to.
#[derive(Debug)]
pub(crate) struct Model {
    file: File,
    first: u64,
    bytes: Vec<u8>,
    buffer: Aligned,
    requests: u64,
}

impl Model {
    /// Of a whole device as it is now.
    pub(crate) fn of(device: &Path, sectors: u64) -> Result<Model> {
        let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
        let file = File::options().read(true).write(true).custom_flags(flag).open(device);
        let file = file.with_context(|| format!("opening {}", device.display()))?;
        let mut bytes = Aligned::new(sectors as usize * 512);
        file.read_exact_at(bytes.bytes_mut(), 0).context("reading the LV")?;
        Ok(Model::new(file, 0, bytes.bytes().to_vec(), 1))
    }

    fn new(file: File, first: u64, bytes: Vec<u8>, requests: u64) -> Model {
        Model { file, first, bytes, buffer: Aligned::new(LONGEST as usize * 512), requests }
    }

    /// Cuts it into runs of about the same length, at multiples of `align` sectors.
    pub(crate) fn split(self, runs: u64, align: u64) -> Result<Vec<Model>> {
        let all = self.sectors();
        let cut =
            |n: u64| self.first + if n == runs { all } else { all * n / runs / align * align };
        let run = |n| {
            let bytes = self.bytes[self.at(cut(n))..self.at(cut(n + 1))].to_vec();
            Ok(Model::new(self.file.try_clone()?, cut(n), bytes, self.requests + (n << 32)))
        };
        (0..runs).map(run).collect()
    }

    /// Puts the runs together again.
    pub(crate) fn join(mut runs: Vec<Model>) -> Result<Model> {
        let mut whole = runs.drain(..1).next().context("no runs")?;
        for mut run in runs {
            ensure!(run.first == whole.end(), "runs that do not follow each other");
            whole.bytes.append(&mut run.bytes);
            whole.requests = whole.requests.max(run.requests);
        }
        Ok(whole)
    }

    /// Its first sector.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The sector after its last.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.sectors()
    }

    fn sectors(&self) -> u64 {
        self.bytes.len() as u64 / 512
    }

    fn at(&self, sector: u64) -> usize {
        (sector - self.first) as usize * 512
    }

    /// Does a request and looks at the sectors around it; what lies outside of the run is cut off.
    /// False if nothing is left.
    pub(crate) fn request(&mut self, op: Op, first: i64, count: u64, grain: u64) -> Result<bool> {
        let end = (first + count as i64).min(self.end() as i64);
        let first = first.max(self.first as i64);
        if end <= first {
            return Ok(false);
        }
        let (first, count) = (first as u64, ((end - first) as u64).min(LONGEST));
        self.apply(op, first, count).with_context(|| format!("{op:?} {count} at {first}"))?;
        let from = first.saturating_sub(8 * grain).max(self.first);
        let to = (first + count + 8 * grain).min(self.end());
        self.check(from, to).with_context(|| format!("after {op:?} of {count} at {first}"))?;
        Ok(true)
    }

    fn apply(&mut self, op: Op, first: u64, count: u64) -> Result<()> {
        let (offset, len) = (first * 512, count * 512);
        let inside = self.at(first)..self.at(first + count);
        self.requests += 1;
        match op {
            Op::Read => return Ok(()),
            Op::Write | Op::Fua => {
                let data = &mut self.buffer.bytes_mut()[..len as usize];
                noise(self.requests << 8, data);
                self.bytes[inside].copy_from_slice(data);
                if op == Op::Fua {
                    let flags = ReadWriteFlags::DSYNC;
                    let done = pwritev2(&self.file, &[IoSlice::new(data)], offset, flags)?;
                    ensure!(done as u64 == len, "a short write: {done} of {len} bytes");
                } else {
                    self.file.write_all_at(data, offset)?;
                }
            }
            Op::Unmap | Op::Zero => {
                let how = match op {
                    Op::Unmap => FallocateFlags::PUNCH_HOLE,
                    _ => FallocateFlags::ZERO_RANGE,
                };
                fallocate(&self.file, how | FallocateFlags::KEEP_SIZE, offset, len)?;
                self.bytes[inside].fill(0);
            }
        }
        Ok(())
    }

    /// Sectors were discarded: each may read as it did or as zeroes, and goes on as it reads now.
    pub(crate) fn discarded(&mut self, first: u64, count: u64) -> Result<()> {
        for sector in first..first + count {
            let at = self.at(sector);
            // Whole pages, whatever the device's sectors are.
            let page = sector / 8 * 8;
            self.file.read_exact_at(&mut self.buffer.bytes_mut()[..4096], page * 512)?;
            let skip = (sector - page) as usize * 512;
            let found = &self.buffer.bytes()[skip..skip + 512];
            let was = &mut self.bytes[at..at + 512];
            let right = found == was || found.iter().all(|byte| *byte == 0);
            ensure!(right, "sector {sector} reads as neither what it was nor zeroes");
            was.copy_from_slice(found);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.file.sync_data().context("flushing the LV")
    }

    /// Compares all of it.
    pub(crate) fn check_all(&mut self) -> Result<()> {
        for from in (self.first..self.end()).step_by(LONGEST as usize) {
            self.check(from, (from + LONGEST).min(self.end()))?;
        }
        Ok(())
    }

    fn check(&mut self, mut from: u64, to: u64) -> Result<()> {
        while from < to {
            let count = (to - from).min(LONGEST);
            let inside = self.at(from)..self.at(from + count);
            let found = &mut self.buffer.bytes_mut()[..count as usize * 512];
            self.file
                .read_exact_at(found, from * 512)
                .with_context(|| format!("reading {count} sectors at {from}"))?;
            let sectors = found.chunks(512).zip(self.bytes[inside].chunks(512));
            if let Some(n) = sectors.into_iter().position(|(a, b)| a != b) {
                bail!("sector {} reads differently from the model", from + n as u64);
            }
            from += count;
        }
        Ok(())
    }
}
