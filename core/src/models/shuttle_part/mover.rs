//! The mover: hands the LV over when all is equal, or goes back to the source.

use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use super::disks::CHUNKS;
use super::plan::{Ending, Fault};
use super::quiesce::Table;
use super::{Authority, Sealed, System};
use crate::Leg;

pub(super) fn run(system: &System) {
    if system.plan.patient {
        system.quiesce.wait_for_all_to_leave();
    }
    let moved = match system.plan.ending {
        Ending::Abort(after) => {
            (0..after).for_each(|_| thread::yield_now());
            false
        }
        Ending::HandOver => hand_over(system),
    };
    if !moved {
        // The record first: from the switch on, the log's clean bits lie.
        system.disks().aborting();
        system.pass_on(system.tracker().decided(Authority::Source));
        swap(system, Leg::Source, || ());
    }
}

/// Nothing is on its way and the copier has ended before the LV is served from one leg.
fn swap(system: &System, leg: Leg, check: impl FnOnce()) {
    system.quiesce.swap(&system.queues, Table::Plain(leg), || {
        system.copier_stops.store(1, Ordering::SeqCst);
        system.copier.ring();
        while system.copier_stops.load(Ordering::SeqCst) == 1 {
            system.mover.wait();
        }
        (0..CHUNKS).for_each(|chunk| system.check_equal(chunk));
        check();
    });
}

/// False where a leg has failed.
fn hand_over(system: &System) -> bool {
    let tracker = system.tracker();
    loop {
        while tracker.left() > 0 {
            if tracker.is_abandoned() {
                return false;
            }
            system.mover.wait();
        }
        let (sealed, effects) = tracker.seal();
        system.pass_on(effects);
        match sealed {
            Sealed::NotEqual => {}
            Sealed::Unhealthy(_) => return false,
            Sealed::Sealed => break,
        }
    }
    // A flush under way may fail and drop what the next one is told to be durable: the copier's and those
    // of the application that it can see, then those that are about to begin.
    system.confirm_asked.store(1, Ordering::SeqCst);
    system.copier.ring();
    while system.confirmed.load(Ordering::SeqCst) < 1 {
        system.mover.wait();
    }
    while system.flushing.load(Ordering::SeqCst) > 0 {
        system.mover.wait();
    }
    let flush = system.disks().begin_flush(Leg::Destination);
    thread::yield_now();
    if system.plan.fault == Fault::Mover {
        system.disks().fail_flush(Leg::Destination);
        return false;
    }
    system.disks().end_flush(Leg::Destination, &flush);
    if tracker.is_abandoned() {
        return false;
    }
    thread::yield_now();
    system.disks().moved();
    system.pass_on(tracker.decided(Authority::Destination));
    let check = || system.disks().check_hand_over();
    swap(system, Leg::Destination, check);
    true
}
