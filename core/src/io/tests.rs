//! Plans, completions, flushes: small enough to try everything.

use super::*;
use crate::Leg;
use crate::chunk::{AppResult, Authority, Content, Route, WriteOutcome};

const OPS: [WriteOp; 5] = [
    WriteOp::Write { fua: false },
    WriteOp::Write { fua: true },
    WriteOp::WriteZeroes { unmap: false, fua: true },
    WriteOp::WriteZeroes { unmap: true, fua: false },
    WriteOp::Discard,
];
const DISCARDS: [Discards; 2] = [Discards::AsZeroes, Discards::SourceOnly];

#[test]
fn every_leg_of_a_plan_is_asked_for_the_same() {
    for op in OPS {
        for discards in DISCARDS {
            for route in [Route::Source, Route::BothLegs, Route::WholeChunk] {
                let plan = plan_write(op, route, discards);
                assert_eq!(plan.len(), if route == Route::Source { 1 } else { 2 });
                assert_eq!(plan[0].leg, Leg::Source);
                assert!(plan.iter().all(|io| io.op == plan[0].op));
            }
        }
    }
}

#[test]
fn a_discard_never_leaves_the_legs_to_choose_their_bytes() {
    for op in OPS {
        for discards in DISCARDS {
            // What the tracker may admit to both legs.
            if op.content(discards) == Content::Known {
                for io in plan_write(op, Route::BothLegs, discards) {
                    assert_ne!(io.op, LegOp::Discard);
                }
            }
        }
    }
    use Zeroing::{ByWriting, Offloaded};
    assert_eq!(Discards::for_legs(Offloaded, Offloaded), Discards::AsZeroes);
    assert_eq!(Discards::for_legs(Offloaded, ByWriting), Discards::SourceOnly);
    assert_eq!(Discards::for_legs(ByWriting, Offloaded), Discards::SourceOnly);
}

#[test]
fn fua_reaches_both_legs() {
    let plan = plan_write(WriteOp::Write { fua: true }, Route::BothLegs, Discards::AsZeroes);
    assert!(plan.iter().all(|io| io.op == LegOp::Write { fua: true }));
}

#[test]
fn a_write_ends_with_its_last_leg_in_either_order() {
    let plan = plan_write(WriteOp::Write { fua: false }, Route::BothLegs, Discards::AsZeroes);
    for (source, destination, outcome) in [
        (true, true, WriteOutcome::Done),
        (true, false, WriteOutcome::DestinationFailed),
        (false, true, WriteOutcome::SourceFailed),
        (false, false, WriteOutcome::SourceFailed),
    ] {
        let mut progress = WriteProgress::new(&plan);
        assert_eq!(progress.leg_done(Leg::Source, source), None);
        assert_eq!(progress.only_destination_awaited(), source);
        assert_eq!(progress.leg_done(Leg::Source, !source), None, "answered twice");
        assert_eq!(progress.leg_done(Leg::Destination, destination), Some(outcome));
        assert_eq!(progress.leg_done(Leg::Destination, destination), None);
        let mut progress = WriteProgress::new(&plan);
        assert_eq!(progress.leg_done(Leg::Destination, destination), None);
        assert!(!progress.only_destination_awaited());
        assert_eq!(progress.leg_done(Leg::Source, source), Some(outcome));
    }
}

#[test]
fn a_source_write_does_not_wait_for_the_destination() {
    let plan = plan_write(WriteOp::Discard, Route::Source, Discards::SourceOnly);
    let mut progress = WriteProgress::new(&plan);
    assert_eq!(progress.leg_done(Leg::Destination, false), None);
    assert_eq!(progress.leg_done(Leg::Source, true), Some(WriteOutcome::Done));
}

#[test]
fn a_read_tries_the_destination_once() {
    let mut read = ReadPlan::new();
    assert_eq!((read.leg(), read.leg_done(true)), (Leg::Source, ReadStep::Done));
    assert_eq!(read.leg_done(false), ReadStep::TryDestination);
    assert_eq!(read.leg(), Leg::Destination);
    assert_eq!(read.leg_done(false), ReadStep::Failed);
    assert_eq!(read.leg_done(true), ReadStep::Done);
}

#[test]
fn a_flush_waits_for_all_and_spares_the_application_the_destination() {
    use Authority::{Destination, Source, Undecided};
    for (source, destination, authority, app) in [
        (true, true, Source, AppResult::Done),
        (true, false, Source, AppResult::Done),
        (true, false, Undecided, AppResult::Held),
        (true, true, Undecided, AppResult::Done),
        (true, false, Destination, AppResult::Failed),
        (true, true, Destination, AppResult::Done),
        (false, true, Source, AppResult::Failed),
        (false, false, Undecided, AppResult::Failed),
    ] {
        let mut flush = FlushProgress::new(2);
        assert_eq!(flush.device_done(Leg::Destination, destination), None);
        let result = flush.device_done(Leg::Source, source).unwrap();
        assert_eq!(result.app(authority, false), app);
        let held_for_the_commit = source && authority == Undecided;
        let app = if held_for_the_commit { AppResult::Held } else { app };
        assert_eq!(result.app(authority, true), app);
        assert_eq!(flush.device_done(Leg::Source, false), None, "answered once too often");
    }
}
