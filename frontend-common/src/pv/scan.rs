//! Looks at every block device once and says which are PVs, and which look like one but must not
//! be used.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lvshift_core::metadata::{Found, FoundSlot};
use lvshift_core::units::{DeviceNumber, Sectors, Uuid};
use lvshift_on_disk_format::Label;

use super::probe::{self, Probe, Slots};
use crate::device::{Access, BlockDevice, answering, candidates, is_silent, sysfs};
use crate::error::{Error, Kind, Result};

/// A device with a label that can be believed, not a clone, not shrunk.
#[derive(Debug)]
pub struct FoundPv {
    /// The path to show: `/dev/mapper/NAME` or `/dev/NAME`.
    pub path: PathBuf,
    /// Its number.
    pub number: DeviceNumber,
    /// The size of the device now.
    pub size: Sectors,
    /// The PV's name for ever.
    pub uuid: Uuid,
    /// The VG that its own newest metadata names, if it has any: UUID, name and sequence.
    pub vg: Option<(Uuid, String, u64)>,
    /// What is wrong with it although it can be used (one label copy bad, a slot bad).
    pub warnings: Vec<String>,
    pub(crate) device: BlockDevice,
    pub(crate) label: Label,
    pub(crate) found: Found,
    /// Neither its label nor its slots can be read, and it is not tried: what it is, others have said.
    pub(crate) unread: bool,
    users: Vec<DeviceNumber>,
}

/// A device that was seen to be a PV before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPv {
    /// The PV that it was.
    pub uuid: Uuid,
    /// Its path.
    pub path: PathBuf,
    /// Its number.
    pub number: DeviceNumber,
    /// Its disk sequence, where the kernel knows one: a number that no other disk of this boot has.
    pub disk_sequence: Option<u64>,
}

impl KnownPv {
    /// The device, where it is still that one.
    pub(crate) fn open(&self) -> Result<BlockDevice> {
        let other = || {
            Error::new(Kind::Missing, format!("PV {} is not where it was", self.uuid))
                .device(self.path.display())
        };
        let device = BlockDevice::open(&self.path, Access::Read).map_err(|_| other())?;
        let sequence = sysfs::disk_sequence(self.number);
        let same = device.number() == self.number
            && self.disk_sequence.is_none_or(|before| sequence == Some(before));
        if same { Ok(device) } else { Err(other()) }
    }
}

/// What a look at all block devices found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The PVs that can be used, by path.
    pub pvs: Vec<FoundPv>,
    /// The devices that look like PVs and are refused: damaged, cloned, shrunk, unsupported.
    pub refused: Vec<Error>,
}

impl Scan {
    /// Looks at every block device of this host.
    ///
    /// # Errors
    /// When sysfs cannot be read; a bad device is not an error but is listed in `refused`.
    pub fn run() -> Result<Scan> {
        #[cfg(feature = "sim")]
        if let Some(devices) = crate::simulation::devices() {
            return Ok(Scan::of(devices.into_iter().map(|device| (device, Vec::new()))));
        }
        let devices = candidates()?.into_iter().filter_map(|candidate| {
            match BlockDevice::open(&candidate.path, Access::Read) {
                // The path may have come to name another device in between.
                Ok(device) if device.number() == candidate.number => {
                    Some((device, candidate.users))
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(path = %candidate.path.display(), %error, "skipped");
                    None
                }
            }
        });
        Ok(Scan::of(answering(devices.collect(), |(device, _)| device).into_iter()))
    }

    /// Looks at these devices alone, and none of them longer than any other scan does.
    ///
    /// # Errors
    /// `Kind::Missing` where one is not there any more, or is another one.
    pub fn known(known: &[KnownPv]) -> Result<Scan> {
        let devices: Result<Vec<BlockDevice>> = known.iter().map(KnownPv::open).collect();
        let devices = answering(devices?, |device| device);
        Ok(Scan::of(devices.into_iter().map(|device| (device, Vec::new()))))
    }

    /// The same over devices that are already open.
    pub(crate) fn of(devices: impl Iterator<Item = (BlockDevice, Vec<DeviceNumber>)>) -> Scan {
        let mut scan = Scan::default();
        let mut found = Vec::new();
        for (device, users) in devices {
            match probe::labels(&device) {
                Probe::Nothing => {}
                Probe::Refused(error) => scan.refused.push(error),
                Probe::Pv(label, warnings) => {
                    found.push(FoundPv::new(device, *label, warnings, users))
                }
            }
        }
        drop_lower(&mut found);
        let found = scan.refuse_clones(found);
        for pv in found {
            match pv.check_size() {
                Ok(()) => scan.pvs.push(pv),
                Err(error) => scan.refused.push(error),
            }
        }
        scan
    }

