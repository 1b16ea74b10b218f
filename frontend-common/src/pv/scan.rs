//! Looks at every block device once and says which are PVs, and which look like one but must not
//! be used.

use std::path::{Path, PathBuf};

use lvshift_core::units::{DeviceNumber, Sectors, Uuid};

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
        Err(Error::new(Kind::Unsupported, "scanning is not written yet"))
    }

    /// The PV at this path (any path that names the device: symlinks are followed), or the
    /// reason why it is refused, or `Kind::NotFound`.
    ///
    /// # Errors
    /// As said.
    pub fn at(&self, path: &Path) -> Result<&FoundPv> {
        let _ = path;
        Err(Error::new(Kind::Unsupported, "scanning is not written yet"))
    }

    /// The PV with this UUID.
    #[must_use]
    pub fn by_uuid(&self, uuid: Uuid) -> Option<&FoundPv> {
        self.pvs.iter().find(|pv| pv.uuid == uuid)
    }
}
