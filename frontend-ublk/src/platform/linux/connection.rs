//! The socket of a VG's daemon, as its clients use it; starts a daemon where there should be one.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::Wake;
use lvshift_frontend_common::requests;
use lvshift_frontend_common::systemd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::files;
use crate::channel::{Channel, Start, Way};
use crate::protocol::{Answer, Request, VERSION};

/// How long a daemon may take until it answers: a recovery waits for a dead one's last writes.
const START_LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(20);
/// The pause after a daemon that was killed before it answered.
const AFTER_A_KILL: Duration = Duration::from_millis(100);

/// The exit status of a daemon that finds another one at work for its VG.
pub(super) const ANOTHER_SERVES: u8 = 75;
/// The exit status of a daemon that cannot begin and of which no device is left: to start it again helps no user
/// of a device.
pub(super) const NOTHING_WAITS: u8 = 76;
/// By this systemd is told that the daemon is ready; whoever has it was started by systemd.
pub(super) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// An open connection.
#[derive(Debug)]
struct Socket {
    stream: BufReader<UnixStream>,
}

/// Connects to the VG's daemon. `None`: there is none, and none is wanted.
pub(crate) fn connect(vg: Uuid, start: Start) -> Result<Option<Channel>> {
    let path = files::socket(vg)?;
    // Where systemd listens, a connection alone would start a daemon.
    if start == Start::ToTakeOver && !is_or_was_served(vg)? {
        return Ok(None);
    }
    if let Ok(socket) = Socket::connect(&path) {
        return Ok(Some(Channel::new(vg, socket)));
    }
    if start == Start::ToTakeOver && files::notes(vg)?.is_empty() {
        return Ok(None);
    }
    // A dead daemon's socket would only be refused; a live one that is still taking over
    // has not put its own there yet.
    let begun = Instant::now();
    let mut unit = systemd::unit("lvshift-ublk", &vg.to_string());
    let mut child = start_unit_or_own(vg, unit.as_deref())?;
    loop {
        if let Ok(socket) = Socket::connect(&path) {
            return Ok(Some(Channel::new(vg, socket)));
        }
        if let Some(status) = child.try_wait().ok().flatten() {
            // A unit that is started may have found that another daemon serves, or ended since.
            let another = status.code() == Some(i32::from(ANOTHER_SERVES))
                || (unit.is_some() && status.success());
            // Who was killed says nothing of the next one: whatever killed it did not mean this command.
            let killed = status.code().is_none();
            if !another && !killed && unit.take().is_none() {
                return Err(did_not_start(vg));
            }
            if killed {
                std::thread::sleep(AFTER_A_KILL);
            }
            if !matches!(files::become_daemon(vg), Ok(None)) {
                child = start_unit_or_own(vg, unit.as_deref())?;
            }
        }
        if begun.elapsed() > START_LIMIT {
            return Err(did_not_start(vg));
        }
        std::thread::sleep(STEP);
    }
}

/// Whether the VG has a daemon, or devices that a dead one has left.
fn is_or_was_served(vg: Uuid) -> Result<bool> {
    Ok(!files::notes(vg)?.is_empty() || files::become_daemon(vg)?.is_none())
}

/// The process that is the VG's daemon, whatever its version.
pub(crate) fn daemon_of(vg: Uuid) -> Result<Option<u32>> {
    let Ok(stream) = UnixStream::connect(files::socket(vg)?) else { return Ok(None) };
    let _ = stream.set_read_timeout(Some(START_LIMIT));
    let mut socket = Socket { stream: BufReader::new(stream) };
    match socket.ask(&Request::Hello { version: VERSION }) {
        Ok(Answer::Hello { pid, .. }) => Ok(Some(pid)),
        Ok(_) => Err(unreachable(io::Error::other("it does not say who it is"))),
        Err(error) => Err(unreachable(error)),
    }
}

