//! Every command, and what it refuses.

mod habits;
mod refusals;
mod restore;
mod tour;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] =
    &[tour::SCENARIOS, refusals::SCENARIOS, habits::SCENARIOS, restore::SCENARIOS];
