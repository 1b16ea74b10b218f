//! What does the kernel's driver know of a device, and how does a device of a dead daemon become ours?

use std::io;
use std::time::Duration;

use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::failpoint::{self, Point};
use crate::limits::{DEPTH, MAX_IO_BYTES};
use crate::live::LiveTable;
use crate::platform::{Control, Instant, disk_path, make_ready, open_char, sleep};
use crate::uapi::{Features, Params, STATE_QUIESCED};

/// How long the kernel may take to let a dead daemon's device go.
pub(super) const RELEASE_LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// Begins the recovery of a device whose daemon has died, and says how many queues it has.
pub(super) fn take_over(control: &mut Control, id: u32, sectors: u64) -> Result<u16> {
    let start = Instant::now();
    let mut ready = false;
    loop {
        let Some(info) = control.info(id)? else {
            return Err(Error::new(Kind::NotFound, "the device to take over is gone")
                .device(disk_path(id).display()));
        };
        if info.state == STATE_QUIESCED {
            let has = control.sectors(id)?;
            if has > sectors {
                let what = format!("the device has {has} sectors, its table {sectors}");
                return Err(Error::new(Kind::Inconsistent, what).device(disk_path(id).display()));
            }
            if info.depth != DEPTH || info.max_io_bytes != MAX_IO_BYTES {
                return Err(Error::new(
                    Kind::Unsupported,
                    "the device was made by a version whose queues are of another size",
                )
                .device(disk_path(id).display())
                .next("take it over with that version, or deactivate it"));
            }
            if !ready {
                let device = open_char(id, RELEASE_LIMIT)?;
                make_ready(device, info.queues, info.depth).map_err(no_thread)?;
                failpoint::pass(Point::QueuesPrepared);
                ready = true;
            }
            match control.start_recovery(id) {
                Ok(()) => {
                    failpoint::pass(Point::RecoveryBegun);
                    return Ok(info.queues);
                }
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => {
                    return Err(Error::new(Kind::Kernel, "the device cannot be taken over")
                        .device(disk_path(id).display())
                        .because(error));
                }
            }
        }
        if start.elapsed() > RELEASE_LIMIT {
            return Err(Error::new(Kind::Kernel, "the kernel does not let the dead daemon go")
                .device(disk_path(id).display())
                .state("its requests wait"));
        }
        sleep(STEP);
    }
}

/// What the block layer is told: the coarsest of what is below.
pub(super) fn params(table: &LiveTable) -> Params {
    let most = |of: fn(&BackingDevice) -> u32| {
        table.devices.iter().map(|device| of(device)).max().unwrap_or(512).max(512)
    };
    let shift = |bytes: u32| u8::try_from(bytes.ilog2()).unwrap_or(12).clamp(9, 12);
    let logical_shift = shift(most(|device| device.below.sector_bytes()));
    let all_discard = table.devices.iter().all(|device| device.limits.discard_granularity > 0);
    let all_zero = table.devices.iter().all(|device| device.below.zeroes());
    // Long discards are cut: one must not keep a chunk's other writes waiting for seconds.
    let at_once = if all_discard || all_zero { 1 << 17 } else { 0 };
    Params {
        sectors: table.sectors(),
        logical_shift,
        physical_shift: shift(most(|device| device.limits.physical_block)).max(logical_shift),
        max_sectors: MAX_IO_BYTES / 512,
        max_discard_sectors: at_once,
        max_zeroes_sectors: if all_zero { 1 << 17 } else { 0 },
        discard_granularity: most(|device| device.limits.discard_granularity),
    }
}

/// What is said where [`can_grow`] is false.
pub(crate) fn cannot_grow() -> Error {
    Error::new(
        Kind::Unsupported,
        "this kernel's ublk driver cannot resize a device that is there (Linux 6.16 can)",
    )
}

/// Whether this driver lets a device in use grow.
pub(crate) fn can_grow(control: &mut Control) -> Result<bool> {
    Ok(control.features()?.contains(Features::UPDATE_SIZE))
}

pub(super) fn no_thread(error: io::Error) -> Error {
    Error::new(Kind::Kernel, "a queue of the device cannot be set up").because(error)
}
