//! The daemon's process: what it owes to the system, and its two roles, guardian and daemon.

use std::process::ExitCode;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::cli::Common;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::{output, warnings};

use super::connection::ANOTHER_SERVES;
use super::{files, guardian, protect, server};
use crate::daemon::Daemon;

/// Serves the VG until there is nothing to serve any more. In the background, a guardian stands by
/// and starts the daemon again if it is killed; in the foreground, that is somebody else's task.
pub(crate) fn daemon(vg: Uuid, foreground: bool) -> ExitCode {
    warnings::show(Common::default());
    if !foreground {
        return guardian::guard(vg);
    }
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
    // A command may have started us: its end is not ours.
    let _ = rustix::process::setsid();
    protect::protect();
    let Some(_lock) = files::become_daemon(vg)? else {
        return Err(Error::new(Kind::Locked, format!("VG {vg} has a daemon already")));
    };
    let daemon = Daemon::new(vg)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_stack_size(1 << 20)
        .build()
        .map_err(|error| Error::new(Kind::Kernel, "no runtime").because(error))?;
    let ended = runtime.block_on(server::serve(vg, daemon));
    // A request that is still being worked on, or a recovery, ends with the process.
    runtime.shutdown_background();
    ended
}
