//! A mirrored part at the size of a system, under shuttle: four queues with overlapping writes and
//! flushes, a copier, and a mover that hands over or goes back.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p lvshift-core --release --lib --target-dir target/shuttle shuttle`
//!
//! What runs is the tracker, the flush epochs, core's queue with all that it makes of requests, and the whole
//! copier with its log and its settle rounds; what is made up are the threads and the disks. At every change of a disk: were the power to fail now, the log would not lie and nothing flushed would be lost. At every end of a write or a copy: a
//! mirrored chunk that is not being written is equal on both legs, so overlapping writes came to both in one
//! order. A wake-up that is lost is a deadlock, which shuttle reports.

use std::string::String;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec::Vec;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::AtomicU32;
use shuttle::sync::{Arc, Condvar, Mutex as SharedMutex};
use shuttle::{Config, Runner, thread};

use crate::Leg;
use crate::chunk::*;
use crate::device::{Device, DeviceIndex};
use crate::io::Discards;
use crate::mirror::{Part, PartPlace, Volume};
use crate::serve::{Below, Served};
use crate::table::{Area, Log, Mirror, Segment, StoredTable, Table, Target};
use crate::units::Sectors;
use disks::{CHUNK, Disks, LENGTH};
use plan::Plan;

mod disks;
mod mirror;
mod mover;
mod plan;
mod queues;
mod quiesce;

/// Queue threads.
const QUEUES: u8 = 4;
/// What is on which device, by index, and where the part begins there.
const LEGS: [Leg; 2] = [Leg::Source, Leg::Destination];
const PLACES: [u64; 2] = [1000, 2000];
/// Executions for each seed: PCT learns from one how long the next will be.
const BATCH: usize = 50;

struct Memory {
    cells: Vec<ChunkCell>,
    groups: Vec<Group>,
}

impl Cells for Memory {
    fn cells(&self) -> &[ChunkCell] {
        &self.cells
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// How a thread is told that it has something to do.
struct Wakeup {
    rung: SharedMutex<bool>,
    changed: Condvar,
}

impl Wakeup {
    fn new() -> Wakeup {
        Wakeup { rung: SharedMutex::new(false), changed: Condvar::new() }
    }

    fn ring(&self) {
        *self.rung.lock().expect("no thread panics with it") = true;
        self.changed.notify_one();
    }

    /// Whether it was rung since the last look.
    fn take(&self) -> bool {
        std::mem::take(&mut *self.rung.lock().expect("no thread panics with it"))
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().expect("no thread panics with it");
        while !*rung {
            rung = self.changed.wait(rung).expect("no thread panics with it");
        }
        *rung = false;
    }
}

/// All that the threads share.
struct System {
    plan: Plan,
    parts: [Part<Memory>; 1],
    devices: [Device; 2],
    disks: Mutex<Disks>,
    flushes: FlushEpochs,
    /// What the LV is served from: by the mirror, by each leg alone.
    tables: [StoredTable<[Segment<DeviceIndex>; 1], DeviceIndex>; 3],
    /// Flushes of the destination that are under way or not told of yet.
    flushing: AtomicU32,
    quiesce: quiesce::Quiesce,
    queues: [Wakeup; QUEUES as usize],
    copier: Wakeup,
    mover: Wakeup,
    /// 1: the copier is to end; 2: it has.
    copier_stops: AtomicU32,
    /// The number of the last look that the mover asks for, and of the one that is done.
    confirm_asked: AtomicU32,
    confirmed: AtomicU32,
}

impl System {
    fn new(plan: Plan) -> System {
        let geometry = Geometry::new(Sectors(LENGTH), CHUNK).expect("a good size");
        let cells = (0..geometry.chunks()).map(|_| ChunkCell::new()).collect();
        let groups = (0..geometry.groups()).map(|_| Group::new()).collect();
        let tracker = Tracker::new(geometry, Memory { cells, groups }).expect("memory enough");
        tracker.load_log_bits(ChunkIndex(0), &[plan.clean]);
        let devices = [Device::new(512, true), Device::new(512, true)];
        let at = |device: u8, sector| Area { device: DeviceIndex(device), offset: Sectors(sector) };
        let place = PartPlace {
            start: Sectors(0),
            source: at(0, PLACES[0]),
            destination: at(1, PLACES[1]),
            log: at(1, 0),
        };
        let mirror = Mirror {
            source: place.source,
            destination: place.destination,
            log: Log::Disk(place.log.device),
            chunk_sectors: CHUNK,
            sync: None,
            handle_errors: true,
            keep_log: false,
        };
        let tables = [
            Target::Mirror(mirror),
            Target::Linear(place.source),
            Target::Linear(place.destination),
        ];
        let tables = tables.map(|target| {
            let segment = Segment { start: Sectors(0), len: Sectors(LENGTH), target };
            StoredTable::new([segment]).expect("a table")
        });
        let part = Part::new(place, tracker, Discards::SourceOnly, &devices[1]);
        System {
            disks: Mutex::new(Disks::new(plan.clean)),
            plan,
            parts: [part],
            devices,
            flushes: FlushEpochs::new(),
            tables,
            flushing: AtomicU32::new(0),
            quiesce: quiesce::Quiesce::new(),
            queues: std::array::from_fn(|_| Wakeup::new()),
            copier: Wakeup::new(),
            mover: Wakeup::new(),
            copier_stops: AtomicU32::new(0),
            confirm_asked: AtomicU32::new(0),
            confirmed: AtomicU32::new(0),
        }
    }

    fn disks(&self) -> MutexGuard<'_, Disks> {
        self.disks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tracker(&self) -> &Tracker<Memory> {
        self.parts[0].tracker()
    }

    fn wake(&self, queues: QueueMask) {
        for queue in queues.iter() {
            if let Some(wakeup) = self.queues.get(usize::from(queue.number())) {
                wakeup.ring();
            }
        }
    }

    fn pass_on(&self, effects: Effects) {
        self.wake(effects.wake);
        if effects.copier || effects.log {
            self.copier.ring();
        }
        if effects.copier {
            self.mover.ring();
        }
    }

    fn check_equal(&self, chunk: u32) {
        // No other thread runs between the word and the disks, nor while these are locked.
        let word = self.tracker().word(ChunkIndex(chunk)).expect("in the part");
        if let Err(what) = self.disks().check_equal(word, chunk) {
            panic!("{what}");
        }
    }
}

impl Volume for System {
    type Cells = Memory;

    fn parts(&self) -> &[Part<Memory>] {
        &self.parts
    }

    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.devices.get(usize::from(device.0))
    }

    fn flushes(&self) -> &FlushEpochs {
        &self.flushes
    }
}

/// The LV as one table has it.
struct Mapped<'a> {
    system: &'a System,
    table: quiesce::Table,
}

