//! The dirty log, byte for byte the kernel's dm `disk` log: which chunks are equal on both legs.
//!
//! An image is a header and a bitset, bit n = byte n/8, bit n%8, 1 = clean (equal). The kernel
//! stores no chunk size, identity or checksum in it; the move record does.

use core::fmt;

use crate::layout::{ALIGNMENT, dirty_log as at};

#[cfg(test)]
mod tests;

/// The size in bytes in which images are written and aligned.
pub const BLOCK_SIZE: usize = ALIGNMENT as usize;
/// Where the bitset starts in an image, in bytes.
pub const BITSET_OFFSET: u64 = at::BITSET_OFFSET;

/// Bytes of the image for this many chunks, a multiple of 4096.
///
/// The kernel rounds the bitset up to 32 bits, and the whole to the log device's sector.
pub const fn image_size(chunks: u32) -> u64 {
    let bitset = (chunks as u64).div_ceil(32) * 4;
    (at::BITSET_OFFSET + bitset).next_multiple_of(ALIGNMENT)
}

/// Why bytes are not the header of a dirty log for so many chunks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirtyLogError {
    /// Another magic number.
    BadMagic {
        /// What is there.
        found: u32,
    },
    /// Another version than the kernel's 2.
    BadVersion {
        /// What is there.
        found: u32,
    },
    /// The log describes more chunks than there are.
    WrongChunks {
        /// What the move record implies.
        expected: u32,
        /// What the log states.
        found: u64,
    },
}

/// Checks the header at the start of an image for `chunks` chunks, and says how many of them, from the first,
/// it describes: the kernel writes there how many its mirror has, and a mirror may not reach to the end of what
/// is to move yet. What is not described is dirty, whatever its bit says, as it is for the kernel
/// (`disk_resume` in drivers/md/dm-log.c).
///
/// # Errors
/// [`DirtyLogError`]; such a log must be taken as all dirty.
pub fn check_header(header: &[u8; at::HEADER_SIZE], chunks: u32) -> Result<u32, DirtyLogError> {
    let magic = u32::from_le_bytes(at::MAGIC.get(header));
    if magic != at::MAGIC_VALUE {
        return Err(DirtyLogError::BadMagic { found: magic });
    }
    let version = u32::from_le_bytes(at::VERSION.get(header));
    if version != at::VERSION_VALUE {
        return Err(DirtyLogError::BadVersion { found: version });
    }
    let found = u64::from_le_bytes(at::CHUNKS.get(header));
    match u32::try_from(found) {
        Ok(described) if described <= chunks => Ok(described),
        _ => Err(DirtyLogError::WrongChunks { expected: chunks, found }),
    }
}

/// The header of an image for this many chunks.
pub fn header(chunks: u32) -> [u8; at::HEADER_SIZE] {
    let mut bytes = [0; at::HEADER_SIZE];
    at::MAGIC.put(&mut bytes, at::MAGIC_VALUE.to_le_bytes());
    at::VERSION.put(&mut bytes, at::VERSION_VALUE.to_le_bytes());
    at::CHUNKS.put(&mut bytes, u64::from(chunks).to_le_bytes());
    bytes
}

/// The first 4096 bytes of an all-dirty image; all further ones are zero.
pub fn all_dirty_first_block(chunks: u32) -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    if let Some(start) = block.first_chunk_mut() {
        *start = header(chunks);
    }
    block
}

/// A whole image as the log of a number of chunks: what it says of each. Whoever asks which chunks are equal
/// asks this, and not for bits.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    image: &'a [u8],
    /// As many chunks the header describes.
    described: u32,
}

impl<'a> Log<'a> {
    /// The log of `chunks` chunks that these bytes are.
    ///
    /// # Errors
    /// As [`check_header`]; a short image has another magic number. All chunks are dirty then.
    pub fn of(image: &'a [u8], chunks: u32) -> Result<Log<'a>, DirtyLogError> {
        let header = image.first_chunk().ok_or(DirtyLogError::BadMagic { found: 0 })?;
        Ok(Log { image, described: check_header(header, chunks)? })
    }

    /// As many chunks, from the first, the header describes; the others are dirty.
    pub fn described(self) -> u32 {
        self.described
    }

    /// Whether a chunk is known to be equal: its bit is set, and the header describes it.
    pub fn is_clean(self, chunk: u32) -> bool {
        chunk < self.described && is_clean(self.image, chunk) == Some(true)
    }
}

/// Whether a chunk's bit is set in a whole image; `None` where the image does not reach so far. What it means
/// says [`Log`].
pub fn is_clean(image: &[u8], chunk: u32) -> Option<bool> {
    let byte = usize::try_from(at::BITSET_OFFSET + u64::from(chunk / 8)).ok()?;
    Some(image.get(byte)? & (1 << (chunk % 8)) != 0)
}

/// Sets or clears a chunk's bit in a whole image; `None` where the image does not reach so far.
pub fn set_clean(image: &mut [u8], chunk: u32, clean: bool) -> Option<()> {
    let byte = usize::try_from(at::BITSET_OFFSET + u64::from(chunk / 8)).ok()?;
    let bit = 1 << (chunk % 8);
    let place = image.get_mut(byte)?;
    *place = if clean { *place | bit } else { *place & !bit };
    Some(())
}

/// Counts the clean chunks of an image that is read from its start in pieces of any size. Bits
/// past the last chunk do not count.
#[derive(Clone, Copy, Debug)]
pub struct CleanCounter {
    chunks: u64,
    at_byte: u64,
    clean: u32,
}

impl CleanCounter {
    /// For an image of this many chunks.
    pub fn new(chunks: u32) -> CleanCounter {
        CleanCounter { chunks: u64::from(chunks), at_byte: 0, clean: 0 }
    }

    /// Takes the next bytes of the image in.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(bits_at) = self.at_byte.checked_sub(at::BITSET_OFFSET) {
                let left = self.chunks.saturating_sub(bits_at.saturating_mul(8));
                let mask = if left >= 8 { 0xFF } else { (1u16 << left) as u8 - 1 };
                self.clean += (byte & mask).count_ones();
            }
            self.at_byte = self.at_byte.saturating_add(1);
        }
    }

    /// Clean chunks among the bytes taken in so far.
    pub fn clean(&self) -> u32 {
        self.clean
    }
}

/// Counts the clean chunks of a whole image.
pub fn count_clean(image: &[u8], chunks: u32) -> u32 {
    let mut counter = CleanCounter::new(chunks);
    counter.feed(image);
    counter.clean()
}

impl fmt::Display for DirtyLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirtyLogError::BadMagic { found } => {
                write!(f, "the dirty log starts with {found:08x}, not {:08x}", at::MAGIC_VALUE)
            }
            DirtyLogError::BadVersion { found } => {
                write!(f, "the dirty log has version {found}, not {}", at::VERSION_VALUE)
            }
            DirtyLogError::WrongChunks { expected, found } => {
                write!(f, "the dirty log describes {found} chunks, the move has {expected}")
            }
        }
    }
}

impl core::error::Error for DirtyLogError {}
