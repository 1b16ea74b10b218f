//! The kernel's ublk interface (`linux/ublk_cmd.h`), as far as it is used: numbers and layouts.
//!
//! The structs cross the border as bytes in the machine's own order, field by field, so that no
//! layout attribute has to be believed.

#![expect(
    clippy::host_endian_bytes,
    reason = "an interface of the running kernel is in the order of the running machine"
)]

use bitflags::bitflags;

/// The device of the control commands.
pub(crate) const CONTROL_PATH: &str = "/dev/ublk-control";

bitflags! {
    /// What the driver can do (`UBLK_F_*`), and what a device is made with.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Features: u64 {
        /// The device outlives its server.
        const USER_RECOVERY = 1 << 3;
        /// What the dead server had in flight is handed to the new one.
        const USER_RECOVERY_REISSUE = 1 << 4;
        /// Commands carry their size and direction.
        const CMD_IOCTL_ENCODE = 1 << 6;
        /// A device can grow while it is used.
        const UPDATE_SIZE = 1 << 10;
        /// The driver has others that are nothing to us.
        const _ = !0;
    }

    /// Which parts of `struct ublk_params` are filled in (`UBLK_PARAM_TYPE_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct ParamTypes: u32 {
        const BASIC = 1;
        const DISCARD = 1 << 1;
    }

    /// What the block layer is to know of the disk (`UBLK_ATTR_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Attributes: u32 {
        const VOLATILE_CACHE = 1 << 2;
        const FUA = 1 << 3;
    }

    /// How a request is to be done (`UBLK_IO_F_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct IoFlags: u32 {
        const FUA = 1 << 13;
        /// Write zeroes, but keep the space.
        const NOUNMAP = 1 << 15;
        /// Hints, and the operation.
        const _ = !0;
    }
}

impl Features {
    /// What a device of ours is made with; each is in Debian's 6.12.
    pub(crate) const WANTED: Features = Features::USER_RECOVERY
        .union(Features::USER_RECOVERY_REISSUE)
        .union(Features::CMD_IOCTL_ENCODE);

    /// By the kernel's names, those that it has for them here.
    pub(crate) fn names(self) -> String {
        let names: Vec<String> =
            self.iter_names().map(|(name, _)| format!("UBLK_F_{name}")).collect();
        names.join(", ")
    }
}

/// Control commands, as `_IOWR('u', number, struct ublksrv_ctrl_cmd)` and `_IOR`.
pub(crate) mod command {
    const SIZE: u32 = super::COMMAND_SIZE as u32;

    const fn read(number: u32) -> u32 {
        2 << 30 | SIZE << 16 | (b'u' as u32) << 8 | number
    }

    const fn read_write(number: u32) -> u32 {
        3 << 30 | SIZE << 16 | (b'u' as u32) << 8 | number
    }

    pub(crate) const GET_DEV_INFO: u32 = read(0x02);
    pub(crate) const ADD_DEV: u32 = read_write(0x04);
    pub(crate) const DEL_DEV: u32 = read_write(0x05);
    pub(crate) const START_DEV: u32 = read_write(0x06);
    pub(crate) const STOP_DEV: u32 = read_write(0x07);
    pub(crate) const SET_PARAMS: u32 = read_write(0x08);
    pub(crate) const GET_PARAMS: u32 = read(0x09);
    pub(crate) const START_USER_RECOVERY: u32 = read_write(0x10);
    pub(crate) const END_USER_RECOVERY: u32 = read_write(0x11);
    pub(crate) const GET_FEATURES: u32 = read(0x13);
    pub(crate) const UPDATE_SIZE: u32 = read_write(0x15);
}

/// Commands of a queue, as `_IOWR('u', number, struct ublksrv_io_cmd)`.
pub(crate) mod io_command {
    const fn io(number: u32) -> u32 {
        3 << 30 | 16 << 16 | (b'u' as u32) << 8 | number
    }

    pub(crate) const FETCH: u32 = io(0x20);
    pub(crate) const COMMIT_AND_FETCH: u32 = io(0x21);
}

