//! From the metadata to the lines of a table.

use core::fmt;

use super::merge::Merge;
use super::{Area, Log, Mirror, Segment, Target, merge};
use crate::metadata::{Fixed, MovePart, Piece, Pieces, Place, Store, Vg};
use crate::mover::Mapping;
use crate::units::{DeviceNumber, Extents, LvIndex, MoveIndex, PvIndex, Sectors};

#[cfg(test)]
mod tests;

/// What a mirrored table of an LV reads its source through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shadow<D = DeviceNumber> {
    /// The shadow device.
    Device(D),
    /// No device in between: the source PVs themselves.
    Through,
}

/// What the metadata's names are called on this host.
pub trait Devices {
    /// How a device is named in the table.
    type Device: Copy + PartialEq;

    /// The device of a PV.
    fn pv(&self, pv: PvIndex) -> Option<Self::Device>;
    /// The shadow of an LV.
    fn shadow(&self, lv: LvIndex) -> Option<Shadow<Self::Device>>;
    /// The dirty log of a part, by its index in [`Vg::parts`].
    fn log(&self, part: usize) -> Option<Log<Self::Device>>;
    /// How many sectors of a part, counted from its first, [`Mapping::Mirrored`] puts under the mirror; what
    /// comes after them is read and written at the source. `None`: all of it.
    ///
    /// What was once under the mirror stays so until the mirror goes: its log calls chunks equal that a
    /// write past the mirror would make different.
    fn mirrored(&self, part: usize) -> Option<Sectors> {
        let _ = part;
        None
    }
}

/// Why a table cannot be built.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// This host has no device for the PV.
    NoPv(PvIndex),
    /// There is no shadow for the LV.
    NoShadow(LvIndex),
    /// There is no log device for the part with this index in [`Vg::parts`].
    NoLog(usize),
    /// The metadata contradicts itself: a number in it names nothing, or a sector number does
    /// not fit. Valid metadata does not.
    Inconsistent,
}

/// The lines of a table, see [`build`].
#[derive(Debug)]
pub struct Build<'a, R: Devices, S: Store = Fixed>(Merge<Lines<'a, R, S>, R::Device, BuildError>);

/// The lines of the LV's table, in order, adjacent linear ones on one device joined.
///
/// `view` chooses the mapping of a move; without one the table is what the metadata has now.
/// [`Mapping::Source`] is also what the shadow gets.
pub fn build<'a, R: Devices, S: Store>(
    vg: &'a Vg<S>,
    lv: LvIndex,
    view: Option<(MoveIndex, Mapping)>,
    devices: &'a R,
) -> Build<'a, R, S> {
    let pieces = vg.pieces(lv, view);
    Build(merge(Lines { vg, lv, view, pieces, devices, rest: None }))
}

impl<R: Devices, S: Store> Iterator for Build<'_, R, S> {
    type Item = Result<Segment<R::Device>, BuildError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

#[derive(Debug)]
struct Lines<'a, R, S: Store> {
    vg: &'a Vg<S>,
    lv: LvIndex,
    view: Option<(MoveIndex, Mapping)>,
    pieces: Pieces<'a>,
    devices: &'a R,
    /// The piece whose mirror came last, and how much of it that was.
    rest: Option<(Piece, Sectors)>,
}

impl<R: Devices, S: Store> Iterator for Lines<'_, R, S> {
    type Item = Result<Segment<R::Device>, BuildError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((piece, from)) = self.rest.take() {
            return Some(self.not_mirrored(piece, from));
        }
        let piece = self.pieces.next()?;
        Some(self.line(piece))
    }
}

impl<R: Devices, S: Store> Lines<'_, R, S> {
    fn line(&mut self, piece: Piece) -> Result<Segment<R::Device>, BuildError> {
        let (start, len) = self.span(piece);
        let target = match (self.view, piece.part) {
            (Some((of, Mapping::Mirrored)), Some(part)) => {
                let mirrored = self.devices.mirrored(part).filter(|mirrored| *mirrored < len);
                match mirrored {
                    Some(Sectors(0)) => return self.not_mirrored(piece, Sectors(0)),
                    Some(mirrored) => {
                        let target = Target::Mirror(self.mirror(of, part, start, piece.place)?);
                        self.rest = Some((piece, mirrored));
                        return Ok(Segment { start, len: mirrored, target });
                    }
                    None => Target::Mirror(self.mirror(of, part, start, piece.place)?),
                }
            }
            (Some((_, Mapping::Mirrored)), None) => return self.not_mirrored(piece, Sectors(0)),
            _ => Target::Linear(self.area(piece.place)?),
        };
        Ok(Segment { start, len, target })
    }

    /// The first sector of a piece and how many there are.
    fn span(&self, piece: Piece) -> (Sectors, Sectors) {
        let extent_size = self.vg.extent_size();
        (extent_size.span(Extents(piece.first.0)), extent_size.span(piece.count))
    }

    /// A piece from some sector of it on, beside a mirror.
    fn not_mirrored(&self, piece: Piece, from: Sectors) -> Result<Segment<R::Device>, BuildError> {
        let (start, len) = self.span(piece);
        let area = self.through_shadow(start, piece.place)?;
        let area = area.after(from).ok_or(BuildError::Inconsistent)?;
        let start = start.checked_add(from).ok_or(BuildError::Inconsistent)?;
        let len = len.0.checked_sub(from.0).map(Sectors).ok_or(BuildError::Inconsistent)?;
        Ok(Segment { start, len, target: Target::Linear(area) })
    }

    fn mirror(
        &self,
        of: MoveIndex,
        index: usize,
        start: Sectors,
        source: Place,
    ) -> Result<Mirror<R::Device>, BuildError> {
        let record = self.vg.moves().get(usize::from(of.0)).ok_or(BuildError::Inconsistent)?;
        let part: &MovePart = self.vg.parts().get(index).ok_or(BuildError::Inconsistent)?;
        Ok(Mirror {
            source: self.through_shadow(start, source)?,
            destination: self.area(part.destination)?,
            log: self.devices.log(index).ok_or(BuildError::NoLog(index))?,
            chunk_sectors: record.chunk_sectors,
            sync: None,
            handle_errors: true,
            keep_log: false,
        })
    }

    fn through_shadow(&self, start: Sectors, source: Place) -> Result<Area<R::Device>, BuildError> {
        match self.devices.shadow(self.lv).ok_or(BuildError::NoShadow(self.lv))? {
            Shadow::Device(device) => Ok(Area { device, offset: start }),
            Shadow::Through => self.area(source),
        }
    }

    fn area(&self, place: Place) -> Result<Area<R::Device>, BuildError> {
        let pv = self.vg.pvs().get(usize::from(place.pv.0)).ok_or(BuildError::Inconsistent)?;
        let device = self.devices.pv(place.pv).ok_or(BuildError::NoPv(place.pv))?;
        let extents = self.vg.extent_size().span(Extents(place.pe.0));
        let offset = pv.pe_start.checked_add(extents).ok_or(BuildError::Inconsistent)?;
        Ok(Area { device, offset })
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NoPv(pv) => write!(f, "PV number {} of the VG has no device here", pv.0),
            BuildError::NoShadow(lv) => write!(f, "LV number {} of the VG has no shadow", lv.0),
            BuildError::NoLog(part) => write!(f, "part {part} of the moves has no log device"),
            BuildError::Inconsistent => write!(f, "the metadata contradicts itself"),
        }
    }
}

impl core::error::Error for BuildError {}
