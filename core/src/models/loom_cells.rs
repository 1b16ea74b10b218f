//! Models for loom: every execution of a few threads on the real cells, guard and health.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p lvshift-core --release --lib --target-dir target/loom loom`

use std::vec::Vec;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::in_full_form;
use crate::chunk::guard::Guard;
use crate::chunk::health::Health;
use crate::chunk::*;
use crate::units::Sectors;
use crate::{Leg, LegFault};

/// Explores a model and prints how many executions that took.
fn explore(model: &loom::model::Builder, run: impl Fn() + Sync + Send + 'static) {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = count.clone();
    model.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        run();
    });
    let name = std::thread::current().name().map(std::string::String::from);
    let count = count.load(std::sync::atomic::Ordering::Relaxed);
    std::println!("{}: figure=loom-executions {count}", name.unwrap_or_default());
}

fn queue(number: u8) -> QueueId {
    QueueId::new(number).expect("below 16")
}

fn piece(first: u64, count: u64) -> Piece {
    Piece { first: Sectors(first), count: Sectors(count) }
}

/// Mailboxes of two queues, and what is wanted of the copier; a post wakes who waits.
struct Post {
    queues: [Notify; 2],
    copier: Notify,
}

impl Post {
    fn new() -> Post {
        Post { queues: [Notify::new(), Notify::new()], copier: Notify::new() }
    }

    fn wake(&self, mask: QueueMask) {
        for queue in mask.iter() {
            self.queues[usize::from(queue.number())].notify();
        }
    }
}

/// Writes once the chunk lets it, sleeping where it parks. The legs are plain cells: two threads
/// in one at once are a data race to loom.
fn write_both(cell: &ChunkCell, legs: &[loom::cell::UnsafeCell<u32>; 2], mine: &Post, number: u8) {
    let event = Event::Admit {
        intent: Intent::Partial,
        policy: WritePolicy::CopyFirst,
        queue: queue(number),
    };
    loop {
        let step = cell.apply(event);
        match step.outcome {
            Outcome::Admitted(Route::BothLegs) => {
                // Each writer has its own sector, so it shares nothing with the other writer; with
                // the copier it does.
                legs[usize::from(number)].with_mut(|_| ());
                let done = cell.write_done();
                assert_eq!(done.wake, QueueMask::NONE);
                if done.outcome == Outcome::CopyWanted {
                    mine.copier.notify();
                }
                return;
            }
            Outcome::Parked(want) => {
                if want == Want::Copy {
                    mine.copier.notify();
                }
                mine.queues[usize::from(number)].wait();
            }
            other => panic!("{other:?}"),
        }
    }
}

fn copy_when_wanted(cell: &ChunkCell, legs: &[loom::cell::UnsafeCell<u32>; 2], post: &Post) {
    post.copier.wait();
    let step = cell.apply(Event::BeginCopy);
    if step.outcome == Outcome::CopyStarted {
        legs[0].with_mut(|_| ());
        legs[1].with_mut(|_| ());
        post.wake(cell.apply(Event::CopyDone).wake);
    }
}

/// Two writers that do not wait, and a copier over two rounds, to 3 preemptions
/// (`LOOM_MAX_PREEMPTIONS` raises it).
#[test]
fn loom_two_writers_and_a_copier_over_two_rounds() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    explore(&model, || two_writers_and_a_copier(ChunkCell::apply));
}

/// The same to the end, with `LVSHIFT_SCORECARD=full`: every execution, without a bound, 5.2 million.
/// What is left out is that the first look at a word may give an old value: each event begins with the
/// same guess instead, and the exchange, which always sees the newest, puts it right. (With the looks
/// twenty minutes did not end it.)
#[test]
fn loom_two_writers_and_a_copier_over_two_rounds_without_a_bound() {
    let full = in_full_form();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = if full { None } else { Some(3) };
    explore(&model, || {
        two_writers_and_a_copier(|cell, event| {
            cell.apply_from(Word::new(Phase::Pending).bits(), event)
        });
    });
}

