//! NBD on the wire, as <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md> has it.
#![expect(clippy::big_endian_bytes, reason = "NBD is big-endian")]

use std::io::{Read, Result, Write};

/// The server's first eight bytes.
pub(super) const HELLO: u64 = 0x4e42_444d_4147_4943;
/// `IHAVEOPT`: of the newstyle handshake, and before each option.
pub(super) const OPTION: u64 = 0x4948_4156_454f_5054;
/// Before each reply to an option.
pub(super) const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
pub(super) const FIXED_NEWSTYLE: u16 = 1;
pub(super) const NO_ZEROES: u16 = 2;

pub(super) const OPT_EXPORT_NAME: u32 = 1;
pub(super) const OPT_ABORT: u32 = 2;
pub(super) const OPT_INFO: u32 = 6;
pub(super) const OPT_GO: u32 = 7;
pub(super) const REP_ACK: u32 = 1;
pub(super) const REP_INFO: u32 = 3;
pub(super) const REP_UNSUPPORTED: u32 = 0x8000_0001;
pub(super) const REP_UNKNOWN: u32 = 0x8000_0006;
pub(super) const INFO_EXPORT: u16 = 0;
pub(super) const INFO_BLOCK_SIZE: u16 = 3;

/// HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES.
pub(super) const EXPORT_FLAGS: u16 = 1 | 4 | 8 | 32 | 64;

pub(super) const REQUEST: u32 = 0x2560_9513;
pub(super) const REPLY: u32 = 0x6744_6698;
pub(super) const FUA: u16 = 1;
pub(super) const CMD_READ: u16 = 0;
pub(super) const CMD_WRITE: u16 = 1;
pub(super) const CMD_DISCONNECT: u16 = 2;
pub(super) const CMD_FLUSH: u16 = 3;
pub(super) const CMD_TRIM: u16 = 4;
pub(super) const CMD_WRITE_ZEROES: u16 = 6;
pub(super) const EIO: u32 = 5;
pub(super) const EINVAL: u32 = 22;

/// The longest request with bytes in it.
pub(super) const MOST_BYTES: u32 = 32 << 20;

/// A request's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) flags: u16,
    pub(super) command: u16,
    pub(super) cookie: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
}

impl Header {
    /// Reads the next one.
    pub(super) fn read(from: &mut impl Read) -> Result<Header> {
        if u32(from)? != REQUEST {
            return Err(std::io::Error::other("not an NBD request"));
        }
        let (flags, command) = (u16(from)?, u16(from)?);
        Ok(Header { flags, command, cookie: u64(from)?, offset: u64(from)?, len: u32(from)? })
    }
}

/// A simple reply.
pub(super) fn reply(to: &mut impl Write, cookie: u64, error: u32, bytes: &[u8]) -> Result<()> {
    let mut message = Vec::with_capacity(16 + bytes.len());
    message.extend_from_slice(&REPLY.to_be_bytes());
    message.extend_from_slice(&error.to_be_bytes());
    message.extend_from_slice(&cookie.to_be_bytes());
    message.extend_from_slice(bytes);
    to.write_all(&message)
}

/// A reply to an option.
pub(super) fn option_reply(
    to: &mut impl Write,
    option: u32,
    kind: u32,
    bytes: &[u8],
) -> Result<()> {
    let mut message = Vec::with_capacity(20 + bytes.len());
    message.extend_from_slice(&OPTION_REPLY.to_be_bytes());
    message.extend_from_slice(&option.to_be_bytes());
    message.extend_from_slice(&kind.to_be_bytes());
    let len = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(bytes);
    to.write_all(&message)
}

/// What `INFO_EXPORT` says, and the end of `OPT_EXPORT_NAME`: size and flags.
pub(super) fn export(size: u64) -> Vec<u8> {
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend_from_slice(&EXPORT_FLAGS.to_be_bytes());
    bytes
}

/// The bytes of an information reply.
pub(super) fn info(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// What `INFO_BLOCK_SIZE` says: least, best, most.
pub(super) fn block_sizes(sector: u32) -> Vec<u8> {
    [sector, 4096, MOST_BYTES].iter().flat_map(|size| size.to_be_bytes()).collect()
}

/// The server's greeting.
pub(super) fn greet(to: &mut impl Write) -> Result<()> {
    let mut message = HELLO.to_be_bytes().to_vec();
    message.extend_from_slice(&OPTION.to_be_bytes());
    message.extend_from_slice(&(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes());
    to.write_all(&message)
}

/// The next number.
pub(super) fn u16(from: &mut impl Read) -> Result<u16> {
    let mut bytes = [0; 2];
    from.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

/// The next number.
pub(super) fn u32(from: &mut impl Read) -> Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// The next number.
pub(super) fn u64(from: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
