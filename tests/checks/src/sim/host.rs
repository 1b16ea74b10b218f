//! The world as the real front end sees it: its kernel, its threads, its disks.

use std::cell::RefCell;
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

use lvshift_core::units::{Sectors, Uuid};
use lvshift_frontend_common::device::{BlockDevice, Medium};
use lvshift_frontend_common::requests::{Request as Wish, Requests};
use lvshift_frontend_common::simulation;
use lvshift_ublk::platform::sim::{Completion, Handle, Host, Io, IoOp, Killed, Request, RingLoop};

use super::disk::io_error;
use super::steps::Next;
use super::template::{SLOTS, SLOTS_END, Template, number, path};
use super::view::View;
use super::world::{Inner, Pending, Posted, Thread, Ublk};

/// The world.
pub struct World {
    pub(super) inner: RefCell<Inner>,
    vg: Uuid,
    lvs: Vec<Uuid>,
    closed: RefCell<Vec<u32>>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

fn world() -> Rc<World> {
    WORLD.with(|world| world.borrow().clone()).expect("a world")
}

impl World {
    /// Makes it this thread's own: its disks are what a scan finds.
    pub fn enter(inner: Inner, template: &Template) -> Rc<World> {
        let disks = inner.disks.len();
        let world = Rc::new(World {
            inner: RefCell::new(inner),
            vg: template.vg,
            lvs: template.lvs.clone(),
            closed: RefCell::default(),
        });
        WORLD.with(|cell| *cell.borrow_mut() = Some(Rc::clone(&world)));
        lvshift_ublk::platform::sim::set_host(Some(Rc::clone(&world) as Rc<dyn Host>));
        simulation::set_devices(move || {
            (0..disks)
                .map(|disk| {
                    let path = path(disk);
                    let medium = Arc::new(Metal(disk));
                    BlockDevice::simulated(std::path::Path::new(&path), number(disk), medium)
                })
                .collect()
        });
        world
    }

    /// Leaves no trace of it in this thread.
    pub fn leave(&self) {
        self.end_processes(true);
        lvshift_ublk::platform::sim::set_host(None);
        WORLD.with(|cell| *cell.borrow_mut() = None);
    }

    /// The daemon's process ends, and with `power` everything else.
    pub fn end_processes(&self, power: bool) {
        let threads = std::mem::take(&mut self.inner.borrow_mut().threads);
        drop(threads);
        lvshift_ublk::platform::sim::kill(power);
        let mut inner = self.inner.borrow_mut();
        inner.in_daemon = 0;
        if power {
            inner.mover_dies = false;
            inner.power_cut();
        } else {
            inner.daemon_died();
        }
    }

    /// Lets one thing happen and looks at what a power cut would leave.
    pub fn go_on(&self) {
        let next = self.inner.borrow_mut().step();
        if let Next::Run(thread) = next {
            self.run(thread);
        }
        let aborts = std::mem::take(&mut self.inner.borrow_mut().aborts);
        match if aborts { Next::Kill(Killed::Daemon) } else { next } {
            Next::Nothing | Next::Run(_) => {}
            Next::Kill(Killed::Daemon) => {
                let inside = self.inner.borrow().in_daemon > 0;
                if inside {
                    self.drop_threads();
                    self.inner.borrow_mut().daemon_died();
                    resume_unwind(Box::new(Killed::Daemon));
                }
                self.end_processes(false);
            }
            Next::Kill(killed) => {
                self.inner.borrow_mut().say(|| format!("killed: {killed:?}"));
                resume_unwind(Box::new(killed));
            }
            Next::Stranger => super::hosts::stranger(self, &self.lvs),
            Next::Restart => {
                if simulation::metadata_lock_is_free(self.vg) {
                    self.inner.borrow_mut().say(|| "a new daemon".to_owned());
                    let _ = lvshift_ublk::platform::sim::start(self.vg);
                }
            }
        }
        let mut inner = self.inner.borrow_mut();
        inner.look();
        if inner.failure.is_some() || inner.steps > 2_000_000 {
            if inner.failure.is_none() {
                inner.fail("this takes too long: something waits for ever".to_owned());
            }
            drop(inner);
            // The run is over; what is left of it does not count.
            resume_unwind(Box::new(Killed::Power));
        }
        let dies = inner.mover_dies && inner.in_daemon == 0;
        if dies {
            inner.mover_dies = false;
            inner.say(|| "killed: Mover".to_owned());
            drop(inner);
            resume_unwind(Box::new(Killed::Mover));
        }
    }

