//! The daemon's process: what it owes to the system, and its roles, guardian, standby and daemon.

use std::io::Read as _;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::cli::Common;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::{output, warnings};

use super::connection::ANOTHER_SERVES;
use super::{files, guardian, protect, server, sys};
use crate::daemon::Daemon;
use crate::platform::Role;

/// What a guardian writes to make a standby the daemon.
pub(super) const WAKE: [u8; 1] = *b"!";

/// Serves the VG until there is nothing to serve any more. As a guardian, sees to it that a daemon does;
/// as a standby, waits until its guardian needs it.
pub(crate) fn daemon(vg: Uuid, role: Role) -> ExitCode {
    std::panic::set_hook(Box::new(panicked));
    warnings::show(Common::default());
    match role {
        Role::Guardian => return guardian::guard(vg),
        Role::Standby if !stand_by() => return ExitCode::SUCCESS,
        Role::Standby => {}
        Role::Daemon => outlive_the_caller(),
    }
    call_itself("lvshift-ublk");
    match run(vg) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::err(&format!("lvshift-ublk: {error}\n"));
            let another = error.kind == Kind::Locked;
            ExitCode::from(if another { ANOTHER_SERVES } else { error.exit_status() })
        }
    }
}

fn run(vg: Uuid) -> Result<()> {
    let Some(_lock) = files::become_daemon(vg)? else {
        return Err(Error::new(Kind::Locked, format!("VG {vg} has a daemon already")));
    };
    let daemon = Daemon::new(vg)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(5)
        .thread_stack_size(1 << 20)
        .build()
        .map_err(|error| Error::new(Kind::Kernel, "no runtime").because(error))?;
    let ended = runtime.block_on(server::serve(vg, daemon));
    // A request that is still being worked on, or a recovery, ends with the process.
    runtime.shutdown_background();
    ended
}

/// Everything is loaded and locked, and nothing is touched, until the guardian says so. False: it has ended.
fn stand_by() -> bool {
    call_itself("lvshift-standby");
    outlive_the_caller();
    let mut word = [0];
    std::io::stdin().read_exact(&mut word).is_ok() && word == WAKE
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
