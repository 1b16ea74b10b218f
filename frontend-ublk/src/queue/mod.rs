//! A queue thread: fetches requests from the kernel, carries out on its own ring what core's queue makes of
//! them, hands them back.
//!
//! Everything is allocated before the first request.

mod tag;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lvshift_core::chunk::QueueId;
use lvshift_core::serve::{self, Ended, IoTag, Operation};
use lvshift_core::units::{SECTOR_SIZE, Sectors};
use lvshift_frontend_common::output;

use self::tag::{Asked, User, What, buffer, data};
use crate::errors::Op;
use crate::latency::QueueLatencies;
use crate::limits::{DEPTH, DEVICE, MAX_IO_BYTES, WAKEUP};
use crate::live::{LiveTable, at, slot};
use crate::platform::{self, Descriptors, Handle, Instant, Ring, RingLoop, Slot, Wakeup};
use crate::queues::Queues;
use crate::quiesce::Quiesce;
use crate::uapi::io_command;

/// What a queue thread is started with.
pub(crate) struct QueueSetting {
    pub(crate) number: u16,
    pub(crate) id: QueueId,
    pub(crate) device: Arc<Handle>,
    pub(crate) wakeup: Arc<Wakeup>,
    pub(crate) quiesce: Arc<Quiesce<LiveTable>>,
}

/// A queue thread's state.
pub(crate) struct Queue {
    ring: Ring,
    descriptors: Descriptors,
    number: u16,
    quiesce: Arc<Quiesce<LiveTable>>,
    queues: Arc<Queues>,
    table: Arc<LiveTable>,
    requests: Box<serve::Queue<{ DEPTH as usize }>>,
    asked: [Asked; DEPTH as usize],
    /// Tags that the kernel has taken back for good.
    dead: u16,
    epoch: u64,
    /// The slots that the table's devices have in the ring.
    named: Vec<Slot>,
    /// When the thread began, and how many nanoseconds later it has looked up last: what has come
    /// or ended since is of that moment. One reading of the clock for all of them.
    start: Instant,
    now: u64,
    /// When the I/O of each tag was last asked for, and when to look whether any is overdue.
    issued: [u64; DEPTH as usize],
    look: u64,
    /// Tables of before by which something was asked for that was given up and has not ended: as long as they
    /// are kept, what they lie on is not given away.
    left: Vec<Arc<LiveTable>>,
}

impl RingLoop for Queue {
    /// Serves until the device is stopped.
    fn before_wait(&mut self) -> io::Result<Option<Option<Duration>>> {
        let serves = (self.dead < DEPTH || !self.requests.is_drained()) && !self.quiesce.ends();
        let limit = (!self.table.parts.is_empty()).then(|| look_after(&self.table));
        Ok(serves.then_some(limit.flatten().map(Duration::from_nanos)))
    }

    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.ring.submit_and_wait(limit)
    }

    fn after_wait(&mut self) -> io::Result<()> {
        self.now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        while let Some((user, result)) = self.ring.completion() {
            let of = User(user);
            match of.what() {
                Some(What::Fetch(tag)) => self.fetched(tag, result)?,
                Some(What::Io(io)) => self.ended(of, io, tag::ended(result, false)),
                Some(What::Discard(io)) => self.ended(of, io, tag::ended(result, true)),
                Some(What::Wakeup) => {
                    self.ring.wake_on(WAKEUP, user)?;
                    self.requests.woken();
                }
                None => {}
            }
            self.carry_out()?;
        }
        if !self.left.is_empty() && !self.requests.has_late() {
            self.left.clear();
        }
        self.look_at_epoch()?;
        self.look_at_deadlines()
    }

    /// An error of the ring itself cannot be served over: the process ends, so that the kernel
    /// keeps the requests for the next one.
    fn ended(&mut self, ended: &io::Result<()>) {
        if self.requests.has_late() {
            // The kernel will still carry it out, and no thread will hear of it.
            self.left.push(Arc::clone(&self.table));
            std::mem::forget(std::mem::take(&mut self.left));
        }
        self.quiesce.left();
        if let Err(error) = ended {
            output::err(&format!("lvshift-ublk: a queue failed ({error}); the daemon ends\n"));
            output::finish();
            platform::abort();
        }
    }
}

