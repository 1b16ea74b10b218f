//! Finding block devices and asking them their size.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Guest;

impl Guest {
    /// The size of a block device (or file) in 512-byte sectors.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn sectors(&self, device: impl AsRef<Path>) -> Result<u64> {
        let device = device.as_ref();
        let mut file =
            File::open(device).with_context(|| format!("opening {}", device.display()))?;
        let end = file.seek(SeekFrom::End(0));
        Ok(end.with_context(|| format!("asking {} its size", device.display()))? / 512)
    }

    /// `MAJOR:MINOR` of a block device, as kernel tables write it.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn major_minor(&self, device: impl AsRef<Path>) -> Result<String> {
        let device = device.as_ref();
        let stat =
            rustix::fs::stat(device).with_context(|| format!("looking at {}", device.display()))?;
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        Ok(format!("{major}:{minor}"))
    }

    /// Empties the page cache, so that the next read comes from the disk.
    ///
    /// # Errors
    /// If `/proc` refuses.
    pub fn drop_caches(&self) -> Result<()> {
        rustix::fs::sync();
        std::fs::write("/proc/sys/vm/drop_caches", "3").context("dropping the page cache")
    }
}
