//! The thread that copies and keeps the dirty logs of one LV's moving parts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lvshift_core::chunk::{CopyOutcome, WritePolicy};
use lvshift_core::copier::{Allowed, May, Nanos, Pacer, Pick, Schedule, Stats};
use lvshift_on_disk_format::dirty_log::BLOCK_SIZE;

use super::Part;
use super::copy::{BLOCK, CopySlot};
use super::log::{LogLane, believe};
use crate::events::Events;
use crate::gate::{Bell, Gate};
use crate::live::LiveTable;
use crate::protocol::Tuning;
use crate::ring::{Ring, Slot};

/// Chunks that are copied at once.
const WINDOW: u16 = 4;
/// How often dirty chunks are flushed to become clean.
const SETTLE: Duration = Duration::from_millis(500);
/// The same, when there was nothing to flush the last time.
const SETTLE_IDLE: Duration = Duration::from_secs(5);
const BELL: Slot = Slot(1);

/// What a worker is started with.
pub(crate) struct WorkerSetting {
    pub(crate) table: Arc<LiveTable>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) events: Arc<Events>,
    pub(crate) tuning: Tuning,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    tuning: Mutex<Option<Tuning>>,
}

impl Worker {
    /// Reads the logs, unless the trackers know better already, and starts the thread. The parts
    /// are not served before this has returned.
    pub(crate) fn start(setting: WorkerSetting, from_log: bool) -> io::Result<Worker> {
        if from_log {
            setting.table.parts.iter().try_for_each(|part| believe(part))?;
        }
        let tuning = Mutex::new(Some(setting.tuning));
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), tuning });
        let bell = Arc::clone(&setting.bell);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("copier".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let running = Running::new(setting, for_thread);
                let _ = ready.send(running.as_ref().map(|_| ()).map_err(io::Error::kind));
                running?.run()
            })?;
        match started.recv() {
            Ok(Ok(())) => Ok(Worker { shared, bell, thread: Some(thread) }),
            Ok(Err(kind)) => Err(kind.into()),
            Err(_) => Err(io::ErrorKind::Other.into()),
        }
    }

    /// Changes how it copies.
    pub(crate) fn tune(&self, tuning: Tuning) {
        *self.shared.tuning.lock().unwrap_or_else(PoisonError::into_inner) = Some(tuning);
        self.bell.ring();
    }

    /// Lets what is in flight finish and ends the thread.
    pub(crate) fn stop(mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the legs are judged by the tracker, not by this.
            let _ = thread.join();
        }
    }
}

struct Running {
    ring: Ring,
    setting: WorkerSetting,
    shared: Arc<Shared>,
    slots: Vec<CopySlot>,
    lanes: Vec<LogLane>,
    schedules: Vec<Schedule>,
    turn: usize,
    pacer: Pacer,
    stats: Stats,
    tuned: Tuning,
    born: Instant,
    settled: Instant,
    seen: Seen,
}

/// What whoever waits for the copy has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    failed: bool,
    equal: bool,
}

/// What a completion is of: a copy slot, a lane, or the bell.
const COPY: u64 = 1 << 32;
const LOG: u64 = 2 << 32;
const WAKE: u64 = 3 << 32;

fn user(kind: u64, number: usize, index: usize) -> u64 {
    kind | (number as u64) << 8 | index as u64
}

