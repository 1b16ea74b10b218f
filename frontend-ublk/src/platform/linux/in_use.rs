//! Who has a device open. The kernel tells no number for ublk, so the processes are asked.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::device::users;
use lvshift_frontend_common::error::{Error, Kind, Result};

/// How many hold it: descriptors of processes, or 1 for a file system, a loop or a device on it. Looks,
/// and holds nothing: whoever mounts it at this moment must not be told that it is busy.
pub(crate) fn count(number: DeviceNumber, _: &Path) -> u32 {
    match users::openers(number) {
        (0, _) => u32::from(users::in_use(number).is_some()),
        (count, _) => count,
    }
}

/// How often, and after what pauses, a device that nothing has claimed is looked at again: whoever
/// looks for file systems on every device that changes has it open for a moment.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Refuses where another process has it open, and goes on having it open; whoever is known to stay, at once.
pub(crate) fn refuse(node: &Path) -> Result<()> {
    let rdev = fs::metadata(node).map_or(0, |metadata| metadata.rdev());
    let number = DeviceNumber { major: rustix::fs::major(rdev), minor: rustix::fs::minor(rdev) };
    let mut who = None;
    for look in 0..LOOKS {
        let user = users::in_use(number).filter(|_| rdev != 0);
        let stays = user.is_some();
        let (count, first) = if stays { (1, user) } else { users::openers(number) };
        // A holder in the kernel that shows nowhere has claimed it.
        if rdev == 0 || (count == 0 && !is_claimed(node)) {
            return Ok(());
        }
        who = first;
        if stays || count == 0 {
            break;
        }
        if look + 1 < LOOKS {
            std::thread::sleep(PAUSE);
        }
    }
    let error = Error::new(Kind::InUse, "the LV is in use")
        .device(node.display())
        .state("it is still active")
        .next("unmount it, or end what has it open");
    Err(match who {
        Some(who) => error.because(who),
        None => error,
    })
}

/// Whether a file system, swap, or another device has claimed it. Only right before it is taken away:
/// for this moment no other program can claim it.
fn is_claimed(node: &Path) -> bool {
    let opened = fs::File::options().read(true).custom_flags(libc::O_EXCL).open(node);
    opened.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
}
