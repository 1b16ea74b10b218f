//! The socket: commands come in, answers go out. Whatever may block is done on another thread.

use std::sync::Arc;
use std::time::Duration;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::{device, output};
use sd_notify::NotifyState;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Interval, timeout};

use super::connection::NOTIFY_SOCKET;
use super::control::disk_path;
use super::door::{Door, Handed};
use super::in_use;
use super::settle::settle;
use crate::channel::Answers;
use crate::daemon::{Daemon, take_over};
use crate::protocol::{Answer, MAX_LINE, Request, WireError};

/// How long after LVM2 could not be asked it is asked again.
const SETTLE_AGAIN: Duration = Duration::from_secs(2);
/// With nothing to serve, a daemon ends after this time.
const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// The pause before what could not be taken over is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Answers until nothing is served any more, or it is told to end.
pub(super) async fn serve(vg: Uuid, daemon: Daemon, handed: Option<Handed>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Kernel, "the daemon cannot listen for commands").because(error)
    };
    let (listener, door) = Door::open(vg, handed, failed)?;
    let (end, mut ended) = watch::channel(false);
    let end = Arc::new(end);
    let orphans = daemon.orphans();
    // The one that takes over comes first; everybody else is let in when it is done.
    let mut recovery = None;
    let (opened, mut open) = watch::channel(orphans.is_empty());
    if orphans.is_empty() {
        door.show().map_err(failed)?;
    } else {
        let door = door.clone();
        let own = Arc::new(daemon.clone());
        recovery = Some(tokio::task::spawn_blocking(move || {
            take_over(vg, Arc::clone(&own) as Arc<dyn Answers>, &orphans);
            let renamed = door.show();
            let _ = opened.send(true);
            let (daemon, mut left) = (Arc::clone(&own) as Arc<dyn Answers>, orphans);
            // LVM2 may be at work for long, and everybody else finds us by now.
            std::thread::spawn(move || {
                while !left.is_empty() {
                    left.retain(|lv| !settle(vg, &daemon, *lv));
                    std::thread::sleep(SETTLE_AGAIN);
                }
            });
            // What could not be taken over waits until its cause is gone, and for no command.
            while !own.orphans().is_empty() {
                std::thread::sleep(AGAIN);
                take_over(vg, Arc::clone(&own) as Arc<dyn Answers>, &own.orphans());
            }
            if device::is_kept_waiting() {
                std::thread::spawn(device::see_late_ones_off);
            }
            renamed
        }));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    // Says nothing where systemd has not started us.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    // systemd wants to hear twice in this time that requests are taken, or it kills us.
    let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    let mut watchdog = every.map(tokio::time::interval);
    let mut stopping = None;
    loop {
        tokio::select! {
            accepted = accept(&listener, &mut open) => {
                if let Ok((stream, _)) = accepted && is_allowed(&stream) {
                    tokio::spawn(talk(stream, daemon.clone(), Arc::clone(&end)));
                }
            }
            _ = ended.changed() => return Ok(()),
            _ = terminate.recv() => if leave(&daemon) { return Ok(()) },
            _ = interrupt.recv() => stopping = Some(stop(&daemon)),
            idle = stopped(&mut stopping) => if idle { return Ok(()) },
            () = alive(&mut watchdog) => {
                let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            }
            _ = hangup.recv() => {}
            () = tokio::time::sleep(IDLE_LIMIT) => {
                let recovering = recovery.as_ref().is_some_and(|task| !task.is_finished());
                if !recovering && daemon.is_alone() && daemon.is_idle() {
                    door.remove();
                    return Ok(());
                }
            }
        }
    }
}

/// The next connection, when the door is open.
async fn accept(
    listener: &UnixListener,
    open: &mut watch::Receiver<bool>,
) -> std::io::Result<(UnixStream, SocketAddr)> {
    if open.wait_for(|open| *open).await.is_err() {
        // Who was to open it is gone, and the process with it.
        return std::future::pending().await;
    }
    listener.accept().await
}

/// SIGTERM ends a daemon that serves nothing, or that systemd has started and will start again: that is
/// what its unit sends for a restart. Any other stays: whoever uses its devices would wait for ever.
/// `upgrade` replaces it, `kill -9` does too, less politely.
fn leave(daemon: &Daemon) -> bool {
    let idle = std::env::var_os(NOTIFY_SOCKET).is_some() || daemon.is_idle();
    if !idle {
        output::err("lvshift-ublk: a signal was not followed: devices are served\n");
    }
    idle
}

/// SIGINT is what its unit sends for a stop: a daemon that systemd has started takes down the LVs that
/// is not in use, and ends if it serves nothing then. So a machine shuts down.
fn stop(daemon: &Daemon) -> JoinHandle<bool> {
    let daemon = daemon.clone();
    tokio::task::spawn_blocking(move || {
        if std::env::var_os(NOTIFY_SOCKET).is_some()
            && let Answer::Devices(devices) = daemon.do_it(Request::List)
        {
            let unused = devices.iter().filter(|one| in_use::refuse(&disk_path(one.id)).is_ok());
            for device in unused {
                if let Answer::Failed(error) = daemon.do_it(Request::Deactivate { lv: device.lv }) {
                    output::err(&format!("lvshift-ublk: LV {}: {error:?}\n", device.name));
                }
            }
        }
        let idle = daemon.is_idle();
        if !idle {
            output::err("lvshift-ublk: a signal was not followed: LVs are in use\n");
        }
        idle
    })
}

/// Ends when what a signal asks for is done, with whether the daemon may end.
async fn stopped(stopping: &mut Option<JoinHandle<bool>>) -> bool {
    match stopping {
        Some(task) => {
            let idle = task.await.unwrap_or(false);
            *stopping = None;
            idle
        }
        None => std::future::pending().await,
    }
}

/// Ends when it is time to say that we are alive.
async fn alive(watchdog: &mut Option<Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
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
                    // The process is ending.
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

/// A mover that dies in the middle of its commit leaves requests that are not decided: was it made
/// or not? The metadata on the disks say so, and whoever takes over reads them first. So this
/// process ends as if it were killed, the requests wait in the kernel, and the next daemon serves
/// them by what is recorded.
fn peer_left(daemon: Daemon, committing: Vec<[u8; 16]>) {
    if committing.is_empty() {
        return;
    }
    tokio::task::spawn_blocking(move || {
        if daemon.is_committing(&committing) {
            output::err("lvshift-ublk: pvmove ended in mid-commit; the daemon starts anew\n");
            output::finish();
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