/// `struct ublksrv_ctrl_cmd`.
pub(crate) const COMMAND_SIZE: usize = 32;
/// `struct ublksrv_ctrl_dev_info`.
pub(crate) const INFO_SIZE: usize = 64;
/// `struct ublk_params` of 6.12; a shorter one that says so is as good.
pub(crate) const PARAMS_SIZE: usize = 112;
/// `struct ublksrv_io_desc`.
pub(crate) const DESCRIPTOR_SIZE: usize = 24;
/// Tags that the descriptor area of each queue has room for.
pub(crate) const MAX_DEPTH: usize = 4096;

/// One control command's arguments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Command {
    /// The device, or `u32::MAX` for "any".
    pub(crate) device: u32,
    /// Where the payload is, for the commands that have one.
    pub(crate) address: u64,
    /// How long it is.
    pub(crate) len: u16,
    /// A number, for the commands that take one.
    pub(crate) data: u64,
}

impl Command {
    /// As the 80 bytes that a 128-byte submission entry has room for.
    pub(crate) fn encode(self) -> [u8; 80] {
        let mut bytes = [0; 80];
        put(&mut bytes, 0, &self.device.to_ne_bytes());
        // No queue: -1.
        put(&mut bytes, 4, &u16::MAX.to_ne_bytes());
        put(&mut bytes, 6, &self.len.to_ne_bytes());
        put(&mut bytes, 8, &self.address.to_ne_bytes());
        put(&mut bytes, 16, &self.data.to_ne_bytes());
        bytes
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) queues: u16,
    pub(crate) depth: u16,
    pub(crate) state: u16,
    pub(crate) max_io_bytes: u32,
    pub(crate) device: u32,
    pub(crate) pid: i32,
    pub(crate) flags: Features,
    /// Ours to use: the kernel keeps it and gives it back.
    pub(crate) server_flags: u64,
}

/// [`Info::state`]: there is no disk, yet or any more.
pub(crate) const STATE_DEAD: u16 = 0;
/// [`Info::state`]: its server is gone, requests wait for another.
pub(crate) const STATE_QUIESCED: u16 = 2;

impl Info {
    pub(crate) fn encode(self) -> [u8; INFO_SIZE] {
        let mut bytes = [0; INFO_SIZE];
        put(&mut bytes, 0, &self.queues.to_ne_bytes());
        put(&mut bytes, 2, &self.depth.to_ne_bytes());
        put(&mut bytes, 4, &self.state.to_ne_bytes());
        put(&mut bytes, 8, &self.max_io_bytes.to_ne_bytes());
        put(&mut bytes, 12, &self.device.to_ne_bytes());
        put(&mut bytes, 16, &self.pid.to_ne_bytes());
        put(&mut bytes, 24, &self.flags.bits().to_ne_bytes());
        put(&mut bytes, 32, &self.server_flags.to_ne_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; INFO_SIZE]) -> Info {
        Info {
            queues: u16::from_ne_bytes(get(bytes, 0)),
            depth: u16::from_ne_bytes(get(bytes, 2)),
            state: u16::from_ne_bytes(get(bytes, 4)),
            max_io_bytes: u32::from_ne_bytes(get(bytes, 8)),
            device: u32::from_ne_bytes(get(bytes, 12)),
            pid: i32::from_ne_bytes(get(bytes, 16)),
            flags: Features::from_bits_retain(u64::from_ne_bytes(get(bytes, 24))),
            server_flags: u64::from_ne_bytes(get(bytes, 32)),
        }
    }
}

/// What the block layer is told about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) sectors: u64,
    /// Powers of two: 9 is 512 bytes.
    pub(crate) logical_shift: u8,
    pub(crate) physical_shift: u8,
    pub(crate) max_sectors: u32,
    /// 0: no discard.
    pub(crate) max_discard_sectors: u32,
    pub(crate) max_zeroes_sectors: u32,
    pub(crate) discard_granularity: u32,
}

