//! Opening a PV's device: `O_EXCL`, which is the fence, and what the kernel says it can do.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvshift_core::device::Device;
use lvshift_core::units::{DeviceNumber, SECTOR_SIZE};
use lvshift_frontend_common::error::{Error, Kind, Result};

use super::sys;
use crate::backing::{BackingDevice, Limits};
use crate::errors::DeviceErrors;
use crate::platform::Slot;
use crate::protocol::WirePv;

const FENCE_STEP: Duration = Duration::from_millis(20);

impl BackingDevice {
    /// Opens the device that a client has identified, and makes sure that it is that one.
    ///
    /// Waits for another process's exclusive hold to end, up to `patience`.
    pub(crate) fn open(pv: &WirePv, slot: Slot, patience: Duration) -> Result<BackingDevice> {
        let path = PathBuf::from(&pv.path);
        let file = open_alone(&path, patience)?;
        let about = |error: io::Error| {
            Error::new(Kind::Io, "a PV's device cannot be examined")
                .device(path.display())
                .because(error)
        };
        let metadata = file.metadata().map_err(about)?;
        let rdev = metadata.rdev();
        let number =
            DeviceNumber { major: rustix::fs::major(rdev), minor: rustix::fs::minor(rdev) };
        let sequence = sys::disk_sequence(&file);
        if !metadata.file_type().is_block_device()
            || number != pv.number()
            || pv.disk_sequence.is_some_and(|expected| sequence != Some(expected))
        {
            return Err(Error::new(Kind::Inconsistent, "the device is not the PV it just was")
                .device(path.display())
                .state("it was not touched"));
        }
        let sectors = (&file).seek(SeekFrom::End(0)).map_err(about)? / SECTOR_SIZE;
        if sectors < pv.sectors {
            let what =
                format!("the device has {sectors} sectors, the volume group needs {}", pv.sectors);
            return Err(Error::new(Kind::Shrunk, what).device(path.display()));
        }
        let (below, limits) = limits(&file, number).map_err(about)?;
        let (file, errors) = (Arc::new(file), DeviceErrors::default());
        Ok(BackingDevice { number, path, sectors, limits, file, slot, below, errors })
    }
}

fn open_alone(path: &Path, patience: Duration) -> Result<File> {
    let start = Instant::now();
    loop {
        let opened = open_as(path, true);
        match opened {
            Ok(file) => return Ok(file),
            // It can still be read and left: each write to it fails.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EROFS | libc::EACCES)) => {
                return open_as(path, false).map_err(|_| {
                    Error::new(Kind::Io, "a PV's device cannot be opened")
                        .device(path.display())
                        .because(error)
                });
            }
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && start.elapsed() < patience =>
            {
                sleep(FENCE_STEP);
            }
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                return Err(Error::new(Kind::InUse, "a PV's device is held by something else")
                    .device(path.display())
                    .because(error)
                    .state("nothing was changed")
                    .next(
                        "if lvshift-dm has volumes of this group active, deactivate them first; \
                         a daemon that died may still have writes in flight",
                    ));
            }
            Err(error) => {
                return Err(Error::new(Kind::Io, "a PV's device cannot be opened")
                    .device(path.display())
                    .because(error));
            }
        }
    }
}

fn open_as(path: &Path, write: bool) -> io::Result<File> {
    let flags = fence() | libc::O_DIRECT | libc::O_CLOEXEC;
    OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
}

/// `O_EXCL`. The test VM's build can be told to go without, to show what is lost then.
fn fence() -> i32 {
    #[cfg(feature = "failpoints")]
    if std::env::var_os("LVSHIFT_NO_FENCE").is_some() {
        return 0;
    }
    libc::O_EXCL
}

fn limits(file: &File, number: DeviceNumber) -> io::Result<(Device, Limits)> {
    let logical_block = rustix::fs::ioctl_blksszget(file)?;
    let physical_block = rustix::fs::ioctl_blkpbszget(file)?;
    let queue = |name: &str| -> u64 {
        let device = format!("/sys/dev/block/{number}");
        // A partition's limits are its disk's.
        [format!("{device}/queue/{name}"), format!("{device}/../queue/{name}")]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
            .unwrap_or(0)
    };
    let granularity = u32::try_from(queue("discard_granularity")).unwrap_or(0);
    let limits = Limits {
        physical_block: physical_block.max(logical_block),
        discard_granularity: if queue("discard_max_bytes") > 0 { granularity } else { 0 },
    };
    Ok((Device::new(logical_block, queue("write_zeroes_max_bytes") > 0), limits))
}