impl Queue {
    /// Prepares everything, on the thread that will run it.
    pub(crate) fn new(setting: QueueSetting) -> io::Result<Queue> {
        let QueueSetting { number, id, device, wakeup, quiesce } = setting;
        // Each tag needs a fetch and at most two legs at a time; flushes need more and wait.
        let bytes = usize::from(DEPTH) * MAX_IO_BYTES as usize;
        let mut ring = Ring::new(u32::from(DEPTH) * 4, bytes)?;
        ring.set_file(DEVICE, &device)?;
        ring.set_file(WAKEUP, wakeup.file())?;
        ring.wake_on(WAKEUP, User::new(What::Wakeup).0)?;
        for tag in 0..DEPTH {
            let user = User::new(What::Fetch(tag)).0;
            ring.ublk(DEVICE, io_command::FETCH, (number, tag), 0, buffer(tag), user)?;
        }
        // All fetches in one system call, and the mapping after it. Linux 6.12 lets no process take a
        // device over whose server died with a queue half ready, or with the area mapped and no
        // queue ready; like this it cannot (and see `ready`).
        ring.submit()?;
        let descriptors = Descriptors::map(&device, number, DEPTH)?;
        let table = quiesce.table();
        let epoch = quiesce.epoch();
        let most = Sectors(u64::from(MAX_IO_BYTES) / SECTOR_SIZE);
        let mut requests = Box::new(serve::Queue::new(id, most));
        if !epoch.is_multiple_of(2) {
            requests.suspend();
        }
        let mut queue = Queue {
            ring,
            descriptors,
            number,
            queues: Arc::clone(quiesce.queues()),
            quiesce,
            table,
            requests,
            asked: [Asked::default(); DEPTH as usize],
            dead: 0,
            epoch,
            named: Vec::new(),
            start: Instant::now(),
            now: 0,
            issued: [0; DEPTH as usize],
            look: 0,
            left: Vec::with_capacity(16),
        };
        queue.name_devices()?;
        Ok(queue)
    }

    /// Takes part in a change of tables, if one is under way.
    fn look_at_epoch(&mut self) -> io::Result<()> {
        let epoch = self.quiesce.epoch();
        if epoch == self.epoch {
            return Ok(());
        }
        if epoch.is_multiple_of(2) {
            self.epoch = epoch;
            let table = self.quiesce.table();
            if !Arc::ptr_eq(&table, &self.table) {
                self.requests.leave(&*self.table);
                let before = std::mem::replace(&mut self.table, table);
                if self.requests.has_late() {
                    self.left.push(before);
                }
                self.name_devices()?;
            }
            self.quiesce.taken(epoch);
            self.requests.resume();
            return self.carry_out();
        }
        self.requests.suspend();
        self.look_at_deadlines()?;
        if self.requests.is_drained() {
            self.epoch = epoch;
            self.quiesce.drained(epoch);
        }
        Ok(())
    }

    /// Gives up what destinations have not answered in time.
    fn look_at_deadlines(&mut self) -> io::Result<()> {
        if self.table.parts.is_empty() {
            return Ok(());
        }
        let all = self.table.leaving.load(Ordering::Acquire) || self.table.is_silent();
        if !all && self.now < self.look {
            return Ok(());
        }
        let deadline = self.table.deadline.load(Ordering::Relaxed);
        self.look = self.now.saturating_add(look_after(&self.table).unwrap_or(u64::MAX));
        for tag in 0..DEPTH {
            let since = self.issued[usize::from(tag)];
            if all || (deadline > 0 && self.now.saturating_sub(since) >= deadline) {
                self.requests.overdue(tag);
            }
        }
        self.carry_out()
    }

