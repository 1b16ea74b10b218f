//! What loop devices are made from, by the kernel's own word: a path that it shows may be one of another
//! mount namespace, or of a file that is gone.

use std::fs;
use std::fs::File;
use std::path::PathBuf;

use lvshift_core::units::DeviceNumber;
use rustix::ioctl::{Getter, Opcode, ioctl};

/// `LOOP_GET_STATUS64`, and its answer in words of eight bytes: the third is the device that the loop is
/// over, 0 if it is over a file.
const GET_STATUS: Opcode = 0x4C05;
type Status = [u64; 29];

/// The loop devices over this device.
pub(super) fn over(number: DeviceNumber) -> Vec<PathBuf> {
    let disks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let loops = disks.filter(|disk| disk.path().join("loop/backing_file").exists());
    let nodes = loops.map(|disk| PathBuf::from("/dev").join(disk.file_name()));
    nodes
        .filter(|node| File::open(node).ok().and_then(|file| lower(&file)) == Some(number))
        .collect()
}

fn lower(file: &File) -> Option<DeviceNumber> {
    // SAFETY: the request fills 232 bytes, which is what the type has, and any bytes are good in it.
    let request = unsafe { Getter::<GET_STATUS, Status>::new() };
    // SAFETY: the request only writes its own answer.
    let status = unsafe { ioctl(file, request) }.ok()?;
    decode(*status.get(2)?)
}

/// The kernel's encoding of a device number in its answers.
fn decode(text: u64) -> Option<DeviceNumber> {
    let word = u32::try_from(text).ok().filter(|word| *word != 0)?;
    Some(DeviceNumber { major: word >> 8 & 0xFFF, minor: word & 0xFF | word >> 12 & 0xF_FF00 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_apart_as_the_kernel_puts_them_together() {
        assert_eq!(decode(0), None);
        assert_eq!(decode(0xFD03), Some(DeviceNumber { major: 253, minor: 3 }));
        assert_eq!(decode(0x0010_0301), Some(DeviceNumber { major: 3, minor: 257 }));
    }
}
