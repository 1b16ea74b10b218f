//! The opened devices of a VG's PVs.

use std::path::PathBuf;

use lvshift_core::units::{DeviceNumber, PvIndex, Sectors, Uuid};

/// One PV's device, opened and identified.
#[derive(Debug)]
pub struct Member {
    /// The PV's name for ever.
    pub uuid: Uuid,
    /// The path to show.
    pub path: PathBuf,
    /// Its number, for tables.
    pub number: DeviceNumber,
    /// The size of the device now.
    pub size: Sectors,
    /// Where the dirty-log area starts on the device.
    pub log_start: Sectors,
    /// How long the dirty-log area is.
    pub log_size: Sectors,
    /// Bytes of a logical block of the device: the smallest unit of I/O.
    pub logical_block: u32,
}

/// The devices of a VG's PVs, by [`PvIndex`]; a PV that was not found has none.
#[derive(Debug, Default)]
pub struct Members {
    slots: Vec<Option<Member>>,
}

impl Members {
    /// The device of this PV, unless it is missing.
    #[must_use]
    pub fn get(&self, pv: PvIndex) -> Option<&Member> {
        self.slots.get(usize::from(pv.0)).and_then(Option::as_ref)
    }

    /// The member with this UUID, unless it is missing.
    #[must_use]
    pub fn by_uuid(&self, uuid: Uuid) -> Option<&Member> {
        self.iter().map(|(_, member)| member).find(|member| member.uuid == uuid)
    }

    /// All that are present.
    pub fn iter(&self) -> impl Iterator<Item = (PvIndex, &Member)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((PvIndex(u16::try_from(at).ok()?), slot.as_ref()?)))
    }
}
