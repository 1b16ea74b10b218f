//! LVM2's own tools and volume groups beside ours.

mod beside;
mod control;
mod crash;
mod daemon;
mod debian13;
mod dmeventd;
mod faults;
mod in_place;
mod kinds;
mod log_late;
mod options;
mod read_check;
mod report;
mod rig;
mod strange;
mod texts;
mod torn;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    beside::SCENARIOS,
    control::SCENARIOS,
    faults::SCENARIOS,
    crash::SCENARIOS,
    debian13::SCENARIOS,
    daemon::SCENARIOS,
    dmeventd::SCENARIOS,
    in_place::SCENARIOS,
    options::SCENARIOS,
    read_check::SCENARIOS,
    report::SCENARIOS,
    strange::SCENARIOS,
    kinds::SCENARIOS,
    log_late::SCENARIOS,
    texts::SCENARIOS,
    torn::SCENARIOS,
];
