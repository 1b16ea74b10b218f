//! Telling the kernel's nbd driver about its sockets, by generic netlink: what `nbd-client` does.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink, recv, send, socket};

/// Of `linux/netlink.h` and `linux/genetlink.h`.
const CONTROLLER: u16 = 0x10;
const REQUEST_AND_ACK: u16 = 1 | 4;
const ERROR: u16 = 2;
const NESTED: u16 = 0x8000;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Of `linux/nbd-netlink.h`.
const CONNECT: u8 = 1;
const DISCONNECT: u8 = 2;
const RECONFIGURE: u8 = 3;
const INDEX: u16 = 1;
const SIZE_BYTES: u16 = 2;
const BLOCK_SIZE_BYTES: u16 = 3;
const TIMEOUT: u16 = 4;
const SERVER_FLAGS: u16 = 5;
const SOCKETS: u16 = 7;
const DEAD_CONNECTION_TIMEOUT: u16 = 8;
const SOCKET_ITEM: u16 = 1;
const SOCKET_FD: u16 = 1;
/// Of `linux/nbd.h`: it has flags, and it flushes.
const FLAGS: u64 = 1 | 4;

/// What a device is.
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) bytes: u64,
    /// After how many seconds without an answer a connection counts as dead.
    pub(super) timeout_s: u64,
    /// How many seconds requests wait for another connection before they fail.
    pub(super) reconnect_s: u64,
}

/// Makes the device, served over `peer`.
pub(super) fn connect(device: &Device, peer: &OwnedFd) -> Result<()> {
    let mut attributes = number32(INDEX, device.index);
    for (kind, value) in [
        (SIZE_BYTES, device.bytes),
        (BLOCK_SIZE_BYTES, 512),
        (TIMEOUT, device.timeout_s),
        (SERVER_FLAGS, FLAGS),
        (DEAD_CONNECTION_TIMEOUT, device.reconnect_s),
    ] {
        attributes.extend(attribute(kind, &native64(value)));
    }
    attributes.extend(sockets(peer));
    nbd(CONNECT, &attributes).context("connecting an nbd device")
}

/// Gives the device another connection in the place of a dead one.
pub(super) fn reconnect(index: u32, peer: &OwnedFd) -> Result<()> {
    let mut attributes = number32(INDEX, index);
    attributes.extend(sockets(peer));
    nbd(RECONFIGURE, &attributes).context("reconnecting an nbd device")
}

/// Takes the device away.
pub(super) fn disconnect(index: u32) -> Result<()> {
    nbd(DISCONNECT, &number32(INDEX, index)).context("disconnecting an nbd device")
}

fn sockets(peer: &OwnedFd) -> Vec<u8> {
    let fd = u32::try_from(peer.as_raw_fd()).unwrap_or(u32::MAX);
    let item = attribute(SOCKET_ITEM | NESTED, &number32(SOCKET_FD, fd));
    attribute(SOCKETS | NESTED, &item)
}

fn nbd(command: u8, attributes: &[u8]) -> Result<()> {
    let name = attribute(FAMILY_NAME, b"nbd\0");
    let family = exchange(CONTROLLER, GET_FAMILY, &name)?;
    let family = find16(&family, FAMILY_ID).context("the kernel has no family nbd")?;
    exchange(family, command, attributes).map(|_| ())
}

/// Sends one command and returns the attributes of the answer, if it has one.
fn exchange(family: u16, command: u8, attributes: &[u8]) -> Result<Vec<u8>> {
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::GENERIC))?;
    let mut message = Vec::new();
    let len = u32::try_from(20 + attributes.len())?;
    message.extend(native32(len));
    message.extend(native16(family));
    message.extend(native16(REQUEST_AND_ACK));
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend(attributes);
    send(netlink.as_fd(), &message, SendFlags::empty()).context("asking the kernel")?;
    let mut answer = Vec::new();
    loop {
        let mut bytes = vec![0; 8192];
        let (len, _) = recv(netlink.as_fd(), &mut bytes, RecvFlags::empty())?;
        let mut rest = &bytes[..len];
        while rest.len() >= 20 {
            let len = usize::try_from(read32(rest, 0))?;
            ensure!(len >= 20 && len <= rest.len(), "a netlink message of {len} bytes");
            if read16(rest, 4) == ERROR {
                let errno = read32(rest, 16).cast_signed();
                if errno != 0 {
                    bail!(std::io::Error::from_raw_os_error(-errno));
                }
                return Ok(answer);
            }
            answer.extend_from_slice(&rest[20..len]);
            rest = &rest[len.next_multiple_of(4).min(rest.len())..];
        }
    }
}

fn find16(mut attributes: &[u8], wanted: u16) -> Option<u16> {
    while attributes.len() >= 6 {
        let len = usize::from(read16(attributes, 0));
        if read16(attributes, 2) == wanted {
            return Some(read16(attributes, 4));
        }
        attributes = attributes.get(len.max(4).next_multiple_of(4)..)?;
    }
    None
}

fn number32(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &native32(value))
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + payload.len()).expect("a short attribute");
    let mut bytes = [native16(len), native16(kind)].concat();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[expect(clippy::host_endian_bytes, reason = "netlink speaks as the host does")]
fn native16(value: u16) -> [u8; 2] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "netlink speaks as the host does")]
fn native32(value: u32) -> [u8; 4] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "netlink speaks as the host does")]
fn native64(value: u64) -> [u8; 8] {
    value.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "netlink speaks as the host does")]
fn read16(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

#[expect(clippy::host_endian_bytes, reason = "netlink speaks as the host does")]
fn read32(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_found() {
        let mut all = attribute(FAMILY_NAME, b"nbd\0x");
        assert_eq!(all.len(), 12);
        all.extend(attribute(FAMILY_ID, &native16(27)));
        assert_eq!(find16(&all, FAMILY_ID), Some(27));
        assert_eq!(find16(&all, 9), None);
    }
}
