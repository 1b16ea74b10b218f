//! A disk behind the network: the kernel's nbd client, and a server of our own that can die.

mod netlink;
mod server;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::server::{Export, Server};
use super::Guest;

/// A connection that says nothing for so long is dead.
const TIMEOUT_S: u64 = 5;

/// A disk of the guest as `/dev/nbd0`. Dropping it takes the device away.
#[derive(Debug)]
pub struct Nbd<'g> {
    guest: &'g Guest,
    index: u32,
    export: Arc<Export>,
    server: Option<Server>,
}

impl Guest {
    /// Serves a disk to the kernel's own client. When the export dies, requests wait `reconnect_s`
    /// seconds for it to come back, and then fail.
    ///
    /// # Errors
    /// If the disk or the driver is not there.
    pub fn nbd(&self, disk: &str, reconnect_s: u64) -> Result<Nbd<'_>> {
        self.modprobe("nbd")?;
        let path = self.disk(disk)?;
        let bytes = self.sectors(&path)? * 512 - server::FIRST;
        let export = Arc::new(Export::open(&path)?);
        let (server, peer) = serve(&export)?;
        let index = 0;
        let device = netlink::Device { index, bytes, timeout_s: TIMEOUT_S, reconnect_s };
        netlink::connect(&device, &peer)?;
        self.log(format!("{} is served as /dev/nbd{index}", path.display()));
        let nbd = Nbd { guest: self, index, export, server: Some(server) };
        self.wait_for("the nbd device has its size", Duration::from_secs(10), || {
            Ok(self.sectors(nbd.path())? * 512 == bytes)
        })?;
        Ok(nbd)
    }
}

fn serve(export: &Arc<Export>) -> Result<(Server, OwnedFd)> {
    let (ours, peer) = UnixStream::pair().context("a pair of sockets")?;
    Ok((Server::start(Arc::clone(export), ours)?, peer.into()))
}

impl Nbd<'_> {
    /// `/dev/nbd0`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/nbd{}", self.index))
    }

    /// Writes at and after this sector take that much longer, one after the other.
    pub fn slow_writes(&self, sector: u64, delay: Duration) {
        self.export.slow_down(sector * 512, delay);
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.export.bytes_written()
    }

    /// The connection breaks, and what was not answered never is.
    pub fn die(&mut self) {
        self.guest.log(format!("the export of /dev/nbd{} dies", self.index));
        self.server = None;
    }

    /// The export is there again, with what had been written.
    ///
    /// # Errors
    /// If the kernel does not take the new connection.
    pub fn come_back(&mut self) -> Result<()> {
        self.guest.log(format!("the export of /dev/nbd{} comes back", self.index));
        let (server, peer) = serve(&self.export)?;
        netlink::reconnect(self.index, &peer)?;
        self.server = Some(server);
        Ok(())
    }
}

impl Drop for Nbd<'_> {
    fn drop(&mut self) {
        if let Err(error) = netlink::disconnect(self.index) {
            self.guest.log(format!("/dev/nbd{}: {error:#}", self.index));
        }
    }
}
