//! What an old owner left where a new LV lies: wiped through the PVs, before the LV has a device that udev
//! or anybody else could look at.

use lvshift_core::units::{LvIndex, Sectors};

use super::OpenVg;
use crate::device::Aligned;
use crate::error::{Error, Kind, Result};
use crate::signature::{self, Signature};

/// What is zeroed at a time, and the unit of direct I/O.
const BLOCK: u64 = 8;

impl OpenVg {
    /// The signatures of others that stand on an LV that has no device yet.
    ///
    /// # Errors
    /// `Kind::Missing`, `Kind::Io`.
    pub(crate) fn signatures_on(&self, lv: LvIndex) -> Result<Vec<Signature>> {
        let extents = self.vg.lv(lv).map(|lv| lv.le_count).unwrap_or_default();
        let size = self.vg.extent_size().span(extents);
        let read = |start: Sectors, buffer: &mut [u8]| {
            let sectors = buffer.len() as u64 / 512;
            let mut at = 0;
            while at < sectors {
                let (device, place, run) = self.place(lv, start.0 + at)?;
                let count = run.min(sectors - at);
                let bytes = |sectors: u64| usize::try_from(sectors * 512).unwrap_or(usize::MAX);
                let Some(part) = buffer.get_mut(bytes(at)..bytes(at + count)) else { break };
                // Direct I/O wants its memory aligned: a part of the buffer need not be.
                let mut aligned = Aligned::zeroed(part.len());
                device.read(place, &mut aligned)?;
                part.copy_from_slice(&aligned);
                at += count;
            }
            Ok(())
        };
        let found = signature::find_by(size, &read)?;
        let (device, place, run) = self.place(lv, 0)?;
        match (place.bytes(), size.bytes()) {
            (Some(start), Some(bytes)) if run >= size.0 => {
                Ok(signature::with_blkid(found, device, start, bytes))
            }
            _ => signature::with_blkid_of_ends(found, size, &read),
        }
    }

    /// Zeroes the 4 KiB of the LV around these bytes of it, durably.
    ///
    /// # Errors
    /// As [`OpenVg::signatures_on`].
    pub(crate) fn zero_blocks(&self, lv: LvIndex, bytes: impl Iterator<Item = u64>) -> Result<()> {
        for byte in bytes {
            let start = byte / 512 / BLOCK * BLOCK;
            let (device, place, run) = self.place(lv, start)?;
            let count = usize::try_from(run.min(BLOCK) * 512).unwrap_or(0);
            device.write(place, &Aligned::zeroed(count))?;
            device.flush()?;
        }
        Ok(())
    }

    /// Where a sector of the LV lies, and how many follow it there.
    fn place(
        &self,
        lv: LvIndex,
        sector: u64,
    ) -> Result<(&crate::device::BlockDevice, Sectors, u64)> {
        let per = u64::from(self.vg.extent_size().sectors());
        let gone = || Error::new(Kind::Inconsistent, "the LV does not reach so far");
        let segment = self
            .vg
            .segments_of(lv)
            .iter()
            .find(|s| (u64::from(s.first.0) * per..s.end() * per).contains(&sector))
            .ok_or_else(gone)?;
        let into = sector - u64::from(segment.first.0) * per;
        let pv = self.vg.pv(segment.place.pv).ok_or_else(gone)?;
        let member =
            self.members.get(segment.place.pv).ok_or_else(|| self.missing_error(&[pv.uuid]))?;
        let start = pv.pe_start.0 + u64::from(segment.place.pe.0) * per + into;
        Ok((&member.pv.device, Sectors(start), u64::from(segment.count.0) * per - into))
    }
}
