//! `pvcreate` and `pvremove`: the label on a device.

use std::path::Path;

use lvshift_core::units::Uuid;

use crate::error::{Error, Kind, Result};

/// What `pvcreate` may be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// Overwrite a foreign signature (never a mounted or held device).
    pub force: bool,
    /// The UUID to use instead of a random one.
    pub uuid: Option<Uuid>,
}

/// Makes the device a PV without a VG and returns its UUID.
///
/// # Errors
/// `Kind::InUse` when mounted or held, `Kind::ForeignSignature` naming what was found and where,
/// `Kind::Exists` when it is a PV of a VG, `Kind::Io`; nothing is written in any of the first three.
pub fn create(path: &Path, options: CreateOptions) -> Result<Uuid> {
    let _ = (path, options);
    Err(Error::new(Kind::Unsupported, "pvcreate is not written yet"))
}

/// Wipes the labels and metadata slots of a PV that belongs to no VG (`force`: of any PV that
/// nothing holds).
///
/// # Errors
/// `Kind::State` naming the VG when it belongs to one, `Kind::InUse`, `Kind::NotFound`, `Kind::Io`.
pub fn remove(path: &Path, force: bool) -> Result<()> {
    let _ = (path, force);
    Err(Error::new(Kind::Unsupported, "pvremove is not written yet"))
}
