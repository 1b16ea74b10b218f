//! PVs joining and leaving a VG.

use core::fmt;

use lvshift_on_disk_format::{Geometry, Uuid};

use super::{Pv, Store, Vg};
use crate::list::List;
use crate::units::{ExtentSize, Extents, PvIndex, Sectors};

#[cfg(test)]
mod tests;

/// Why a PV cannot join or leave; the VG is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PvError {
    /// No PV at this index.
    NoSuchPv,
    /// The UUID is zero or a PV of this VG already.
    BadUuid,
    /// Not room for one extent, more than 2^32 extents, or areas that overlap.
    BadSize,
    /// As many PVs as the limits allow.
    TooManyPvs {
        /// The limit.
        limit: u32,
    },
    /// LVs or moves use its extents.
    InUse {
        /// How many.
        extents: Extents,
    },
}

impl Pv {
    /// The PV that a label describes, cut into extents; `None` when not one fits, or too many.
    pub fn new(uuid: Uuid, geometry: &Geometry, extent_size: ExtentSize) -> Option<Pv> {
        let count = geometry.data_size() / u64::from(extent_size.sectors());
        let pe_count = Extents(u32::try_from(count).ok().filter(|&count| count > 0)?);
        Some(Pv {
            uuid,
            device_size: Sectors(geometry.device_size()),
            pe_start: Sectors(geometry.data_start()),
            pe_count,
            log_start: Sectors(geometry.log().start),
            log_size: Sectors(geometry.log().size),
            behind: None,
            leaving: false,
        })
    }

    /// Whether its areas fit its device and lie apart.
    pub(super) fn is_sound(&self, extent_size: ExtentSize) -> bool {
        let data_end = self.pe_start.checked_add(extent_size.span(self.pe_count));
        let log_end = self.log_start.checked_add(self.log_size);
        let (Some(data_end), Some(log_end)) = (data_end, log_end) else { return false };
        let starts = [self.pe_start, self.log_start, self.log_size];
        self.pe_count.0 > 0
            && starts.iter().all(|start| start.0.is_multiple_of(8))
            && self.device_size.bytes().is_some()
            && self.log_size.0 >= 8
            && data_end <= self.device_size
            && log_end <= self.pe_start
    }
}

impl<S: Store> Vg<S> {
    /// Adds a PV behind the others.
    ///
    /// # Errors
    /// [`PvError`].
    pub fn add_pv(&mut self, pv: Pv) -> Result<PvIndex, PvError> {
        if pv.uuid.is_nil() || self.pv_by_uuid(pv.uuid).is_some() {
            return Err(PvError::BadUuid);
        }
        if !pv.is_sound(self.extent_size) {
            return Err(PvError::BadSize);
        }
        let index = u16::try_from(self.pvs.len()).map_err(|_| PvError::NoSuchPv)?;
        let full = PvError::TooManyPvs { limit: S::Pvs::LIMIT as u32 };
        self.pvs.push(pv).map_err(|_| full)?;
        Ok(PvIndex(index))
    }

    /// Gives a PV the size that `new` has; all else of it stays.
    ///
    /// # Errors
    /// [`PvError::InUse`] when extents past its end are in use, [`PvError::BadSize`], [`PvError::NoSuchPv`].
    pub fn resize_pv(&mut self, pv: PvIndex, new: Pv) -> Result<(), PvError> {
        let old = self.pv(pv).ok_or(PvError::NoSuchPv)?;
        let same = (old.uuid, old.pe_start, old.log_start, old.log_size)
            == (new.uuid, new.pe_start, new.log_start, new.log_size);
        if !same || !new.is_sound(self.extent_size) {
            return Err(PvError::BadSize);
        }
        let (past, end) = (new.pe_count.0, old.pe_count.0);
        let free = self.free_runs(pv).map(|run| {
            let first = run.place.pe.0.max(past);
            u32::try_from(run.end()).unwrap_or(u32::MAX).saturating_sub(first)
        });
        let extents = end.saturating_sub(past).saturating_sub(free.sum());
        if extents > 0 {
            return Err(PvError::InUse { extents: Extents(extents) });
        }
        if let Some(entry) = self.pvs.get_mut(pv.index()) {
            *entry = Pv { behind: entry.behind, leaving: entry.leaving, ..new };
        }
        self.rebuild_used();
        Ok(())
    }

    /// Removes a PV that nothing lies on; the PVs behind it move up by one index.
    ///
    /// # Errors
    /// [`PvError::InUse`], [`PvError::NoSuchPv`].
    pub fn remove_pv(&mut self, pv: PvIndex) -> Result<Pv, PvError> {
        let extents = self.used_extents(pv);
        if extents.0 > 0 {
            return Err(PvError::InUse { extents });
        }
        let removed = self.pvs.remove(pv.index()).ok_or(PvError::NoSuchPv)?;
        let down = |index: &mut PvIndex| {
            if *index > pv {
                index.0 -= 1;
            }
        };
        self.segments.iter_mut().for_each(|segment| down(&mut segment.place.pv));
        for part in self.parts.iter_mut() {
            down(&mut part.source.pv);
            down(&mut part.destination.pv);
        }
        self.rebuild_used();
        Ok(removed)
    }
}

impl fmt::Display for PvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PvError::NoSuchPv => write!(f, "there is no such PV in the VG"),
            PvError::BadUuid => write!(f, "the PV's UUID is zero or in the VG already"),
            PvError::BadSize => write!(f, "the device has no room for one extent, or for too many"),
            PvError::TooManyPvs { limit } => write!(f, "a VG has at most {limit} PVs"),
            PvError::InUse { extents } => write!(f, "{} extents of the PV are in use", extents.0),
        }
    }
}

impl core::error::Error for PvError {}
