//! What was found out about VGs, for reports.

use lvshift_core::metadata::MovePart;
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex, PvIndex, Sectors, Uuid};

use super::foreign::ForeignRow;
use crate::front_end::{ActiveLv, CopyStatus};
use crate::vg::Vg;

/// Everything that a report may show.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// The VGs.
    pub vgs: Vec<VgFacts<'a>>,
    /// The PVs that no VG has.
    pub orphans: Vec<OrphanPv>,
    /// Only these are shown, if some were named.
    pub only: Option<Only>,
    /// Rows of LVM2's VGs, those that are to be shown.
    pub foreign: Vec<ForeignRow>,
    /// LVM2 was asked for them and did not say them; a warning has told so.
    pub lvm2_is_silent: bool,
}

/// What was named on the command line.
#[derive(Debug, Default)]
pub struct Only {
    pub(super) pvs: Vec<Uuid>,
    pub(super) vgs: Vec<Uuid>,
    pub(super) lvs: Vec<Uuid>,
}

impl Only {
    /// Adds the PV on this device; false if there is none.
    pub fn pv(&mut self, facts: &Facts<'_>, number: DeviceNumber) -> bool {
        let of_vgs = facts.vgs.iter().flat_map(|vg| {
            let pvs = vg.vg.pvs().iter().zip(&vg.members);
            pvs.filter_map(|(pv, member)| Some((pv.uuid, member.as_ref()?.number)))
        });
        let orphans = facts.orphans.iter().map(|orphan| (orphan.uuid, orphan.number));
        let found = of_vgs.chain(orphans).find(|(_, n)| *n == number).map(|(uuid, _)| uuid);
        self.pvs.extend(found);
        found.is_some()
    }

    /// Adds the VG of this name; false if there is none.
    pub fn vg(&mut self, facts: &Facts<'_>, name: &str) -> bool {
        let found = facts.vgs.iter().find(|vg| vg.vg.name().as_str() == name);
        self.vgs.extend(found.map(|vg| vg.vg.uuid()));
        found.is_some()
    }

    /// Adds the LV of these names; false if there is none.
    pub fn lv(&mut self, facts: &Facts<'_>, vg: &str, lv: &str) -> bool {
        let vg = facts.vgs.iter().find(|found| found.vg.name().as_str() == vg);
        let found = vg.and_then(|vg| vg.vg.lvs().iter().find(|l| l.name.as_str() == lv));
        self.lvs.extend(found.map(|lv| lv.uuid));
        found.is_some()
    }
}

/// A PV without a VG.
#[derive(Debug)]
pub struct OrphanPv {
    /// Its device.
    pub path: String,
    /// The device's number.
    pub number: DeviceNumber,
    /// Its name for ever.
    pub uuid: Uuid,
    /// The size of the device.
    pub size: Sectors,
}

/// The device of a member.
#[derive(Clone, Debug)]
pub struct MemberFacts {
    /// Its path.
    pub path: String,
    /// Its number.
    pub number: DeviceNumber,
    /// Its size now.
    pub size: Sectors,
}

/// One VG, its devices and what its LVs are doing.
#[derive(Debug)]
pub struct VgFacts<'a> {
    /// The metadata.
    pub vg: &'a Vg,
    /// The devices of its PVs, by PV index; `None` where one is missing.
    pub members: Vec<Option<MemberFacts>>,
    /// The devices of its LVs, by LV index.
    pub active: Vec<Option<ActiveLv>>,
    /// How far its moves are, by move index, where that can be said.
    pub copies: Vec<Option<CopyStatus>>,
    /// A process is driving its moves now.
    pub driven: bool,
}

impl VgFacts<'_> {
    /// The path of a PV, or LVM's word for one that is missing.
    #[must_use]
    pub fn path(&self, pv: PvIndex) -> &str {
        match self.members.get(pv.index()) {
            Some(Some(member)) => &member.path,
            _ => "[unknown]",
        }
    }

    /// Whether a PV is missing.
    #[must_use]
    pub fn is_missing(&self, pv: PvIndex) -> bool {
        !matches!(self.members.get(pv.index()), Some(Some(_)))
    }

    /// The device of an LV, if it has one.
    #[must_use]
    pub fn device(&self, lv: LvIndex) -> Option<&ActiveLv> {
        self.active.get(lv.index()).and_then(Option::as_ref)
    }

    /// How far a move is.
    #[must_use]
    pub fn copy(&self, of: MoveIndex) -> Option<CopyStatus> {
        self.copies.get(of.index()).copied().flatten()
    }

    /// The paths of one side of these parts, each once, in order.
    #[must_use]
    pub fn side<'p>(
        &self,
        parts: impl Iterator<Item = &'p MovePart>,
        side: impl Fn(&MovePart) -> PvIndex,
    ) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        for part in parts {
            let path = self.path(side(part));
            if !paths.iter().any(|p| p == path) {
                paths.push(path.to_owned());
            }
        }
        paths
    }

    /// All PV indices in order.
    pub fn pv_indices(&self) -> impl Iterator<Item = PvIndex> + use<> {
        self.vg.pv_indices()
    }

    /// All LV indices in order.
    pub fn lv_indices(&self) -> impl Iterator<Item = LvIndex> + use<> {
        self.vg.lv_indices()
    }

    /// All move indices in order.
    pub fn move_indices(&self) -> impl Iterator<Item = MoveIndex> + use<> {
        self.vg.move_indices()
    }
}
