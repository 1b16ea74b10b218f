//! The payload of a slot: the VG record, then the arrays of all other records, without gaps.

use core::fmt;

use crate::layout;
use crate::record::{
    LvRecord, MoveRecord, PartRecord, PvRecord, RecordError, SegmentRecord, VgRecord,
};

/// How many records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// PV records.
    pub pvs: u32,
    /// LV records.
    pub lvs: u32,
    /// Segment records.
    pub segments: u32,
    /// Move records.
    pub moves: u32,
    /// Move-part records.
    pub parts: u32,
}

impl Counts {
    /// Bytes of a payload with so many records; cannot overflow.
    pub const fn payload_size(self) -> u64 {
        layout::vg::SIZE as u64
            + self.pvs as u64 * layout::pv::SIZE as u64
            + self.lvs as u64 * layout::lv::SIZE as u64
            + self.segments as u64 * layout::segment::SIZE as u64
            + self.moves as u64 * layout::moves::SIZE as u64
            + self.parts as u64 * layout::part::SIZE as u64
    }
}

/// A payload cut into its records, which are still bytes.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// The VG record.
    pub vg: VgRecord,
    /// The PV records.
    pub pvs: &'a [[u8; PvRecord::SIZE]],
    /// The LV records.
    pub lvs: &'a [[u8; LvRecord::SIZE]],
    /// The segment records.
    pub segments: &'a [[u8; SegmentRecord::SIZE]],
    /// The move records.
    pub moves: &'a [[u8; MoveRecord::SIZE]],
    /// The move-part records.
    pub parts: &'a [[u8; PartRecord::SIZE]],
}

/// The same, to be filled in.
#[derive(Debug)]
pub struct PayloadMut<'a> {
    /// The VG record.
    pub vg: &'a mut [u8; VgRecord::SIZE],
    /// The PV records.
    pub pvs: &'a mut [[u8; PvRecord::SIZE]],
    /// The LV records.
    pub lvs: &'a mut [[u8; LvRecord::SIZE]],
    /// The segment records.
    pub segments: &'a mut [[u8; SegmentRecord::SIZE]],
    /// The move records.
    pub moves: &'a mut [[u8; MoveRecord::SIZE]],
    /// The move-part records.
    pub parts: &'a mut [[u8; PartRecord::SIZE]],
}

/// Why a payload cannot be cut into records.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// Its size is not the one that its counts give.
    WrongSize {
        /// By the counts; the size of a VG record where there is not even that.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The VG record is not one.
    Vg(RecordError),
}

impl<'a> Payload<'a> {
    /// Cuts a payload into records.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn decode(payload: &'a [u8]) -> Result<Payload<'a>, PayloadError> {
        let found = payload.len() as u64;
        let none = PayloadError::WrongSize { expected: layout::vg::SIZE as u64, found };
        let (vg, rest) = payload.split_first_chunk().ok_or(none)?;
        let vg = VgRecord::decode(vg).map_err(PayloadError::Vg)?;
        let counts = Counts {
            pvs: vg.pv_count,
            lvs: vg.lv_count,
            segments: vg.segment_count,
            moves: vg.move_count,
            parts: vg.part_count,
        };
        let wrong = PayloadError::WrongSize { expected: counts.payload_size(), found };
        if counts.payload_size() != found {
            return Err(wrong);
        }
        let (pvs, rest) = take(rest, vg.pv_count).ok_or(wrong)?;
        let (lvs, rest) = take(rest, vg.lv_count).ok_or(wrong)?;
        let (segments, rest) = take(rest, vg.segment_count).ok_or(wrong)?;
        let (moves, rest) = take(rest, vg.move_count).ok_or(wrong)?;
        let (parts, _) = take(rest, vg.part_count).ok_or(wrong)?;
        Ok(Payload { vg, pvs, lvs, segments, moves, parts })
    }
}

impl<'a> PayloadMut<'a> {
    /// Cuts room for a payload into records.
    ///
    /// # Errors
    /// [`PayloadError::WrongSize`] where `payload` is not [`Counts::payload_size`] long.
    pub fn new(payload: &'a mut [u8], counts: Counts) -> Result<PayloadMut<'a>, PayloadError> {
        let wrong = PayloadError::WrongSize {
            expected: counts.payload_size(),
            found: payload.len() as u64,
        };
        if counts.payload_size() != payload.len() as u64 {
            return Err(wrong);
        }
        let (vg, rest) = payload.split_first_chunk_mut().ok_or(wrong)?;
        let (pvs, rest) = take_mut(rest, counts.pvs).ok_or(wrong)?;
        let (lvs, rest) = take_mut(rest, counts.lvs).ok_or(wrong)?;
        let (segments, rest) = take_mut(rest, counts.segments).ok_or(wrong)?;
        let (moves, rest) = take_mut(rest, counts.moves).ok_or(wrong)?;
        let (parts, _) = take_mut(rest, counts.parts).ok_or(wrong)?;
        Ok(PayloadMut { vg, pvs, lvs, segments, moves, parts })
    }
}

fn take<const SIZE: usize>(bytes: &[u8], count: u32) -> Option<(&[[u8; SIZE]], &[u8])> {
    let size = usize::try_from(count).ok()?.checked_mul(SIZE)?;
    let (records, rest) = bytes.split_at_checked(size)?;
    Some((records.as_chunks().0, rest))
}

fn take_mut<const SIZE: usize>(
    bytes: &mut [u8],
    count: u32,
) -> Option<(&mut [[u8; SIZE]], &mut [u8])> {
    let size = usize::try_from(count).ok()?.checked_mul(SIZE)?;
    let (records, rest) = bytes.split_at_mut_checked(size)?;
    Some((records.as_chunks_mut().0, rest))
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::WrongSize { expected, found } => {
                write!(f, "the metadata has {found} bytes, its counts say {expected}")
            }
            PayloadError::Vg(error) => write!(f, "VG record: {error}"),
        }
    }
}

impl core::error::Error for PayloadError {}
