//! Which writes there are, under which policy, and what may fail.

use super::*;

pub(super) struct Scenario {
    pub(super) writes: [Vec<Write>; 2],
    pub(super) policy: WritePolicy,
    pub(super) may_fail: bool,
    /// An application's flush may fail.
    pub(super) flush_fails: bool,
    /// Scans besides what is wanted.
    pub(super) scan: bool,
    /// A seal is tried, at any moment.
    pub(super) seals: bool,
    pub(super) start: [Phase; 2],
}

pub(super) fn write(chunk: usize, blocks: u32, value: Value) -> Write {
    Write { chunk, blocks, value }
}

pub(super) fn scenarios(may_fail: bool, flush_fails: bool, scan: bool) -> Vec<Scenario> {
    let scripts = [
        // The same block from both queues; then the whole chunk under it.
        [Vec::from([write(0, 1, 1), write(0, 2, 2)]), Vec::from([write(0, 1, 3)])],
        [Vec::from([write(0, 3, 1)]), Vec::from([write(0, 2, 2), write(0, 3, 3)])],
        // Both chunks, crosswise.
        [Vec::from([write(0, 1, 1), write(1, 1, 2)]), Vec::from([write(1, 2, 3), write(0, 1, 4)])],
    ];
    let mut all = Vec::new();
    for writes in scripts {
        for policy in [WritePolicy::CopyFirst, WritePolicy::SourceFirst] {
            for start in [[Phase::Pending, Phase::Pending], [Phase::Clean, Phase::Pending]] {
                all.push(Scenario {
                    writes: writes.clone(),
                    policy,
                    may_fail,
                    flush_fails,
                    scan,
                    seals: false,
                    start,
                });
            }
        }
    }
    all
}
