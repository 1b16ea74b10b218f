//! The daemon: one process per VG that serves its LVs and does what commands ask of it.

mod guardian;
mod held;
mod recover;
mod server;
mod state;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::cli::Common;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::warnings;

pub(crate) use self::server::NOTIFY_SOCKET;
use self::state::State;
use crate::events::Events;
use crate::{files, protect};

/// The exit status of a daemon that finds another one at work for its VG.
pub(crate) const ANOTHER_SERVES: u8 = 75;

/// Serves the VG until there is nothing to serve any more. In the background, a guardian stands by
/// and starts the daemon again if it is killed; in the foreground, that is somebody else's task.
pub(crate) fn main(vg: Uuid, foreground: bool) -> ExitCode {
    warnings::show(Common::default());
    if !foreground {
        return guardian::guard(vg);
    }
    match run(vg) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lvshift-ublk: {error}");
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
    let events = Arc::new(Events::new());
    let state = State::new(vg, Arc::clone(&events))?;
    let state = Arc::new(Mutex::new(state));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_stack_size(1 << 20)
        .build()
        .map_err(|error| Error::new(Kind::Kernel, "no runtime").because(error))?;
    let ended = runtime.block_on(server::serve(vg, state, events));
    // A request that is still being worked on, or a recovery, ends with the process.
    runtime.shutdown_background();
    ended
}
