//! One block device, resolved once: whatever its path names later, this stays the same device.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
#[cfg(feature = "sim")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lvshift_core::units::{DeviceNumber, SECTOR_SIZE, Sectors};
use rustix::fs::OFlags;

use super::answers::{Errand, Job, note_silent, remember};
#[cfg(feature = "sim")]
use super::medium::Medium;
use super::number::number_of;
use super::sysfs;
use crate::error::{Error, Kind, Result};
use crate::lock::Fence;

/// What a device is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading; it can be made writable later with the first write.
    Read,
    /// Writing while no other program holds it (`pvcreate`, `pvremove`).
    Exclusive,
}

/// An open block device: identified, its size known, I/O direct to the device.
#[derive(Debug)]
pub struct BlockDevice {
    path: PathBuf,
    number: DeviceNumber,
    size: Sectors,
    logical_block: u32,
    physical_block: u32,
    disk_sequence: Option<u64>,
    file: File,
    exclusive: bool,
    writer: OnceLock<File>,
    /// Who does what is asked of it, where that has a limit.
    errand: Mutex<Option<Errand>>,
    /// Whether that is kept from one time to the next.
    keeps_errand: AtomicBool,
    #[cfg(feature = "sim")]
    medium: Option<Arc<dyn Medium>>,
}

