//! The commands of the simulator's ublk driver.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};

use super::host::{asked, call, host};
use crate::platform::Handle;
use crate::uapi::{Features, Info, Params, STATE_QUIESCED};

/// `UBLK_S_DEV_LIVE`.
const STATE_LIVE: u16 = 1;

pub(crate) struct Control;

impl Control {
    pub(crate) fn open() -> Result<Control> {
        asked("opening the driver")?;
        Ok(Control)
    }

    pub(crate) fn features(&mut self) -> Result<Features> {
        Ok(Features::WANTED)
    }

    pub(crate) fn add(&mut self, queues: u16, depth: u16, max_io_bytes: u32) -> Result<Info> {
        asked("making a device")?;
        let device = host().add_device(queues);
        Ok(Info { queues, depth, max_io_bytes, device, state: STATE_LIVE, ..Info::default() })
    }

    pub(crate) fn info(&mut self, device: u32) -> Result<Option<Info>> {
        Ok(host().device(device).map(|(queues, orphaned)| Info {
            queues,
            depth: crate::limits::DEPTH,
            max_io_bytes: crate::limits::MAX_IO_BYTES,
            device,
            state: if orphaned { STATE_QUIESCED } else { STATE_LIVE },
            ..Info::default()
        }))
    }

    pub(crate) fn set_params(&mut self, device: u32, params: Params) -> Result<()> {
        asked("giving a device its size")?;
        host().set_device_sectors(device, params.sectors);
        Ok(())
    }

    pub(crate) fn sectors(&mut self, device: u32) -> Result<u64> {
        Ok(host().device_sectors(device))
    }

    pub(crate) fn start(&mut self, device: u32) -> Result<()> {
        asked("starting a device")?;
        host().start_device(device);
        Ok(())
    }

    pub(crate) fn stop(&mut self, device: u32) -> Result<()> {
        host().stop_device(device);
        Ok(())
    }

    pub(crate) fn delete(&mut self, device: u32) -> Result<()> {
        host().stop_device(device);
        Ok(())
    }

    pub(crate) fn start_recovery(&mut self, device: u32) -> io::Result<()> {
        call("beginning to take a device over")?;
        if host().may_recover(device) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::EBUSY))
        }
    }

    pub(crate) fn end_recovery(&mut self, device: u32) -> Result<()> {
        asked("taking a device over")?;
        host().start_device(device);
        Ok(())
    }

    pub(crate) fn update_size(&mut self, _device: u32, _sectors: u64) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "the simulated driver does not resize"))
    }
}

pub(crate) fn open_char(device: u32, _patience: Duration) -> Result<Handle> {
    asked("opening a device")?;
    Ok(Handle::Char(device))
}

pub(crate) fn disk_number(device: u32) -> Result<DeviceNumber> {
    Ok(DeviceNumber { major: 259, minor: device })
}

pub(crate) fn disk_path(device: u32) -> PathBuf {
    PathBuf::from(format!("/dev/ublkb{device}"))
}
