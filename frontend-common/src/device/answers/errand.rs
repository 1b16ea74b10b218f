//! Metadata I/O that ends in time. What a commit asks of a PV's device is done by a child: a device that falls silent keeps
//! the child, which no signal can end before the device answers, and not whoever commits.
//!
//! **The fence.** What a child was asked for when it was given up may still be done an hour later, over metadata that
//! are newer by then. So the PV has a lock, which a child that writes holds from before its first write until it is
//! gone, and it is not gone before the kernel has said of its write how that ended. Whoever finds the lock held takes
//! the PV for one that cannot be read: it reads nothing there that is going to change, and writes nothing. It is the `flock` of a
//! file that parent and child have open as one: the parent takes it for both, and its death does not let go of it.
//!
//! **At rest.** Who asks often keeps the child from one time to the next, since making it is most of what a small read
//! costs. Meanwhile nothing is asked of it, and the fence is not taken.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::ring::Asked;
use super::{leave, reap_one};
use crate::device::Aligned;
use crate::error::Result;
use crate::lock::{self, Fence};

/// What a child is asked for at once, at most.
pub(super) const ROOM: usize = 256 << 10;
/// How long a child that has nothing to do may take to end before it is left to itself.
const PARTING: Duration = Duration::from_secs(2);

const READ: u64 = 0;
const WRITE: u64 = 1;
const FLUSH: u64 = 2;

