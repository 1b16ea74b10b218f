//! The thread that copies and keeps the dirty logs of one LV's moving parts: core's copier decides, the
//! thread's ring does.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lvshift_core::chunk::Fault;
use lvshift_core::copier::{Latencies, Nanos};
use lvshift_core::device::DeviceIndex;
use lvshift_core::mirror::{
    Buffer, Buffers, COPY_BLOCK, COPY_SLOTS, Copier, Ended, LogLoad, Next, Operation, PartState,
    Tag, fail_all,
};
use lvshift_core::units::SECTOR_SIZE;
use lvshift_core::{Leg, LegFault};
use lvshift_frontend_common::output;
use lvshift_on_disk_format::dirty_log::BLOCK_SIZE;

use super::confirm::Confirm;
use super::{Differs, Unreadable};
use crate::errors::Op;
use crate::events::Events;
use crate::limits::WAKEUP;
use crate::live::{LiveTable, at as at_ring, slot};
use crate::platform::{self, Instant, Memory, Ring, RingLoop, Thread, Wakeup, read_at};
use crate::protocol::Tuning;
use crate::queues::Queues;

/// The number under which the ring tells that the thread was woken; the others are tags.
const WOKEN: u64 = u64::MAX;

/// How often whoever waits for the thread looks although it was not told to.
const LOOK: Duration = Duration::from_secs(1);

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
    /// Nothing is waited for any more.
    leave: AtomicBool,
    /// What it still does.
    state: platform::Mutex<State>,
    changed: platform::Condvar,
    tuning: Mutex<Option<Tuning>>,
    confirm: Confirm,
    /// The newest comparison that a command asked for, by number.
    compare: AtomicU64,
    verified: Mutex<Verified>,
}

/// What is known of comparing both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verified {
    /// Nothing has to be compared before the copy counts as equal.
    pub(crate) is_content: bool,
    /// The newest comparison that was asked for and is done.
    pub(crate) answered: u64,
    /// Bytes that the last one, or the one under way, has found equal.
    pub(crate) compared: u64,
    /// What the copy has set aside: areas, bytes, and nanoseconds that they will take.
    pub(crate) aside: (u64, u64, u64),
}

/// What the thread still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Copies,
    /// It only waits for the ends of what was given up.
    Listens,
    /// Nothing.
    Over,
}