impl BlockDevice {
    /// Opens the block device at `path`.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Usage` when it is no block device, `Kind::InUse` when it is to be
    /// exclusive and is not, `Kind::Io`.
    pub fn open(path: &Path, access: Access) -> Result<BlockDevice> {
        let exclusive = access == Access::Exclusive;
        let flags = if exclusive { OFlags::DIRECT | OFlags::EXCL } else { OFlags::DIRECT };
        let file = OpenOptions::new()
            .read(true)
            .write(exclusive)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| cannot_open(path, error))?;
        let metadata = file.metadata().map_err(|error| cannot_open(path, error))?;
        if !metadata.file_type().is_block_device() {
            return Err(Error::new(Kind::Usage, "this is not a block device")
                .device(path.display())
                .state("nothing was changed"));
        }
        let number = number_of(metadata.rdev());
        let mut device = BlockDevice {
            path: path.to_owned(),
            number,
            size: Sectors(0),
            logical_block: rustix::fs::ioctl_blksszget(&file)
                .map_err(|error| cannot_open(path, error.into()))?,
            physical_block: rustix::fs::ioctl_blkpbszget(&file)
                .map_err(|error| cannot_open(path, error.into()))?,
            disk_sequence: sysfs::disk_sequence(number),
            file,
            exclusive,
            writer: OnceLock::new(),
            errand: Mutex::new(None),
            keeps_errand: AtomicBool::new(false),
            #[cfg(feature = "sim")]
            medium: None,
        };
        device.size = device.present_size()?;
        Ok(device)
    }

    /// A regular file in the place of a device, for tests that need no root.
    #[cfg(test)]
    pub(crate) fn on_file(path: &Path) -> BlockDevice {
        BlockDevice::of_file(path, OpenOptions::new().read(true).write(true))
    }

    /// The same, which takes no writes.
    #[cfg(test)]
    pub(crate) fn on_file_that_takes_no_writes(path: &Path) -> BlockDevice {
        BlockDevice::of_file(path, OpenOptions::new().read(true))
    }

    #[cfg(test)]
    fn of_file(path: &Path, options: &OpenOptions) -> BlockDevice {
        let file = options.open(path).expect("a test file");
        let metadata = file.metadata().expect("a test file");
        BlockDevice {
            path: path.to_owned(),
            number: DeviceNumber {
                major: 0,
                minor: u32::try_from(metadata.ino() & 0xFFFF_FFFF).expect("masked"),
            },
            size: Sectors(metadata.len() / SECTOR_SIZE),
            logical_block: 512,
            physical_block: 4096,
            disk_sequence: None,
            file,
            exclusive: true,
            writer: OnceLock::new(),
            errand: Mutex::new(None),
            keeps_errand: AtomicBool::new(false),
            #[cfg(feature = "sim")]
            medium: None,
        }
    }

    /// A medium of the simulator in the place of a device.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn simulated(path: &Path, number: DeviceNumber, medium: Arc<dyn Medium>) -> BlockDevice {
        BlockDevice {
            path: path.to_owned(),
            number,
            size: medium.size(),
            logical_block: 512,
            physical_block: 4096,
            disk_sequence: None,
            file: File::open("/dev/null").expect("every host has it"),
            exclusive: true,
            writer: OnceLock::new(),
            errand: Mutex::new(None),
            keeps_errand: AtomicBool::new(false),
            medium: Some(medium),
        }
    }

    /// The path it was opened by, to show.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor that it is read by.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The same, where it is one of this host.
    pub(crate) fn real_file(&self) -> Option<&File> {
        #[cfg(feature = "sim")]
        if self.medium.is_some() {
            return None;
        }
        Some(&self.file)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> DeviceNumber {
        self.number
    }

    /// Its size when it was opened.
    #[must_use]
    pub fn size(&self) -> Sectors {
        self.size
    }

    /// Bytes of a logical block: the smallest unit of I/O.
    #[must_use]
    pub fn logical_block(&self) -> u32 {
        self.logical_block
    }

    /// Bytes of a physical block: the smallest unit that the medium writes whole.
    #[must_use]
    pub fn physical_block(&self) -> u32 {
        self.physical_block
    }

    /// The size now; a device can change under us.
    ///
    /// # Errors
    /// `Kind::Io` when the device is gone.
    pub fn present_size(&self) -> Result<Sectors> {
        #[cfg(feature = "sim")]
        if let Some(medium) = &self.medium {
            return Ok(medium.size());
        }
        let bytes = (&self.file)
            .seek(SeekFrom::End(0))
            .map_err(|error| self.failed("the size cannot be read", 0..0, error))?;
        Ok(Sectors(bytes / SECTOR_SIZE))
    }

    /// Fills `buffer` from `start` on.
    ///
    /// # Errors
    /// `Kind::Io` naming the sectors.
    pub fn read(&self, start: Sectors, buffer: &mut [u8]) -> Result<()> {
        let range = sector_range(start, buffer.len());
        let offset = self.offset(start)?;
        #[cfg(feature = "sim")]
        if let Some(medium) = &self.medium {
            return medium
                .read(start, buffer)
                .map_err(|error| self.failed("reading failed", range, error));
        }
        let read = self
            .by_errand(&mut Job::Read { offset, into: &mut *buffer })
            .unwrap_or_else(|| self.file.read_exact_at(buffer, offset));
        read.map_err(|error| self.failed("reading failed", range, error))
    }

    /// Writes all of `buffer` from `start` on. Not durable before [`BlockDevice::flush`].
    ///
    /// # Errors
    /// `Kind::Io` naming the sectors; how much was written is not known then.
    pub fn write(&self, start: Sectors, buffer: &[u8]) -> Result<()> {
        let range = sector_range(start, buffer.len());
        let offset = self.offset(start)?;
        #[cfg(feature = "sim")]
        if let Some(medium) = &self.medium {
            return medium
                .write(start, buffer)
                .map_err(|error| self.failed("writing failed", range, error));
        }
        let writer = self.writer()?;
        let written = self
            .by_errand(&mut Job::Write { offset, bytes: buffer })
            .unwrap_or_else(|| writer.write_all_at(buffer, offset));
        written.map_err(|error| self.failed("writing failed", range, error))
    }

    /// As [`BlockDevice::flush`], and fails where it takes longer than the limit.
    ///
    /// # Errors
    /// As [`BlockDevice::flush`].
    pub(crate) fn flush_in_time(&self, limit: Duration) -> Result<()> {
        self.in_time(true, limit, BlockDevice::flush)
    }

    /// As [`BlockDevice::read`], and fails where it takes longer than the limit.
    ///
    /// # Errors
    /// As [`BlockDevice::read`].
    pub(crate) fn read_in_time(
        &self,
        start: Sectors,
        into: &mut [u8],
        limit: Duration,
    ) -> Result<()> {
        self.in_time(false, limit, |device| device.read(start, into))
    }

    fn in_time<T>(
        &self,
        writes: bool,
        limit: Duration,
        work: impl FnOnce(&BlockDevice) -> Result<T>,
    ) -> Result<T> {
        if self.with_errand(|errand| errand.wake(Some(limit))) != Some(true) {
            self.attend(writes, None, Some(limit));
        }
        let done = work(self);
        self.dismiss();
        done
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// `Kind::Io`. What was written before is in doubt then and must be written again.
    pub fn flush(&self) -> Result<()> {
        #[cfg(feature = "sim")]
        if let Some(medium) = &self.medium {
            return medium.flush().map_err(|error| self.failed("flushing failed", 0..0, error));
        }
        let writer = self.writer()?;
        let flushed = self.by_errand(&mut Job::Flush).unwrap_or_else(|| writer.sync_data());
        flushed.map_err(|error| self.failed("flushing failed", 0..0, error))
    }

    /// From now on until [`BlockDevice::dismiss`] each read, write and flush is done by a child and fails past the limit
    /// (none: it is done here, and takes as long as it takes); past it the device is not asked again by this
    /// process. `fence` is the PV's lock, for what writes metadata.
    pub(crate) fn attend(&self, writes: bool, fence: Option<Fence>, limit: Option<Duration>) {
        #[cfg(feature = "sim")]
        if self.medium.is_some() {
            return;
        }
        // A write says what is wrong where it cannot be opened for that.
        let file = Some(&self.file)
            .filter(|_| !writes)
            .or_else(|| self.writer().ok())
            .unwrap_or(&self.file);
        let mut errand = self.errand.lock().unwrap_or_else(PoisonError::into_inner);
        *errand = None;
        *errand = Some(Errand::begin(file.as_fd(), fence, limit));
    }

    /// Ends what [`BlockDevice::attend`] began.
    pub(crate) fn dismiss(&self) {
        let mut errand = self.errand.lock().unwrap_or_else(PoisonError::into_inner);
        if !(self.keeps_errand() && errand.as_mut().is_some_and(Errand::rest)) {
            *errand = None;
        }
    }

    /// From now on a child that does what is asked of the device is kept for the next time.
    pub(crate) fn keep_errand(&self) {
        self.keeps_errand.store(true, Ordering::Relaxed);
    }

    /// Whether one is kept.
    pub(crate) fn keeps_errand(&self) -> bool {
        self.keeps_errand.load(Ordering::Relaxed)
    }

    /// What the present errand is made of, if there is one.
    pub(crate) fn with_errand<T>(&self, look: impl FnOnce(&mut Errand) -> T) -> Option<T> {
        let mut errand = self.errand.lock().unwrap_or_else(PoisonError::into_inner);
        errand.as_mut().map(look)
    }

    fn by_errand(&self, job: &mut Job<'_>) -> Option<io::Result<()>> {
        let (done, limit, child) = self
            .with_errand(|errand| Some((errand.run(job)?, errand.limit(), errand.late())))
            .flatten()?;
        let late = matches!(&done, Err(error) if error.kind() == io::ErrorKind::TimedOut);
        if late {
            remember(self.number);
            if let Some(child) = child {
                note_silent(self.number, child);
            }
            let waited = limit.unwrap_or_default().as_secs_f32();
            let what = format!(
                "it has not answered in {waited:.0} s, and may still do what it was asked for"
            );
            return Some(Err(io::Error::new(io::ErrorKind::TimedOut, what)));
        }
        Some(done)
    }

    /// The descriptor for writing, opened from the one already there, so that it cannot be another
    /// device.
    fn writer(&self) -> Result<&File> {
        if self.exclusive {
            return Ok(&self.file);
        }
        if let Some(writer) = self.writer.get() {
            return Ok(writer);
        }
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::DIRECT.bits().cast_signed())
            .open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
            .map_err(|error| self.failed("opening for writing failed", 0..0, error))?;
        let metadata = opened
            .metadata()
            .map_err(|error| self.failed("opening for writing failed", 0..0, error))?;
        if number_of(metadata.rdev()) != self.number
            || sysfs::disk_sequence(self.number) != self.disk_sequence
        {
            return Err(Error::new(Kind::Io, "the device was replaced while it was in use")
                .device(self.path.display())
                .state("nothing was written"));
        }
        Ok(self.writer.get_or_init(|| opened))
    }

    fn offset(&self, start: Sectors) -> Result<u64> {
        start.bytes().ok_or_else(|| {
            Error::new(Kind::Limit, "an offset is past 2^64 bytes").device(self.path.display())
        })
    }

    fn failed(&self, what: &str, range: std::ops::Range<u64>, error: io::Error) -> Error {
        let sectors = if range.is_empty() { Vec::new() } else { vec![range] };
        Error::new(Kind::Io, what).device(self.path.display()).sectors(sectors).because(error)
    }
}

fn sector_range(start: Sectors, bytes: usize) -> std::ops::Range<u64> {
    let sectors = (bytes as u64).div_ceil(SECTOR_SIZE);
    start.0..start.0.saturating_add(sectors)
}

fn cannot_open(path: &Path, error: io::Error) -> Error {
    let (kind, what) = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) => (Kind::NotFound, "there is no such device"),
        Some(rustix::io::Errno::BUSY) => (Kind::InUse, "the device is in use"),
        Some(rustix::io::Errno::INVAL) => (Kind::Usage, "this does not take direct I/O"),
        _ => (Kind::Io, "the device cannot be opened"),
    };
    Error::new(kind, what).device(path.display()).state("nothing was changed").because(error)
}