    fn refuse_clones(&mut self, mut found: Vec<FoundPv>) -> Vec<FoundPv> {
        let mut single = Vec::new();
        while !found.is_empty() {
            let first = found.remove(0);
            let (mut same, rest): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|pv| pv.uuid == first.uuid);
            found = rest;
            if same.is_empty() {
                single.push(first);
                continue;
            }
            same.insert(0, first);
            // A snapshot that takes no writes is none of the VG where the PV is there that does.
            if let [_] = same.iter().filter(|pv| !pv.is_read_only()).collect::<Vec<_>>().as_slice()
            {
                let (mut one, copies): (Vec<_>, Vec<_>) =
                    same.into_iter().partition(|pv| !pv.is_read_only());
                for copy in copies {
                    tracing::debug!(path = %copy.path.display(), "a copy that takes no writes");
                }
                single.append(&mut one);
                continue;
            }
            let paths: Vec<String> = same.iter().map(|pv| pv.path.display().to_string()).collect();
            for pv in &same {
                self.refused.push(
                    Error::new(
                        Kind::Cloned,
                        format!("PV {} was found on {}", pv.uuid, paths.join(" and ")),
                    )
                    .device(pv.path.display())
                    .state("neither is used, nothing was changed")
                    .next("detach the copy, or make it another PV with pvcreate --force"),
                );
            }
        }
        single
    }

    /// The PV at this path (any path that names the device: symlinks are followed), or the
    /// reason why it is refused, or `Kind::NotFound`.
    ///
    /// # Errors
    /// As said.
    pub fn at(&self, path: &Path) -> Result<&FoundPv> {
        let missing = || Error::new(Kind::NotFound, "this is not a PV").device(path.display());
        let metadata = std::fs::metadata(path).map_err(|error| {
            Error::new(Kind::NotFound, "there is no such device")
                .device(path.display())
                .because(error)
        })?;
        let number = crate::device::number_of(metadata.rdev());
        if let Some(pv) = self.pvs.iter().find(|pv| pv.number == number) {
            return Ok(pv);
        }
        let shown = crate::device::sysfs::path_of(number).map(|path| path.display().to_string());
        let refused =
            self.refused.iter().find(|error| error.device.is_some() && error.device == shown);
        match refused {
            Some(error) => Err(Error::new(error.kind, error.what.clone())
                .device(path.display())
                .state("nothing was changed")),
            None => Err(missing()),
        }
    }

    /// The PV with this UUID.
    #[must_use]
    pub fn by_uuid(&self, uuid: Uuid) -> Option<&FoundPv> {
        self.pvs.iter().find(|pv| pv.uuid == uuid)
    }
}

impl FoundPv {
    pub(crate) fn new(
        device: BlockDevice,
        label: Label,
        mut warnings: Vec<String>,
        users: Vec<DeviceNumber>,
    ) -> FoundPv {
        let Slots { found, vg, complaints } = probe::slots(&device, &label);
        warnings.extend(complaints);
        FoundPv {
            path: device.path().to_owned(),
            number: device.number(),
            size: device.size(),
            uuid: label.pv(),
            vg,
            warnings,
            device,
            label,
            found,
            unread: false,
            users,
        }
    }

    /// A device that is known to be this PV, and does not say so itself: it answers no read, or all with an
    /// error. `None` where it says something else.
    pub(crate) fn unread(device: BlockDevice, label: Label) -> Option<FoundPv> {
        if !is_silent(device.number()) && !probe::is_unreadable(&device) {
            return None;
        }
        let uuid = label.pv();
        let found = Found { pv: uuid, slots: [FoundSlot::Bad(None); 2] };
        Some(FoundPv {
            path: device.path().to_owned(),
            number: device.number(),
            size: device.size(),
            uuid,
            vg: None,
            warnings: vec!["its label cannot be read".to_owned()],
            device,
            label,
            found,
            unread: true,
            users: Vec::new(),
        })
    }

    /// Whether it gives neither copy of its label.
    pub(crate) fn is_unreadable(&self) -> bool {
        probe::is_unreadable(&self.device)
    }

    /// Whether the kernel takes no writes for the device.
    fn is_read_only(&self) -> bool {
        sysfs::attribute(self.number, "ro").as_deref() == Some("1")
    }

    /// Reads the slots again.
    pub(crate) fn refresh(&mut self) {
        // Whoever does not answer is not asked again.
        if self.unread || is_silent(self.number) {
            self.unread = true;
            self.found.slots = [FoundSlot::Bad(None); 2];
            return;
        }
        let Slots { found, vg, .. } = probe::slots(&self.device, &self.label);
        self.found = found;
        self.vg = vg;
        if is_silent(self.number) {
            self.refresh();
        }
    }

    fn check_size(&self) -> Result<()> {
        self.label.geometry().check_device(self.size.0).map_err(|error| {
            Error::new(
                Kind::Shrunk,
                format!("the device is smaller than its PV label says: {error}"),
            )
            .device(self.path.display())
            .state("nothing was changed")
            .next("give the device its old size back")
        })
    }
}

/// Where a device is made from another and both show the same PV, the upper one is the PV.
fn drop_lower(found: &mut Vec<FoundPv>) {
    let upper: Vec<(DeviceNumber, Uuid)> = found.iter().map(|pv| (pv.number, pv.uuid)).collect();
    found.retain(|pv| {
        let mut above = pv.users.clone();
        let mut seen = above.clone();
        while let Some(user) = above.pop() {
            if upper.contains(&(user, pv.uuid)) {
                return false;
            }
            for further in crate::device::sysfs::users(user) {
                if !seen.contains(&further) {
                    seen.push(further);
                    above.push(further);
                }
            }
        }
        true
    });
}

#[cfg(test)]
mod tests;
