//! The guest's end of the report port.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::report::{PORT, Report};

/// Sends reports to the host; clones share one port.
#[derive(Clone, Debug)]
pub struct Channel(Arc<Mutex<File>>);

impl Channel {
    /// Finds the port by name and opens it. Only one process can.
    ///
    /// # Errors
    /// If the virtual machine has no such port.
    pub fn open() -> Result<Self> {
        for entry in std::fs::read_dir("/sys/class/virtio-ports").context("no virtio ports")? {
            let entry = entry?;
            let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == PORT {
                let device = std::path::Path::new("/dev").join(entry.file_name());
                let file = File::options()
                    .read(true)
                    .write(true)
                    .open(&device)
                    .with_context(|| format!("opening {}", device.display()))?;
                return Ok(Self::from_file(file));
            }
        }
        anyhow::bail!("no virtio port is called {PORT}")
    }

    /// A channel over an open port.
    #[must_use]
    pub fn from_file(file: File) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    /// Another descriptor of the same port, for a child process.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn duplicate(&self) -> Result<File> {
        let file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.try_clone().context("duplicating the report port")
    }

    /// Waits for a line from the host.
    ///
    /// # Errors
    /// If the port cannot be read.
    pub fn line(&self) -> Result<String> {
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            // Nothing, while the host is not there.
            if file.read(&mut byte).context("reading the report port")? == 1 {
                line.push(byte[0]);
            } else {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        String::from_utf8(line).context("a line of the host")
    }

    /// Sends one report, whole. A host that is gone is not the guest's problem.
    pub fn send(&self, report: &Report) {
        let line = format!("{report}\n");
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            eprintln!("init: cannot report {line:?}: {error}");
        }
    }
}