/// What a device is asked for.
pub(in crate::device) enum Job<'a> {
    Read { offset: u64, into: &'a mut [u8] },
    Write { offset: u64, bytes: &'a [u8] },
    Flush,
}

/// Who does what is asked of one device.
#[derive(Debug)]
pub(crate) struct Errand {
    limit: Option<Duration>,
    fence: Option<Fence>,
    /// Whether it is kept for another time and does nothing now.
    rests: bool,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Child {
        pid: libc::pid_t,
        socket: UnixStream,
    },
    /// In a daemon that takes over.
    Ring(Box<Asked>),
    /// Neither can be had: it is done here, and takes as long as it takes.
    Here,
    /// The child was given up, or has ended.
    Late {
        child: Option<libc::pid_t>,
    },
}

impl Errand {
    /// Makes the child, with the device as this descriptor has it. `fence` is for one that writes, and need not be taken
    /// yet. Without a limit there is no child, and none in a daemon that takes over; see [`Asked`].
    pub(in crate::device) fn begin(
        device: BorrowedFd<'_>,
        fence: Option<Fence>,
        limit: Option<Duration>,
    ) -> Errand {
        let way = match limit {
            Some(_) if lock::takes_over() => {
                Asked::new(device).map(|asked| Way::Ring(Box::new(asked)))
            }
            Some(_) => begin(device, fence.as_ref()),
            None => Ok(Way::Here),
        };
        let way = way.unwrap_or_else(|error| {
            tracing::debug!(%error, "no limit for metadata I/O");
            Way::Here
        });
        Errand { limit, fence, rests: false, way }
    }

    /// Makes one that rests ready for another use that does not need the fence; false where it is of no use any more.
    pub(in crate::device) fn wake(&mut self, limit: Option<Duration>) -> bool {
        if let Way::Child { pid, .. } = self.way
            && self.rests
            && reap_one(pid)
        {
            self.way = Way::Late { child: None };
            return false;
        }
        self.limit = limit;
        self.rests = false;
        true
    }

    /// The same, and passes the fence for that use; false where what was given up may still be written there. `None`: it
    /// has to be made anew.
    ///
    /// # Errors
    /// `Kind::Kernel` when the fence cannot be used.
    pub(crate) fn pass(&mut self, writes: bool, limit: Option<Duration>) -> Result<Option<bool>> {
        if !self.wake(limit) {
            return Ok(None);
        }
        match &mut self.fence {
            Some(fence) => fence.pass(writes).map(Some),
            // One that only reads is made anew to write.
            None => Ok((!writes).then_some(true)),
        }
    }

    /// Keeps it for another use; false where there is none for it.
    pub(in crate::device) fn rest(&mut self) -> bool {
        // The child has ended all that it was asked for: else it would be late.
        let free = self.fence.as_mut().is_none_or(|fence| fence.let_go().is_ok());
        self.rests = free && matches!(self.way, Way::Child { .. });
        self.rests
    }

    /// Whether it is kept for another time.
    pub(crate) fn rests(&self) -> bool {
        self.rests
    }

    /// How long its device is waited for.
    pub(in crate::device) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The child that the device keeps.
    pub(in crate::device) fn late(&self) -> Option<libc::pid_t> {
        match self.way {
            Way::Late { child } => child,
            _ => None,
        }
    }

    /// Does it, or says how it failed; `None` where the caller has to do it himself, as where it rests. `TimedOut`: from now on
    /// everything fails at once, and what was asked for may still be done.
    pub(in crate::device) fn run(&mut self, job: &mut Job<'_>) -> Option<io::Result<()>> {
        let done = match &mut self.way {
            Way::Here => return None,
            Way::Child { .. } if self.rests => return None,
            Way::Late { .. } => return Some(Err(io::ErrorKind::TimedOut.into())),
            Way::Child { socket, .. } => ask(socket, job, self.limit),
            Way::Ring(asked) => asked.run(job, self.limit),
        };
        if matches!(&done, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
            self.give_up();
        }
        Some(done)
    }

    fn give_up(&mut self) {
        if let Way::Child { pid, .. } = self.way {
            self.way = Way::Late { child: Some(pid) };
            // It begins nothing more; what it has begun has the fence until it has ended.
            // SAFETY: the child was not taken leave of, so the number is its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            leave(pid);
        }
        let fence = self.fence.take().filter(Fence::is_taken);
        fence.iter().for_each(Fence::note_late);
        if let Way::Ring(_) = &self.way
            && let Way::Ring(asked) = std::mem::replace(&mut self.way, Way::Late { child: None })
        {
            super::ring::leave(asked, fence);
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let way = std::mem::replace(&mut self.way, Way::Late { child: None });
        let Way::Child { pid, socket } = way else {
            return;
        };
        // It has nothing more to do, and ends.
        drop(socket);
        let start = Instant::now();
        let mut pause = Duration::from_micros(100);
        while !reap_one(pid) {
            if start.elapsed() > PARTING {
                return leave(pid);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

fn begin(device: BorrowedFd<'_>, fence: Option<&Fence>) -> io::Result<Way> {
    let (socket, theirs) = UnixStream::pair()?;
    let mut buffer = Aligned::zeroed(ROOM);
    // SAFETY: the child of a process of several threads may call what is async-signal-safe and nothing else;
    // `serve` does, and never returns.
    match unsafe { libc::fork() } {
        0 => serve(device, theirs.as_fd(), fence.map(AsFd::as_fd), &mut buffer),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Way::Child { pid, socket }),
    }
}

/// Asks, in pieces that the child has room for, and waits so long for each.
fn ask(socket: &mut UnixStream, job: &mut Job<'_>, limit: Option<Duration>) -> io::Result<()> {
    // A limit of nothing is an error to the kernel.
    let limit = limit.map(|limit| limit.max(Duration::from_millis(1)));
    socket.set_read_timeout(limit)?;
    socket.set_write_timeout(limit)?;
    match job {
        Job::Flush => exchange(socket, FLUSH, 0, 0, &[], &mut []),
        Job::Write { offset, bytes } => pieces(*offset)
            .zip(bytes.chunks(ROOM))
            .try_for_each(|(at, piece)| exchange(socket, WRITE, at, piece.len(), piece, &mut [])),
        Job::Read { offset, into } => pieces(*offset)
            .zip(into.chunks_mut(ROOM))
            .try_for_each(|(at, piece)| exchange(socket, READ, at, piece.len(), &[], piece)),
    }
}

/// Where each piece begins that there is room for.
pub(super) fn pieces(first: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), |at| at.checked_add(ROOM as u64))
}

fn exchange(
    socket: &mut UnixStream,
    what: u64,
    offset: u64,
    length: usize,
    bytes: &[u8],
    into: &mut [u8],
) -> io::Result<()> {
    let mut word = [0; 4];
    let mut talk = || {
        for number in [what, offset, length as u64] {
            socket.write_all(&number.to_le_bytes())?;
        }
        socket.write_all(bytes)?;
        socket.read_exact(&mut word)
    };
    talk().map_err(ended)?;
    match i32::from_le_bytes(word) {
        0 => socket.read_exact(into).map_err(ended),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// What it means that the child does not say how it went.
fn ended(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::ErrorKind::TimedOut.into(),
        _ => io::Error::new(io::ErrorKind::Interrupted, "the process that did it was killed"),
    }
}

/// The child: does what it is asked for until no parent is left that could ask. All that it calls are system calls.
fn serve(
    device: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    fence: Option<BorrowedFd<'_>>,
    buffer: &mut [u8],
) -> ! {
    // What a terminal sends to whoever stands there is for the parent.
    let _ = rustix::process::setsid();
    let _ = fence.map_or_else(|| rustix::stdio::dup2_stderr(socket), rustix::stdio::dup2_stderr);
    super::alone_with(device, socket, 3);
    let (device, socket) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    while let Some((what, offset, length)) = next(socket) {
        let Some(piece) = buffer.get_mut(..length) else { break };
        if what == WRITE && take(socket, piece).is_err() {
            break;
        }
        let done = match what {
            READ => read_all(device, offset, piece),
            WRITE => super::write_all(device, offset, piece),
            _ => rustix::fs::fdatasync(device),
        };
        let word = done.err().map_or(0, Errno::raw_os_error);
        let told = tell(socket, &word.to_le_bytes());
        if told.is_err() || (what == READ && word == 0 && tell(socket, piece).is_err()) {
            break;
        }
    }
    // SAFETY: nothing of the parent's is tidied up, flushed or run on the way.
    unsafe { libc::_exit(0) }
}

fn next(socket: BorrowedFd<'_>) -> Option<(u64, u64, usize)> {
    let mut words = [[0; 8]; 3];
    take(socket, words.as_flattened_mut()).ok()?;
    let [what, offset, length] = words.map(u64::from_le_bytes);
    Some((what, offset, usize::try_from(length).ok()?))
}

fn take(from: BorrowedFd<'_>, mut into: &mut [u8]) -> rustix::io::Result<()> {
    while !into.is_empty() {
        match rustix::io::read(from, &mut *into) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(some) => into = into.get_mut(some..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn tell(to: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::net::send(to, bytes, rustix::net::SendFlags::NOSIGNAL) {
            Ok(some) => bytes = bytes.get(some..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_all(device: BorrowedFd<'_>, mut at: u64, mut into: &mut [u8]) -> rustix::io::Result<()> {
    while !into.is_empty() {
        match rustix::io::pread(device, &mut *into, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(some) => {
                at = at.saturating_add(some as u64);
                into = into.get_mut(some..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn disk(bytes: usize) -> (crate::testing::Scratch, File) {
        let scratch = crate::testing::scratch("errand");
        let path = scratch.path().join("disk");
        std::fs::write(&path, vec![1; bytes]).expect("a file");
        let file = File::options().read(true).write(true).open(path).expect("a file");
        (scratch, file)
    }

    #[test]
    fn what_is_asked_for_is_done_in_pieces_and_errors_are_the_devices() {
        let (_scratch, file) = disk(ROOM * 2 + 8192);
        let mut errand = Errand::begin(file.as_fd(), None, Some(LIMIT));
        let bytes: Vec<u8> = (0..ROOM + 4096).map(|at| (at / 4096 % 251) as u8).collect();
        let write = errand.run(&mut Job::Write { offset: 4096, bytes: &bytes });
        write.expect("a child").expect("written");
        errand.run(&mut Job::Flush).expect("a child").expect("flushed");
        let mut into = vec![0; bytes.len()];
        let read = errand.run(&mut Job::Read { offset: 4096, into: &mut into });
        read.expect("a child").expect("read");
        assert!(into == bytes);
        let past = errand.run(&mut Job::Read { offset: 1 << 40, into: &mut into });
        assert_eq!(past.expect("a child").expect_err("past its end").raw_os_error(), Some(5));
    }

    #[test]
    fn the_fence_stands_until_the_late_one_is_gone_whatever_becomes_of_the_parent() {
        crate::testing::use_scratch_locks();
        let pv = lvshift_core::units::Uuid([0x5e; 16]);
        let (_scratch, file) = disk(8192);
        let mut fence = Fence::of(pv).expect("a file");
        assert!(fence.pass(true).expect("a lock"), "it is free");
        let errand = Errand::begin(file.as_fd(), Some(fence), Some(LIMIT));
        let Way::Child { pid, .. } = errand.way else { panic!("no child") };
        // As a device does that does not answer: it cannot go on.
        // SAFETY: it is our child.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        let mut other = Fence::of(pv).expect("a file");
        other.note_late();
        // The parent is gone, for all that the kernel knows.
        let mut errand = std::mem::ManuallyDrop::new(errand);
        drop(errand.fence.take());
        for writes in [true, false] {
            assert!(!other.pass(writes).expect("a lock"), "it stands");
        }
        // SAFETY: as above.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        while !reap_one(pid) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(other.pass(true).expect("a lock"), "it is gone");
    }

    #[test]
    fn one_that_rests_does_nothing_leaves_the_fence_to_others_and_is_made_anew_when_it_has_died() {
        crate::testing::use_scratch_locks();
        let pv = lvshift_core::units::Uuid([0x5f; 16]);
        let (_scratch, file) = disk(8192);
        let fence = Fence::of(pv).expect("a file");
        let mut errand = Errand::begin(file.as_fd(), Some(fence), Some(LIMIT));
        let mut other = Fence::of(pv).expect("a file");
        let busy = |other: &mut Fence| {
            // It does not wait then.
            other.note_late();
            let taken = other.pass(true).expect("a lock");
            other.let_go().expect("a lock");
            !taken
        };
        for _ in 0..2 {
            assert_eq!(errand.pass(true, Some(LIMIT)).expect("a lock"), Some(true));
            // As a look within a commit does.
            assert_eq!(errand.pass(false, Some(LIMIT)).expect("a lock"), Some(true));
            assert!(busy(&mut other));
            errand
                .run(&mut Job::Write { offset: 0, bytes: &[7; 4096] })
                .expect("a child")
                .expect("ok");
            assert!(errand.rest());
            assert!(errand.run(&mut Job::Flush).is_none(), "it rests");
            assert!(!busy(&mut other));
            // Who only reads takes nothing.
            assert_eq!(errand.pass(false, Some(LIMIT)).expect("a lock"), Some(true));
            assert!(!busy(&mut other) && errand.run(&mut Job::Flush).is_some());
            assert!(errand.rest());
        }
        let Way::Child { pid, .. } = errand.way else { panic!("no child") };
        // SAFETY: it is our child.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let start = Instant::now();
        while errand.pass(true, Some(LIMIT)).expect("a lock").is_some() {
            assert!(errand.rest() && start.elapsed() < LIMIT, "it is not missed");
        }
    }

    #[test]
    fn who_is_late_is_given_up_and_not_asked_again() {
        let (_scratch, file) = disk(8192);
        let mut errand = Errand::begin(file.as_fd(), None, Some(Duration::from_millis(200)));
        let Way::Child { pid, .. } = errand.way else { panic!("no child") };
        // SAFETY: it is our child.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        for limit in [Duration::from_secs(10), Duration::from_millis(100)] {
            let start = Instant::now();
            let late = errand.run(&mut Job::Flush).expect("a child").expect_err("it is silent");
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
            assert!(start.elapsed() < limit);
        }
    }
}