impl Params {
    pub(crate) fn encode(self) -> [u8; PARAMS_SIZE] {
        // A volatile cache, always: a move may lead to a disk that has one, and whether flushes are
        // sent is decided once.
        let attributes = Attributes::VOLATILE_CACHE | Attributes::FUA;
        let mut bytes = [0; PARAMS_SIZE];
        let discards = self.max_discard_sectors > 0;
        let mut types = ParamTypes::BASIC;
        types.set(ParamTypes::DISCARD, discards);
        put(&mut bytes, 0, &(PARAMS_SIZE as u32).to_ne_bytes());
        put(&mut bytes, 4, &types.bits().to_ne_bytes());
        put(&mut bytes, 8, &attributes.bits().to_ne_bytes());
        bytes[12] = self.logical_shift;
        bytes[13] = self.physical_shift;
        // Optimal and smallest preferred I/O: a physical block.
        bytes[14] = self.physical_shift;
        bytes[15] = self.physical_shift;
        put(&mut bytes, 16, &self.max_sectors.to_ne_bytes());
        put(&mut bytes, 24, &self.sectors.to_ne_bytes());
        if discards {
            put(&mut bytes, 44, &self.discard_granularity.to_ne_bytes());
            put(&mut bytes, 48, &self.max_discard_sectors.to_ne_bytes());
            put(&mut bytes, 52, &self.max_zeroes_sectors.to_ne_bytes());
            put(&mut bytes, 56, &1u16.to_ne_bytes());
        }
        bytes
    }
}

/// Operations of a request.
pub(crate) mod op {
    pub(crate) const READ: u8 = 0;
    pub(crate) const WRITE: u8 = 1;
    pub(crate) const FLUSH: u8 = 2;
    pub(crate) const DISCARD: u8 = 3;
    pub(crate) const WRITE_ZEROES: u8 = 5;
}

/// A request, as the kernel describes it in the mapped area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) op: u8,
    pub(crate) fua: bool,
    /// Write zeroes, but keep the space.
    pub(crate) no_unmap: bool,
    pub(crate) sectors: u32,
    pub(crate) start: u64,
}

impl Descriptor {
    pub(crate) fn decode(bytes: &[u8; DESCRIPTOR_SIZE]) -> Descriptor {
        let op_flags = u32::from_ne_bytes(get(bytes, 0));
        let flags = IoFlags::from_bits_retain(op_flags);
        Descriptor {
            op: (op_flags & 0xFF) as u8,
            fua: flags.contains(IoFlags::FUA),
            no_unmap: flags.contains(IoFlags::NOUNMAP),
            sectors: u32::from_ne_bytes(get(bytes, 4)),
            start: u64::from_ne_bytes(get(bytes, 8)),
        }
    }

    /// Whether it is a read or a write.
    pub(crate) fn has_data(&self) -> bool {
        matches!(self.op, op::READ | op::WRITE)
    }
}

/// `struct ublksrv_io_cmd`.
pub(crate) fn io_command(queue: u16, tag: u16, result: i32, address: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    put(&mut bytes, 0, &queue.to_ne_bytes());
    put(&mut bytes, 2, &tag.to_ne_bytes());
    put(&mut bytes, 4, &result.to_ne_bytes());
    put(&mut bytes, 8, &address.to_ne_bytes());
    bytes
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: &[u8; N]) {
    bytes[at..at + N].copy_from_slice(value);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_numbers_are_the_kernels() {
        // From the kernel's header, expanded by hand.
        assert_eq!(command::ADD_DEV, 0xC020_7504);
        assert_eq!(command::GET_FEATURES, 0x8020_7513);
        assert_eq!(io_command::FETCH, 0xC010_7520);
    }

    #[test]
    fn a_missing_feature_is_named() {
        let has =
            Features::USER_RECOVERY | Features::CMD_IOCTL_ENCODE | Features::from_bits_retain(1);
        let missing = Features::WANTED.difference(has);
        assert_eq!(missing.names(), "UBLK_F_USER_RECOVERY_REISSUE");
        assert_eq!(Features::WANTED.bits(), 0b101_1000);
        assert!(Features::WANTED.difference(Features::all()).is_empty());
    }

    #[test]
    fn info_comes_back() {
        let info = Info {
            queues: 2,
            depth: 64,
            state: 1,
            max_io_bytes: 1 << 18,
            device: 3,
            pid: 77,
            flags: Features::WANTED,
            server_flags: 9,
        };
        assert_eq!(Info::decode(&info.encode()), info);
    }

    #[test]
    fn a_request_is_read() {
        let mut bytes = [0; DESCRIPTOR_SIZE];
        put(&mut bytes, 0, &(1u32 | 1 << 13).to_ne_bytes());
        put(&mut bytes, 4, &8u32.to_ne_bytes());
        put(&mut bytes, 8, &4096u64.to_ne_bytes());
        let expected =
            Descriptor { op: op::WRITE, fua: true, no_unmap: false, sectors: 8, start: 4096 };
        assert_eq!(Descriptor::decode(&bytes), expected);
    }
}
