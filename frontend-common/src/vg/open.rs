//! An opened VG.

use std::path::Path;
use std::time::Duration;

use lvshift_core::metadata::FoundSlot;
use lvshift_core::units::Uuid;
use lvshift_on_disk_format::{Geometry, Label};

use super::read::{Read, read};
use super::{Health, Vg};
use crate::device::DEADLINE;
use crate::error::{Error, Kind, Result};
use crate::front_end::View;
use crate::lock::{self, Lock};
use crate::pv::{FoundPv, KnownPv, Member, Members, Scan};

/// Whether the metadata lock stays taken after opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Only while reading: reports, and the mover, which takes it again for each commit.
    Release,
    /// Until the `OpenVg` is dropped: commands that change something.
    Keep,
}

/// A VG: its newest metadata, and the opened devices of all its PVs that are there.
#[derive(Debug)]
pub struct OpenVg {
    pub(super) vg: Vg,
    pub(super) writable: bool,
    pub(super) members: Members,
    /// Devices at hand that the VG does not list (yet, or any more).
    pub(super) spare: Vec<Member>,
    pub(super) health: Health,
    /// Why devices that look like PVs are not used: one of them may be a missing PV.
    pub(super) refused: Vec<String>,
    pub(super) held: Option<Lock>,
    /// Whether devices that are not known yet may be looked for.
    pub(super) may_scan: bool,
    /// How long each PV is waited for; `None`: as long as it takes.
    pub(crate) patience: Option<Duration>,
    /// Whether that is being kept ([`OpenVg::attended`]).
    pub(super) attended: bool,
    /// A person was asked, and goes on though the PVs that are left are not more than half.
    pub(super) asked: bool,
    /// A PV that data are moved away from by a command: where it takes a change no more, it is left with that.
    pub(super) leaves: Option<Uuid>,
}

impl OpenVg {
    /// Opens the VG with this name.
    ///
    /// # Errors
    /// `Kind::NotFound`; `Kind::Exists` when two VGs have the name; `Kind::Damaged` when no PV has
    /// metadata that can be believed; what the scan says of its PVs (`Kind::Cloned`, ...).
    pub fn open(name: &str, hold: Hold) -> Result<OpenVg> {
        OpenVg::open_in(Scan::run()?, name, hold)
    }

    pub(crate) fn open_in(scan: Scan, name: &str, hold: Hold) -> Result<OpenVg> {
        let mut uuids: Vec<Uuid> = scan
            .pvs
            .iter()
            .filter_map(|pv| pv.vg.as_ref().filter(|(_, other, _)| other == name).map(|vg| vg.0))
            .collect();
        uuids.sort();
        uuids.dedup();
        match uuids.as_slice() {
            [uuid] => OpenVg::open_uuid(scan, *uuid, hold),
            [] => Err(not_found(scan, name)),
            several => Err(Error::new(
                Kind::Exists,
                format!("{} VGs have the name {name}: {several:?}", several.len()),
            )
            .state("nothing was changed")
            .next("detach the PVs of all but one")),
        }
    }

    /// Opens the VG with this UUID.
    ///
    /// # Errors
    /// As [`OpenVg::open`].
    pub(crate) fn open_by_uuid(scan: Scan, uuid: Uuid, hold: Hold) -> Result<OpenVg> {
        if scan.pvs.iter().all(|pv| pv.vg.as_ref().is_none_or(|(of, ..)| *of != uuid)) {
            return Err(not_found(scan, &uuid.to_string()));
        }
        OpenVg::open_uuid(scan, uuid, hold)
    }

    fn open_uuid(scan: Scan, uuid: Uuid, hold: Hold) -> Result<OpenVg> {
        let lock = match hold {
            Hold::Keep => lock::metadata(uuid)?,
            Hold::Release => lock::metadata_shared(uuid)?,
        };
        let refused = scan.refused.iter().map(one_line).collect();
        let mut pool: Vec<Member> = scan
            .pvs
            .into_iter()
            .filter(|pv| pv.vg.as_ref().is_none_or(|(of, ..)| *of == uuid))
            .map(Member::from)
            .collect();
        // The scan ran without the lock, and has just heard from all of them: none needs a limit.
        for member in &mut pool {
            member.pv.attend(false, None);
            member.pv.refresh();
            member.pv.dismiss();
        }
        let held = (hold == Hold::Keep).then_some(lock);
        Ok(OpenVg::new(read(uuid, pool)?, refused, held))
    }

