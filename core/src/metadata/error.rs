//! What can be wrong with metadata that was read.

use core::fmt;

use lvshift_on_disk_format::payload::PayloadError;
use lvshift_on_disk_format::record::RecordError;
use lvshift_on_disk_format::slot::SlotError;

use super::NameError;
use crate::units::{Pe, PvIndex};

/// A kind of record, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// The VG record.
    Vg,
    /// PV records.
    Pv,
    /// LV records.
    Lv,
    /// Segment records.
    Segment,
    /// Move records.
    Move,
    /// Move-part records.
    Part,
}

/// Why a slot's contents are not a VG, or a VG does not go into a slot.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// The slot is blank: no metadata was ever written there.
    Blank,
    /// The slot is damaged, foreign or too new.
    Slot(SlotError),
    /// The payload cannot be cut into records.
    Payload(PayloadError),
    /// A record holds what this version does not define.
    Record {
        /// The kind of record.
        records: Records,
        /// Which of them.
        index: u32,
        /// What is wrong with it.
        error: RecordError,
    },
    /// More records than the limits allow.
    TooMany {
        /// The kind of record.
        records: Records,
        /// How many there are.
        count: u32,
        /// How many there may be.
        limit: u32,
    },
    /// The slot header and the VG record name different VGs.
    OtherVg,
    /// The records contradict each other.
    Invalid(Invalid),
}

