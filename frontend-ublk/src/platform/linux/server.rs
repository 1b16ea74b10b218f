//! The socket: commands come in, answers go out. Whatever may block is done on another thread.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Kind, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::connection::NOTIFY_SOCKET;
use super::files;
use crate::daemon::{Daemon, take_over};
use crate::protocol::{Answer, MAX_LINE, Request, WireError};

/// With nothing to serve, a daemon ends after this time.
const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// Answers until nothing is served any more, or somebody ends it.
pub(super) async fn serve(vg: Uuid, daemon: Daemon) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Kernel, "the daemon cannot listen for commands").because(error)
    };
    let path = files::socket(vg)?;
    let scratch = path.with_extension("socket-new");
    let _ = std::fs::remove_file(&scratch);
    let listener = UnixListener::bind(&scratch).map_err(failed)?;
    let (end, mut ended) = watch::channel(false);
    let end = Arc::new(end);
    let orphans = daemon.orphans();
    // The one that takes over comes first; everybody else finds the socket when it is done.
    let mut recovery = None;
    if orphans.is_empty() {
        std::fs::rename(&scratch, &path).map_err(failed)?;
    } else {
        let (scratch, path) = (scratch.clone(), path.clone());
        let own = Arc::new(daemon.clone());
        recovery = Some(tokio::task::spawn_blocking(move || {
            take_over(vg, own, &orphans);
            std::fs::rename(&scratch, &path)
        }));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    notify_ready();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted && is_allowed(&stream) {
                    tokio::spawn(talk(stream, daemon.clone(), Arc::clone(&end)));
                }
            }
            _ = ended.changed() => return Ok(()),
            _ = terminate.recv() => if leave(&daemon) { return Ok(()) },
            _ = interrupt.recv() => if leave(&daemon) { return Ok(()) },
            _ = hangup.recv() => {}
            () = tokio::time::sleep(IDLE_LIMIT) => {
                let recovering = recovery.as_ref().is_some_and(|task| !task.is_finished());
                if !recovering && daemon.is_alone() && daemon.is_idle() {
                    let _ = std::fs::remove_file(&path);
                    return Ok(());
                }
            }
        }
    }
}

/// A signal ends a daemon that serves nothing, or that systemd has started and will start again.
/// Any other stays: whoever uses its devices would wait for ever. `upgrade` replaces it, `kill -9`
/// does too, less politely.
fn leave(daemon: &Daemon) -> bool {
    let idle = std::env::var_os(NOTIFY_SOCKET).is_some() || daemon.is_idle();
    if !idle {
        eprintln!("lvshift-ublk: a signal was not followed: devices are served");
    }
    idle
}

async fn talk(stream: UnixStream, daemon: Daemon, end: Arc<watch::Sender<bool>>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    // The LVs that this peer has sealed for its commit.
    let mut committing = Vec::new();
    loop {
        let mut line = Vec::new();
        match (&mut read).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return peer_left(daemon, committing),
            Ok(_) => {}
        }
        let request = serde_json::from_slice(&line);
        if let Ok(Request::Seal { lvs, commit: true }) = &request {
            committing.clone_from(lvs);
        }
        let answer = match request {
            Ok(Request::Wait { seen, timeout_ms }) => wait(&daemon, seen, timeout_ms).await,
            Ok(Request::Shutdown { leave }) => {
                if leave || daemon.is_idle() {
                    let _ = end.send(true);
                }
                Answer::Done
            }
            Ok(request) => {
                let daemon = daemon.clone();
                match tokio::task::spawn_blocking(move || daemon.do_it(request)).await {
                    Ok(answer) => answer,
                    // A panic, printed where it happened. The devices are served on.
                    Err(_) => Answer::Failed(WireError::of(&Error::new(
                        Kind::Inconsistent,
                        "the daemon failed at this request; see its log",
                    ))),
                }
            }
            Err(error) => Answer::Failed(WireError::of(
                &Error::new(Kind::Unsupported, "the daemon does not understand this request")
                    .because(error)
                    .next("run `lvshift-ublk upgrade`: the daemon may be an older version"),
            )),
        };
        let mut text = serde_json::to_vec(&answer).unwrap_or_default();
        text.push(b'\n');
        if write.write_all(&text).await.is_err() {
            return peer_left(daemon, committing);
        }
    }
}

/// A mover that dies in the middle of its commit leaves requests that nobody decides: was it made
/// or not? The metadata on the disks say so, and whoever takes over reads them first. So this
/// process ends as if it were killed, the requests wait in the kernel, and the next daemon serves
/// them by what is recorded.
fn peer_left(daemon: Daemon, committing: Vec<[u8; 16]>) {
    if committing.is_empty() {
        return;
    }
    tokio::task::spawn_blocking(move || {
        if daemon.is_committing(&committing) {
            eprintln!("lvshift-ublk: pvmove ended in mid-commit; the daemon starts anew");
            std::process::abort();
        }
    });
}

async fn wait(daemon: &Daemon, seen: u64, timeout_ms: u64) -> Answer {
    let mut watch = daemon.watch();
    let limit = Duration::from_millis(timeout_ms);
    let _ = timeout(limit, watch.wait_for(|count| *count != seen)).await;
    let count = *watch.borrow();
    Answer::Events(count)
}

/// Only root, or whoever this process is, may command it.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

/// Tells systemd, if it started us, that commands are answered.
fn notify_ready() {
    let Some(path) = std::env::var_os(NOTIFY_SOCKET) else { return };
    let address = notify_address(&path);
    if let (Ok(socket), Ok(address)) = (UnixDatagram::unbound(), address) {
        let _ = socket.send_to_addr(b"READY=1", &address);
    }
}

/// systemd's socket is a path, or with an `@` in front a name that is in no directory.
fn notify_address(name: &OsStr) -> std::io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_at_a_path_and_at_an_abstract_name() {
        let path = notify_address(OsStr::new("/run/systemd/notify")).expect("a path");
        assert_eq!(path.as_pathname(), Some(std::path::Path::new("/run/systemd/notify")));
        let name = notify_address(OsStr::new("@/org/notify/1")).expect("a name");
        assert_eq!(name.as_abstract_name(), Some(&b"/org/notify/1"[..]));
    }
}
