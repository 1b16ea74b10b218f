//! The guest's end of the side disk (`Scenario::volatile`): what is written here stands in the
//! disks' one log behind all that was answered before.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;

use super::Guest;
use crate::side_disk::{BLOCK, MOST_FLOORS, NAME, Note};
use crate::writer::Aligned;

/// The side disk, opened.
#[derive(Debug)]
pub struct Side {
    file: File,
    /// Where the next note goes.
    next: Mutex<u64>,
}

impl Guest {
    /// The side disk; notes go behind those that earlier boots wrote.
    ///
    /// # Errors
    /// If the scenario is not `volatile`.
    pub fn side(&self) -> Result<Side> {
        let path =
            self.disk(NAME).context("this scenario has no side disk: set `volatile: true`")?;
        let flags = OFlags::DIRECT.bits().cast_signed();
        let file = File::options().read(true).write(true).custom_flags(flags).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let side = Side { file, next: Mutex::new(0) };
        let notes = side.notes()?.len() as u64;
        Ok(Side { next: Mutex::new(notes * BLOCK as u64), ..side })
    }
}

impl Side {
    /// Everything noted so far.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn notes(&self) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        let mut block = Aligned::new(BLOCK);
        loop {
            let at = notes.len() as u64 * BLOCK as u64;
            self.file.read_exact_at(block.bytes_mut(), at).context("reading the side disk")?;
            match Note::decode(block.bytes())? {
                Some(note) => notes.push(note),
                None => return Ok(notes),
            }
        }
    }

    /// Notes what the scenario did or saw.
    ///
    /// # Errors
    /// If the disk cannot be written.
    pub fn mark(&self, text: impl Into<String>) -> Result<()> {
        self.write(&Note::Mark(text.into()))
    }

    /// Gives the disk server a command; see `tests/checks/src/disk_server/rules.rs`. It is obeyed when this returns.
    ///
    /// # Errors
    /// If it cannot be obeyed.
    pub fn command(&self, line: impl Into<String>) -> Result<()> {
        let line = line.into();
        self.write(&Note::Command(line.clone())).with_context(|| format!("command {line:?}"))
    }

    /// Notes that these sectors (of the device of the writer with this seed) are durable with at least
    /// these versions.
    ///
    /// # Errors
    /// If the disk cannot be written.
    pub fn floors(&self, seed: u64, floors: &[(u64, u64)]) -> Result<()> {
        floors
            .chunks(MOST_FLOORS)
            .try_for_each(|some| self.write(&Note::Floors { seed, floors: some.to_vec() }))
    }

    fn write(&self, note: &Note) -> Result<()> {
        let mut block = Aligned::new(BLOCK);
        block.bytes_mut().copy_from_slice(&note.encode()?);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(block.bytes(), *next).context("writing the side disk")?;
        *next += BLOCK as u64;
        Ok(())
    }
}
