//! A move and its way: what moves where, what stops it, who carries it on, what it does to others.

mod abort;
mod handover;
pub(super) mod kill;
mod liveness;
mod outline;
mod placement;
mod pressure;
mod stages;

use crate::scenario::Scenario;

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    outline::SCENARIOS,
    placement::SCENARIOS,
    abort::SCENARIOS,
    kill::SCENARIOS,
    handover::SCENARIOS,
    pressure::SCENARIOS,
    liveness::SCENARIOS,
    stages::SCENARIOS,
];
