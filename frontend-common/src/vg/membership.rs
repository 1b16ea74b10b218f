//! Which PVs a VG is made of: `vgcreate`, `vgextend`, `vgreduce`, `vgremove`.

use std::path::Path;

use lvshift_core::metadata::{Name, Pv, PvError, SystemId};
use lvshift_core::units::{ExtentSize, Sectors, Uuid};
use lvshift_on_disk_format::{Label, SlotIndex};

use super::read::Read;
use super::{Health, OpenVg, Vg};
use crate::device::Aligned;
use crate::error::{Error, Kind, Result};
use crate::lock;
use crate::pv::{FoundPv, Member, Members, Scan, new_uuid, repair_label};
use crate::system_id;

impl OpenVg {
    /// `vgcreate`: a VG of this host (`system_id`) over these PVs (paths), which must belong to none.
    ///
    /// # Errors
    /// `Kind::Exists`, `Kind::NotFound`, `Kind::State` when a PV is in a VG, `Kind::Limit`,
    /// `Kind::Io`.
    pub fn create(
        name: Name,
        extent_size: ExtentSize,
        system_id: Option<SystemId>,
        devices: &[&Path],
    ) -> Result<OpenVg> {
        let _lock = lock::orphans()?;
        let mut scan = Scan::run()?;
        if OpenVg::names(&scan).iter().any(|other| other == name.as_str()) {
            return Err(Error::new(
                Kind::Exists,
                format!("A volume group called {name} already exists"),
            )
            .state("nothing was changed"));
        }
        let pvs = take_free(&mut scan, devices)?;
        OpenVg::create_of(new_uuid()?, name, extent_size, system_id, 0, pvs)
    }

    /// `vgcfgrestore` where no PV knows of the VG any more: the same VG once more, without LVs, of this host, over PVs
    /// that belong to none. Its sequence number is past `past`, so that a PV which was away is not the newer one.
    ///
    /// # Errors
    /// As [`OpenVg::create`].
    pub fn create_again(
        uuid: Uuid,
        name: Name,
        extent_size: ExtentSize,
        past: u64,
        devices: &[&Path],
    ) -> Result<OpenVg> {
        let _lock = lock::orphans()?;
        let pvs = take_free(&mut Scan::run()?, devices)?;
        OpenVg::create_of(uuid, name, extent_size, system_id::local()?, past, pvs)
    }

    #[cfg(test)]
    pub(crate) fn create_over(
        name: Name,
        extent_size: ExtentSize,
        pvs: Vec<FoundPv>,
    ) -> Result<OpenVg> {
        OpenVg::create_uuid(new_uuid()?, name, extent_size, pvs)
    }

    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn create_uuid(
        uuid: Uuid,
        name: Name,
        extent_size: ExtentSize,
        pvs: Vec<FoundPv>,
    ) -> Result<OpenVg> {
        OpenVg::create_of(uuid, name, extent_size, None, 0, pvs)
    }

    fn create_of(
        uuid: Uuid,
        name: Name,
        extent_size: ExtentSize,
        system_id: Option<SystemId>,
        past: u64,
        pvs: Vec<FoundPv>,
    ) -> Result<OpenVg> {
        let mut vg = Vg::empty();
        vg.create(uuid, name, extent_size);
        vg.set_system_id(system_id);
        (0..past).for_each(|_| vg.bump());
        let held = Some(lock::metadata(vg.uuid())?);
        let (members, health) = (Members::default(), Health::default());
        let none_yet = Read { vg, writable: true, members, spare: Vec::new(), health };
        let mut open = OpenVg::new(none_yet, Vec::new(), held);
        open.add(pvs)?;
        Ok(open)
    }

    /// `vgchange --systemid`: gives the VG to a host, or to none. `take_over` is for one of another host.
    ///
    /// # Errors
    /// As [`OpenVg::commit`].
    pub fn set_system_id(&mut self, to: Option<SystemId>, take_over: bool) -> Result<()> {
        let _lock = self.lock_unless_held()?;
        self.reread_locked()?;
        if !take_over {
            system_id::check(&self.vg)?;
        }
        let change = |vg: &mut Vg| {
            vg.set_system_id(to);
            Ok(())
        };
        let owner = system_id::shown(self.vg.system_id()).to_owned();
        let name = self.vg.name().to_string();
        self.write_as_any_host(change, &|_, _| false, false).map_err(|error| match error.kind {
            // One that still names the old host would be used there.
            Kind::Missing if take_over => error.next(format!(
                "attach the device; if it is gone for good: write {owner} into {}, give the PV up with vgreduce \
                 --removemissing {name}, give the VG away with vgchange --systemid, and take that line out again",
                system_id::FILE
            )),
            _ => error,
        })
    }

