//! A queue thread: fetches requests from the kernel, serves them on its own ring, hands them back.
//!
//! Everything is allocated before the first request. A request has a slot for life, its *tag*;
//! whoever cannot go on now is put on one of two lists and tried again after a wake-up.

mod flush;
mod mirrored;
mod plain;
mod tag;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lvshift_core::chunk::QueueId;

use self::tag::{Tag, User, What, Work};
use crate::latency::QueueLatencies;
use crate::limits::{DEPTH, DEVICE, MAX_IO_BYTES, WAKEUP};
use crate::live::{LiveTable, LiveTarget};
use crate::platform::{Descriptors, Handle, Instant, Ring, Slot, Wakeup, Work as ThreadWork};
use crate::queues::Queues;
use crate::quiesce::Quiesce;
use crate::uapi::{io_command, op};

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
    id: QueueId,
    quiesce: Arc<Quiesce<LiveTable>>,
    queues: Arc<Queues>,
    table: Arc<LiveTable>,
    tags: Vec<Tag>,
    /// Waiting for the table, for a chunk, or for a result to be decided.
    waiting: Vec<u16>,
    /// The list that `waiting` is exchanged with while it is gone through.
    retried: Vec<u16>,
    /// Tags with something on its way below.
    busy: u16,
    /// Tags that the kernel has taken back for good.
    dead: u16,
    epoch: u64,
    open: bool,
    /// The slots that the table's devices have in the ring.
    named: Vec<Slot>,
    /// When the thread began, and how many nanoseconds later it has looked up last: what has come
    /// or ended since is of that moment. One reading of the clock for all of them.
    born: Instant,
    now: u64,
}

