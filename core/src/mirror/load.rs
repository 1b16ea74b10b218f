//! Loading a part's dirty log: what its tracker knows when a move goes on after a crash.

use lvshift_on_disk_format::dirty_log::{self, BITSET_OFFSET, DirtyLogError};

use super::part::Part;
use crate::chunk::{Cells, ChunkIndex, Fault};
use crate::device::DeviceIndex;
use crate::table::Area;
use crate::units::{SECTOR_SIZE, Sectors};
use crate::{Leg, LegFault};

/// A dirty log that is being read, piece by piece, before its part is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLoad {
    chunks: u32,
    /// As many of them the log describes; the others are dirty.
    described: u32,
    log: Area<DeviceIndex>,
    at: u64,
    end: u64,
    piece: u64,
}

impl LogLoad {
    /// The log of `part`, in pieces of at most `piece` bytes; at least 4096, and whole 4096.
    pub fn new<S: Cells>(part: &Part<S>, piece: usize) -> LogLoad {
        let chunks = part.tracker().geometry().chunks();
        let block = dirty_log::BLOCK_SIZE as u64;
        let piece = (piece as u64 / block).max(1).saturating_mul(block);
        let end = dirty_log::image_size(chunks);
        LogLoad { chunks, described: 0, log: part.place().log, at: 0, end, piece }
    }

    /// What to read next, from where and how many bytes; `None`: all of it is loaded.
    pub fn next_read(&self) -> Option<(Area<DeviceIndex>, usize)> {
        let left = self.end.checked_sub(self.at).filter(|left| *left > 0)?;
        let len = usize::try_from(left.min(self.piece)).ok()?;
        let offset = Sectors(self.log.offset.0.saturating_add(self.at / SECTOR_SIZE));
        Some((Area { offset, ..self.log }, len))
    }

    /// Takes the bytes that [`LogLoad::next_read`] has asked for.
    ///
    /// # Errors
    /// [`DirtyLogError`] where it is not this part's log at all: then everything counts as not copied,
    /// the load is over, and the first write of the log puts it right.
    pub fn take<S: Cells>(&mut self, part: &Part<S>, bytes: &[u8]) -> Result<(), DirtyLogError> {
        let Some((_, len)) = self.next_read() else { return Ok(()) };
        let bytes = bytes.get(..len).unwrap_or(bytes);
        let mut bits = bytes;
        if self.at == 0 {
            let header = bytes.first_chunk();
            let checked = match header {
                Some(header) => dirty_log::check_header(header, self.chunks),
                None => Err(DirtyLogError::BadMagic { found: 0 }),
            };
            match checked {
                Ok(described) => self.described = described,
                Err(error) => {
                    self.at = self.end;
                    return Err(error);
                }
            }
            bits = bytes.get(BITSET_OFFSET as usize..).unwrap_or(&[]);
        }
        let first = self.at.saturating_sub(BITSET_OFFSET).saturating_mul(8);
        // Up to seven chunks that are equal are copied again where the last byte is not whole.
        let described = u64::from(self.described).saturating_sub(first);
        let whole = described == u64::from(self.chunks).saturating_sub(first);
        let most = if whole { bits.len() } else { usize::try_from(described / 8).unwrap_or(0) };
        let bits = bits.get(..most).unwrap_or(bits);
        part.tracker().load_log_bits(ChunkIndex(u32::try_from(first).unwrap_or(u32::MAX)), bits);
        self.at = self.at.saturating_add(len as u64);
        Ok(())
    }

    /// What [`LogLoad::next_read`] has asked for cannot be read, and the load is over. The log may call
    /// any of its chunks clean, and whoever reads it another time believes that: so none of them is
    /// written on the source alone before the log is void, and the part has failed.
    pub fn unreadable<S: Cells>(&mut self, part: &Part<S>) {
        let first = self.at.saturating_sub(BITSET_OFFSET).saturating_mul(8);
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        let bits = [u8::MAX; 64];
        for chunk in (first..self.chunks).step_by(bits.len().saturating_mul(8)) {
            part.tracker().load_log_bits(ChunkIndex(chunk), &bits);
        }
        self.at = self.end;
        // No request waits by it yet, so none is to be woken.
        let _ = part.tracker().fail(Fault { leg: Leg::Destination, fault: LegFault::Gone });
    }
}