/// Tells the VG's daemon to go and leave its devices to the next one.
pub(crate) fn shut_down(vg: Uuid) -> Result<()> {
    let stream = UnixStream::connect(files::socket(vg)?).map_err(unreachable)?;
    let mut socket = Socket { stream: BufReader::new(stream) };
    // It may be gone before it has answered.
    let _ = socket.ask(&Request::Shutdown { leave: true });
    Ok(())
}

/// Waits until the VG's daemon is another one, or none.
pub(crate) fn wait_for_end(vg: Uuid, pid: u32) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < START_LIMIT {
        // Where systemd listens, whoever asks for it has the next one started.
        match daemon_of(vg) {
            Ok(Some(now)) if now == pid => {}
            Ok(Some(_)) => return Ok(()),
            _ if !matches!(files::become_daemon(vg), Ok(None)) => return Ok(()),
            _ => {}
        }
        std::thread::sleep(STEP);
    }
    Err(Error::new(Kind::Kernel, format!("the daemon of the VG, process {pid}, does not end")))
}

impl Socket {
    /// One whose other end speaks our language.
    fn connect(path: &Path) -> io::Result<Socket> {
        let stream = UnixStream::connect(path)?;
        // Where systemd listens, the daemon may still have to begin.
        stream.set_read_timeout(Some(START_LIMIT))?;
        let mut socket = Socket { stream: BufReader::new(stream) };
        match socket.ask(&Request::Hello { version: VERSION })? {
            Answer::Hello { version: VERSION, .. } => {
                socket.stream.get_ref().set_read_timeout(None)?;
                Ok(socket)
            }
            _ => Err(io::Error::other("the daemon is another version")),
        }
    }
}

impl Way for Socket {
    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.send(request)?;
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(Into::into)
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        self.stream.get_mut().write_all(&text)
    }

    fn answered(&self, timeout: Option<Duration>) -> Result<Wake> {
        let wake = requests::wake();
        let mut fds = vec![PollFd::new(self, PollFlags::IN)];
        if let Some(wake) = &wake {
            fds.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        }
        let limit = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let polled = poll(&mut fds, limit.as_ref());
        let asked = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        match polled {
            Ok(0) => Ok(Wake::Timeout),
            Ok(_) if asked => Ok(Wake::Signal),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Wake::Changed),
            Err(error) => {
                Err(Error::new(Kind::Kernel, "waiting for the daemon failed").because(error))
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}

/// A unit outlives the session and the unit in which this command runs. Where there is no systemd, or it
/// refuses (as it does when it shuts down), a process of our own has to do.
fn start_unit_or_own(vg: Uuid, unit: Option<&str>) -> Result<Child> {
    match unit.map(|unit| systemd::start(unit).stderr(Stdio::null()).spawn()) {
        Some(Ok(child)) => Ok(child),
        Some(Err(_)) | None => spawn(vg),
    }
}

fn spawn(vg: Uuid) -> Result<Child> {
    let failed = |error: io::Error| {
        Error::new(Kind::Kernel, "the daemon of the VG cannot be started").because(error)
    };
    let log = files::log(vg)?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(failed)?;
    // A leading @ tells a system that shuts down to leave it alive: it serves disks.
    Command::new("/proc/self/exe")
        .arg0("@lvshift-ublk")
        .args(["daemon", "--vg", &vg.to_string()])
        // It is ours, not of the unit that this command may run in.
        .env_remove(NOTIFY_SOCKET)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(failed)
}

fn unreachable(error: io::Error) -> Error {
    Error::new(Kind::Kernel, "the daemon of the VG cannot be reached").because(error)
}

fn did_not_start(vg: Uuid) -> Error {
    let error = Error::new(Kind::Kernel, "the daemon of the VG does not start");
    match files::log(vg).ok().and_then(|path| std::fs::read_to_string(path).ok()) {
        Some(log) => {
            let last: Vec<&str> = log.lines().rev().take(6).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            error.because(last.join("\n"))
        }
        None => error,
    }
}
