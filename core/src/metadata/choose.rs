//! Which of the slots found on the devices holds the VG as it is.

use core::fmt;

use lvshift_on_disk_format::{SlotError, SlotHeader, SlotIndex, slot};

use super::{Lag, Store, Vg};
use crate::units::Uuid;

#[cfg(test)]
mod tests;

/// What one slot of a device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundSlot {
    /// Nothing: blank.
    Blank,
    /// Something that is not metadata, or damaged, or it could not be read (`None`).
    Bad(Option<SlotError>),
    /// Metadata with valid checksums.
    Valid(SlotHeader),
}

impl FoundSlot {
    /// What these bytes of a slot hold: its header, then at least the payload.
    pub fn read(bytes: &[u8]) -> FoundSlot {
        match slot::open(bytes) {
            Ok(None) => FoundSlot::Blank,
            Ok(Some((header, _))) => FoundSlot::Valid(header),
            Err(error) => FoundSlot::Bad(Some(error)),
        }
    }
}

/// What was found on one device that has a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The PV UUID of its label.
    pub pv: Uuid,
    /// Its two slots.
    pub slots: [FoundSlot; 2],
}

/// The slot to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which of the devices.
    pub device: usize,
    /// Which slot on it.
    pub slot: SlotIndex,
    /// Its sequence number.
    pub sequence: u64,
}

/// Why no slot can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChooseError {
    /// No device has valid metadata of this VG.
    NoMetadata,
    /// Two devices claim to be one PV: one was cloned.
    SamePv {
        /// The one device.
        first: usize,
        /// The other.
        second: usize,
    },
    /// The newest sequence number stands over different metadata: the PVs were changed apart
    /// from each other.
    SplitBrain {
        /// The sequence number.
        sequence: u64,
        /// A device with the one.
        first: usize,
        /// A device with the other.
        second: usize,
    },
}

/// How a device, or a PV of the VG, stands to the metadata that were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds the chosen metadata.
    Current,
    /// It holds older ones: it was absent, or a commit was interrupted before it was written.
    Stale {
        /// The sequence number of its newest.
        sequence: u64,
    },
    /// It holds older ones, as the chosen metadata say: commits were made without it.
    Behind {
        /// The sequence number of its newest.
        sequence: u64,
    },
    /// It has a label and no valid metadata of this VG.
    NoMetadata,
    /// Its valid metadata were written to another PV: they were copied here from there.
    Foreign {
        /// The PV that they were written to.
        holder: Uuid,
    },
    /// It is no PV of this VG by the chosen metadata: taken out while it was absent.
    NotListed,
    /// The VG lists it and no device has its label.
    Absent,
}

/// The newest valid metadata of this VG on one device that were written to this very PV.
pub fn newest_here(vg: Uuid, found: &Found) -> Option<(SlotIndex, SlotHeader)> {
    let mut newest: Option<(SlotIndex, SlotHeader)> = None;
    for (index, slot) in SlotIndex::ALL.into_iter().zip(found.slots) {
        if let FoundSlot::Valid(header) = slot {
            let ours = header.vg == vg && header.pv == found.pv;
            let newer = |other: SlotHeader| header.sequence > other.sequence;
            if ours && newest.is_none_or(|(_, other)| newer(other)) {
                newest = Some((index, header));
            }
        }
    }
    newest
}