    /// `vgextend`: adds PVs that belong to no VG.
    ///
    /// # Errors
    /// As [`OpenVg::create`].
    pub fn extend(&mut self, devices: &[&Path]) -> Result<()> {
        let _orphans = lock::orphans()?;
        let _lock = match self.held {
            Some(_) => None,
            None => Some(lock::metadata(self.vg.uuid())?),
        };
        let mut scan = Scan::run()?;
        let pvs = take_free(&mut scan, devices)?;
        self.reread_locked()?;
        self.spare.retain(|member| pvs.iter().all(|pv| pv.uuid != member.uuid));
        self.add(pvs)
    }

    fn add(&mut self, pvs: Vec<FoundPv>) -> Result<()> {
        let mut new = Vec::new();
        for pv in &pvs {
            let size = self.vg.extent_size();
            let entry = Pv::new(pv.uuid, &pv.label.geometry(), size).ok_or_else(|| {
                Error::new(Kind::NoSpace, "the device has no room for one extent, or for too many")
                    .device(pv.path.display())
                    .state("nothing was changed")
            })?;
            new.push((entry, pv.path.display().to_string()));
        }
        self.spare.extend(pvs.into_iter().map(Member::from));
        self.write(
            |vg| {
                for (pv, path) in new {
                    vg.add_pv(pv).map_err(|error| refused(error).device(path))?;
                }
                Ok(())
            },
            &|_, _| false,
            false,
        )
    }

    /// `vgreduce`: takes an unused PV out and wipes its metadata slots (its label stays).
    ///
    /// # Errors
    /// `Kind::State` when extents on it are allocated or it is the last one.
    pub fn reduce(&mut self, pv: Uuid) -> Result<()> {
        let leaving = self.is_leaving(pv);
        self.commit(|vg| {
            let index = vg
                .pv_by_uuid(pv)
                .ok_or_else(|| Error::new(Kind::NotFound, format!("PV {pv} is not in the VG")))?;
            if vg.pvs().len() == 1 {
                return Err(Error::new(Kind::State, "a VG keeps at least one PV")
                    .state("nothing was changed")
                    .next("vgremove removes the VG"));
            }
            vg.remove_pv(index).map(drop).map_err(refused)
        })?;
        match self.spare.iter().find(|member| member.uuid == pv) {
            Some(member) if leaving => {
                wipe_or_say(member, self.vg.name().as_str());
                Ok(())
            }
            Some(member) => wipe(member),
            None => Ok(()),
        }
    }

    /// `vgreduce --removemissing`: takes missing PVs out, and the LVs that lie on them. It is a person who says so: the
    /// PVs that are left need not be more than half.
    ///
    /// # Errors
    /// `Kind::State` when a move of such an LV, or to such a PV, is recorded; as [`OpenVg::commit`].
    pub(crate) fn give_up(&mut self, pvs: &[Uuid], lvs: &[Uuid]) -> Result<()> {
        self.asked = true;
        self.commit(|vg| {
            for lv in lvs.iter().filter_map(|lv| vg.lv_by_uuid(*lv)).rev().collect::<Vec<_>>() {
                vg.remove_lv(lv).map_err(|error| {
                    Error::new(Kind::State, error.to_string()).state("nothing was changed")
                })?;
            }
            for pv in pvs {
                if let Some(at) = vg.pv_by_uuid(*pv) {
                    vg.remove_pv(at).map_err(|error| {
                        refused(error).next("undo what moves there first: pvmove --abort")
                    })?;
                }
            }
            Ok(())
        })
    }