impl Running {
    fn new(setting: WorkerSetting, shared: Arc<Shared>) -> io::Result<Running> {
        let parts = &setting.table.parts;
        let copies = usize::from(WINDOW) * BLOCK;
        let mut ring = Ring::new(256, copies + parts.len() * BLOCK_SIZE)?;
        ring.set_file(BELL, setting.bell.file())?;
        for lower in &setting.table.lowers {
            ring.set_file(lower.slot, &lower.file)?;
        }
        ring.wake_on(BELL, WAKE)?;
        let slots = (0..usize::from(WINDOW)).map(|n| CopySlot::new(n * BLOCK..(n + 1) * BLOCK));
        let lanes = parts
            .iter()
            .enumerate()
            .map(|(n, part)| LogLane::new(Arc::clone(part), copies + n * BLOCK_SIZE));
        let now = Instant::now();
        Ok(Running {
            slots: slots.collect(),
            lanes: lanes.collect(),
            schedules: parts.iter().map(|_| Schedule::new()).collect(),
            turn: 0,
            pacer: Pacer::new(WINDOW, None, Nanos(0)),
            stats: Stats::new(Nanos(0)),
            tuned: Tuning::default(),
            born: now,
            settled: now,
            seen: Seen::default(),
            ring,
            setting,
            shared,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let ran = self.work();
        if ran.is_err() {
            // Without its copier no part can become equal: let the mover go back.
            for part in &self.setting.table.parts {
                let fault = lvshift_core::chunk::Fault {
                    leg: lvshift_core::mover::Leg::Destination,
                    fault: lvshift_core::mover::LegFault::Copy,
                };
                part.pass_on(part.tracker.fail(fault), &self.setting.gate);
            }
            self.setting.events.happened();
        }
        ran
    }

    fn work(&mut self) -> io::Result<()> {
        loop {
            let stopping = self.shared.stop.load(Ordering::Acquire);
            if stopping && self.is_idle() {
                return Ok(());
            }
            self.take_tuning();
            let mut limit = None;
            if !stopping {
                self.write_logs()?;
                let pause = self.settle_if_due()?;
                limit = Some(pause.min(self.begin_copies()?.unwrap_or(pause)));
            }
            self.tell();
            self.ring.submit_and_wait(limit)?;
            while let Some((user, result)) = self.ring.completion() {
                self.completed(user, result)?;
            }
        }
    }

    fn completed(&mut self, done: u64, result: i32) -> io::Result<()> {
        let (number, index) = ((done >> 8) as usize & 0xFFFF, done as usize & 0xFF);
        match done >> 32 << 32 {
            COPY => {
                let Some(slot) = self.slots.get_mut(number) else { return Ok(()) };
                let ended =
                    slot.answer(index, result, &mut self.ring, |i| user(COPY, number, i))?;
                let Some(ended) = ended else { return Ok(()) };
                self.pacer.ended();
                let now = self.now();
                let wanted = ended.ticket.is_wanted();
                if ended.outcome == CopyOutcome::Copied {
                    self.stats.chunk_copied(ended.data, ended.zeroed, wanted, now);
                } else {
                    self.stats.chunk_failed();
                }
                let effects = ended.ticket.complete(&ended.part.tracker, ended.outcome);
                ended.part.pass_on(effects, &self.setting.gate);
                for lane in &mut self.lanes {
                    lane.unsettled = true;
                }
            }
            LOG => {
                let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
                let effects = lane.answer(index, result);
                if let Some(part) = self.setting.table.parts.get(number) {
                    part.pass_on(effects, &self.setting.gate);
                }
            }
            _ => self.ring.wake_on(BELL, WAKE)?,
        }
        Ok(())
    }

    fn write_logs(&mut self) -> io::Result<()> {
        for (n, lane) in self.lanes.iter_mut().enumerate() {
            lane.write_next(&mut self.ring, |io| user(LOG, n, io as usize))?;
        }
        Ok(())
    }

    /// Starts a settle round where it is time, and says how long until the next.
    fn settle_if_due(&mut self) -> io::Result<Duration> {
        let every = if self.lanes.iter().any(|lane| lane.unsettled) { SETTLE } else { SETTLE_IDLE };
        let passed = self.settled.elapsed();
        if passed < every {
            return Ok((every - passed).max(Duration::from_millis(1)));
        }
        self.settled = Instant::now();
        for (n, lane) in self.lanes.iter_mut().enumerate() {
            lane.settle(&mut self.ring, |io| user(LOG, n, io as usize))?;
        }
        Ok(every)
    }

    /// Begins as many copies as may be; the time after which more may, if that is known.
    fn begin_copies(&mut self) -> io::Result<Option<Duration>> {
        loop {
            let now = self.now();
            let May::Begin { allowed, ask_again } = self.pacer.may_begin(now) else {
                return Ok(None);
            };
            let wait = ask_again.map(|at| Duration::from_nanos(at.0.saturating_sub(now.0)));
            let Some(free) = self.slots.iter().position(CopySlot::is_free) else {
                return Ok(wait);
            };
            let Some((part, ticket)) = self.pick(allowed) else { return Ok(wait) };
            self.pacer.began(ticket.piece().count.0 * 512, now);
            self.slots[free].begin(part, ticket, &mut self.ring, |i| user(COPY, free, i))?;
        }
    }

    fn pick(&mut self, allowed: Allowed) -> Option<(Arc<Part>, lvshift_core::chunk::CopyTicket)> {
        let parts = &self.setting.table.parts;
        for offset in 0..parts.len() {
            let n = (self.turn + offset) % parts.len();
            if let Pick::Copy(ticket) = self.schedules[n].next(&parts[n].tracker, allowed) {
                self.turn = n + 1;
                return Some((Arc::clone(&parts[n]), ticket));
            }
        }
        None
    }

    fn take_tuning(&mut self) {
        let taken = self.shared.tuning.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(tuning) = taken else { return };
        let now = self.now();
        if let Some(rate) = tuning.max_rate {
            self.pacer.set_rate((rate > 0).then_some(rate), now);
        }
        if let Some(paused) = tuning.paused {
            self.pacer.set_paused(paused);
        }
        if tuning.source_first.is_some() {
            self.tuned.source_first = tuning.source_first;
        }
        let configured = if self.tuned.source_first == Some(true) {
            WritePolicy::SourceFirst
        } else {
            WritePolicy::CopyFirst
        };
        for part in &self.setting.table.parts {
            part.set_policy(self.pacer.write_policy(configured));
        }
    }

    /// Tells whoever waits when the copy has failed or become equal, or is not equal any more.
    fn tell(&mut self) {
        let parts = &self.setting.table.parts;
        let now = Seen {
            failed: parts.iter().any(|part| part.tracker.fault().is_some()),
            equal: parts.iter().all(|part| part.tracker.left() == 0),
        };
        if now != self.seen {
            self.seen = now;
            self.setting.events.happened();
        }
    }

    fn is_idle(&self) -> bool {
        self.slots.iter().all(CopySlot::is_free) && self.lanes.iter().all(LogLane::is_idle)
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