/// Picks the newest metadata of a VG among all devices; other VGs' devices may be among them.
///
/// # Errors
/// [`ChooseError`].
pub fn choose(vg: Uuid, found: &[Found]) -> Result<Choice, ChooseError> {
    let ours = |device: &Found| newest_here(vg, device).is_some();
    for (second, device) in found.iter().enumerate() {
        let same = |other: &Found| other.pv == device.pv && (ours(other) || ours(device));
        if let Some(first) = found.iter().take(second).position(same) {
            return Err(ChooseError::SamePv { first, second });
        }
    }
    let mut best: Option<(Choice, SlotHeader)> = None;
    for (device, entry) in found.iter().enumerate() {
        if let Some((slot, header)) = newest_here(vg, entry) {
            let sequence = header.sequence;
            if best.is_none_or(|(choice, _)| sequence > choice.sequence) {
                best = Some((Choice { device, slot, sequence }, header));
            }
        }
    }
    let (choice, header) = best.ok_or(ChooseError::NoMetadata)?;
    for (second, entry) in found.iter().enumerate() {
        for slot in entry.slots {
            if let FoundSlot::Valid(other) = slot {
                let same_commit =
                    other.vg == vg && other.pv == entry.pv && other.sequence == choice.sequence;
                let same_contents = other.payload_size == header.payload_size
                    && other.payload_crc == header.payload_crc;
                if same_commit && !same_contents {
                    let (sequence, first) = (choice.sequence, choice.device);
                    return Err(ChooseError::SplitBrain { sequence, first, second });
                }
            }
        }
    }
    Ok(choice)
}

/// Whether the device holds metadata of the highest sequence number, and which.
fn newest_of_all(vg: Uuid, found: &[Found], device: usize) -> Option<(SlotIndex, SlotHeader)> {
    let (slot, header) = newest_here(vg, found.get(device)?)?;
    let newest = found.iter().filter_map(|other| newest_here(vg, other));
    let newest = newest.map(|(_, header)| header.sequence).max();
    (newest == Some(header.sequence)).then_some((slot, header))
}

/// The metadata on this device, where a person has decided for them after [`ChooseError::SplitBrain`]. To be
/// committed on every PV at once: until then all stands as it stood.
///
/// # Errors
/// [`ChooseError::NoMetadata`] where the device holds none, or older ones than another.
pub fn choose_on(vg: Uuid, found: &[Found], device: usize) -> Result<Choice, ChooseError> {
    let (slot, header) = newest_of_all(vg, found, device).ok_or(ChooseError::NoMetadata)?;
    Ok(Choice { device, slot, sequence: header.sequence })
}

/// For each of the different metadata of the highest sequence number the first device that holds it: more
/// than one after [`ChooseError::SplitBrain`].
pub fn rivals(vg: Uuid, found: &[Found]) -> impl Iterator<Item = usize> {
    let contents = move |device| {
        let (_, header) = newest_of_all(vg, found, device)?;
        Some((header.payload_size, header.payload_crc))
    };
    (0..found.len()).filter(move |&device| {
        let of_it = contents(device);
        of_it.is_some() && !(0..device).any(|before| contents(before) == of_it)
    })
}

impl<S: Store> Vg<S> {
    /// How a device that was found stands to these metadata.
    pub fn standing_of_device(&self, found: &Found) -> Standing {
        let Some(pv) = self.pv_by_uuid(found.pv) else { return Standing::NotListed };
        if let Some((_, header)) = newest_here(self.uuid, found) {
            let sequence = header.sequence;
            return match self.lag(pv, sequence) {
                Lag::None => Standing::Current,
                Lag::Known if self.is_behind(pv) => Standing::Behind { sequence },
                Lag::Known | Lag::Unknown => Standing::Stale { sequence },
            };
        }
        for slot in found.slots {
            if let FoundSlot::Valid(header) = slot
                && header.pv != found.pv
            {
                return Standing::Foreign { holder: header.pv };
            }
        }
        Standing::NoMetadata
    }

    /// How a PV of these metadata stands, given all devices that were found.
    pub fn standing_of_pv(&self, pv: Uuid, found: &[Found]) -> Standing {
        match found.iter().find(|device| device.pv == pv) {
            Some(device) => self.standing_of_device(device),
            None => Standing::Absent,
        }
    }
}

impl fmt::Display for ChooseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChooseError::NoMetadata => write!(f, "no device holds valid metadata of the VG"),
            ChooseError::SamePv { .. } => write!(f, "two devices claim to be one PV"),
            ChooseError::SplitBrain { sequence, .. } => write!(
                f,
                "two PVs hold different metadata with sequence number {sequence}: they were changed apart from each other"
            ),
        }
    }
}

impl core::error::Error for ChooseError {}
