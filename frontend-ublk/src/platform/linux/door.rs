//! The socket on which the daemon hears commands: systemd's, which has listened before the daemon was there and goes
//! on when it is gone, or one of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Result};
use tokio::net::UnixListener;

use super::files;

/// What systemd has handed over.
pub(super) type Handed = std::os::unix::net::UnixListener;

/// Whose the socket is, and so who makes its name and takes it away.
#[derive(Clone, Debug)]
pub(super) enum Door {
    /// systemd's: commands that come before they are let in wait in it.
    Systemds,
    /// Our own, with the name that it has until commands are let in, and the one that they know.
    Own { scratch: PathBuf, path: PathBuf },
}

impl Door {
    /// A socket to listen on.
    pub(super) fn open(
        vg: Uuid,
        handed: Option<Handed>,
        failed: impl Fn(std::io::Error) -> Error,
    ) -> Result<(UnixListener, Door)> {
        let path = files::socket(vg)?;
        if let Some(socket) = handed.filter(|_| is_systemds(&path)) {
            socket.set_nonblocking(true).map_err(&failed)?;
            let listener = UnixListener::from_std(socket).map_err(&failed)?;
            return Ok((listener, Door::Systemds));
        }
        let scratch = path.with_extension("socket-new");
        let _ = std::fs::remove_file(&scratch);
        let listener = UnixListener::bind(&scratch).map_err(&failed)?;
        Ok((listener, Door::Own { scratch, path }))
    }

    /// Has commands find it.
    pub(super) fn show(&self) -> std::io::Result<()> {
        match self {
            Door::Systemds => Ok(()),
            Door::Own { scratch, path } => std::fs::rename(scratch, path),
        }
    }

    /// Commands are to find it no longer.
    pub(super) fn remove(&self) {
        match self {
            Door::Systemds => {}
            Door::Own { path, .. } => drop(std::fs::remove_file(path)),
        }
    }
}

/// Whether systemd listens behind that name. A daemon that systemd has not started may have put a socket of its own
/// there, and taken it away: then no command would find the one that was handed over.
fn is_systemds(path: &Path) -> bool {
    // The kernel tells who has called listen().
    let peer = UnixStream::connect(path).and_then(|stream| {
        rustix::net::sockopt::socket_peercred(&stream).map_err(std::io::Error::from)
    });
    peer.is_ok_and(|peer| peer.pid == rustix::process::Pid::INIT)
}
