//! No links in the simulator.

use std::path::Path;

use lvshift_frontend_common::error::Result;

pub(super) fn make(_vg: &str, _lv: &str, _node: &Path) -> Result<()> {
    Ok(())
}

pub(super) fn exists(_vg: &str, _lv: &str) -> bool {
    true
}

pub(super) fn remove(_vg: &str, _lv: &str) -> Result<()> {
    Ok(())
}
