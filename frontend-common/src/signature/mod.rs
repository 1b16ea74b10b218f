//! Signatures of others on a device, for the refusal of `pvcreate`.

mod blkid;
mod table;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use lvshift_core::units::{SECTOR_SIZE, Sectors};

use crate::device::{Aligned, BlockDevice};
use crate::error::{Error, Kind, Result};
use table::{MAGICS, Magic};

/// Bytes at the start of a device that are looked at.
const HEAD: usize = 1024 * 1024;
/// Bytes at the end of a device that are looked at.
const TAIL: u64 = 256 * 1024;
/// Bytes at either end that hold every superblock that libblkid knows.
const ENDS: u64 = 4 << 20;

/// A signature on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose it is.
    pub name: &'static str,
    /// Where it stands, in bytes.
    pub offset: u64,
}

/// Every signature on the device that this program knows, and what libblkid finds besides, where it is installed.
///
/// # Errors
/// `Kind::Io` when the device cannot be read.
pub fn find_any(device: &BlockDevice) -> Result<Vec<Signature>> {
    let found = find(device)?;
    Ok(with_blkid(found, device, 0, device.size().bytes().unwrap_or(u64::MAX)))
}

/// These, and what libblkid finds in that part of the device where there is none of them.
pub(crate) fn with_blkid(
    mut found: Vec<Signature>,
    device: &BlockDevice,
    start: u64,
    size: u64,
) -> Vec<Signature> {
    add(
        &mut found,
        device.real_file().map(|file| blkid::find(file, start, size)).unwrap_or_default(),
    );
    found
}

/// The same of what lies in several pieces: libblkid reads a file of its size in memory, which holds a copy of both ends.
///
/// # Errors
/// Those of `read`; `Kind::Kernel` without such a file.
pub(crate) fn with_blkid_of_ends(
    mut found: Vec<Signature>,
    sectors: Sectors,
    read: &dyn Fn(Sectors, &mut [u8]) -> Result<()>,
) -> Result<Vec<Signature>> {
    let size = sectors.bytes().unwrap_or(u64::MAX);
    let cannot = |error: std::io::Error| {
        Error::new(Kind::Kernel, "no file in memory to look for signatures in").because(error)
    };
    let copy = rustix::fs::memfd_create("lvshift", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|error| cannot(error.into()))?;
    let copy = File::from(copy);
    copy.set_len(size).map_err(cannot)?;
    let end = size.min(ENDS);
    for start in [0, (size - end) & !4095] {
        let mut bytes = Aligned::zeroed(usize::try_from(end).unwrap_or(0) & !4095);
        read(Sectors(start / SECTOR_SIZE), &mut bytes)?;
        copy.write_all_at(&bytes, start).map_err(cannot)?;
    }
    add(&mut found, blkid::find(&copy, 0, size));
    Ok(found)
}

/// Adds those that stand where none is known.
fn add(found: &mut Vec<Signature>, others: Vec<Signature>) {
    for other in others {
        let block = |signature: &Signature| signature.offset / 4096;
        if !found.iter().any(|known| block(known) == block(&other)) {
            found.push(other);
        }
    }
}

/// Every signature on the device that this program knows.
///
/// # Errors
/// `Kind::Io` when the device cannot be read.
pub fn find(device: &BlockDevice) -> Result<Vec<Signature>> {
    find_by(device.size(), &|start, buffer| device.read(start, buffer))
}

/// Every known signature on whatever can be read so; direct I/O is enough.
///
/// # Errors
/// Those of `read`.
pub(crate) fn find_by(
    sectors: Sectors,
    read: &dyn Fn(Sectors, &mut [u8]) -> Result<()>,
) -> Result<Vec<Signature>> {
    let size = sectors.bytes().unwrap_or(u64::MAX);
    let head_size = usize::try_from(size.min(HEAD as u64)).unwrap_or(HEAD) & !4095;
    let mut head = Aligned::zeroed(head_size);
    read(Sectors(0), &mut head)?;
    let mut found = find_in_head(&head);
    // The last 256 KiB, from a multiple of 4096 on, so that direct I/O takes it.
    let tail_start = size.saturating_sub(TAIL) & !4095;
    let tail_size = usize::try_from(size - tail_start).unwrap_or(0);
    let mut tail = Aligned::zeroed(tail_size);
    read(Sectors(tail_start / SECTOR_SIZE), &mut tail)?;
    found.extend(find_in_tail(&tail, tail_start, size));
    Ok(found)
}

/// A superblock at the end of a device that says of the whole device what it is a part of: what looks like
/// a PV at its start lies inside that. Only one that says where it stands, and stands there, counts: the
/// end of an LV may be the end of its PV.
///
/// # Errors
/// `Kind::Io` when the device cannot be read.
pub(crate) fn part_of(device: &BlockDevice) -> Result<Option<&'static str>> {
    let size = device.size().bytes().unwrap_or(u64::MAX);
    let start = (size & !4095).saturating_sub(8192);
    let mut tail = Aligned::zeroed(usize::try_from((size & !4095) - start).unwrap_or(0));
    device.read(Sectors(start / SECTOR_SIZE), &mut tail)?;
    Ok(part_of_tail(&tail, start, size))
}

