//! The opened devices of a VG's PVs.

use std::path::PathBuf;

use lvshift_core::units::{DeviceNumber, PvIndex, Sectors, Uuid};

use super::FoundPv;
use crate::vg::Vg;

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
    pub(crate) pv: FoundPv,
}

impl From<FoundPv> for Member {
    fn from(pv: FoundPv) -> Member {
        let log = pv.label.geometry().log();
        Member {
            uuid: pv.uuid,
            path: pv.path.clone(),
            number: pv.number,
            size: pv.size,
            log_start: Sectors(log.start),
            log_size: Sectors(log.size),
            logical_block: pv.device.logical_block(),
            pv,
        }
    }
}

/// The devices of a VG's PVs, by [`PvIndex`]; a PV that was not found has none.
#[derive(Debug, Default)]
pub struct Members {
    slots: Vec<Option<Member>>,
}

impl Members {
    /// Puts those of `pool` that the VG lists in the VG's order; the others are handed back.
    pub(crate) fn arrange(vg: &Vg, mut pool: Vec<Member>) -> (Members, Vec<Member>) {
        let slots = vg
            .pvs()
            .iter()
            .map(|pv| {
                let at = pool.iter().position(|member| member.uuid == pv.uuid)?;
                Some(pool.remove(at))
            })
            .collect();
        (Members { slots }, pool)
    }

    /// All of them, in no order.
    pub(crate) fn into_pool(self) -> Vec<Member> {
        self.slots.into_iter().flatten().collect()
    }

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

    /// The PV's label is this one from now on.
    pub(crate) fn relabel(&mut self, uuid: Uuid, label: lvshift_on_disk_format::Label) {
        let members = self.slots.iter_mut().flatten();
        members.filter(|member| member.uuid == uuid).for_each(|member| member.pv.label = label);
    }

    /// All that are present, in no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.slots.iter_mut().flatten()
    }

    /// All that are present.
    pub fn iter(&self) -> impl Iterator<Item = (PvIndex, &Member)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((PvIndex(u16::try_from(at).ok()?), slot.as_ref()?)))
    }
}
