//! What may interrupt a mover: signals, and `pvmove --abort` in another process. Both wake one
//! descriptor that a front end polls beside its own events.
//!
//! The other process speaks through a socket that the mover binds while it holds the mover lock,
//! so that it can never reach a wrong process, as a signal to a remembered number could.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use lvshift_core::units::Uuid;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::epoll;

use crate::error::{Error, Kind, Result};
use crate::lock::run_directory;

/// How long a peer may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wanted of the running mover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A signal: stop here, leave all as it is.
    Leave(&'static str),
    /// `pvmove --abort`: go back to the source with these moves (none named: with all).
    Abort(Vec<Uuid>),
}

/// Where a driver hears what is wanted of it.
pub trait Requests {
    /// What is wanted now; never blocks longer than a peer needs to send its line.
    fn requests(&mut self) -> Vec<Request>;
}

static WAKE: OnceLock<OwnedFd> = OnceLock::new();

/// The descriptor that becomes readable when something is wanted of this mover; none while
/// no move runs. Poll it in [`FrontEnd::wait`](crate::front_end::FrontEnd::wait).
#[must_use]
pub fn wake() -> Option<BorrowedFd<'static>> {
    WAKE.get().map(AsFd::as_fd)
}

/// The ears of a mover. Make it while holding the mover lock.
#[derive(Debug)]
pub struct Listener {
    signals: SignalFd,
    mask: SigSet,
    listener: UnixListener,
    socket: PathBuf,
}

fn socket_of(vg: Uuid) -> Result<PathBuf> {
    Ok(run_directory()?.join(format!("{vg}.socket")))
}

impl Listener {
    /// Blocks TERM, INT and HUP for ordinary delivery and listens.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn new(vg: Uuid) -> Result<Listener> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::Kernel, "the mover cannot listen for requests")
                .because(error)
                .state("nothing was changed")
        };
        let socket = socket_of(vg)?;
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            mask.add(signal);
        }
        mask.thread_block().map_err(|error| failed(error.into()))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        if WAKE.get().is_none() {
            let made =
                epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
            WAKE.get_or_init(|| made);
        }
        let ears = Listener { signals, mask, listener, socket };
        if let Some(wake) = WAKE.get() {
            let add = |fd: BorrowedFd<'_>, data| {
                epoll::add(wake, fd, epoll::EventData::new_u64(data), epoll::EventFlags::IN)
            };
            add(ears.signals.as_fd(), 0).map_err(|error| failed(error.into()))?;
            add(ears.listener.as_fd(), 1).map_err(|error| failed(error.into()))?;
        }
        Ok(ears)
    }
}

impl Requests for Listener {
    fn requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let name = i32::try_from(signal.ssi_signo)
                .ok()
                .and_then(|number| Signal::try_from(number).ok())
                .map_or("signal", Signal::as_str);
            requests.push(Request::Leave(name));
        }
        while let Ok((stream, _)) = self.listener.accept() {
            match answer(&stream) {
                Ok(request) => requests.push(request),
                Err(error) => tracing::warn!(%error, "a request was not understood"),
            }
        }
        requests
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        if let Some(wake) = WAKE.get() {
            let _ = epoll::delete(wake, self.signals.as_fd());
            let _ = epoll::delete(wake, self.listener.as_fd());
        }
        let _ = self.mask.thread_unblock();
    }
}

fn answer(stream: &UnixStream) -> std::io::Result<Request> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let mut line = String::new();
    BufReader::new(std::io::Read::take(stream, 64 * 1024)).read_line(&mut line)?;
    let allowed = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
    let request = parse(line.trim_end()).filter(|_| allowed);
    let mut stream = stream;
    stream.write_all(if request.is_some() { b"ok\n" } else { b"no\n" })?;
    request
        .ok_or_else(|| std::io::Error::other(format!("{line:?} from user {}", peer.uid.as_raw())))
}

fn parse(line: &str) -> Option<Request> {
    let mut words = line.split(' ');
    if words.next() != Some("abort") {
        return None;
    }
    let moves = words.map(parse_uuid).collect::<Option<Vec<Uuid>>>()?;
    Some(Request::Abort(moves))
}

/// Reads a UUID as it is printed; hyphens may stand anywhere.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok())
        .collect::<Option<_>>()?;
    Some(Uuid(bytes.try_into().ok()?))
}

/// Asks the mover of this VG to go back with these moves (none named: with all). Returns when it
/// has understood; that it has finished shows by its lock.
///
/// # Errors
/// `Kind::Locked` when the lock is held and its holder does not answer.
pub fn ask_to_abort(vg: Uuid, only: &[Uuid]) -> Result<()> {
    let ask = || -> std::io::Result<String> {
        let path = socket_of(vg).map_err(std::io::Error::other)?;
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut line = String::from("abort");
        for of in only {
            line.push_str(&format!(" {of}"));
        }
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply)?;
        Ok(reply)
    };
    let refused = || {
        Error::new(Kind::Locked, "the mover that holds this VG does not take the request")
            .state("this command changed nothing")
            .next("look at the process that the mover lock names")
    };
    match ask() {
        Ok(reply) if reply == "ok\n" => Ok(()),
        Ok(_) => Err(refused()),
        Err(error) => Err(refused().because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back() {
        let of = Uuid([0xab; 16]);
        assert_eq!(parse("abort"), Some(Request::Abort(vec![])));
        assert_eq!(parse(&format!("abort {of}")), Some(Request::Abort(vec![of])));
        assert_eq!(parse("abort x"), None);
        assert_eq!(parse("kill"), None);
        assert_eq!(parse_uuid(&of.to_string()), Some(of));
        assert_eq!(parse_uuid("ab"), None);
    }
}