    fn close_all(&self) {
        for minor in self.closed.borrow_mut().drain(..) {
            if let Some(holder) = self.inner.borrow_mut().holders.get_mut(minor as usize) {
                *holder = None;
            }
        }
    }

    fn drop_threads(&self) {
        let threads = std::mem::take(&mut self.inner.borrow_mut().threads);
        drop(threads);
    }

    /// A thread takes what has ended and goes on.
    fn run(&self, at: usize) {
        let work = self.inner.borrow_mut().threads[at].work.take();
        let Some(mut work) = work else { return };
        let went = work.after_wait().and_then(|()| work.before_wait());
        self.put_back(at, work, went);
    }

    fn put_back(
        &self,
        at: usize,
        mut work: Box<dyn RingLoop>,
        went: io::Result<Option<Option<std::time::Duration>>>,
    ) {
        match went {
            Ok(Some(limit)) => {
                let mut inner = self.inner.borrow_mut();
                let clock = inner.clock;
                let thread = &mut inner.threads[at];
                thread.timer = limit.map(|limit| clock + limit.as_nanos() as u64);
                thread.work = Some(work);
            }
            other => {
                let ended = other.map(|_| ());
                work.ended(&ended);
                drop(work);
                let mut inner = self.inner.borrow_mut();
                let thread = &mut inner.threads[at];
                thread.ended = true;
                let name = thread.name.clone();
                inner.say(|| format!("thread {name} ends: {ended:?}"));
            }
        }
    }
}

impl Host for World {
    fn now(&self) -> u64 {
        self.inner.borrow().clock
    }
    fn step(&self) {
        self.go_on();
    }
    fn cpus(&self) -> usize {
        usize::from(self.inner.borrow().plan.queues)
    }
    fn ring(&self) -> u32 {
        let mut inner = self.inner.borrow_mut();
        inner.rings.push(std::collections::VecDeque::new());
        inner.rings.len() as u32 - 1
    }
    fn close_ring(&self, ring: u32) {
        self.inner.borrow_mut().posted.retain(|posted| posted.ring != ring);
    }
    fn submit(&self, ring: u32, io: Io) {
        let mut inner = self.inner.borrow_mut();
        if let IoOp::Fetch { queue, tag, buffer, finished } = &io.op {
            let (queue, tag) = (*queue, *tag);
            let Handle::Char(device) = *io.file else { return };
            if let Some((result, bytes)) = finished {
                inner.finished(device, (queue, tag), *result, bytes);
            }
            let at = buffer.start;
            inner.posted.push(Posted { ring, device, user: io.user, queue, tag, at });
            return;
        }
        inner.pending.push(Pending { ring, io, done: None, orphaned: false });
        // What is under way may survive a power cut.
        let (disk, start, sectors) = inner.pending.last().map_or((0, 0, 0), |pending| {
            let disk = pending.disk().unwrap_or(0) as usize;
            match &pending.io.op {
                IoOp::Write { offset, data, .. } => (disk, offset / 512, data.len() as u64 / 512),
                IoOp::Zero { offset, len, .. } => (disk, offset / 512, len / 512),
                _ => (disk, u64::MAX, 0),
            }
        });
        if start != u64::MAX {
            inner.touch(disk, start, sectors);
        }
    }
    fn completion(&self, ring: u32) -> Option<Completion> {
        self.inner.borrow_mut().rings[ring as usize].pop_front()
    }
    fn spawn(&self, name: String, mut work: Box<dyn RingLoop>) -> u32 {
        let at = {
            let mut inner = self.inner.borrow_mut();
            let ring = inner.rings.len() as u32 - 1;
            let thread = Thread { ring, name, work: None, timer: None, ended: false };
            inner.threads.push(thread);
            inner.threads.len() - 1
        };
        let went = work.before_wait();
        self.put_back(at, work, went);
        at as u32
    }
    fn has_ended(&self, thread: u32) -> bool {
        self.inner.borrow().threads.get(thread as usize).is_none_or(|thread| thread.ended)
    }
    fn open(&self, minor: u32, alone: bool) -> Option<u64> {
        self.close_all();
        let mut inner = self.inner.borrow_mut();
        let late = inner.pending.iter().any(|p| p.orphaned && p.disk() == Some(minor));
        if alone && (inner.holders[minor as usize].is_some() || late) {
            return None;
        }
        inner.holders[minor as usize] = Some(0);
        Some(inner.disks[minor as usize].sectors)
    }
    fn close(&self, minor: u32) {
        // The last I/O on its way may be what holds it.
        self.closed.borrow_mut().push(minor);
    }
    fn zeroes(&self, minor: u32) -> bool {
        self.inner.borrow().plan.zeroes >> minor & 1 == 1
    }
    fn read(&self, minor: u32, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.borrow().disks[minor as usize].read(offset / 512, bytes)
    }
    fn add_device(&self, queues: u16) -> u32 {
        let mut inner = self.inner.borrow_mut();
        let id = inner.next_device;
        inner.next_device += 1;
        let lv = inner.activates;
        // One whose daemon died before it was noted is used by no process.
        inner.ublk.retain(|ublk| ublk.lv != lv);
        inner.ublk.push(Ublk { id, lv, queues, sectors: 0, live: false, orphaned: false });
        id
    }
    fn device(&self, id: u32) -> Option<(u16, bool)> {
        let inner = self.inner.borrow();
        let ublk = inner.device(id)?;
        Some((ublk.queues, ublk.orphaned))
    }
    fn device_sectors(&self, id: u32) -> u64 {
        let inner = self.inner.borrow();
        inner.device(id).map_or(0, |ublk| ublk.sectors)
    }
    fn set_device_sectors(&self, id: u32, sectors: u64) {
        if let Some(ublk) = self.inner.borrow_mut().ublk.iter_mut().find(|ublk| ublk.id == id) {
            ublk.sectors = sectors;
        }
    }
    fn start_device(&self, id: u32) {
        let mut inner = self.inner.borrow_mut();
        inner.say(|| format!("driver: device {id} is live"));
        if let Some(ublk) = inner.ublk.iter_mut().find(|ublk| ublk.id == id) {
            (ublk.live, ublk.orphaned) = (true, false);
        }
    }
    fn may_recover(&self, _id: u32) -> bool {
        true
    }
    fn stop_device(&self, id: u32) {
        let mut inner = self.inner.borrow_mut();
        let used = inner.device(id).is_some_and(|ublk| ublk.live || ublk.orphaned);
        // One that could not be started is used by no process.
        inner.ublk.retain(|ublk| ublk.id != id);
        // What waits for requests is told that there are none.
        let (ended, left) =
            std::mem::take(&mut inner.posted).into_iter().partition(|p| p.device == id);
        inner.posted = left;
        let ended: Vec<Posted> = ended;
        for Posted { ring, user, .. } in ended {
            inner.rings[ring as usize].push_back(Completion { user, result: -19, data: None });
        }
        if used {
            inner.fail("the device that is in use was taken away".to_owned());
        }
    }
    fn request(&self, id: u32, queue: u16, tag: u16) -> Request {
        let inner = self.inner.borrow();
        let op = inner.tagged(id, queue, tag).map(|at| &inner.ops[at]);
        let op = op.expect("the tag was given a request");
        let start = op.first - inner.bases[op.lv];
        let fua = op.kind == super::client::Kind::Write { fua: true };
        Request { op: op.kind.op(), fua, sectors: op.count, start: u64::from(start) }
    }
    fn mover_is_wanted(&self) -> bool {
        !self.inner.borrow().requests.is_empty()
    }
    fn deadline(&self) -> u32 {
        if self.inner.borrow().plan.silent { 30 } else { 0 }
    }
    fn fails(&self, call: &'static str) -> bool {
        let mut inner = self.inner.borrow_mut();
        let may = inner.plan.calls > 0 && !inner.stranger && inner.calls_left > 0;
        if !may || !inner.rng.one_in(16) {
            return false;
        }
        inner.calls_left -= 1;
        (inner.broken, inner.ever_broken) = (true, true);
        inner.say(|| format!("FAULT: {call} fails"));
        true
    }
    fn abort(&self) {
        self.inner.borrow_mut().aborts = true;
    }
    fn in_daemon(&self, inside: bool) {
        let mut inner = self.inner.borrow_mut();
        inner.in_daemon =
            if inside { inner.in_daemon + 1 } else { inner.in_daemon.saturating_sub(1) };
    }
}

/// What the mover hears.
#[derive(Debug)]
pub struct Ears;

impl Requests for Ears {
    fn requests(&mut self) -> Vec<Wish> {
        world().inner.borrow_mut().requests.drain(..).collect()
    }
}

/// A disk as the mover's process sees it.
#[derive(Debug)]
struct Metal(usize);

impl Metal {
    /// Everything else goes on meanwhile.
    fn meanwhile(&self, world: &World, up_to: u64) {
        let steps = world.inner.borrow_mut().rng.below(up_to + 1);
        for _ in 0..steps {
            world.go_on();
        }
    }
}

impl Medium for Metal {
    fn size(&self) -> Sectors {
        Sectors(world().inner.borrow().disks[self.0].sectors)
    }

