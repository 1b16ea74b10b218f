//! The one place through which everything goes that is printed or logged. It never panics: no message is
//! worth a life. And it never blocks whoever serves or moves an LV, once [`never_block`] was called: a
//! terminal that is stopped, a FIFO without a reader, a log on the very LV that is moved keep no mover
//! waiting.

mod queue;
mod term;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};

use rustix::event::{PollFd, PollFlags, poll};

use queue::Queue;
pub use term::Term;

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Out,
    Err,
}

/// Lines that wait to be written, at most; the oldest are dropped first.
const QUEUED: usize = 1024;
/// What the thread that writes them needs of a stack: with all memory locked, all of it counts.
const STACK: usize = 128 << 10;
/// How long the end of a command waits for a reader.
const LAST_WORDS: Duration = Duration::from_secs(2);

static QUEUE: OnceLock<Queue<(To, String)>> = OnceLock::new();
/// Standard output could not take something, and not because its reader went away.
static CUT_SHORT: AtomicBool = AtomicBool::new(false);

/// Writes to standard output; a reader that went away is no reason to fail.
pub fn out(text: &str) {
    put(To::Out, text);
}

/// Writes to standard error. What it cannot take is lost, and nothing else.
pub fn err(text: &str) {
    put(To::Err, text);
}

fn put(to: To, text: &str) {
    match QUEUE.get() {
        Some(queue) => queue.push((to, text.to_owned())),
        None => write(to, text),
    }
}

/// From now on texts are written by a thread of their own, and whoever has something to say goes on at
/// once. For movers and daemons.
pub fn never_block() {
    if QUEUE.get().is_some() {
        return;
    }
    // A signal must not find this thread: the mover takes them off a descriptor.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started =
        std::thread::Builder::new().name("output".to_owned()).stack_size(STACK).spawn(|| {
            let queue = QUEUE.get_or_init(|| Queue::new(QUEUED));
            loop {
                let ((to, text), lost) = queue.pop();
                if lost > 0 {
                    write(
                        To::Err,
                        &format!(
                            "  WARNING: {lost} lines were dropped: they were not read in time\n"
                        ),
                    );
                }
                write(to, &text);
                queue.done();
            }
        });
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    // Without the thread texts are collected and dropped: better than to wait for their reader.
    let queue = QUEUE.get_or_init(|| Queue::new(QUEUED));
    if started.is_err() {
        queue.close();
    }
}

/// Gives what waits to be written a moment, before the process ends.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.drain(LAST_WORDS);
    }
}

/// Whether a script may have read less than there was to say.
#[must_use]
pub fn was_cut_short() -> bool {
    CUT_SHORT.load(Ordering::Relaxed)
}

fn write(to: To, text: &str) {
    let written = match to {
        To::Out => all(&io::stdout(), text),
        To::Err => all(&io::stderr(), text),
    };
    let Err(error) = written else { return };
    let reader_left = error.kind() == io::ErrorKind::BrokenPipe;
    if to == To::Out && !reader_left && !CUT_SHORT.swap(true, Ordering::Relaxed) {
        let _ = all(
            &io::stderr(),
            &format!("  standard output: {error}; what was to be told there is not complete\n"),
        );
    }
}

/// Past std's buffers and locks, which a thread that hangs in a write would keep.
fn all(stream: &impl AsFd, text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match rustix::io::write(stream, left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let ready = PollFd::new(stream, PollFlags::OUT);
                let _ = poll(&mut [ready], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Standard output or error as a [`Write`]: whole texts, passed on at each flush or end of line.
#[derive(Debug)]
pub struct Stream {
    to: To,
    text: Vec<u8>,
}

/// Standard output.
#[must_use]
pub fn stdout() -> Stream {
    Stream { to: To::Out, text: Vec::new() }
}

/// Standard error.
#[must_use]
pub fn stderr() -> Stream {
    Stream { to: To::Err, text: Vec::new() }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        if bytes.ends_with(b"\n") {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.text.is_empty() {
            put(self.to, &String::from_utf8_lossy(&std::mem::take(&mut self.text)));
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
