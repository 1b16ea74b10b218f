//! Bytes of a device, read past the page cache.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Guest;
use crate::writer::Aligned;
use crate::writer::hash::Hasher;

const STEP: usize = 1 << 20;

/// A run of sectors of a device.
#[derive(Clone, Debug)]
pub struct Region {
    /// The device.
    pub device: PathBuf,
    /// First 512-byte sector.
    pub sector: u64,
    /// How many.
    pub sectors: u64,
}

impl Region {
    /// A run of sectors of a device.
    #[must_use]
    pub fn new(device: impl Into<PathBuf>, sector: u64, sectors: u64) -> Self {
        Self { device: device.into(), sector, sectors }
    }

    fn each(&self, mut piece: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let file = open_direct(&self.device)?;
        let mut buffer = Aligned::new(STEP);
        let (start, end) = (self.sector * 512, (self.sector + self.sectors) * 512);
        let mut at = start;
        while at < end {
            let len = (end - at).min(STEP as u64) as usize;
            let bytes = &mut buffer.bytes_mut()[..len];
            file.read_exact_at(bytes, at).with_context(|| {
                format!("reading {} at sector {}", self.device.display(), at / 512)
            })?;
            piece(at / 512, bytes)?;
            at += len as u64;
        }
        Ok(())
    }
}

fn direct() -> OpenOptions {
    let mut options = File::options();
    let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
    options.read(true).custom_flags(flag);
    options
}

fn open_direct(device: &Path) -> Result<File> {
    direct().open(device).with_context(|| format!("opening {}", device.display()))
}

impl Guest {
    /// A hash of the bytes.
    ///
    /// # Errors
    /// If a sector cannot be read.
    pub fn hash_region(&self, region: &Region) -> Result<u64> {
        let mut hasher = Hasher::new(0);
        region.each(|_, bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// A hash of the whole device.
    ///
    /// # Errors
    /// If a sector cannot be read.
    pub fn hash_device(&self, device: impl AsRef<Path>) -> Result<u64> {
        let device = device.as_ref();
        self.hash_region(&Region::new(device, 0, self.sectors(device)?))
    }

    /// The bytes themselves; for small regions.
    ///
    /// # Errors
    /// If a sector cannot be read.
    pub fn read_region(&self, region: &Region) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        region.each(|_, bytes| {
            all.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(all)
    }

    /// Writes whole sectors past the page cache, e.g. to damage what is there.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn write_sectors(&self, device: impl AsRef<Path>, sector: u64, bytes: &[u8]) -> Result<()> {
        let device = device.as_ref();
        let what = || format!("writing {} at sector {sector}", device.display());
        let mut buffer = Aligned::new(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        let file = direct().write(true).open(device).with_context(what)?;
        file.write_all_at(buffer.bytes(), sector * 512).with_context(what)?;
        file.sync_data().with_context(what)
    }

    /// Fails unless both hold the same bytes, naming the first sector that differs.
    ///
    /// # Errors
    /// That they differ, or that a sector cannot be read.
    pub fn same_bytes(&self, left: &Region, right: &Region) -> Result<()> {
        if left.sectors != right.sectors {
            bail!("{left:?} and {right:?} are not of one size");
        }
        let other = open_direct(&right.device)?;
        let mut buffer = Aligned::new(STEP);
        left.each(|sector, bytes| {
            let twin = sector - left.sector + right.sector;
            let copy = &mut buffer.bytes_mut()[..bytes.len()];
            other
                .read_exact_at(copy, twin * 512)
                .with_context(|| format!("reading {} at sector {twin}", right.device.display()))?;
            match bytes.chunks(512).zip(copy.chunks(512)).position(|(a, b)| a != b) {
                None => Ok(()),
                Some(n) => bail!(
                    "{} sector {} and {} sector {} differ",
                    left.device.display(),
                    sector + n as u64,
                    right.device.display(),
                    twin + n as u64
                ),
            }
        })
    }
}
