//! The daemon of lvshift-ublk, its requests and its mirror.

mod chunk;
pub(super) mod daemon;
mod faults;
mod kill;
pub(crate) mod late;
mod metrics;
mod model;
mod overlap;
mod pace;
mod policy;
mod rate;
mod requests;
pub(super) mod rig;
mod seal;
mod sparse;
mod upgrade;
mod verify;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    chunk::SCENARIOS,
    overlap::SCENARIOS,
    requests::SCENARIOS,
    sparse::SCENARIOS,
    rate::SCENARIOS,
    pace::SCENARIOS,
    policy::SCENARIOS,
    kill::SCENARIOS,
    late::SCENARIOS,
    upgrade::SCENARIOS,
    seal::SCENARIOS,
    faults::SCENARIOS,
    verify::SCENARIOS,
    metrics::SCENARIOS,
];
