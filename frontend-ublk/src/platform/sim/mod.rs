//! The host as the simulator makes it up: what is asked of it goes to a [`Host`].

mod backing;
mod connection;
mod control;
pub(crate) mod files;
mod host;
pub(crate) mod in_use;
pub(crate) mod links;
mod process;
mod ready;
mod ring;
mod threads;
mod wakeup;

use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::FrontEnd;
use lvshift_frontend_common::lvm2::mapper::Mapper;

pub(crate) use self::connection::{connect, daemon_of, shut_down, wait_for_end};
pub(crate) use self::control::{Control, disk_number, disk_path, open_char};
pub use self::host::{Completion, Host, Io, IoOp, Killed, Request, set_host};
pub(crate) use self::process::daemon;
pub use self::process::{front_end, is_alive, is_serving, kill, set_pace, start, without_daemon};
pub(crate) use self::ready::make_ready;
pub use self::ring::Handle;
pub(crate) use self::ring::{Descriptors, Memory, Ring, read_at};
pub(crate) use self::threads::{
    Condvar, Instant, Mutex, MutexGuard, Thread, abort, cpus, sleep, spawn,
};
pub(crate) use self::wakeup::Wakeup;
pub use super::RingLoop;

/// The simulator has no device-mapper, and no VG of LVM2's.
pub(crate) fn mapper() -> Result<Box<dyn Mapper + Send>> {
    Err(Error::new(Kind::Unsupported, "there is no device-mapper here"))
}

/// And no other front end.
pub(crate) fn beside() -> Option<Box<dyn FrontEnd + Send>> {
    None
}

/// Requests that a queue takes at once.
pub const DEPTH: u16 = crate::limits::DEPTH;

/// What a [`Request`] may be, as the driver numbers it.
pub mod op {
    use crate::uapi::op;

    /// Read.
    pub const READ: u8 = op::READ;
    /// Write.
    pub const WRITE: u8 = op::WRITE;
    /// Flush.
    pub const FLUSH: u8 = op::FLUSH;
    /// Discard.
    pub const DISCARD: u8 = op::DISCARD;
    /// Zero.
    pub const WRITE_ZEROES: u8 = op::WRITE_ZEROES;
}