    /// What was read, as it is before anything is asked of it.
    pub(super) fn new(read: Read, refused: Vec<String>, held: Option<Lock>) -> OpenVg {
        let Read { vg, writable, members, spare, health } = read;
        let (may_scan, patience, attended, asked) = (true, Some(DEADLINE), false, false);
        OpenVg {
            vg,
            writable,
            members,
            spare,
            health,
            refused,
            held,
            may_scan,
            patience,
            attended,
            asked,
            leaves: None,
        }
    }

    /// Opens the VG with this UUID over these devices and touches no other, now and later. It is for
    /// whoever takes over: to read any device of this host may be to wait for what is to be taken over.
    ///
    /// # Errors
    /// As [`OpenVg::open`], and `Kind::Missing` where one of the devices is not the one that it was, or
    /// the VG lists a PV that is none of them: then they have to be looked for.
    pub fn open_known(known: &[KnownPv], uuid: Uuid) -> Result<OpenVg> {
        let scan = Scan::known(known)?;
        let mut vg = OpenVg::open_by_uuid(scan, uuid, Hold::Release)?;
        vg.may_scan = false;
        vg.take_unread(known);
        let is_known = |pv: &Uuid| known.iter().any(|one| one.uuid == *pv);
        match vg.vg.pvs().iter().map(|pv| pv.uuid).find(|pv| !is_known(pv)) {
            None => Ok(vg),
            Some(new) => Err(Error::new(Kind::Missing, format!("PV {new} came since"))),
        }
    }

    /// A PV of these whose device is where it was is not missing because it cannot be read: what lies on
    /// others can be served, and what lies there gets the device's own errors.
    fn take_unread(&mut self, known: &[KnownPv]) {
        let mut pool = std::mem::take(&mut self.members).into_pool();
        for one in known {
            let missing = pool.iter().all(|member| member.uuid != one.uuid);
            let Some(pv) = self.vg.pvs().iter().find(|pv| missing && pv.uuid == one.uuid) else {
                continue;
            };
            let geometry = Geometry::for_device(pv.device_size.0).ok();
            let label = geometry.and_then(|geometry| Label::new(pv.uuid, geometry));
            let found = label.zip(one.open().ok()).and_then(|(label, device)| {
                FoundPv::unread(device, label).filter(|found| found.size >= pv.device_size)
            });
            let member = found.map(Member::from);
            pool.extend(
                member.filter(|new| (new.log_start, new.log_size) == (pv.log_start, pv.log_size)),
            );
        }
        let (members, spare) = Members::arrange(&self.vg, pool);
        self.members = members;
        self.spare.extend(spare);
    }

    /// The names of all VGs that the PVs found name, sorted.
    #[must_use]
    pub fn names(scan: &Scan) -> Vec<String> {
        let mut names: Vec<String> =
            scan.pvs.iter().filter_map(|pv| Some(pv.vg.as_ref()?.1.clone())).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Opens every VG of this host, by name; those that cannot be opened as their errors.
    ///
    /// # Errors
    /// When the scan itself fails.
    pub fn open_all(hold: Hold) -> Result<Vec<Result<OpenVg>>> {
        let names = OpenVg::names(&Scan::run()?);
        Ok(names.iter().map(|name| OpenVg::open(name, hold)).collect())
    }

    /// The metadata as read last.
    #[must_use]
    pub fn vg(&self) -> &Vg {
        &self.vg
    }

    /// The devices.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Both, for a front end.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { vg: &self.vg, members: &self.members }
    }

    /// The PVs that the VG lists and no device holds.
    #[must_use]
    pub fn missing(&self) -> Vec<Uuid> {
        self.vg
            .pvs()
            .iter()
            .map(|pv| pv.uuid)
            .filter(|uuid| self.members.by_uuid(*uuid).is_none())
            .collect()
    }

