//! What makes a guest that is a copy of another one different from all others.

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use lvshift_vm_tests::guest::boot::Order;
use rustix::ioctl::{NoArg, Opcode, ioctl, opcode};
use rustix::time::{ClockId, Timespec, clock_settime};

/// Makes this guest, which is a copy of one that has booted, different from all others: its clock and its
/// random numbers, and with them all UUIDs and the kernel's boot id, which nobody has asked for yet.
///
/// # Errors
/// Whatever the kernel refuses.
pub(crate) fn begin(order: &Order) -> Result<()> {
    let now = Timespec {
        tv_sec: order.now.as_secs().try_into().context("the time of day")?,
        tv_nsec: order.now.subsec_nanos().into(),
    };
    clock_settime(ClockId::Realtime, now).context("setting the clock")?;
    let mut urandom = File::options().write(true).open("/dev/urandom").context("/dev/urandom")?;
    urandom.write_all(&order.seed).context("stirring the random numbers")?;
    // SAFETY: RNDRESEEDCRNG takes no argument and returns nothing.
    let reseed = unsafe { NoArg::<RNDRESEEDCRNG>::new() };
    // SAFETY: As above; the descriptor is that of the random device.
    unsafe { ioctl(&urandom, reseed) }.context("reseeding the random numbers")
}

/// From linux/random.h.
const RNDRESEEDCRNG: Opcode = opcode::none(b'R', 7);
