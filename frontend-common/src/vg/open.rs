//! An opened VG.

use std::path::Path;

use lvshift_core::metadata::{Name, Vg};
use lvshift_core::units::{ExtentSize, Uuid};

use super::Health;
use crate::error::{Error, Kind, Result};
use crate::front_end::View;
use crate::pv::{Members, Scan};

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
    vg: Box<Vg>,
    members: Members,
}

fn unwritten<T>() -> Result<T> {
    Err(Error::new(Kind::Unsupported, "volume groups are not written yet"))
}

impl OpenVg {
    /// Opens the VG with this name.
    ///
    /// # Errors
    /// `Kind::NotFound`; `Kind::Exists` when two VGs have the name; `Kind::Damaged` when no PV has
    /// metadata that can be believed; what the scan says of its PVs (`Kind::Cloned`, ...).
    pub fn open(name: &str, hold: Hold) -> Result<OpenVg> {
        let _ = (name, hold);
        unwritten()
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
        let _ = hold;
        unwritten()
    }

    /// `vgcreate`: a VG over these PVs (paths), which must belong to none.
    ///
    /// # Errors
    /// `Kind::Exists`, `Kind::NotFound`, `Kind::State` when a PV is in a VG, `Kind::Limit`, `Kind::Io`.
    pub fn create(name: Name, extent_size: ExtentSize, devices: &[&Path]) -> Result<OpenVg> {
        let _ = (name, extent_size, devices);
        unwritten()
    }

    /// `vgextend`: adds PVs that belong to no VG.
    ///
    /// # Errors
    /// As [`OpenVg::create`].
    pub fn extend(&mut self, devices: &[&Path]) -> Result<()> {
        let _ = devices;
        unwritten()
    }

    /// `vgreduce`: takes an unused PV out and wipes its metadata slots (its label stays).
    ///
    /// # Errors
    /// `Kind::State` when extents on it are allocated or it is the last one.
    pub fn reduce(&mut self, pv: Uuid) -> Result<()> {
        let _ = pv;
        unwritten()
    }

    /// `vgremove`: wipes the metadata on every PV. The caller has removed the LVs.
    ///
    /// # Errors
    /// `Kind::State` when LVs are left, `Kind::Missing` when a PV is.
    pub fn destroy(self) -> Result<()> {
        unwritten()
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

    /// The PVs that the VG lists and nobody has.
    #[must_use]
    pub fn missing(&self) -> Vec<Uuid> {
        self.vg
            .pvs()
            .iter()
            .map(|pv| pv.uuid)
            .filter(|uuid| self.members.by_uuid(*uuid).is_none())
            .collect()
    }

    /// How sound the metadata is on each PV, as of opening.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::default()
    }

    /// Reads the metadata again from the devices already open.
    ///
    /// # Errors
    /// As [`OpenVg::open`].
    pub fn reread(&mut self) -> Result<()> {
        unwritten()
    }

    /// Reads the metadata again under the lock, lets `change` alter it, and writes it with the
    /// next sequence number to every PV. An error of `change` leaves all as it was.
    ///
    /// # Errors
    /// `Kind::Missing` when a PV is missing; `Kind::Io` naming the PVs that could not be written,
    /// and saying what holds now; whatever `change` returned.
    pub fn commit<T>(&mut self, change: impl FnOnce(&mut Vg) -> Result<T>) -> Result<T> {
        let _ = change;
        unwritten()
    }
}
