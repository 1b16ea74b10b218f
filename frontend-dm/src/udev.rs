//! Waiting for udev, as dm's other users do it and no longer than is good.
//!
//! An event that a change of a device makes may carry a cookie. When udev has seen to the event, dm's
//! rules count the semaphore down that the cookie names (`dmsetup udevcomplete`). So a command
//! knows when the links that udev makes are there. Nothing of a move waits for that: a udevd that
//! is stopped must not stop a move.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use devicemapper::DmUdevFlags;
use rustix::rand::{GetRandomFlags, getrandom};

/// What marks a semaphore as one of dm, in the upper half of its key.
const MAGIC: u32 = 0x0D4D;
/// Where the flags stand in the cookie.
const FLAGS_SHIFT: u32 = 16;
/// This event comes from who made the change, not from a trigger.
const PRIMARY_SOURCE: DmUdevFlags = DmUdevFlags::DM_UDEV_PRIMARY_SOURCE_FLAG;
/// No link, no look for a file system.
const DISABLE_ALL: DmUdevFlags = DmUdevFlags::DM_UDEV_DISABLE_DM_RULES_FLAG
    .union(DmUdevFlags::DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG)
    .union(DmUdevFlags::DM_UDEV_DISABLE_DISK_RULES_FLAG)
    .union(DmUdevFlags::DM_UDEV_DISABLE_OTHER_RULES_FLAG);
/// How long one command waits for udev, in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Where udevd listens.
const CONTROL: &str = "/run/udev/control";
/// The rules that count the semaphore down.
const NOTIFY: &str = "95-dm-notify.rules";
/// Where rules may be.
const RULES: &[&str] =
    &["/usr/lib/udev/rules.d", "/lib/udev/rules.d", "/etc/udev/rules.d", "/run/udev/rules.d"];

/// The semaphore by which udev tells that it is done. It is taken away when this is dropped.
pub(crate) struct Cookie {
    semaphore: libc::c_int,
    base: u32,
    patient: std::cell::Cell<bool>,
}

impl Cookie {
    /// `None` where no udevd runs, or none that would ever count it down.
    pub(crate) fn new() -> Option<Cookie> {
        let rules = RULES.iter().any(|dir| Path::new(dir).join(NOTIFY).exists());
        if !Path::new(CONTROL).exists() || !rules {
            return None;
        }
        (0..4).find_map(|_| {
            let mut bytes = [0; 2];
            getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
            let base = u32::from(u16::from_le_bytes(bytes).max(1));
            let key = i32::try_from(MAGIC << FLAGS_SHIFT | base).ok()?;
            let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
            // SAFETY: takes three integers.
            let semaphore = unsafe { libc::semget(key, 1, flags) };
            let patient = std::cell::Cell::new(true);
            (semaphore >= 0).then_some(Cookie { semaphore, base, patient })
        })
    }

    /// One more event is to come: its cookie.
    fn begin(&self) -> u32 {
        match self.count(1) {
            Ok(()) => self.base,
            Err(error) => {
                tracing::debug!(%error, "the semaphore for udev cannot be used");
                0
            }
        }
    }

    /// The event that was to come did not.
    fn cancel(&self) {
        if let Err(error) = self.count(-1) {
            tracing::debug!(%error, "udev was faster");
        }
    }

    /// Waits until udev has seen to all events, for a while. After having waited in vain once, no
    /// more.
    pub(crate) fn wait_for_udev(&self) {
        let start = Instant::now();
        while self.patient.get() {
            // SAFETY: GETVAL takes no fourth argument.
            let left = unsafe { libc::semctl(self.semaphore, 0, libc::GETVAL) };
            if left <= 0 {
                return;
            }
            if start.elapsed() >= PATIENCE {
                self.patient.set(false);
                tracing::warn!(
                    left,
                    "udev did not answer in {PATIENCE:?}; its links may be missing"
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn count(&self, by: i16) -> io::Result<()> {
        let flags = i16::try_from(libc::IPC_NOWAIT).unwrap_or(0);
        let mut operation = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: flags };
        // SAFETY: one operation is there, and the pointer is good for the length of the call.
        let done = unsafe { libc::semop(self.semaphore, &raw mut operation, 1) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no fourth argument.
        let _ = unsafe { libc::semctl(self.semaphore, 0, libc::IPC_RMID) };
    }
}

/// Does `change` with the value that its event is to carry. `change` answers whether the kernel
/// has sent an event.
pub(crate) fn told(
    cookie: Option<&Cookie>,
    helper: bool,
    change: impl FnOnce(u32) -> io::Result<bool>,
) -> io::Result<()> {
    let flags = if helper { PRIMARY_SOURCE | DISABLE_ALL } else { PRIMARY_SOURCE };
    let base = cookie.map_or(0, Cookie::begin);
    let done = change(flags.bits() << FLAGS_SHIFT | base);
    if let Some(cookie) = cookie.filter(|_| base != 0 && !matches!(done, Ok(true))) {
        cookie.cancel();
    }
    done.map(drop)
}
