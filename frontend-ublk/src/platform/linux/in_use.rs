//! Who has a device open. The kernel tells no number for ublk, so the processes are asked.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};

/// How many hold it: processes with a descriptor of it, or 1 for a file system or a device on it.
pub(crate) fn count(number: DeviceNumber, node: &Path) -> u32 {
    let rdev = rustix::fs::makedev(number.major, number.minor);
    let mut count = 0;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries.filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok()) {
        for fd in fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(metadata) = fs::metadata(fd.path()) else { continue };
            if metadata.file_type().is_block_device() && metadata.rdev() == rdev {
                count += 1;
            }
        }
    }
    if count == 0 && is_claimed(node) { 1 } else { count }
}

/// How often, and after what pauses, a device that nothing has claimed is looked at again: whoever
/// looks for file systems on every device that changes has it open for a moment.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Refuses where somebody has it open, and goes on having it open.
pub(crate) fn refuse(node: &Path) -> Result<()> {
    let rdev = fs::metadata(node).map_or(0, |metadata| metadata.rdev());
    let number = DeviceNumber { major: rustix::fs::major(rdev), minor: rustix::fs::minor(rdev) };
    for look in 0..LOOKS {
        if rdev == 0 || count(number, node) == 0 {
            return Ok(());
        }
        if is_claimed(node) {
            break;
        }
        if look + 1 < LOOKS {
            std::thread::sleep(PAUSE);
        }
    }
    Err(Error::new(Kind::InUse, "the LV is in use")
        .device(node.display())
        .state("it is still active")
        .next("unmount it, or end what has it open"))
}

/// Whether a file system, swap, or another device has claimed it.
fn is_claimed(node: &Path) -> bool {
    let opened = fs::File::options().read(true).custom_flags(libc::O_EXCL).open(node);
    opened.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
}