impl ThreadWork for Queue {
    /// Serves until the device is stopped.
    fn before_wait(&mut self) -> io::Result<Option<Option<Duration>>> {
        Ok((self.dead < DEPTH || self.busy > 0).then_some(None))
    }

    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.ring.submit_and_wait(limit)
    }

    fn after_wait(&mut self) -> io::Result<()> {
        self.now = u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX);
        while let Some((user, result)) = self.ring.completion() {
            let user = User(user);
            match user.what() {
                Some(What::Fetch) => self.fetched(user.tag(), result)?,
                Some(What::Leg) => self.leg_done(user.tag(), user.index(), result)?,
                Some(What::Flush) => self.flush_done(user.tag(), user.index(), result)?,
                Some(What::Wakeup) => {
                    self.ring.wake_on(WAKEUP, user.0)?;
                    self.retry()?;
                }
                None => {}
            }
        }
        self.look_at_epoch()
    }

    /// An error of the ring itself cannot be served over: the process ends, so that the kernel
    /// keeps the requests for the next one.
    fn ended(&mut self, ended: &io::Result<()>) {
        self.quiesce.left();
        if let Err(error) = ended {
            eprintln!("lvshift-ublk: a queue failed ({error}); the daemon ends");
            std::process::abort();
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
        ring.wake_on(WAKEUP, User::new(What::Wakeup, 0, 0).0)?;
        for tag in 0..DEPTH {
            let user = User::new(What::Fetch, tag, 0).0;
            let buffer = tag::buffer(tag);
            ring.ublk(DEVICE, io_command::FETCH, (number, tag), 0, buffer, user)?;
        }
        // All fetches in one system call, and the mapping after it. Linux 6.12 lets nobody take a
        // device over whose server died with a queue half ready, or with the area mapped and no
        // queue ready; like this it cannot (and see `ready`).
        ring.submit()?;
        let descriptors = Descriptors::map(&device, number, DEPTH)?;
        let table = quiesce.table();
        let epoch = quiesce.epoch();
        let mut queue = Queue {
            ring,
            descriptors,
            number,
            id,
            queues: Arc::clone(quiesce.queues()),
            quiesce,
            table,
            tags: (0..DEPTH).map(|_| Tag::default()).collect(),
            waiting: Vec::with_capacity(usize::from(DEPTH)),
            retried: Vec::with_capacity(usize::from(DEPTH)),
            busy: 0,
            dead: 0,
            epoch,
            open: epoch.is_multiple_of(2),
            named: Vec::new(),
            born: Instant::now(),
            now: 0,
        };
        queue.name_devices()?;
        Ok(queue)
    }

    /// Takes part in a change of tables, if one is under way.
    fn look_at_epoch(&mut self) -> io::Result<()> {
        let epoch = self.quiesce.epoch();
        if epoch != self.epoch {
            if epoch.is_multiple_of(2) {
                self.epoch = epoch;
                self.table = self.quiesce.table();
                self.name_devices()?;
                self.open = true;
                self.quiesce.taken(epoch);
                self.retry()?;
                return Ok(());
            }
            self.open = false;
            if self.busy == 0 {
                self.epoch = epoch;
                self.quiesce.drained(epoch);
            }
        }
        Ok(())
    }

    /// Names the table's devices in the ring, and lets go of those of the table before.
    fn name_devices(&mut self) -> io::Result<()> {
        let table = Arc::clone(&self.table);
        let (ring, named) = (&mut self.ring, &mut self.named);
        for slot in named.drain(..) {
            if !table.devices.iter().any(|device| device.slot == slot) {
                ring.clear_file(slot)?;
            }
        }
        named.extend(table.devices.iter().map(|device| device.slot));
        for device in &self.table.devices {
            self.ring.set_file(device.slot, &device.file)?;
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
        let request = self.descriptors.get(tag);
        self.tags[usize::from(tag)] = Tag { request, since: self.now, ..Tag::default() };
        if request.has_data() {
            self.latencies().begun();
        }
        self.serve(tag)
    }

    /// Goes on with a request that has nothing on its way.
    fn serve(&mut self, tag: u16) -> io::Result<()> {
        if !self.open {
            self.waiting.push(tag);
            return Ok(());
        }
        let slot = &self.tags[usize::from(tag)];
        if slot.request.op == op::FLUSH {
            return self.begin_flush(tag);
        }
        let left = u64::from(slot.request.sectors) - slot.done;
        if left == 0 {
            return self.finish(tag, 0);
        }
        if !slot.makes_sense() {
            return self.finish(tag, -libc::EOPNOTSUPP);
        }
        let sector = slot.request.start + slot.done;
        let table = Arc::clone(&self.table);
        let Some(segment) = table.lookup(sector) else {
            return self.finish(tag, -libc::EIO);
        };
        let in_segment = left.min(segment.len - (sector - segment.start));
        match &segment.target {
            LiveTarget::Error => self.finish(tag, -libc::EIO),
            LiveTarget::Linear { .. } => match segment.place(sector) {
                Some(at) => self.begin_plain(tag, at, in_segment),
                None => self.finish(tag, -libc::EIO),
            },
            LiveTarget::Mirror(part) => self.begin_mirrored(tag, &table, *part, sector, in_segment),
        }
    }

    /// Tries again what waits.
    fn retry(&mut self) -> io::Result<()> {
        std::mem::swap(&mut self.waiting, &mut self.retried);
        if lvshift_core::planted::is("retry-forgets-one") && self.retried.len() > 1 {
            self.retried.pop();
        }
        for at in 0..self.retried.len() {
            let tag = self.retried[at];
            match std::mem::take(&mut self.tags[usize::from(tag)].work) {
                Work::Held { part, table } => self.held_again(tag, part, table)?,
                Work::HeldFlush { result, table } => self.flush_decided(tag, result, table)?,
                _ => self.serve(tag)?,
            }
        }
        self.retried.clear();
        Ok(())
    }

    /// A leg's I/O has ended.
    fn leg_done(&mut self, tag: u16, leg: usize, result: i32) -> io::Result<()> {
        if self.go_on_with_leg(tag, leg, result)? {
            return Ok(());
        }
        match self.tags[usize::from(tag)].work {
            Work::Plain => self.plain_done(tag, result),
            Work::MirrorRead { .. } => self.mirror_read_done(tag, result),
            Work::MirrorWrite { .. } => self.mirror_write_done(tag, leg, result),
            // An answer that nobody waits for.
            Work::Idle | Work::Flush { .. } | Work::Held { .. } | Work::HeldFlush { .. } => Ok(()),
        }
    }

    /// The present piece is done: the next one, if any.
    fn piece_done(&mut self, tag: u16) -> io::Result<()> {
        self.leave_below(tag);
        self.go_on(tag)
    }

    /// Goes on behind the present piece.
    fn go_on(&mut self, tag: u16) -> io::Result<()> {
        let slot = &mut self.tags[usize::from(tag)];
        slot.done += slot.piece;
        slot.piece = 0;
        slot.work = Work::Idle;
        self.serve(tag)
    }

    /// The present piece has failed, and with it the request.
    fn piece_failed(&mut self, tag: u16, error: i32) -> io::Result<()> {
        self.leave_below(tag);
        self.finish(tag, error)
    }

    /// Something of the request is about to be on its way, by this table, `flushing` a device
    /// perhaps.
    fn enter_below(&mut self, tag: u16, flushing: bool) {
        self.busy += 1;
        self.tags[usize::from(tag)].flush = flushing.then(|| self.table.flushes.begin());
    }

    /// Nothing of it is on its way any more, and what failed has been told to the trackers.
    fn leave_below(&mut self, tag: u16) {
        self.busy -= 1;
        if let Some(ticket) = self.tags[usize::from(tag)].flush.take() {
            self.table.flushes.end(ticket);
        }
    }

    /// Hands the request back to the kernel, with its bytes or a negative error.
    fn finish(&mut self, tag: u16, error: i32) -> io::Result<()> {
        let slot = &mut self.tags[usize::from(tag)];
        slot.work = Work::Idle;
        let result = if error < 0 { error } else { slot.result() };
        self.hand_back(tag, result)
    }

    fn hand_back(&mut self, tag: u16, result: i32) -> io::Result<()> {
        let slot = &self.tags[usize::from(tag)];
        if slot.request.has_data() {
            self.latencies().ended(self.now.saturating_sub(slot.since));
        }
        let buffer = tag::buffer(tag);
        let user = User::new(What::Fetch, tag, 0).0;
        self.ring.ublk(
            DEVICE,
            io_command::COMMIT_AND_FETCH,
            (self.number, tag),
            result,
            buffer,
            user,
        )
    }

    fn latencies(&self) -> &QueueLatencies {
        &self.queues.latencies()[usize::from(self.number)]
    }
}