    fn read(&self, start: Sectors, buffer: &mut [u8]) -> io::Result<()> {
        let world = world();
        if world.inner.borrow_mut().rng.one_in(8) {
            self.meanwhile(&world, 2);
        }
        world.inner.borrow().disks[self.0].read(start.0, buffer)
    }

    fn write(&self, start: Sectors, buffer: &[u8]) -> io::Result<()> {
        let world = world();
        self.meanwhile(&world, 3);
        let done = {
            let mut guard = world.inner.borrow_mut();
            let inner = &mut *guard;
            inner.moment += 1;
            if inner.stranger {
                inner.fail(format!("another host writes to disk {}", self.0));
            }
            let slot = SLOTS.iter().position(|slot| *slot == start.0);
            let in_slots = (SLOTS[0]..SLOTS_END).contains(&start.0);
            let sectors = buffer.len() as u64 / 512;
            inner.say(|| {
                format!("mover: writes {sectors} sectors at {} of disk {}", start.0, self.0)
            });
            if in_slots && inner.disks[self.0].faults.slots > 0 {
                let faults = &mut inner.disks[self.0].faults;
                faults.slots = faults.slots.saturating_sub(1);
                Err(io_error())
            } else {
                let done = inner.disks[self.0].write(start.0, buffer);
                if let (Some(slot), true) = (slot, done.is_ok()) {
                    let view = View::decode(&mut inner.scratch, buffer);
                    inner.slots[self.0][slot].cached.push(view);
                }
                inner.touch(self.0, start.0, sectors);
                inner.look();
                done
            }
        };
        self.meanwhile(&world, 3);
        done
    }

    fn flush(&self) -> io::Result<()> {
        let world = world();
        self.meanwhile(&world, 2);
        let done = {
            let mut guard = world.inner.borrow_mut();
            let inner = &mut *guard;
            inner.moment += 1;
            inner.say(|| format!("mover: flushes disk {}", self.0));
            // That a flush of its own failed is known to the mover alone until it has committed
            // Aborting: if it is to be killed, the cache stays (the limits in
            // docs/move-protocol.md).
            // The same holds for the commit that confirms a record under a mirror that is at work.
            let drops = inner.crash.is_none() && simulation::step() != "commit-confirm";
            let done = inner.disks[self.0].flush(&mut inner.rng, drops);
            inner.flushed(self.0, done.is_ok());
            inner.look();
            done
        };
        self.meanwhile(&world, 2);
        done
    }
}

impl Inner {
    /// A disk's cache is durable now, with what stood in its slots, or was lost in part.
    pub(super) fn flushed(&mut self, disk: usize, good: bool) {
        for slot in &mut self.slots[disk] {
            if let Some(last) = slot.cached.pop() {
                slot.durable = last;
                slot.cached.clear();
            }
        }
        if !good {
            self.reread_slots();
        }
        self.touched_all = true;
    }
}
