//! Metadata that cannot be believed.

mod damage;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[damage::SCENARIOS];
