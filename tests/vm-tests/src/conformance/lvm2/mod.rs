//! LVM2's own tools and volume groups beside ours.

mod control;
mod crash;
mod faults;
mod in_place;
mod report;
mod rig;
mod texts;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    control::SCENARIOS,
    faults::SCENARIOS,
    crash::SCENARIOS,
    in_place::SCENARIOS,
    report::SCENARIOS,
    texts::SCENARIOS,
];
