//! The power goes, or the machine is started anew.

mod cache;
mod cut;
mod fs;
mod reboot;
mod record;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] =
    &[cut::SCENARIOS, cache::SCENARIOS, record::SCENARIOS, fs::SCENARIOS, reboot::SCENARIOS];
