//! The three dm ioctls that make udev events. The devicemapper crate waits after each of them until
//! udev has seen to it, without a limit: a udevd that is stopped, or that lacks dm's rules, would
//! hang a move for ever. So these are made here, and [`crate::udev`] waits where waiting is right,
//! and not for long.

use std::fs::File;
use std::io;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// Type of dm's ioctls.
const DM: u8 = 0xFD;
const REMOVE: Opcode = opcode::read_write::<Header>(DM, 4);
const RENAME: Opcode = opcode::read_write::<Header>(DM, 5);
const SUSPEND: Opcode = opcode::read_write::<Header>(DM, 6);

const NAME: usize = 128;
const UUID: usize = 129;
/// The kernel has sent an event and put our cookie into it.
const UEVENT_GENERATED: u32 = 1 << 13;

/// `struct dm_ioctl`.
#[repr(C)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME],
    uuid: [u8; UUID],
    data: [u8; 7],
}

const _: () = assert!(size_of::<Header>() == 312, "the kernel's struct dm_ioctl has 312 bytes");

/// The header and what follows it: the new name, in a rename.
#[repr(C)]
struct Packet {
    header: Header,
    data: [u8; NAME],
}

/// What is to be done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// Take the device with this UUID down.
    Remove { uuid: &'a str },
    /// Give the device of the first name the second.
    Rename { old: &'a str, new: &'a str },
    /// Resume the device with this UUID, switching to the loaded table if there is one.
    Resume { uuid: &'a str },
}

/// Makes the change. `event` goes into udev's event; answers whether the kernel sent one.
pub(crate) fn change(
    control: &File,
    change: Change<'_>,
    flags: u32,
    event: u32,
) -> io::Result<bool> {
    let mut packet = Packet {
        header: Header {
            version: [4, 0, 0],
            data_size: u32::try_from(size_of::<Packet>()).expect("440"),
            data_start: u32::try_from(size_of::<Header>()).expect("312"),
            target_count: 0,
            open_count: 0,
            flags,
            event_nr: event,
            padding: 0,
            dev: 0,
            name: [0; NAME],
            uuid: [0; UUID],
            data: [0; 7],
        },
        data: [0; NAME],
    };
    match change {
        Change::Remove { uuid } => {
            put(&mut packet.header.uuid, uuid)?;
            call::<REMOVE>(control, &mut packet)?;
        }
        Change::Resume { uuid } => {
            put(&mut packet.header.uuid, uuid)?;
            call::<SUSPEND>(control, &mut packet)?;
        }
        Change::Rename { old, new } => {
            put(&mut packet.header.name, old)?;
            put(&mut packet.data, new)?;
            call::<RENAME>(control, &mut packet)?;
        }
    }
    Ok(packet.header.flags & UEVENT_GENERATED != 0)
}

/// Copies a name with a zero behind it.
fn put(into: &mut [u8], text: &str) -> io::Result<()> {
    match into.get_mut(..text.len()) {
        Some(place) if text.len() < NAME && !text.is_empty() => {
            place.copy_from_slice(text.as_bytes());
            Ok(())
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn call<const OP: Opcode>(control: &File, packet: &mut Packet) -> io::Result<()> {
    // SAFETY: each opcode used here makes the kernel read and write `data_size` bytes, which is
    // the size of a packet; all of a packet are plain integers, for which any bytes are valid.
    let call = unsafe { Updater::<OP, Packet>::new(packet) };
    // SAFETY: as above; the packet outlives the call.
    unsafe { ioctl(control, call) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_kernels_header() {
        assert_eq!([REMOVE, RENAME, SUSPEND], [0xC138_FD04, 0xC138_FD05, 0xC138_FD06]);
    }

    #[test]
    fn a_name_always_ends_in_a_zero() {
        let mut field = [0_u8; NAME];
        assert!(put(&mut field, &"x".repeat(NAME - 1)).is_ok());
        assert!(put(&mut field, &"x".repeat(NAME)).is_err());
        assert!(put(&mut field, "").is_err());
    }

    #[test]
    fn what_is_no_device_mapper_refuses() {
        let null = File::open("/dev/null").expect("it is everywhere");
        let done = change(&null, Change::Remove { uuid: "LVSHIFT-none" }, 0, 0);
        assert_eq!(done.expect_err("no dm").raw_os_error(), Some(25));
    }
}