impl Worker {
    /// Loads the dirty logs, unless the trackers know better already, and starts the thread. The parts
    /// are not served before this has returned.
    pub(crate) fn start(setting: WorkerSetting, from_log: bool) -> io::Result<Worker> {
        if from_log {
            load_dirty_logs(&setting.table)?;
        }
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            leave: AtomicBool::new(false),
            state: platform::Mutex::new(State::Copies),
            changed: platform::Condvar::new(),
            tuning: Mutex::new(None),
            confirm: Confirm::new(),
            compare: AtomicU64::new(0),
            verified: Mutex::default(),
        });
        let wakeup = Arc::clone(&setting.wakeup);
        let for_thread = Arc::clone(&shared);
        let mut thread =
            platform::spawn("copier".to_owned(), move || Running::new(setting, for_thread))?;
        thread.ready()?;
        Ok(Worker { shared, wakeup, thread })
    }

    /// Changes how it copies; `verify`: the copy has to be compared, which it had not before.
    pub(crate) fn tune(&self, tuning: Tuning, verify: bool) {
        // The thread notes nothing that it knows from before this, since it looks at the tuning under this lock.
        let mut verified = self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner);
        *self.shared.tuning.lock().unwrap_or_else(PoisonError::into_inner) = Some(tuning);
        verified.is_content &= !verify;
        drop(verified);
        self.wakeup.wake();
    }

    /// Has both sides of what is mirrored compared; says the number of that.
    pub(crate) fn compare(&self) -> u64 {
        let number = self.shared.compare.fetch_add(1, Ordering::SeqCst) + 1;
        self.wakeup.wake();
        number
    }

    /// What is known of comparing them.
    pub(crate) fn verified(&self) -> Verified {
        *self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every flush that is in flight now has been answered, and what failed was told;
    /// false if that takes longer than `limit`. While it waits, and afterwards where the parts are
    /// sealed, no settle round begins.
    pub(crate) fn confirm(&self, limit: Duration) -> bool {
        self.shared.confirm.wait(limit, || self.wakeup.wake())
    }

    /// Lets what is in flight finish, or its deadline pass, and ends the thread. False where something was given up
    /// that has not ended.
    pub(crate) fn stop(self) -> bool {
        self.shared.stop.store(true, Ordering::Release);
        self.ended()
    }

    /// Gives up what is in flight. The parts have failed, and the source is in charge.
    pub(crate) fn leave(self) {
        self.shared.leave.store(true, Ordering::Release);
        self.ended();
    }

    /// Waits until it does nothing any more. The thread stays with what was given up.
    fn ended(self) -> bool {
        self.wakeup.wake();
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        while *state == State::Copies {
            let waited = self.shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let over = *state == State::Over;
        drop(state);
        if over {
            // The devices that it had are let go then.
            self.thread.join();
        }
        over
    }
}

/// Takes what the dirty logs on disk say into the trackers.
fn load_dirty_logs(table: &LiveTable) -> io::Result<()> {
    let mut memory = Memory::new(COPY_BLOCK)?;
    for part in &table.parts {
        let mut load = LogLoad::new(part, COPY_BLOCK);
        while let Some((at, len)) = load.next_read() {
            let device = table.backing(at.device).ok_or(io::ErrorKind::NotFound)?;
            let offset = at.offset.0 * SECTOR_SIZE;
            match read_at(&device.file, memory.bytes_mut(0..len), offset) {
                // Where it is not this part's log, everything is to be copied.
                Ok(()) => {
                    let _ = load.take(part, memory.bytes(0..len));
                }
                Err(error) => {
                    output::err(&format!(
                        "lvshift-ublk: {}: a dirty log cannot be read, its move goes back: {error}\n",
                        device.path.display()
                    ));
                    load.unreadable(part);
                }
            }
        }
    }
    Ok(())
}

struct Running {
    ring: Ring,
    setting: WorkerSetting,
    shared: Arc<Shared>,
    copier: Copier<Box<[PartState]>>,
    start: Instant,
}

impl RingLoop for Running {
    fn before_wait(&mut self) -> io::Result<Option<Option<Duration>>> {
        let tuning = self.shared.tuning.lock().unwrap_or_else(PoisonError::into_inner).take();
        let tuned = tuning.is_some();
        if let Some(tuning) = tuning {
            self.copier.tune(tuning.into(), &*self.setting.table, self.now());
        }
        if self.shared.stop.load(Ordering::Acquire) {
            self.copier.stop();
        }
        if self.shared.leave.load(Ordering::Acquire) {
            self.copier.leave();
        }
        self.copier.confirm(self.shared.confirm.asked());
        self.copier.verify(self.shared.compare.load(Ordering::SeqCst));
        loop {
            let now = self.now();
            let mut blocks = Blocks(self.ring.memory_mut());
            match self.copier.next(&*self.setting.table, &mut blocks, now) {
                Next::Do(operation) => self.carry_out(operation)?,
                Next::WaitUntil(until) => {
                    self.note_verified();
                    if tuned {
                        // Whoever looked in between took it that nothing is compared.
                        self.setting.events.happened();
                    }
                    return Ok(Some(Some(Duration::from_nanos(until.0.saturating_sub(now.0)))));
                }
                Next::Stopped => {
                    let late = self.copier.has_late();
                    self.is_now(if late { State::Listens } else { State::Over });
                    return Ok(late.then_some(None));
                }
            }
        }
    }

    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.ring.submit_and_wait(limit)
    }

    fn after_wait(&mut self) -> io::Result<()> {
        while let Some((user, result)) = self.ring.completion() {
            if user == WOKEN {
                self.ring.wake_on(WAKEUP, WOKEN)?;
                continue;
            }
            let (tag, now) = (Tag::from_bits(user as u32), self.now());
            if let (Ended::Failed(_), (device, Some(op))) = (ended(result), is_on(user)) {
                self.setting.table.count_error(device, op);
            }
            let mut blocks = Blocks(self.ring.memory_mut());
            self.copier.ended(tag, ended(result), &*self.setting.table, &mut blocks, now);
        }
        Ok(())
    }

    fn ended(&mut self, ended: &io::Result<()>) {
        self.is_now(State::Over);
        if ended.is_ok() {
            return;
        }
        // Without its copier no part can become equal: let the mover go back.
        let fault = Fault { leg: Leg::Destination, fault: LegFault::Copy };
        let table = &self.setting.table;
        table.pass_on(fail_all(&**table, fault), &self.setting.queues);
        self.setting.events.happened();
    }
}

