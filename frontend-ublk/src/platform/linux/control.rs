//! The commands of `/dev/ublk-control`: making, starting, recovering and removing devices.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};

use super::ring::{CommandRing, Handle};
use crate::uapi::{self, Features, Info, Params, command};

/// How often what is not there yet is looked for.
const STEP: Duration = Duration::from_millis(20);

/// The control device, opened.
pub(crate) struct Control {
    file: File,
    ring: CommandRing,
}

impl Control {
    /// Opens it and looks whether the kernel can do what is needed.
    pub(crate) fn open() -> Result<Control> {
        let open = || File::options().read(true).write(true).open(uapi::CONTROL_PATH);
        let opened = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                load_module();
                open()
            }
            other => other,
        };
        let file = opened.map_err(|error| {
            let error = Error::new(Kind::Kernel, "the kernel's ublk driver is not there")
                .device(uapi::CONTROL_PATH)
                .because(error)
                .state("nothing was changed");
            error.next("load the module ublk_drv (Linux 6.4 or later), or use lvshift-dm")
        })?;
        let ring = CommandRing::new().map_err(|error| {
            Error::new(Kind::Kernel, "io_uring cannot be used here")
                .because(error)
                .state("nothing was changed")
                .next("see /proc/sys/kernel/io_uring_disabled")
        })?;
        let mut control = Control { file, ring };
        let has = control.features()?;
        let missing = Features::WANTED.difference(has);
        if !missing.is_empty() {
            let what = format!("the kernel's ublk driver lacks {}", missing.names());
            return Err(Error::new(Kind::Kernel, what)
                .state("nothing was changed")
                .next("use a newer kernel (each is in Linux 6.12), or lvshift-dm"));
        }
        Ok(control)
    }

    /// What the driver can do.
    pub(crate) fn features(&mut self) -> Result<Features> {
        let mut bytes = [0; 8];
        self.issue("asking for its features", command::GET_FEATURES, 0, Some(&mut bytes))?;
        #[expect(clippy::host_endian_bytes, reason = "the kernel's own struct")]
        Ok(Features::from_bits_retain(u64::from_ne_bytes(bytes)))
    }

    /// Makes a device without a disk yet; the kernel chooses its number.
    pub(crate) fn add(&mut self, queues: u16, depth: u16, max_io_bytes: u32) -> Result<Info> {
        let wanted = Info {
            queues,
            depth,
            max_io_bytes,
            device: u32::MAX,
            flags: Features::WANTED,
            ..Info::default()
        };
        let mut bytes = wanted.encode();
        self.issue("adding a device", command::ADD_DEV, u32::MAX, Some(&mut bytes))?;
        Ok(Info::decode(&bytes))
    }

    /// What the device is, or `None` if there is none of this number.
    pub(crate) fn info(&mut self, device: u32) -> Result<Option<Info>> {
        let mut bytes = Info::default().encode();
        let command = uapi::Command { device, ..uapi::Command::default() };
        match self.ring.issue(&self.file, command::GET_DEV_INFO, command, Some(&mut bytes)) {
            Ok(_) => Ok(Some(Info::decode(&bytes))),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(failed("asking about a device", device, error)),
        }
    }

    /// Says what the disk will be.
    pub(crate) fn set_params(&mut self, device: u32, params: Params) -> Result<()> {
        let mut bytes = params.encode();
        self.issue("describing a device", command::SET_PARAMS, device, Some(&mut bytes))
    }

    /// The size in sectors that the device was made with.
    pub(crate) fn sectors(&mut self, device: u32) -> Result<u64> {
        let mut bytes = [0; uapi::PARAMS_SIZE];
        #[expect(clippy::host_endian_bytes, reason = "the kernel's own struct")]
        bytes[..4].copy_from_slice(&(uapi::PARAMS_SIZE as u32).to_ne_bytes());
        self.issue("reading a device's size", command::GET_PARAMS, device, Some(&mut bytes))?;
        let mut sectors = [0; 8];
        sectors.copy_from_slice(&bytes[24..32]);
        #[expect(clippy::host_endian_bytes, reason = "the kernel's own struct")]
        Ok(u64::from_ne_bytes(sectors))
    }

    /// Makes the disk appear, once every queue waits for requests.
    pub(crate) fn start(&mut self, device: u32) -> Result<()> {
        let command = uapi::Command { device, data: own_pid(), ..uapi::Command::default() };
        let done = self.ring.issue(&self.file, command::START_DEV, command, None);
        done.map(|_| ()).map_err(|error| failed("starting a device", device, error))
    }

    /// Takes the disk away; requests that come now fail.
    pub(crate) fn stop(&mut self, device: u32) -> Result<()> {
        self.issue("stopping a device", command::STOP_DEV, device, None)
    }

    /// Removes a stopped device that is not open.
    pub(crate) fn delete(&mut self, device: u32) -> Result<()> {
        self.issue("removing a device", command::DEL_DEV, device, None)
    }

    /// Begins to take a device over whose server is dead. `ResourceBusy` until it is all gone.
    pub(crate) fn start_recovery(&mut self, device: u32) -> io::Result<()> {
        let command = uapi::Command { device, ..uapi::Command::default() };
        let number = command::START_USER_RECOVERY;
        self.ring.issue(&self.file, number, command, None).map(|_| ())
    }

    /// Lets the requests go on, once every queue waits for them again.
    pub(crate) fn end_recovery(&mut self, device: u32) -> Result<()> {
        let command = uapi::Command { device, data: own_pid(), ..uapi::Command::default() };
        let done = self.ring.issue(&self.file, command::END_USER_RECOVERY, command, None);
        done.map(|_| ()).map_err(|error| failed("taking a device over", device, error))
    }

    /// Tells the kernel a new size, where the driver has [`Features::UPDATE_SIZE`].
    pub(crate) fn update_size(&mut self, device: u32, sectors: u64) -> Result<()> {
        let command = uapi::Command { device, data: sectors, ..uapi::Command::default() };
        let done = self.ring.issue(&self.file, command::UPDATE_SIZE, command, None);
        done.map(|_| ()).map_err(|error| failed("resizing a device", device, error))
    }

    fn issue(
        &mut self,
        doing: &str,
        number: u32,
        device: u32,
        payload: Option<&mut [u8]>,
    ) -> Result<()> {
        let command = uapi::Command { device, ..uapi::Command::default() };
        let done = self.ring.issue(&self.file, number, command, payload);
        done.map(|_| ()).map_err(|error| failed(doing, device, error))
    }
}

