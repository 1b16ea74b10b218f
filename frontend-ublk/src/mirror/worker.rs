//! The thread that copies and keeps the dirty logs of one LV's moving parts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lvshift_core::chunk::{CopyOutcome, WritePolicy};
use lvshift_core::copier::{Allowed, May, Nanos, Pacer, Pick, Schedule, Stats, Widen};
use lvshift_on_disk_format::dirty_log::BLOCK_SIZE;

use super::Part;
use super::confirm::{Confirm, Confirming};
use super::copy::{BLOCK, CopySlot};
use super::log::{LogLane, believe};
use super::pace::Pacing;
use super::settle::Settler;
use crate::events::Events;
use crate::failpoint::{self, Point};
use crate::limits::WAKEUP;
use crate::live::LiveTable;
use crate::platform::{self, Instant, Ring, Thread, Wakeup, Work};
use crate::protocol::Tuning;
use crate::queues::Queues;

/// Chunks that are copied at once,
const WINDOW: u16 = 4;
/// and where that makes the copy faster.
const WIDEST: u16 = 8;
/// How long at most until it looks for work although nothing woke it.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// How often it looks whether it may end at last.
const STOP_STEP: Duration = Duration::from_millis(5);

/// What a worker is started with.
pub(crate) struct WorkerSetting {
    pub(crate) table: Arc<LiveTable>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) wakeup: Arc<Wakeup>,
    pub(crate) events: Arc<Events>,
    pub(crate) tuning: Tuning,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    wakeup: Arc<Wakeup>,
    thread: Thread,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    tuning: Mutex<Option<Tuning>>,
    confirm: Confirm,
}

impl Worker {
    /// Reads the logs, unless the trackers know better already, and starts the thread. The parts
    /// are not served before this has returned.
    pub(crate) fn start(setting: WorkerSetting, from_log: bool) -> io::Result<Worker> {
        if from_log {
            setting.table.parts.iter().try_for_each(|part| believe(part))?;
        }
        let tuning = Mutex::new(Some(setting.tuning));
        let confirm = Confirm::new();
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), tuning, confirm });
        let wakeup = Arc::clone(&setting.wakeup);
        let for_thread = Arc::clone(&shared);
        let mut thread =
            platform::spawn("copier".to_owned(), move || Running::new(setting, for_thread))?;
        thread.ready()?;
        Ok(Worker { shared, wakeup, thread })
    }

    /// Changes how it copies.
    pub(crate) fn tune(&self, tuning: Tuning) {
        *self.shared.tuning.lock().unwrap_or_else(PoisonError::into_inner) = Some(tuning);
        self.wakeup.wake();
    }

    /// Waits until every flush that is in flight now has been answered, and what failed was told;
    /// false if that takes longer than `limit`. While it waits, and afterwards where the parts are
    /// sealed, no settle round begins.
    pub(crate) fn confirm(&self, limit: Duration) -> bool {
        self.shared.confirm.wait(limit, || self.wakeup.wake())
    }

    /// Lets what is in flight finish and ends the thread.
    pub(crate) fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wakeup.wake();
        // A panic there has been printed; the legs are judged by the tracker, not by this.
        self.thread.join();
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
    widen: Widen,
    pacing: Pacing,
    stats: Stats,
    tuned: Tuning,
    born: Instant,
    settler: Settler,
    confirming: Confirming,
    seen: Seen,
}

/// What whoever waits for the copy has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    failed: bool,
    equal: bool,
}

/// What a completion is of: a copy slot, a lane, the wakeup, or a leg's flush.
const COPY: u64 = 1 << 32;
const LOG: u64 = 2 << 32;
const WAKE: u64 = 3 << 32;
const SETTLE: u64 = 4 << 32;

fn user(kind: u64, number: usize, index: usize) -> u64 {
    kind | (number as u64) << 8 | index as u64
}

impl Work for Running {
    fn before_wait(&mut self) -> io::Result<Option<Option<Duration>>> {
        let stopping = self.shared.stop.load(Ordering::Acquire);
        if stopping && self.is_idle() {
            return Ok(None);
        }
        self.take_tuning();
        self.end_settle();
        let mut limit = stopping.then_some(STOP_STEP);
        if self.confirm() {
            limit = Some(STOP_STEP);
        } else if !stopping {
            self.write_logs()?;
            let now = self.now();
            let look = self.pacing.look(&self.setting.queues, &self.stats, &mut self.pacer, now);
            let pause = self.settle()?;
            let pause = look.map_or(pause, |look| pause.min(look));
            limit = Some(pause.min(self.begin_copies()?.unwrap_or(pause)));
        }
        self.tell();
        Ok(Some(limit))
    }

    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.ring.submit_and_wait(limit)
    }

    fn after_wait(&mut self) -> io::Result<()> {
        while let Some((user, result)) = self.ring.completion() {
            self.completed(user, result)?;
        }
        Ok(())
    }

    fn ended(&mut self, ended: &io::Result<()>) {
        if ended.is_ok() {
            return;
        }
        // Without its copier no part can become equal: let the mover go back.
        for part in &self.setting.table.parts {
            let fault = lvshift_core::chunk::Fault {
                leg: lvshift_core::Leg::Destination,
                fault: lvshift_core::LegFault::Copy,
            };
            part.pass_on(part.tracker.fail(fault), &self.setting.queues);
        }
        self.setting.events.happened();
    }
}