    /// How sound the metadata is on each PV, as of reading.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Reads the metadata again from the devices already open, and looks for the devices of PVs
    /// that others added since.
    ///
    /// # Errors
    /// As [`OpenVg::open`].
    pub fn reread(&mut self) -> Result<()> {
        let _lock = match self.held {
            Some(_) => None,
            None => Some(lock::metadata_shared(self.vg.uuid())?),
        };
        self.reread_locked()
    }

    pub(super) fn reread_locked(&mut self) -> Result<()> {
        self.attended(false, OpenVg::reread_attended)
    }

    fn reread_attended(&mut self) -> Result<()> {
        let uuid = self.vg.uuid();
        let mut pool = std::mem::take(&mut self.members).into_pool();
        pool.append(&mut self.spare);
        pool.iter_mut().for_each(|member| member.pv.refresh());
        let known: Vec<Uuid> = pool.iter().map(|member| member.uuid).collect();
        self.take_over(read(uuid, pool)?);
        if self.may_scan
            && self.missing().iter().any(|uuid| !known.contains(uuid))
            && let Ok(scan) = Scan::run()
        {
            let mut pool = std::mem::take(&mut self.members).into_pool();
            pool.append(&mut self.spare);
            let new = |pv: &FoundPv| !known.contains(&pv.uuid);
            pool.extend(scan.pvs.into_iter().filter(new).map(Member::from));
            self.take_over(read(uuid, pool)?);
        }
        Ok(())
    }

    fn take_over(&mut self, read: Read) {
        self.vg = read.vg;
        self.writable = read.writable;
        self.members = read.members;
        self.spare = read.spare;
        self.health = read.health;
    }

    /// Lets go of the metadata lock; from now on it is taken for each commit.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// Why the device at this path, which looks like a PV, is not used.
    #[must_use]
    pub fn why_refused(&self, path: &Path) -> Option<&str> {
        let start = format!("{}: ", path.display());
        self.refused.iter().find_map(|line| line.strip_prefix(&start))
    }

    /// The error for a missing PV, with what is known of refused devices.
    pub(crate) fn missing_error(&self, pvs: &[Uuid]) -> Error {
        let names: Vec<String> = pvs.iter().map(ToString::to_string).collect();
        let error = Error::new(
            Kind::Missing,
            format!("PV {} of VG {} is missing", names.join(", "), self.vg.name()),
        )
        .state("nothing was changed")
        .next("attach the device, then try again");
        if self.refused.is_empty() { error } else { error.because(self.refused.join("; ")) }
    }
}

fn one_line(error: &Error) -> String {
    match &error.device {
        Some(device) => format!("{device}: {}", error.what),
        None => error.what.clone(),
    }
}

fn not_found(scan: Scan, name: &str) -> Error {
    if crate::lvm2::has_vg(name) {
        let what = format!("VG {name} is one of LVM2's own, in which only pvmove is ours");
        return crate::lvm2::not_ours(what);
    }
    let unreadable: Vec<String> = scan
        .pvs
        .iter()
        .filter(|pv| pv.found.slots.iter().any(|slot| matches!(slot, FoundSlot::Bad(_))))
        .filter(|pv| pv.vg.is_none())
        .map(|pv| format!("{}: {}", pv.path.display(), pv.warnings.join("; ")))
        .collect();
    let mut causes = unreadable.clone();
    causes.extend(scan.refused.iter().map(one_line));
    let error = if unreadable.is_empty() {
        match scan.refused.as_slice() {
            // All devices that could hold it are refused, and for one reason.
            [first, rest @ ..]
                if scan.pvs.is_empty() && rest.iter().all(|e| e.kind == first.kind) =>
            {
                Error::new(
                    first.kind,
                    format!("Volume group \"{name}\" not found on the PVs that can be used"),
                )
            }
            _ => Error::new(Kind::NotFound, format!("Volume group \"{name}\" not found")),
        }
    } else {
        Error::new(
            Kind::Damaged,
            format!("Volume group \"{name}\" not found with metadata to be believed"),
        )
    };
    let error = error.state("nothing was changed");
    if causes.is_empty() { error } else { error.because(causes.join("; ")) }
}
