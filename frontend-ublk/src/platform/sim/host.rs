//! What the simulator must be able to do in the place of the kernel.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::platform::Handle;
use crate::platform::RingLoop;

/// Why a simulated process ends in the middle of what it does; thrown with `resume_unwind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// The daemon was.
    Daemon,
    /// The mover was.
    Mover,
    /// The power is gone.
    Power,
}

/// One entry of a ring.
#[derive(Debug)]
pub struct Io {
    /// The number under which its end is told.
    pub user: u64,
    /// What it is about.
    pub file: Arc<Handle>,
    /// What it does.
    pub op: IoOp,
}

/// What an entry of a ring does. Offsets and lengths are bytes.
#[derive(Debug)]
pub enum IoOp {
    /// Reads into the ring's memory.
    Read {
        /// Where on the device.
        offset: u64,
        /// Where in the memory.
        into: Range<usize>,
    },
    /// Writes; `durable` as with FUA.
    Write {
        /// Where on the device.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
        /// Durable when it is done.
        durable: bool,
    },
    /// Makes durable what was written before.
    Flush,
    /// Zeroes.
    Zero {
        /// Where on the device.
        offset: u64,
        /// How many.
        len: u64,
        /// Frees the space.
        unmap: bool,
    },
    /// Discards.
    Discard {
        /// Where on the device.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// A ublk queue waits for a request, after handing back the one before.
    Fetch {
        /// The queue.
        queue: u16,
        /// The tag.
        tag: u16,
        /// The tag's buffer.
        buffer: Range<usize>,
        /// The result of the request before, and the bytes of a read.
        finished: Option<(i32, Vec<u8>)>,
    },
    /// Waits for a wakeup.
    Wake,
}

/// The end of an entry.
#[derive(Debug)]
pub struct Completion {
    /// The entry's number.
    pub user: u64,
    /// As the kernel tells it.
    pub result: i32,
    /// Bytes for the ring's memory, and where.
    pub data: Option<(usize, Vec<u8>)>,
}

/// A request of the application, as the ublk driver describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// One of [`op`](crate::op).
    pub op: u8,
    /// Durable before it is acknowledged.
    pub fua: bool,
    /// Its sectors.
    pub sectors: u32,
    /// The first.
    pub start: u64,
}

/// The kernel and the other threads, as the simulator makes them up.
pub trait Host {
    /// Nanoseconds since the beginning.
    fn now(&self) -> u64;
    /// A thread waits: lets everything else go on for a bit. May throw [`Killed`].
    fn step(&self);
    /// Processors.
    fn cpus(&self) -> usize;
    /// A new ring.
    fn ring(&self) -> u32;
    /// The ring's process lets it go: what waits there for a request gets none.
    fn close_ring(&self, ring: u32);
    /// Puts an entry into a ring.
    fn submit(&self, ring: u32, io: Io);
    /// Takes an end out of it.
    fn completion(&self, ring: u32) -> Option<Completion>;
    /// A new thread of the daemon; it owns the ring made last.
    fn spawn(&self, name: String, work: Box<dyn RingLoop>) -> u32;
    /// Whether a thread has ended.
    fn has_ended(&self, thread: u32) -> bool;
    /// Opens a disk, `alone` as with `O_EXCL`: how many sectors it has. `None` while another process holds it, or has
    /// I/O on its way there.
    fn open(&self, minor: u32, alone: bool) -> Option<u64>;
    /// Lets a disk go.
    fn close(&self, minor: u32);
    /// Whether a disk zeroes by itself.
    fn zeroes(&self, minor: u32) -> bool;
    /// Reads at once.
    ///
    /// # Errors
    /// As the disk likes.
    fn read(&self, minor: u32, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Makes a ublk device.
    fn add_device(&self, queues: u16) -> u32;
    /// Its queues, and whether it waits to be taken over, if there is one of this number.
    fn device(&self, id: u32) -> Option<(u16, bool)>;
    /// Its sectors.
    fn device_sectors(&self, id: u32) -> u64;
    /// Says how many it has.
    fn set_device_sectors(&self, id: u32, sectors: u64);
    /// Lets requests in (again).
    fn start_device(&self, id: u32);
    /// Whether a dead daemon's hold of the device has ended.
    fn may_recover(&self, id: u32) -> bool;
    /// Takes the disk away.
    fn stop_device(&self, id: u32);
    /// The request that a tag was given.
    fn request(&self, id: u32, queue: u16, tag: u16) -> Request;
    /// Something is wanted of the mover.
    fn mover_is_wanted(&self) -> bool;
    /// Seconds that a destination may take to answer; 0: time passes, and nothing is late.
    fn deadline(&self) -> u32;
    /// Whether this call of a kernel's fails now, for want of something.
    fn fails(&self, call: &'static str) -> bool;
    /// The daemon's process ends with this step, by its own will.
    fn abort(&self);
    /// The mover is in the hands of the daemon from now on, or is not any more.
    fn in_daemon(&self, inside: bool);
}

thread_local! {
    static HOST: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// Gives this thread its kernel.
pub fn set_host(host: Option<Rc<dyn Host>>) {
    HOST.with(|cell| *cell.borrow_mut() = host);
}

/// Fails where the simulator says so.
pub(crate) fn call(name: &'static str) -> io::Result<()> {
    if host().fails(name) {
        return Err(io::Error::other(format!("{name} fails, as the simulator wants it")));
    }
    Ok(())
}

/// The same, for what gives an error of ours.
pub(crate) fn asked(name: &'static str) -> Result<()> {
    call(name).map_err(|error| Error::new(Kind::Kernel, "the kernel refuses").because(error))
}

pub(crate) fn host() -> Rc<dyn Host> {
    HOST.with(|cell| cell.borrow().clone()).expect("a simulated process has a host")
}

/// The same where there may be none any more.
pub(crate) fn try_host() -> Option<Rc<dyn Host>> {
    HOST.with(|cell| cell.try_borrow().ok().and_then(|host| host.clone()))
}