impl Volume for Mapped<'_> {
    type Cells = Memory;

    fn parts(&self) -> &[Part<Memory>] {
        if self.table == quiesce::Table::Mirror { &self.system.parts } else { &[] }
    }

    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.system.device(device)
    }

    fn flushes(&self) -> &FlushEpochs {
        &self.system.flushes
    }
}

impl Served for Mapped<'_> {
    fn table(&self) -> Table<'_, DeviceIndex> {
        let [mirror, source, destination] = &self.system.tables;
        match self.table {
            quiesce::Table::Mirror => mirror.table(),
            quiesce::Table::Plain(Leg::Source) => source.table(),
            quiesce::Table::Plain(Leg::Destination) => destination.table(),
        }
    }

    fn below(&self) -> Below {
        Below::of(self.table().segments(), self.parts())
    }

    fn is_committing(&self) -> bool {
        true
    }
}

/// What the last execution was about, for whoever looks at a failure.
static LAST: Mutex<String> = Mutex::new(String::new());

/// One execution.
fn run() {
    let plan = Plan::draw();
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = std::format!("{plan:?}");
    let system = Arc::new(System::new(plan));
    let spawn = |work: fn(&System)| {
        let system = Arc::clone(&system);
        thread::spawn(move || work(&system))
    };
    let queues: Vec<_> = (0..QUEUES)
        .map(|number| {
            let system = Arc::clone(&system);
            thread::spawn(move || queues::run(&system, number))
        })
        .collect();
    let (copier, mover) = (spawn(mirror::run), spawn(mover::run));
    for queue in queues {
        queue.join().expect("a queue");
    }
    for thread in [mover, copier] {
        thread.join().expect("a thread");
    }
    for chunk in 0..system.tracker().geometry().chunks() {
        let word = system.tracker().word(ChunkIndex(chunk)).expect("in the part");
        assert_eq!(word.writers(), 0, "a write that has ended is still counted");
    }
}

/// Runs batches of executions until the time is over; says which seed failed.
fn check<S: Scheduler + 'static>(name: &str, scheduler: impl Fn(u64) -> S) {
    let full = super::in_full_form();
    let time = Duration::from_secs(if full { 600 } else { 11 });
    let only = std::env::var("LVSHIFT_SHUTTLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let first: u64 = only.unwrap_or(1);
    let start = Instant::now();
    let mut executions = 0;
    for seed in first.. {
        let mut config = Config::new();
        config.stack_size = 1 << 17;
        config.silence_warnings = true;
        config.failure_persistence = shuttle::FailurePersistence::None;
        let runner = Runner::new(scheduler(seed), config);
        let batch = std::panic::AssertUnwindSafe(|| runner.run(run));
        match std::panic::catch_unwind(batch) {
            Ok(count) => executions += count,
            Err(panic) => {
                let plan = LAST.lock().unwrap_or_else(PoisonError::into_inner);
                std::println!("FAIL {name}: {plan}");
                std::println!("FAIL {name}: again with LVSHIFT_SHUTTLE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
        if only.is_some() || start.elapsed() > time {
            break;
        }
    }
    std::println!("{name}: figure=shuttle-executions {executions} seed={first}");
}

#[test]
fn shuttle_a_whole_move_under_random_schedules() {
    check("random", |seed| RandomScheduler::new_from_seed(seed, BATCH));
}

#[test]
fn shuttle_a_whole_move_under_pct_schedules() {
    // How many changes of priority a bug needs: few, and in turn.
    check("pct", |seed| PctScheduler::new_from_seed(seed, 2 + (seed % 4) as usize, BATCH));
}
