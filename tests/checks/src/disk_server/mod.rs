//! Disks with a power switch.
//!
//! One process serves all disks of a guest over a unix socket (NBD), so that there is one totally
//! ordered [`log`] of all that was done to them. Each disk has a volatile [`cache`]: a change is
//! durable only when a flush that was asked for after its answer has succeeded, or when it was written
//! with FUA. [`DiskServer::power_cut`] drops what is not, or any part of it ([`survive`]), down to
//! single sectors. [`rules`] make disks err, slow or stop while they run, and the guest tells
//! the log what it knows through the side disk (`lvshift_vm_tests::side_disk`).

pub mod cache;
mod connection;
pub mod contents;
pub mod log;
pub mod rules;
mod state;
pub mod survive;
mod wire;

#[cfg(test)]
mod tests;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};

use contents::Contents;
use log::Log;
use state::State;
use survive::Survive;

pub use contents::SECTOR;

/// A disk to be served; it is all zeroes at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The name of the export.
    pub name: String,
    /// Its size in 512-byte sectors.
    pub sectors: u64,
    /// Bytes of one of its own sectors: 512 or 4096.
    pub sector: u32,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stopping: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server at work in threads of this process; dropping it ends it.
#[derive(Debug)]
pub struct DiskServer {
    socket: PathBuf,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl DiskServer {
    /// Serves disks on a socket that is made for it. With `record`, everything is kept for [`DiskServer::log`].
    ///
    /// # Errors
    /// If the socket cannot be made, or a disk has a size or sector that makes no sense.
    pub fn start(socket: &Path, disks: Vec<Served>, record: bool) -> Result<DiskServer> {
        for disk in &disks {
            let unit = u64::from(disk.sector) / SECTOR as u64;
            let known = matches!(disk.sector, 512 | 4096);
            ensure!(known && disk.sectors > 0, "the disk {} cannot be served", disk.name);
            ensure!(disk.sectors.is_multiple_of(unit), "{} ends in mid-sector", disk.name);
        }
        std::fs::remove_file(socket).ok();
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("listening on {}", socket.display()))?;
        let state = Mutex::new(State::new(disks, record));
        let shared = Arc::new(Shared { state, stopping: AtomicBool::new(false) });
        let server = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&listener, &server));
        Ok(DiskServer { socket: socket.to_owned(), shared, accepting: Some(accepting) })
    }

    /// Where a client finds a disk, as QEMU writes it.
    #[must_use]
    pub fn uri(&self, disk: &str) -> String {
        format!("nbd+unix:///{disk}?socket={}", self.socket.display())
    }

    /// Whether it serves a disk of this name.
    #[must_use]
    pub fn has(&self, disk: &str) -> bool {
        lock(&self.shared.state).find(disk).is_some()
    }

    /// Obeys a line of [`rules`].
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn command(&self, line: &str) -> Result<()> {
        lock(&self.shared.state).command(line)
    }

    /// Cuts the power of all disks: clients that are still there get no more answers, and of what was
    /// not durable only what `survive` keeps is left, or what the last command `cut` said. Says how
    /// many sectors' changes were lost.
    pub fn power_cut(&self, survive: Survive) -> usize {
        lock(&self.shared.state).power_cut(survive)
    }

    /// Everything that was done so far, if it was recorded.
    #[must_use]
    pub fn log(&self) -> Log {
        lock(&self.shared.state).log()
    }

    /// The bytes that a client would read now.
    ///
    /// # Errors
    /// If there is no such disk.
    pub fn view(&self, disk: &str) -> Result<Contents> {
        let state = lock(&self.shared.state);
        let number = state.find(disk).with_context(|| format!("no disk is called {disk}"))?;
        Ok(state.view(number).clone())
    }

    /// Puts other bytes in a disk's place, all durable; for a disk that nobody uses at the moment.
    ///
    /// # Errors
    /// If there is no such disk.
    pub fn replace(&self, disk: &str, contents: Contents) -> Result<()> {
        let mut state = lock(&self.shared.state);
        let number = state.find(disk).with_context(|| format!("no disk is called {disk}"))?;
        state.replace(number, contents);
        Ok(())
    }
}

impl Drop for DiskServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        lock(&self.shared.state).epoch += 1;
        // Wakes the thread that accepts.
        UnixStream::connect(&self.socket).ok();
        if let Some(thread) = self.accepting.take() {
            thread.join().ok();
        }
        std::fs::remove_file(&self.socket).ok();
    }
}

fn accept(listener: &UnixListener, server: &Arc<Shared>) {
    for stream in listener.incoming() {
        if server.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let server = Arc::clone(server);
        std::thread::spawn(move || {
            // A client that was killed ends in an error, and that is all there is to it.
            connection::serve(&stream, &server).ok();
        });
    }
}