    /// `pvresize`: uses so much of the PV's device (none: all of it). Growing, the label comes first, so
    /// that no metadata name extents that it does not cover; shrinking, it comes last.
    ///
    /// # Errors
    /// `Kind::State` when extents in use would be cut off; `Kind::NoSpace`, `Kind::Missing`, `Kind::Io`.
    pub fn resize_pv(&mut self, pv: Uuid, size: Option<Sectors>) -> Result<()> {
        system_id::check(&self.vg)?;
        let member = self.members.by_uuid(pv).ok_or_else(|| self.missing_error(&[pv]))?;
        let path = member.path.display().to_string();
        let present = member.pv.device.present_size()?;
        let size = size.unwrap_or(present).min(present);
        let no_room = || {
            Error::new(Kind::NoSpace, format!("a PV of {size} sectors has no room for one extent"))
                .device(&path)
                .state("nothing was changed")
        };
        let before = member.pv.label.geometry();
        let after = before.with_device_size(size.0).map_err(|error| no_room().because(error))?;
        let label = Label::new(pv, after).ok_or_else(no_room)?;
        let entry = Pv::new(pv, &after, self.vg.extent_size()).ok_or_else(no_room)?;
        let grows = after.device_size() > before.device_size();
        if grows {
            repair_label(&member.pv.device, &label)?;
            self.members.relabel(pv, label);
        }
        self.commit(|vg| {
            let index = vg.pv_by_uuid(pv).ok_or_else(|| refused(PvError::NoSuchPv))?;
            vg.resize_pv(index, entry).map_err(|error| {
                refused(error).device(&path).next(format!("move them first: pvmove {path}"))
            })
        })?;
        if let Some(member) = self.members.by_uuid(pv).filter(|_| !grows) {
            repair_label(&member.pv.device, &label)?;
        }
        Ok(())
    }

    /// `vgremove`: wipes the metadata on every PV. The caller has removed the LVs.
    ///
    /// # Errors
    /// `Kind::State` when LVs are left, `Kind::Missing` when a PV is.
    pub fn destroy(mut self) -> Result<()> {
        let _lock = match self.held {
            Some(_) => None,
            None => Some(lock::metadata(self.vg.uuid())?),
        };
        self.reread_locked()?;
        system_id::check(&self.vg)?;
        if !self.vg.lvs().is_empty() {
            return Err(Error::new(
                Kind::State,
                format!("VG {} still has {} LVs", self.vg.name(), self.vg.lvs().len()),
            )
            .state("nothing was changed")
            .next("remove them with lvremove"));
        }
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(self.missing_error(&missing));
        }
        let (left, others): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|(at, _)| self.vg.is_leaving(*at));
        others.into_iter().try_for_each(|(_, member)| wipe(member))?;
        left.into_iter().for_each(|(_, member)| wipe_or_say(member, self.vg.name().as_str()));
        Ok(())
    }
}

/// The PVs at these paths, out of the scan, if no VG has them.
fn take_free(scan: &mut Scan, devices: &[&Path]) -> Result<Vec<FoundPv>> {
    let mut uuids: Vec<Uuid> = Vec::new();
    for path in devices {
        let pv = scan.at(path)?;
        if let Some((_, name, _)) = &pv.vg {
            return Err(Error::new(Kind::State, format!("the PV belongs to VG {name}"))
                .device(path.display())
                .state("nothing was changed"));
        }
        if uuids.contains(&pv.uuid) {
            return Err(Error::new(Kind::Usage, "a device is named twice").device(path.display()));
        }
        uuids.push(pv.uuid);
    }
    let mut taken = Vec::new();
    for uuid in uuids {
        if let Some(at) = scan.pvs.iter().position(|pv| pv.uuid == uuid) {
            taken.push(scan.pvs.remove(at));
        }
    }
    Ok(taken)
}

pub(super) fn wipe(member: &Member) -> Result<()> {
    if member.pv.unread {
        return Err(Error::new(Kind::Io, "a PV that cannot be read is not wiped")
            .device(member.path.display())
            .state("it still names the VG")
            .next("try again when it answers"));
    }
    let zeros = Aligned::zeroed(4096);
    for index in SlotIndex::ALL {
        let start = member.pv.label.geometry().slot(index).start;
        member.pv.device.write(Sectors(start), &zeros)?;
    }
    member.pv.device.flush()
}

/// The same of a PV that takes no changes: it is out of the VG whatever stands on it.
fn wipe_or_say(member: &Member, vg: &str) {
    if let Err(error) = wipe(member) {
        let path = member.path.display();
        tracing::warn!(%path, %error, "its label and what it holds of VG {vg} stay on this PV, which takes no changes: do not attach it without the VG's other PVs");
    }
}

fn refused(error: PvError) -> Error {
    let kind = match error {
        PvError::TooManyPvs { .. } => Kind::Limit,
        PvError::BadSize => Kind::NoSpace,
        PvError::InUse { .. } => Kind::State,
        PvError::NoSuchPv | PvError::BadUuid => Kind::Inconsistent,
    };
    Error::new(kind, error.to_string()).state("nothing was changed")
}
