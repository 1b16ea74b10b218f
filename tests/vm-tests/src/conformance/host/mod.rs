//! The host is not ours: what other programs on it see, hold and must not notice.

mod bad_pv;
mod bystanders;
mod commit;
mod daemon;
mod hosts;
mod silent;
mod udev;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    udev::SCENARIOS,
    bystanders::SCENARIOS,
    daemon::SCENARIOS,
    hosts::SCENARIOS,
    silent::SCENARIOS,
    bad_pv::SCENARIOS,
    commit::SCENARIOS,
];
