//! All that touches the host: rings, backing devices, the ublk driver's commands, files, threads,
//! locks, clocks and wake-ups. Linux has them; the simulator makes its own up, and everything else of
//! this package is the same in both.

#[cfg(not(feature = "sim"))]
mod linux;
#[cfg(feature = "sim")]
pub mod sim;

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(not(feature = "sim"))]
pub(crate) use self::linux::*;
#[cfg(feature = "sim")]
pub(crate) use self::sim::*;

/// What a process of the daemon's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It sees to it that there is a daemon: one that it starts, or the one that has started it.
    Guardian { beside: bool },
    /// It is the daemon as soon as its guardian says so.
    Standby,
    /// It serves.
    Daemon,
}

/// A slot of a ring's table of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

/// Where I/O goes: a file and a byte offset on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) file: Slot,
    pub(crate) offset: u64,
}

/// A device and the LV that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) vg: [u8; 16],
    pub(crate) lv: [u8; 16],
    /// The N of `/dev/ublkbN`.
    pub(crate) device: u32,
}

/// What a thread with a ring does, cut where it waits.
pub trait RingLoop {
    /// All that can be done now; then how long to wait at most (`None`: until something ends), or
    /// `None` where the thread's work is done.
    ///
    /// # Errors
    /// When the ring is broken.
    fn before_wait(&mut self) -> io::Result<Option<Option<Duration>>>;
    /// Waits for something on the ring to end.
    ///
    /// # Errors
    /// When the ring is broken.
    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()>;
    /// Takes what has ended.
    ///
    /// # Errors
    /// When the ring is broken.
    fn after_wait(&mut self) -> io::Result<()>;
    /// The last act.
    fn ended(&mut self, ended: &io::Result<()>);
}