impl Running {
    fn new(setting: WorkerSetting, shared: Arc<Shared>) -> io::Result<Running> {
        let parts = &setting.table.parts;
        let copies = usize::from(WIDEST) * BLOCK;
        let mut ring = Ring::new(256, copies + parts.len() * BLOCK_SIZE)?;
        ring.set_file(WAKEUP, setting.wakeup.file())?;
        for device in &setting.table.devices {
            ring.set_file(device.slot, &device.file)?;
        }
        ring.wake_on(WAKEUP, WAKE)?;
        let slots = (0..usize::from(WIDEST)).map(|n| CopySlot::new(n * BLOCK..(n + 1) * BLOCK));
        let lanes = parts
            .iter()
            .enumerate()
            .map(|(n, part)| LogLane::new(Arc::clone(part), copies + n * BLOCK_SIZE));
        let now = Instant::now();
        let mut running = Running {
            slots: slots.collect(),
            lanes: lanes.collect(),
            schedules: parts.iter().map(|_| Schedule::new()).collect(),
            turn: 0,
            pacer: Pacer::new(WINDOW, None, Nanos(0)),
            widen: Widen::new(WINDOW, WIDEST),
            pacing: Pacing::default(),
            stats: Stats::new(Nanos(0)),
            tuned: Tuning::default(),
            born: now,
            settler: Settler::new(Arc::clone(&setting.table), Nanos(0)),
            confirming: Confirming::default(),
            seen: Seen::default(),
            ring,
            setting,
            shared,
        };
        // Before the first request: one that came while the policy was not set yet could make the copy
        // of its chunk wanted, which no limit holds back.
        running.take_tuning();
        Ok(running)
    }

    fn completed(&mut self, done: u64, result: i32) -> io::Result<()> {
        let (number, index) = ((done >> 8) as usize & 0xFFFF, done as usize & 0xFF);
        match done >> 32 << 32 {
            COPY => {
                let Some(slot) = self.slots.get_mut(number) else { return Ok(()) };
                let ended =
                    slot.answer(index, result, &mut self.ring, |i| user(COPY, number, i))?;
                let Some(ended) = ended else { return Ok(()) };
                failpoint::pass(Point::CopyDone);
                self.pacer.ended();
                let now = self.now();
                let wanted = ended.ticket.is_wanted();
                if ended.outcome == CopyOutcome::Copied {
                    self.stats.chunk_copied(ended.data, ended.zeroed, wanted, now);
                    let widest = self.widen.copied(ended.data + ended.zeroed, now);
                    self.pacing.set_window(widest, &mut self.pacer);
                } else {
                    self.stats.chunk_failed();
                }
                let effects = ended.ticket.complete(&ended.part.tracker, ended.outcome);
                ended.part.pass_on(effects, &self.setting.queues);
            }
            LOG => {
                let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
                let (marked, effects) = lane.written(result);
                self.settler.marked(marked);
                if let Some(part) = self.setting.table.parts.get(number) {
                    part.pass_on(effects, &self.setting.queues);
                }
            }
            SETTLE => self.settler.answer(index, result),
            _ => self.ring.wake_on(WAKEUP, WAKE)?,
        }
        Ok(())
    }

    fn write_logs(&mut self) -> io::Result<()> {
        for (n, lane) in self.lanes.iter_mut().enumerate() {
            lane.write_next(&mut self.ring, user(LOG, n, 0))?;
        }
        Ok(())
    }

    /// Ends the settle round under way, if all that it waits for has come.
    fn end_settle(&mut self) {
        let now = self.now();
        let (lanes, queues) = (&mut self.lanes, &self.setting.queues);
        self.settler.end(now, queues, |number, part, cleaned, effects| {
            if cleaned && let Some(lane) = lanes.get_mut(number) {
                lane.cleaned();
            }
            part.pass_on(effects, queues);
        });
    }

    /// Goes on with the last look before a commit; true while nothing may begin that flushes.
    fn confirm(&mut self) -> bool {
        let quiet = self.is_idle();
        let flushes = &self.setting.table.flushes;
        let confirm = &self.shared.confirm;
        self.confirming.go_on(confirm, quiet, || flushes.turn(), |turn| flushes.is_over(turn))
    }

    /// Begins the next settle round where it is time; says how long until there is something to do
    /// for it.
    fn settle(&mut self) -> io::Result<Duration> {
        let now = self.now();
        let next = self.settler.begin(now, &mut self.ring, |n| user(SETTLE, 0, n))?;
        let wait = next.map(|at| Duration::from_nanos(at.0.saturating_sub(now.0)));
        Ok(wait.map_or(LOOK_ANYWAY, |wait| wait.max(Duration::from_millis(1))))
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
            failpoint::pass(Point::CopyBegun);
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
        self.widen.disturbed();
        self.pacing.tune(tuning, WINDOW, &mut self.pacer, now);
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
        self.slots.iter().all(CopySlot::is_free)
            && self.lanes.iter().all(LogLane::is_idle)
            && self.settler.is_idle()
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