fn part_of_tail(tail: &[u8], start: u64, size: u64) -> Option<&'static str> {
    let word = |at: usize| tail.get(at..at + 8)?.first_chunk::<8>().copied();
    // md's version 1.0: it stands at the last multiple of 4 KiB that leaves 8 KiB, and says so.
    let says = word(144).map(u64::from_le_bytes);
    if matches(tail, 0, MD) && says == Some(start / SECTOR_SIZE) {
        return Some("an md RAID (superblock 1.0)");
    }
    // DRBD's internal metadata: the last 4 KiB; the size that it offers, and its bitmap, fill the rest.
    let at = usize::try_from((size & !4095).checked_sub(4096)?.checked_sub(start)?).ok()?;
    let offered = word(at).map(u64::from_be_bytes)?.checked_mul(SECTOR_SIZE)?;
    let kept = size.checked_sub(offered)?;
    let bitmap = (size / 32768).next_multiple_of(4096);
    let is_its = DRBD.iter().any(|magic| matches(tail, at + 60, magic));
    (is_its && kept <= bitmap + (256 << 10)).then_some("a DRBD device")
}

const MD: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
/// Of version 8, of an unclean 8.4, of 9.
const DRBD: &[&[u8]] =
    &[&[0x83, 0x74, 0x02, 0x6b], &[0x83, 0x74, 0x02, 0x6c], &[0x83, 0x74, 0x02, 0x6d]];

/// Whether the device is a PV of LVM2, by its label alone.
pub(crate) fn is_lvm2(device: &BlockDevice) -> bool {
    let mut head = Aligned::zeroed(4096);
    device.read(Sectors(0), &mut head).is_ok() && lvm2_labels(&head).next().is_some()
}

/// The bytes at which LVM2's label stands: in one of the first four sectors.
fn lvm2_labels(head: &[u8]) -> impl Iterator<Item = usize> + '_ {
    (0..4).map(|sector| sector * 512).filter(|start| {
        matches(head, *start, b"LABELONE") && matches(head, start + 24, b"LVM2 001")
    })
}

fn matches(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

fn find_in_head(head: &[u8]) -> Vec<Signature> {
    let mut found: Vec<Signature> = MAGICS
        .iter()
        .filter(|Magic { offset, bytes, .. }| matches(head, *offset, bytes))
        .map(|Magic { name, offset, .. }| Signature { name, offset: *offset as u64 })
        .collect();
    found.extend(lvm2_labels(head).map(|at| Signature { name: "LVM2 PV", offset: at as u64 }));
    // Both byte orders of the uberblock's magic, in the first label's array of uberblocks.
    for slot in 0..128 {
        let start = 128 * 1024 + slot * 1024;
        if matches(head, start, &0x00ba_b10c_u64.to_le_bytes())
            || matches(head, start, &[0, 0, 0, 0, 0x00, 0xba, 0xb1, 0x0c])
        {
            found.push(Signature { name: "ZFS", offset: start as u64 });
            break;
        }
    }
    if is_mbr(head) && !found.iter().any(|other| other.offset < 512) {
        found.push(Signature { name: "MBR partition table", offset: 510 });
    }
    found
}

/// A boot signature and at least one entry with a type and a length; boot code of a file system
/// has the signature, too.
fn is_mbr(head: &[u8]) -> bool {
    matches(head, 510, &[0x55, 0xaa])
        && (0..4).any(|entry| {
            let start = 446 + entry * 16;
            let entry = head.get(start..start + 16).unwrap_or_default();
            let plausible = matches!(entry.first(), Some(0 | 0x80));
            plausible
                && entry.get(4).is_some_and(|kind| *kind != 0)
                && entry.get(12..16).is_some_and(|length| length.iter().any(|byte| *byte != 0))
        })
}

fn find_in_tail(tail: &[u8], tail_start: u64, size: u64) -> Vec<Signature> {
    let mut found = Vec::new();
    let mut look = |name, at: Option<u64>, magic: &[u8]| {
        let Some(at) = at else { return };
        let inside = at.checked_sub(tail_start).and_then(|inside| usize::try_from(inside).ok());
        if inside.is_some_and(|inside| matches(tail, inside, magic)) {
            found.push(Signature { name, offset: at });
        }
    };
    look("md RAID 1.0", (size & !4095).checked_sub(8192), MD);
    look("md RAID 0.90", (size & !65535).checked_sub(65536), MD);
    for magic in DRBD {
        let at = (size & !4095).checked_sub(4096 - 60);
        look("DRBD", at, magic);
    }
    look("Intel RAID", size.checked_sub(1024), b"Intel Raid ISM Cfg Sig. ");
    look("DDF RAID", size.checked_sub(512), &[0xde, 0x11, 0xde, 0x11]);
    look("LSI MegaRAID", size.checked_sub(512), b"$XIDE$");
    look("Promise RAID", size.checked_sub(63 * 512), b"Promise Technology, Inc.");
    look("nVidia RAID", size.checked_sub(1024), b"NVIDIA");
    look("GPT (backup)", size.checked_sub(512), b"EFI PART");
    look("GPT (backup)", size.checked_sub(4096), b"EFI PART");
    found
}
