//! What a scenario can do in the guest.
//!
//! Everything has a time limit, everything run is written to the scenario's log,
//! and every error says which command on which device.

pub mod boot;
mod channel;
mod devices;
mod dm;
mod fault;
mod fs;
pub mod memory;
pub mod modules;
mod nbd;
mod region;
mod run;
mod side;

pub use channel::Channel;
pub use dm::{DmDevice, THROTTLE};
pub use fault::Faulty;
pub use fs::{Fs, Mounted, Tree};
pub use nbd::Nbd;
pub use region::Region;
pub use run::{Background, Run};
pub use side::Side;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::report::Report;
use crate::scenario::Frontend;

/// The pause between one look at what is waited for and the next.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// Where a scenario's state disk is mounted.
pub const STATE_DIR: &str = "/var/lib/lvshift";

/// The exit status by which the scenario's process asks PID 1 for a reboot.
pub const EXIT_REBOOT: i32 = 42;

/// The guest, as a scenario sees it.
#[derive(Debug)]
pub struct Guest {
    channel: Channel,
    frontend: Frontend,
    boot: u32,
    terminal: bool,
    full: bool,
}

impl Guest {
    /// Called by PID 1's child, once.
    #[must_use]
    pub fn new(channel: Channel, job: &boot::Job) -> Self {
        Self {
            channel,
            frontend: job.frontend,
            boot: job.boot,
            terminal: job.terminal,
            full: job.full,
        }
    }

    /// The front end under test.
    #[must_use]
    pub const fn frontend(&self) -> Frontend {
        self.frontend
    }

    /// 1 at first, then 2 after the first power cut or reboot, and so on.
    #[must_use]
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// Whether what is shown goes to a terminal, so that a line can be drawn again with `\r`.
    #[must_use]
    pub const fn on_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether a scenario of many trials that are alike is to make all of them.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Writes a line to the scenario's log, shown if it fails.
    pub fn log(&self, text: impl Into<String>) {
        self.channel.send(&Report::Log(text.into()));
    }

    /// Sends text to the host's terminal as it is, at once (for the demo).
    pub fn show(&self, text: impl Into<String>) {
        self.channel.send(&Report::Show(text.into()));
    }

    /// The disk of that name, e.g. `/dev/vda`.
    ///
    /// # Errors
    /// If the scenario has no such disk.
    pub fn disk(&self, name: &str) -> Result<PathBuf> {
        let link = Path::new("/dev/disk/by-serial").join(name);
        // A distribution's udevd has its own name for it.
        let by_udev = Path::new("/dev/disk/by-id").join(format!("virtio-{name}"));
        std::fs::canonicalize(&link)
            .or_else(|_| std::fs::canonicalize(&by_udev))
            .with_context(|| format!("no disk has the serial number {name} ({})", link.display()))
    }

    /// A path on the disk that survives reboots.
    ///
    /// # Errors
    /// If the scenario did not ask for a state disk.
    pub fn state(&self, file: &str) -> Result<PathBuf> {
        if !is_mount_point(STATE_DIR)? {
            bail!("this scenario has no state disk: set `state_disk: true`");
        }
        Ok(Path::new(STATE_DIR).join(file))
    }

    /// Cuts the power: the host kills the virtual machine at once and boots it
    /// again with the same disks.
    pub fn power_cut(&self) -> ! {
        self.channel.send(&Report::PowerCut);
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }

    /// Syncs, unmounts, shuts down in order and boots again with the same disks.
    pub fn reboot(&self) -> ! {
        std::process::exit(EXIT_REBOOT)
    }

    /// Lets a whole Debian shut down as it does, which may take `limit_s` seconds, and boots again.
    pub fn shut_down(&self, limit_s: u32) -> ! {
        self.channel.send(&Report::ShutDown(limit_s));
        std::process::exit(EXIT_REBOOT)
    }

    /// Ends this boot with a program that does so, within `limit_s` seconds from now, and boots again.
    pub fn end_by(&self, limit_s: u32, program: &str, args: &[&str]) -> ! {
        self.channel.send(&Report::ShutDown(limit_s));
        let ended = std::process::Command::new(program).args(args).status();
        self.channel.send(&Report::Fail(format!("{program} does not end the boot: {ended:?}")));
        std::process::exit(1)
    }

    /// Loads a kernel module and what it needs.
    ///
    /// # Errors
    /// If it is not in the guest or the kernel refuses it.
    pub fn modprobe(&self, name: &str) -> Result<()> {
        modules::Modules::read()?.load(name)
    }

    /// Waits until `ready` answers `Ok(true)`.
    ///
    /// # Errors
    /// What `ready` answered, or that `what` did not happen in time.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let looks = Instant::now();
            if ready().with_context(|| format!("while waiting until {what}"))? {
                return Ok(());
            }
            if start.elapsed() > limit {
                bail!("waited {limit:?} in vain until {what}");
            }
            // A look that runs commands must not take the machine from what it waits for.
            std::thread::sleep(looks.elapsed().clamp(MIN_PAUSE, MAX_PAUSE));
        }
    }
}

/// Whether something is mounted at `dir`.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn is_mount_point(dir: &str) -> Result<bool> {
    let mounts = std::fs::read_to_string("/proc/mounts").context("reading /proc/mounts")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == Some(dir)))
}
