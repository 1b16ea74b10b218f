//! The daemon's process: what it owes to the system, and its roles, guardian, standby and daemon.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::cli::Common;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::{output, warnings};

use super::connection::{ANOTHER_SERVES, NOTHING_WAITS};
use super::pins::Pins;
use super::{beside, files, guardian, protect, server, sys};
use crate::daemon::Daemon;
use crate::platform::Role;

/// What a guardian writes to make a standby the daemon.
pub(super) const WAKE: [u8; 1] = *b"!";
/// So long another process may have the lock of the VG's daemon without being it.
const LOCK_LIMIT: Duration = Duration::from_millis(200);
const LOCK_STEP: Duration = Duration::from_millis(10);

/// Serves the VG until there is nothing to serve any more. As a guardian, sees to it that a daemon does;
/// as a standby, waits until its guardian needs it.
pub(crate) fn daemon(vg: Uuid, role: Role) -> ExitCode {
    std::panic::set_hook(Box::new(panicked));
    warnings::show(Common::default());
    // Until the process ends.
    let mut pins = None;
    match role {
        Role::Guardian { beside } => return guardian::guard(vg, beside),
        Role::Standby => pins = stand_by(vg),
        Role::Daemon => outlive_the_caller(),
    }
    if role == Role::Standby && pins.is_none() {
        return ExitCode::SUCCESS;
    }
    call_itself("lvshift-ublk");
    let handed = sys::handed_over();
    let ended = match handed.as_ref().map(UnixListener::try_clone) {
        Some(Ok(socket)) => run(vg, Some(socket)),
        _ => run(vg, None),
    };
    let code = match ended {
        Ok(()) => 0,
        Err(error) => {
            output::err(&format!("lvshift-ublk: {error}\n"));
            let another = error.kind == Kind::Locked;
            if !another && let Some(socket) = handed {
                turn_away(&socket);
            }
            match error.exit_status() {
                _ if another => ANOTHER_SERVES,
                _ if files::notes(vg).is_ok_and(|notes| notes.is_empty()) => NOTHING_WAITS,
                status => status,
            }
        }
    };
    beside::say_why(code);
    ExitCode::from(code)
}

/// Whoever has woken a daemon that cannot begin hears that it is gone, and systemd does not wake it again for
/// them.
fn turn_away(socket: &UnixListener) {
    let _ = socket.set_nonblocking(true);
    while socket.accept().is_ok() {}
}

/// The lock of the VG's daemon. Who only looks whether there is one has it for a moment.
fn lock(vg: Uuid) -> Result<File> {
    let begun = Instant::now();
    loop {
        if let Some(lock) = files::become_daemon(vg)? {
            return Ok(lock);
        }
        if begun.elapsed() > LOCK_LIMIT {
            return Err(Error::new(Kind::Locked, format!("VG {vg} has a daemon already")));
        }
        std::thread::sleep(LOCK_STEP);
    }
}

fn run(vg: Uuid, socket: Option<UnixListener>) -> Result<()> {
    let _lock = lock(vg)?;
    let daemon = Daemon::new(vg)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(5)
        .thread_stack_size(1 << 20)
        .build()
        .map_err(|error| Error::new(Kind::Kernel, "no runtime").because(error))?;
    let ended = runtime.block_on(server::serve(vg, daemon, socket));
    // A request that is still being worked on, or a recovery, ends with the process.
    runtime.shutdown_background();
    ended
}

/// Everything is loaded and locked, and nothing is touched, until the guardian says so: the notes, which stay in
/// memory with what is given back. `None`: the guardian has ended.
fn stand_by(vg: Uuid) -> Option<Pins> {
    call_itself("lvshift-standby");
    outlive_the_caller();
    // Now, since there may be no memory for it when the word comes.
    beside::watch(vg);
    let mut pins = Pins::new();
    pins.until_readable(&std::io::stdin());
    let mut word = [0];
    let woken = std::io::stdin().read_exact(&mut word).is_ok() && word == WAKE;
    if woken {
        beside::serves();
    }
    woken.then_some(pins)
}

/// A command may have started us: its end is not ours, and neither is what it holds.
pub(super) fn outlive_the_caller() {
    let _ = rustix::process::setsid();
    sys::leave_cgroup();
    protect::protect();
}

/// A thread that is gone serves no request, and those that are left would keep the next daemon away.
fn panicked(why: &PanicHookInfo<'_>) {
    output::err(&format!("lvshift-ublk: a bug ends this process: {why}\n"));
    output::finish();
    std::process::abort();
}

/// The name by which `ps` and `top` show which of the three it is.
pub(super) fn call_itself(name: &str) {
    // Nothing depends on it.
    let _ = std::fs::write("/proc/self/comm", name);
}
