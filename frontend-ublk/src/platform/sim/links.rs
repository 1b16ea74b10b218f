//! No links in the simulator.

use std::path::Path;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::Result;

pub(crate) fn make(_vg: &str, _lv: &str, _node: &Path) -> Result<()> {
    Ok(())
}

pub(crate) fn exists(_vg: &str, _lv: &str) -> bool {
    true
}

pub(crate) fn remove(_vg: &str, _lv: &str) -> Result<()> {
    Ok(())
}

/// Not asked here.
pub(crate) fn lv_at(_: DeviceNumber) -> Option<(String, String)> {
    None
}