    /// Names the table's devices in the ring, and lets go of those of the table before.
    fn name_devices(&mut self) -> io::Result<()> {
        let (table, ring, named) = (&self.table, &mut self.ring, &mut self.named);
        for slot in named.drain(..) {
            if !table.devices.iter().any(|device| device.slot == slot) {
                ring.clear_file(slot)?;
            }
        }
        named.extend(table.devices.iter().map(|device| device.slot));
        for device in &table.devices {
            ring.set_file(device.slot, &device.file)?;
        }
        Ok(())
    }

    /// The kernel has handed over a request, or taken the tag back.
    fn fetched(&mut self, tag: u16, result: i32) -> io::Result<()> {
        if result != 0 {
            // UBLK_IO_RES_ABORT: the device is being stopped.
            self.dead += 1;
            return Ok(());
        }
        let descriptor = self.descriptors.get(tag);
        self.asked[usize::from(tag)] = Asked::new(&descriptor, self.now);
        if descriptor.has_data() {
            self.latencies().begun();
        }
        let taken = tag::request(&descriptor).map(|request| self.requests.came(tag, request));
        match taken {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(io::Error::other("the driver gave a tag out twice")),
            None => self.hand_back(tag, -libc::EOPNOTSUPP),
        }
    }

    /// An I/O below has ended.
    fn ended(&mut self, of: User, io: IoTag, ended: Ended) {
        if let (Ended::Failed(_), (device, Some(op))) = (ended, of.is_on()) {
            self.table.count_error(device, op);
        }
        self.requests.ended(io, ended);
    }

    /// Does what core's queue asks for.
    fn carry_out(&mut self) -> io::Result<()> {
        while let Some(operation) = self.requests.next(&*self.table) {
            if let Some(tag) = operation.tag() {
                self.issued[usize::from(tag)] = self.now;
            }
            match operation {
                Operation::Read { io, at: from, into } => {
                    let user = User::below(What::Io(io), from.device, Op::Read).0;
                    self.ring.read(at(from), data(io.tag(), into), user)?;
                }
                Operation::Write { io, at: to, from, durable } => {
                    let user = User::below(What::Io(io), to.device, Op::Write).0;
                    self.ring.write(at(to), data(io.tag(), from), durable, user)?;
                }
                Operation::WriteZeroes { io, at: to, count, unmap } => {
                    let user = User::below(What::Io(io), to.device, Op::Write).0;
                    self.ring.zero(at(to), count.0 * SECTOR_SIZE, unmap, user)?;
                }
                Operation::Discard { io, at: of, count } => {
                    let user = User::below(What::Discard(io), of.device, Op::Discard).0;
                    self.ring.discard(at(of), count.0 * SECTOR_SIZE, user)?;
                }
                Operation::Flush { io, device } => {
                    let user = User::below(What::Io(io), device, Op::Flush).0;
                    self.ring.flush(slot(device), user)?;
                }
                Operation::Answer { tag, answer } => {
                    let result = tag::result(answer, self.asked[usize::from(tag)].done);
                    self.hand_back(tag, result)?;
                }
                Operation::Notify(effects) => self.table.pass_on(effects, &self.queues),
            }
        }
        Ok(())
    }

    /// Hands the request back to the kernel, with its bytes or a negative error.
    fn hand_back(&mut self, tag: u16, result: i32) -> io::Result<()> {
        let asked = self.asked[usize::from(tag)];
        if let Some(op) = asked.op {
            if asked.has_data {
                self.latencies().ended(op, self.now.saturating_sub(asked.since));
            }
            if result < 0 {
                self.queues.errors().count(op);
            }
        }
        let (of, user) = ((self.number, tag), User::new(What::Fetch(tag)).0);
        self.ring.ublk(DEVICE, io_command::COMMIT_AND_FETCH, of, result, buffer(tag), user)
    }

    fn latencies(&self) -> &QueueLatencies {
        &self.queues.latencies()[usize::from(self.number)]
    }
}

/// How long until a queue looks again whether a destination is past its deadline; `None`: it may take for ever.
fn look_after(table: &LiveTable) -> Option<u64> {
    let deadline = table.deadline.load(Ordering::Relaxed);
    (deadline > 0).then(|| (deadline / 8).clamp(10_000_000, 2_000_000_000))
}