impl Running {
    fn new(setting: WorkerSetting, shared: Arc<Shared>) -> io::Result<Running> {
        let parts = setting.table.parts.len();
        let mut ring = Ring::new(256, COPY_SLOTS * COPY_BLOCK + parts * BLOCK_SIZE)?;
        ring.set_file(WAKEUP, setting.wakeup.file())?;
        for device in &setting.table.devices {
            ring.set_file(device.slot, &device.file)?;
        }
        ring.wake_on(WAKEUP, WOKEN)?;
        let states = (0..parts).map(|_| PartState::new()).collect();
        let copier = Copier::new(states, &*setting.table, setting.tuning.into(), Nanos(0));
        Ok(Running { ring, setting, shared, copier, start: Instant::now() })
    }

    fn carry_out(&mut self, operation: Operation) -> io::Result<()> {
        match operation {
            Operation::Read { tag, at, buffer, into } => {
                let user = below(tag, at.device, Op::Read);
                self.ring.read(at_ring(at), within(buffer, into), user)
            }
            Operation::Write { tag, at, buffer, from, durable } => {
                let user = below(tag, at.device, Op::Write);
                self.ring.write(at_ring(at), within(buffer, from), durable, user)
            }
            Operation::WriteZeroes { tag, at, count } => {
                let user = below(tag, at.device, Op::Write);
                self.ring.zero(at_ring(at), count.0 * SECTOR_SIZE, true, user)
            }
            Operation::Flush { tag, device } => {
                self.ring.flush(slot(device), below(tag, device, Op::Flush))
            }
            Operation::Wake(queues) => {
                self.setting.queues.wake(queues.bits());
                Ok(())
            }
            Operation::Unreadable { part, sectors, error } => {
                self.setting.table.note_unreadable(Unreadable { part, sectors, errno: error });
                Ok(())
            }
            Operation::Differs { part, sectors, again } => {
                self.setting.table.note_differs(Differs { part, sectors, again });
                self.setting.events.happened();
                Ok(())
            }
            Operation::CountLatencies => {
                let mut latencies = Latencies::new();
                let queues = self.setting.queues.latencies().iter();
                queues.for_each(|queue| queue.add_to(&mut latencies));
                self.copier.latencies(&latencies, self.now());
                Ok(())
            }
            Operation::Confirmed(number) => {
                self.shared.confirm.done(number);
                Ok(())
            }
            Operation::Tell => {
                // Whoever is told looks at once.
                self.note_verified();
                self.setting.events.happened();
                Ok(())
            }
        }
    }

    fn note_verified(&self) {
        let (is_content, answered, compared) = self.copier.verified();
        let (aside, bytes) = self.copier.set_aside(&*self.setting.table);
        let aside = (aside.areas, bytes, aside.time.0);
        let mut verified = self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let tuned = self.shared.tuning.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        *verified = Verified { is_content: is_content && !tuned, answered, compared, aside };
    }

    fn is_now(&self, state: State) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.shared.changed.notify_all();
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// What the ring is told of an I/O: its tag, and what is to be counted where it fails.
fn below(tag: Tag, device: DeviceIndex, op: Op) -> u64 {
    u64::from(tag.bits()) | u64::from(device.0) << 32 | (op as u64) << 40
}

/// The device and the kind of an I/O that [`below`] has told of.
fn is_on(user: u64) -> (DeviceIndex, Option<Op>) {
    (DeviceIndex((user >> 32) as u8), Op::of_bits((user >> 40) as u8))
}

/// The copier's blocks in the ring's memory.
struct Blocks<'a>(&'a mut Memory);

impl Buffers for Blocks<'_> {
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        self.0.bytes(place(buffer))
    }

    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8] {
        self.0.bytes_mut(place(buffer))
    }
}

/// Where a block is in the ring's memory: first those of copies, then those of logs.
fn place(buffer: Buffer) -> Range<usize> {
    match buffer {
        Buffer::Copy(slot) => {
            let start = usize::from(slot) * COPY_BLOCK;
            start..start + COPY_BLOCK
        }
        Buffer::Log(part) => {
            let start = COPY_SLOTS * COPY_BLOCK + part.index() * BLOCK_SIZE;
            start..start + BLOCK_SIZE
        }
    }
}

/// Where bytes of a block are in the ring's memory.
fn within(buffer: Buffer, bytes: Range<usize>) -> Range<usize> {
    let start = place(buffer).start;
    start + bytes.start..start + bytes.end
}

/// What a completion says.
fn ended(result: i32) -> Ended {
    match (usize::try_from(result), -result) {
        (Ok(bytes), _) => Ended::Done(bytes),
        (_, libc::EINTR | libc::EAGAIN) => Ended::Again,
        (_, libc::EOPNOTSUPP) => Ended::Unsupported,
        (_, errno) => Ended::Failed(errno),
    }
}