/// A contradiction in metadata. An `index` counts the records of the kind from 0.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The extent size is no power of two within the limits.
    ExtentSize {
        /// What it is.
        sectors: u32,
    },
    /// The sequence number is 0 or could not rise any more.
    Sequence,
    /// An illegal name.
    Name {
        /// The kind of record.
        records: Records,
        /// Which of them.
        index: u32,
        /// Why it is illegal.
        error: NameError,
    },
    /// An illegal system id.
    SystemId {
        /// Why it is illegal.
        error: NameError,
    },
    /// Two LVs have one name.
    SameName {
        /// The second of the two LVs.
        index: u32,
    },
    /// A UUID is zero.
    NilUuid {
        /// The kind of record.
        records: Records,
        /// Which of them.
        index: u32,
    },
    /// Two records have one UUID.
    SameUuid {
        /// The kind of record.
        records: Records,
        /// The second of the two.
        index: u32,
    },
    /// A PV's extents or its dirty-log area do not fit its device, or they overlap.
    PvAreas {
        /// Which PV.
        index: u32,
    },
    /// A PV that is being left is said to lack nothing, or something moves to it.
    Leaving {
        /// Which PV.
        index: u32,
    },
    /// A PV is said to be behind a commit that was not made.
    Behind {
        /// Which PV.
        index: u32,
    },
    /// An LV is empty, or its segments do not cover exactly its extents.
    NotCovered {
        /// Which LV.
        index: u32,
    },
    /// A segment names an LV or PV that is not there.
    SegmentIndex {
        /// Which segment.
        index: u32,
    },
    /// A segment is empty or does not follow the one before it.
    SegmentOrder {
        /// Which segment.
        index: u32,
    },
    /// A segment continues the one before it and should have been one with it.
    SegmentNotMerged {
        /// Which segment.
        index: u32,
    },
    /// A segment reaches past the end of its PV.
    SegmentOutside {
        /// Which segment.
        index: u32,
    },
    /// With what the moves may add when they finish there would be too many segments.
    SegmentsOwed,
    /// Two users of one physical extent.
    Overlap {
        /// The PV.
        pv: PvIndex,
        /// The extent.
        pe: Pe,
    },
    /// A move without parts, or with more parts or LVs than the limits allow.
    MoveSize {
        /// Which move.
        index: u32,
    },
    /// A move's chunk size is no power of two from 8 sectors to 2^23.
    ChunkSize {
        /// Which move.
        index: u32,
    },
    /// A part names a move, LV or PV that is not there.
    PartIndex {
        /// Which part.
        index: u32,
    },
    /// A part is empty or does not stand behind the one before it.
    PartOrder {
        /// Which part.
        index: u32,
    },
    /// A part reaches past the end of a PV.
    PartOutside {
        /// Which part.
        index: u32,
    },
    /// A part's extents are not where its LV has them.
    PartDisagrees {
        /// Which part.
        index: u32,
    },
    /// Two parts move one logical extent.
    PartOverlap {
        /// One of the two parts.
        index: u32,
    },
    /// A part is shorter than a chunk.
    PartTooShort {
        /// Which part.
        index: u32,
    },
    /// A part's dirty-log image is not aligned, or not inside the dirty-log area.
    LogOutside {
        /// Which part.
        index: u32,
    },
    /// A part's dirty-log image overlaps another that is in use.
    LogOverlap {
        /// Which part.
        index: u32,
    },
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Records::Vg => "VG",
            Records::Pv => "PV",
            Records::Lv => "LV",
            Records::Segment => "segment",
            Records::Move => "move",
            Records::Part => "move part",
        })
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::Blank => write!(f, "the slot is blank"),
            MetadataError::Slot(error) => error.fmt(f),
            MetadataError::Payload(error) => error.fmt(f),
            MetadataError::Record { records, index, error } => {
                write!(f, "{records} record {index}: {error}")
            }
            MetadataError::TooMany { records, count, limit } => {
                write!(f, "{count} {records} records, this program takes at most {limit}")
            }
            MetadataError::OtherVg => {
                write!(f, "the slot header and the VG record name different VGs")
            }
            MetadataError::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::ExtentSize { sectors } => {
                write!(f, "an extent size of {sectors} sectors is not allowed")
            }
            Invalid::Sequence => write!(f, "the sequence number is out of range"),
            Invalid::Name { records, index, error } => {
                write!(f, "{records} {index} has an illegal name: {error}")
            }
            Invalid::SystemId { error } => write!(f, "the system id is illegal: {error}"),
            Invalid::SameName { index } => write!(f, "LV {index} has the name of another LV"),
            Invalid::NilUuid { records, index } => write!(f, "{records} {index} has no UUID"),
            Invalid::SameUuid { records, index } => {
                write!(f, "{records} {index} has the UUID of another")
            }
            Invalid::PvAreas { index } => {
                write!(f, "the areas of PV {index} do not fit its device or overlap")
            }
            Invalid::Leaving { index } => {
                write!(
                    f,
                    "PV {index} is being left, and is not behind or has something moved to it"
                )
            }
            Invalid::Behind { index } => {
                write!(f, "PV {index} is said to be behind a commit that was not made")
            }
            Invalid::NotCovered { index } => {
                write!(f, "the segments of LV {index} do not cover it")
            }
            Invalid::SegmentIndex { index } => {
                write!(f, "segment {index} names an LV or PV that is not there")
            }
            Invalid::SegmentOrder { index } => {
                write!(f, "segment {index} is empty or does not follow the one before it")
            }
            Invalid::SegmentNotMerged { index } => {
                write!(f, "segment {index} should be one with the one before it")
            }
            Invalid::SegmentOutside { index } => {
                write!(f, "segment {index} reaches past the end of its PV")
            }
            Invalid::SegmentsOwed => {
                write!(f, "there would be too many segments when the moves finish")
            }
            Invalid::Overlap { pv, pe } => {
                write!(f, "extent {} of PV {} has two users", pe.0, pv.0)
            }
            Invalid::MoveSize { index } => {
                write!(f, "move {index} has no parts, too many parts or too many LVs")
            }
            Invalid::ChunkSize { index } => write!(f, "the chunk size of move {index} is illegal"),
            Invalid::PartIndex { index } => {
                write!(f, "move part {index} names a move, LV or PV that is not there")
            }
            Invalid::PartOrder { index } => {
                write!(f, "move part {index} is empty or not behind the one before it")
            }
            Invalid::PartOutside { index } => {
                write!(f, "move part {index} reaches past the end of a PV")
            }
            Invalid::PartDisagrees { index } => {
                write!(f, "move part {index} does not agree with the segments of its LV")
            }
            Invalid::PartOverlap { index } => {
                write!(f, "move part {index} moves an extent that another part moves")
            }
            Invalid::PartTooShort { index } => {
                write!(f, "move part {index} is shorter than a chunk")
            }
            Invalid::LogOutside { index } => {
                write!(f, "the dirty log of move part {index} is outside the dirty-log area")
            }
            Invalid::LogOverlap { index } => {
                write!(f, "the dirty log of move part {index} overlaps another")
            }
        }
    }
}

impl From<Invalid> for MetadataError {
    fn from(invalid: Invalid) -> Self {
        MetadataError::Invalid(invalid)
    }
}

impl core::error::Error for MetadataError {}
impl core::error::Error for Invalid {}
