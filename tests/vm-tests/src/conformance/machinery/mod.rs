//! The test machinery itself: does it see what it must?

mod self_check;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[self_check::SCENARIOS];