/// Whoever parked is in the word still, or was in a wake; and the copier never owns a chunk that a writer
/// is in. (The flags are std's: threads change only at loom's operations, so they cost no branches.)
fn two_writers_and_a_copier(apply: fn(&ChunkCell, Event) -> Step) {
    // std's `Arc`: its counts are none of the model, and would be most of its executions.
    let cell = std::sync::Arc::new(ChunkCell::new());
    let inside = std::sync::Arc::new([false, false].map(std::sync::atomic::AtomicBool::new));
    let writers: Vec<_> = (0..2u8)
        .map(|number| {
            let (cell, inside) = (cell.clone(), inside.clone());
            thread::spawn(move || {
                // The first goes to the source alone and demotes; the second asks for a copy.
                let intent = if number == 0 { Intent::SourceOnly } else { Intent::Partial };
                let policy = WritePolicy::CopyFirst;
                let event = Event::Admit { intent, policy, queue: queue(number) };
                match apply(&cell, event).outcome {
                    Outcome::Admitted(_) | Outcome::AdmittedDemoting => {
                        inside[usize::from(number)].store(true, Ordering::Relaxed);
                        let done = exit(&cell, &inside[usize::from(number)]);
                        (false, done.outcome == Outcome::CopyWanted)
                    }
                    Outcome::Parked(want) => (true, want == Want::Copy),
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    let mut woken = QueueMask::NONE;
    for _ in 0..2 {
        if apply(&cell, Event::BeginCopy).outcome == Outcome::CopyStarted {
            assert!(inside.iter().all(|inside| !inside.load(Ordering::Relaxed)), "a writer is in");
            woken |= apply(&cell, Event::CopyDone).wake;
        }
    }
    let mut asked = false;
    for (number, writer) in writers.into_iter().enumerate() {
        let (parked, wants) = writer.join().unwrap();
        asked |= wants;
        let known = woken | cell.load().parked();
        assert!(!parked || known.contains(queue(number as u8)), "a lost wake-up");
    }
    let word = cell.load();
    assert_eq!(word.writers(), 0);
    assert!(word.phase() != Phase::Draining || asked, "the copier was not told of the copy");
}

fn exit(cell: &ChunkCell, inside: &std::sync::atomic::AtomicBool) -> Step {
    inside.store(false, Ordering::Relaxed);
    cell.write_done()
}

/// Bounded to 2 preemptions: a lost wake-up is a deadlock here, a copy beside a writer a data race.
#[test]
fn loom_two_writers_and_the_copier_and_no_wake_up_is_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    explore(&model, || {
        let cell = Arc::new(ChunkCell::new());
        let post = Arc::new(Post::new());
        let legs = Arc::new([loom::cell::UnsafeCell::new(0), loom::cell::UnsafeCell::new(0)]);
        let writers: Vec<_> = (0..2)
            .map(|number| {
                let (cell, post, legs) = (cell.clone(), post.clone(), legs.clone());
                thread::spawn(move || write_both(&cell, &legs, &post, number))
            })
            .collect();
        copy_when_wanted(&cell, &legs, &post);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(cell.load(), Word::new(Phase::Dirty));
    });
}

/// Two rounds: source-first writers in the chunk while it is copied; demoted, and copied again.
#[test]
fn loom_two_rounds_of_draining_and_copying() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    explore(&model, || {
        let cell = Arc::new(ChunkCell::new());
        let bytes = Arc::new(loom::cell::UnsafeCell::new(0));
        let wanted = Arc::new(AtomicU32::new(0));
        let writer = {
            let (cell, bytes, wanted) = (cell.clone(), bytes.clone(), wanted.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    let event = Event::Admit {
                        intent: Intent::SourceOnly,
                        policy: WritePolicy::SourceFirst,
                        queue: queue(0),
                    };
                    let outcome = cell.apply(event).outcome;
                    if matches!(outcome, Outcome::Admitted(_) | Outcome::AdmittedDemoting) {
                        bytes.with_mut(|_| ());
                        if cell.write_done().outcome == Outcome::CopyWanted {
                            wanted.fetch_add(1, Ordering::AcqRel);
                        }
                    }
                }
            })
        };
        let copy = |cell: &ChunkCell| {
            let outcome = cell.apply(Event::BeginCopy).outcome;
            if outcome == Outcome::CopyStarted {
                bytes.with_mut(|_| ());
                let _ = cell.apply(Event::CopyDone);
            }
            outcome
        };
        let first = copy(&cell);
        let second = copy(&cell);
        writer.join().unwrap();
        // What waited for a writer was called for when the writer left.
        if cell.load().phase() == Phase::Draining {
            assert_eq!(wanted.load(Ordering::Acquire), 1, "{first:?} {second:?}");
        }
        while !cell.load().phase().is_mirrored() {
            copy(&cell);
        }
        assert_eq!(cell.load(), Word::new(Phase::Dirty));
    });
}

/// Three writers and a settle round, bounded: a chunk that ends clean had no write after the flush.
#[test]
fn loom_three_writers_and_a_flush() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    explore(&model, || {
        let cell = Arc::new(ChunkCell::new());
        cell.reset(Word::new(Phase::Dirty));
        // The device's cache: writes done, and how many of them the flush has made durable.
        let written = Arc::new(AtomicU32::new(0));
        let durable = Arc::new(AtomicU32::new(0));
        let writers: Vec<_> = (0..2)
            .map(|number| {
                let (cell, written) = (cell.clone(), written.clone());
                thread::spawn(move || write_once(&cell, &written, number))
            })
            .collect();
        let writer_3 = {
            let (cell, written) = (cell.clone(), written.clone());
            move || write_once(&cell, &written, 2)
        };
        let _ = cell.apply(Event::BeginSettle);
        durable.store(written.load(Ordering::Acquire), Ordering::Release);
        writer_3();
        let cleaned = cell.apply(Event::EndSettle).outcome == Outcome::Cleaned;
        if cleaned {
            assert_eq!(written.load(Ordering::Acquire), durable.load(Ordering::Acquire));
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

fn write_once(cell: &ChunkCell, written: &AtomicU32, number: u8) {
    let event = Event::Admit {
        intent: Intent::Partial,
        policy: WritePolicy::CopyFirst,
        queue: queue(number),
    };
    if let Outcome::Admitted(Route::BothLegs) = cell.apply(event).outcome {
        written.fetch_add(1, Ordering::AcqRel);
        let _ = cell.write_done();
    }
}

/// Two overlapping writes over two guard words: both get in, never at once, no writer sleeps for ever.
#[test]
fn loom_overlapping_writes_take_turns() {
    explore(&loom::model::Builder::new(), || {
        let guard = Arc::new(Guard::new());
        let post = Arc::new(Post::new());
        let bytes = Arc::new(loom::cell::UnsafeCell::new(0));
        let run = |number: u8, at: Piece| {
            let (guard, post, bytes) = (guard.clone(), post.clone(), bytes.clone());
            move || {
                while let Err(wake) = guard.take(at, queue(number)) {
                    post.wake(wake);
                    post.queues[usize::from(number)].wait();
                }
                bytes.with_mut(|_| ());
                post.wake(guard.give_back(at));
            }
        };
        let other = thread::spawn(run(1, piece(256, 8)));
        run(0, piece(248, 16))();
        other.join().unwrap();
    });
}

/// The commit of `Moved` against a write that fails on the destination: never both believed.
#[test]
fn loom_a_failed_write_and_the_commit_see_each_other() {
    explore(&loom::model::Builder::new(), || {
        let health = Arc::new(Health::new());
        let writer = {
            let health = health.clone();
            thread::spawn(move || {
                health.fail(Fault { leg: Leg::Destination, fault: LegFault::Write });
                health.authority_after() == Authority::Source
            })
        };
        health.set_authority(Authority::Undecided);
        let commits = health.fault().is_none();
        let acknowledged = writer.join().unwrap();
        assert!(!(commits && acknowledged));
    });
}

/// A chunk let in to the source alone against the seal's count of what is not mirrored.
#[test]
fn loom_a_write_to_the_source_alone_and_the_seal_see_each_other() {
    explore(&loom::model::Builder::new(), || {
        let (health, group) = (Arc::new(Health::new()), Arc::new(Group::new()));
        let cell = Arc::new(ChunkCell::new());
        cell.reset(Word::new(Phase::Dirty));
        let writer = {
            let (health, group, cell) = (health.clone(), group.clone(), cell.clone());
            thread::spawn(move || {
                let event = Event::Admit {
                    intent: Intent::SourceOnly,
                    policy: WritePolicy::CopyFirst,
                    queue: queue(0),
                };
                assert_eq!(cell.apply(event).outcome, Outcome::AdmittedDemoting);
                group.one_demoted();
                health.authority_after() == Authority::Source
            })
        };
        health.set_authority(Authority::Undecided);
        let commits = group.left() == 0;
        let issued = writer.join().unwrap();
        assert!(!(commits && issued));
    });
}

/// An application's flush that the device failed before the settle round's went well: the round
/// either sees the failure or was not over the flush at all.
#[test]
fn a_settle_round_does_not_overtake_the_answer_of_a_failed_flush() {
    loom::model(|| {
        let epochs = Arc::new(FlushEpochs::new());
        // What the device knows, and what the tracker was told.
        let failed = Arc::new(AtomicU32::new(0));
        let told = Arc::new(AtomicU32::new(0));
        let app = {
            let (epochs, failed, told) =
                (Arc::clone(&epochs), Arc::clone(&failed), Arc::clone(&told));
            thread::spawn(move || {
                let ticket = epochs.begin();
                failed.store(1, Ordering::SeqCst);
                told.store(1, Ordering::SeqCst);
                epochs.end(ticket);
            })
        };
        for _ in 0..2 {
            // The round's own flush is answered well, after or before the failed one.
            let before = failed.load(Ordering::SeqCst) == 1;
            let turn = epochs.turn();
            if epochs.is_over(turn) && before {
                assert_eq!(told.load(Ordering::SeqCst), 1, "a failed flush was overtaken");
            }
            while !epochs.is_over(turn) {
                thread::yield_now();
            }
        }
        app.join().unwrap();
    });
}
