//! This host's own journal of moves: a file for each move that began here. A disk that comes from
//! elsewhere with a move recorded on it is not carried on without being asked.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use lvshift_core::units::Uuid;

use crate::error::{Error, Kind, Result};
use crate::lock::private_directory;

#[cfg(not(any(test, feature = "sim")))]
const STATE_DIRECTORY: &str = "/var/lib/lvshift";

/// Where this host keeps what must outlive a boot, ours alone.
///
/// # Errors
/// `Kind::Kernel` when it cannot be made or is not ours alone.
pub(crate) fn state_directory() -> Result<PathBuf> {
    #[cfg(any(test, feature = "sim"))]
    let directory = crate::lock::run_directory()?.join("state");
    #[cfg(not(any(test, feature = "sim")))]
    let directory = PathBuf::from(STATE_DIRECTORY);
    private_directory(&directory)?;
    Ok(directory)
}

/// The journal.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// The journal of this host.
    ///
    /// # Errors
    /// `Kind::Kernel` when the directory cannot be made or is not ours alone.
    pub fn open() -> Result<Journal> {
        Journal::at(state_directory()?)
    }

    pub(crate) fn at(directory: PathBuf) -> Result<Journal> {
        private_directory(&directory)?;
        Ok(Journal { directory })
    }

    /// Whether the move began on this host.
    #[must_use]
    pub fn knows(&self, of: Uuid) -> bool {
        self.file(of).exists()
    }

    /// Writes the move in, durably. Comes before the move's `Begin`.
    ///
    /// # Errors
    /// `Kind::Io`.
    pub fn add(&self, of: Uuid, vg: Uuid) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(self.file(of))?;
            writeln!(file, "vg {vg}")?;
            file.sync_all()?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| self.failed(error))
    }

    /// Takes the move out. Comes after the move's record is gone.
    ///
    /// # Errors
    /// `Kind::Io`.
    pub fn remove(&self, of: Uuid) -> Result<()> {
        match fs::remove_file(self.file(of)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn file(&self, of: Uuid) -> PathBuf {
        self.directory.join(format!("move-{of}"))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::new(Kind::Io, format!("the journal {} cannot be written", self.directory.display()))
            .because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_move_until_it_is_removed() {
        let directory = crate::testing::scratch("journal");
        let journal = Journal::at(directory.path().join("state")).expect("a journal");
        let of = Uuid([7; 16]);
        assert!(!journal.knows(of));
        journal.add(of, Uuid([1; 16])).expect("added");
        assert!(journal.knows(of));
        journal.remove(of).expect("removed");
        journal.remove(of).expect("removing twice is no error");
        assert!(!journal.knows(of));
    }
}