/// The device whose requests a server fetches.
fn char_path(device: u32) -> PathBuf {
    PathBuf::from(format!("/dev/ublkc{device}"))
}

/// Opens that device, to fetch its requests, within this time.
pub(crate) fn open_char(device: u32, patience: Duration) -> Result<Handle> {
    let path = char_path(device);
    let start = Instant::now();
    loop {
        let opened =
            File::options().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(&path);
        match opened {
            Ok(file) => return Ok(file),
            // The node may come a moment after the device, the dead holder go a moment after it.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EBUSY))
                    && start.elapsed() < patience =>
            {
                std::thread::sleep(STEP);
            }
            Err(error) => {
                return Err(Error::new(Kind::Kernel, "the device's requests cannot be fetched")
                    .device(path.display())
                    .because(error));
            }
        }
    }
}

/// The number of the disk.
pub(crate) fn disk_number(device: u32) -> Result<DeviceNumber> {
    let node = disk_path(device);
    let metadata = std::fs::metadata(&node).map_err(|error| {
        Error::new(Kind::Kernel, "the LV's device is gone").device(node.display()).because(error)
    })?;
    let rdev = metadata.rdev();
    Ok(DeviceNumber { major: rustix::fs::major(rdev), minor: rustix::fs::minor(rdev) })
}

/// The disk.
pub(crate) fn disk_path(device: u32) -> PathBuf {
    PathBuf::from(format!("/dev/ublkb{device}"))
}

/// Nothing in the kernel asks for the driver by itself, as it does for device-mapper's targets.
fn load_module() {
    let loaded = Command::new("modprobe").arg("ublk_drv").stderr(Stdio::null()).status();
    let start = Instant::now();
    while loaded.as_ref().is_ok_and(ExitStatus::success)
        && !Path::new(uapi::CONTROL_PATH).exists()
        && start.elapsed() < Duration::from_secs(2)
    {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn own_pid() -> u64 {
    u64::from(std::process::id())
}

fn failed(doing: &str, device: u32, error: io::Error) -> Error {
    let new = Error::new(Kind::Kernel, format!("{doing} with the ublk driver failed"));
    let new = if device == u32::MAX {
        new.device(uapi::CONTROL_PATH)
    } else {
        new.device(disk_path(device).display())
    };
    new.because(error)
}
