//! Disks that fail.

pub(super) mod disks;
mod dying;
mod leaving;
mod more;
mod nbd;
mod unreadable;
mod verify;
mod worse;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    disks::SCENARIOS,
    dying::SCENARIOS,
    leaving::SCENARIOS,
    more::SCENARIOS,
    nbd::SCENARIOS,
    unreadable::SCENARIOS,
    verify::SCENARIOS,
    worse::SCENARIOS,
];
