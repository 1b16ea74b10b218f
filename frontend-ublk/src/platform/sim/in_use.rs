//! The simulator's application has its device open always.

use std::path::Path;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::Result;

pub(crate) fn count(_number: DeviceNumber, _node: &Path) -> u32 {
    1
}

pub(crate) fn refuse(_node: &Path) -> Result<()> {
    Ok(())
}
