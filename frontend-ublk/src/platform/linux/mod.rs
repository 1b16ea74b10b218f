//! The host as Linux is.

mod backing;
#[cfg(feature = "bench")]
mod bench;
mod beside;
mod connection;
mod control;
mod door;
pub(crate) mod files;
mod guardian;
pub(crate) mod in_use;
pub(crate) mod links;
mod pins;
mod process;
mod protect;
mod ready;
mod ring;
mod server;
mod settle;
mod sys;
mod threads;
mod wakeup;

#[cfg(feature = "bench")]
pub(crate) use self::bench::copy as bench_copy;
pub(crate) use self::connection::{connect, daemon_of, shut_down, wait_for_end};
pub(crate) use self::control::{Control, disk_number, disk_path, open_char};
pub(crate) use self::process::daemon;
pub(crate) use self::ready::make_ready;
#[cfg(test)]
pub(crate) use self::ring::unless_forbidden;
pub(crate) use self::ring::{Descriptors, Handle, Memory, Ring, read_at};
pub(crate) use self::threads::{
    Condvar, Instant, Mutex, MutexGuard, Thread, abort, cpus, sleep, spawn,
};
pub(crate) use self::wakeup::Wakeup;
pub(crate) use lvshift_dm::mapper;

use lvshift_frontend_common::front_end::FrontEnd;

/// The front end that uses device-mapper, to look at what it serves.
#[expect(clippy::unnecessary_wraps, reason = "the simulator has none")]
pub(crate) fn beside() -> Option<Box<dyn FrontEnd + Send>> {
    Some(lvshift_dm::looker())
}
