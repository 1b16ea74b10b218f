//! LVM2's own tools and volume groups beside ours.

mod control;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[control::SCENARIOS];
