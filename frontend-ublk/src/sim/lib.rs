//! `lvshift-ublk` as the simulator runs it: the real queues, mirror, gate, daemon and client over
//! a kernel that the simulator makes up (`Host`). All that differs from the program are the
//! files beside this one.
#![cfg(feature = "sim")]
#![expect(dead_code, reason = "the simulator has no use for all of the program")]

mod bell;
mod control;
mod daemon;
mod files;
mod host;
mod lower;
mod os;
mod process;
mod ring;

#[path = "../client/mod.rs"]
mod client;
#[path = "../device.rs"]
mod device;
#[path = "../events.rs"]
mod events;
#[path = "../failpoint.rs"]
mod failpoint;
#[path = "../gate.rs"]
mod gate;
#[path = "../live.rs"]
mod live;
#[path = "../mirror/mod.rs"]
mod mirror;
#[path = "../protocol.rs"]
mod protocol;
#[path = "../queue/mod.rs"]
mod queue;
#[path = "../status.rs"]
mod status;
#[path = "../uapi.rs"]
mod uapi;

pub use host::{Completion, Host, Io, IoOp, Killed, Request, set_host};
pub use os::Work;
pub use process::{front_end, is_alive, is_serving, kill, set_pace, start};
pub use ring::Handle;

/// Requests that a queue takes at once.
pub const DEPTH: u16 = queue::DEPTH;

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
