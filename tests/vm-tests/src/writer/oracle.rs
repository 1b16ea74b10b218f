//! What may be read: per sector, from what was acknowledged to what was tried.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::stamp::Found;

/// What may be read from one sector. Version 0 means never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The newest version known to be there.
    pub acked: u64,
    /// Newer versions that may be there: their writes failed or never ended.
    pub maybe: Vec<u64>,
    /// Whether any newer version may be there (after a power cut).
    pub or_newer: bool,
}

/// The oracle of a region: one [`Expected`] a sector.
#[derive(Debug)]
pub struct Oracle {
    sectors: Vec<Expected>,
}

impl Oracle {
    /// An oracle that knows of no write.
    #[must_use]
    pub fn new(sectors: usize) -> Self {
        Self { sectors: vec![Expected::default(); sectors] }
    }

    /// A write of `version` to these sectors was acknowledged.
    pub fn acknowledged(&mut self, first: usize, count: usize, version: u64) {
        for expected in &mut self.sectors[first..first + count] {
            *expected = Expected { acked: version, ..Expected::default() };
        }
    }

    /// A write of `version` to these sectors is about to be issued, or has failed:
    /// until a later one is acknowledged it may or may not be there.
    pub fn uncertain(&mut self, first: usize, count: usize, version: u64) {
        for expected in &mut self.sectors[first..first + count] {
            if !expected.maybe.contains(&version) {
                expected.maybe.push(version);
            }
        }
    }

    /// Compares what was found; what was once read may not go back afterwards.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn check(&mut self, sector: usize, found: Found) -> Result<(), String> {
        let expected = &mut self.sectors[sector];
        let version = match found {
            Found::Version(version) => version,
            Found::Zero | Found::Foreign | Found::OtherSeed(_) if expected.acked == 0 => 0,
            other => return Err(format!("expected version {}, found {other:?}", expected.acked)),
        };
        if version == expected.acked {
            Ok(())
        } else if expected.maybe.contains(&version)
            || (expected.or_newer && version > expected.acked)
        {
            *expected = Expected { acked: version, ..Expected::default() };
            Ok(())
        } else {
            let age = if version < expected.acked { "the older" } else { "the unknown" };
            Err(format!("expected version {}, found {age} version {version}", expected.acked))
        }
    }

    /// The acknowledged version of every sector.
    #[must_use]
    pub fn floor(&self) -> Vec<u64> {
        self.sectors.iter().map(|expected| expected.acked).collect()
    }

    /// The newest version acknowledged or tried.
    #[must_use]
    pub fn newest(&self) -> u64 {
        let all = self.sectors.iter().flat_map(|e| e.maybe.iter().chain([&e.acked]));
        all.copied().max().unwrap_or(0)
    }

    /// The oracle after a power cut: at least what the checkpoint says, or newer.
    #[must_use]
    pub fn at_least(floor: Vec<u64>) -> Self {
        let expected = |acked| Expected { acked, maybe: Vec::new(), or_newer: true };
        Self { sectors: floor.into_iter().map(expected).collect() }
    }
}

const MAGIC: &[u8; 8] = b"LVSHCKP1";

/// Writes a floor to a file so that a power cut leaves the old or the new one.
///
/// # Errors
/// If the file system refuses.
pub fn save(path: &Path, seed: u64, floor: &[u64]) -> Result<()> {
    let mut bytes = Vec::with_capacity(24 + floor.len() * 8);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&seed.to_le_bytes());
    for version in floor {
        bytes.extend_from_slice(&version.to_le_bytes());
    }
    let new = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    written().with_context(|| format!("writing the checkpoint {}", path.display()))
}

/// Reads a checkpoint: its seed and its floor.
///
/// # Errors
/// If it is not one.
pub fn load(path: &Path) -> Result<(u64, Vec<u64>)> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("reading the checkpoint {}", path.display()))?;
    if bytes.len() % 8 != 0 || bytes.get(..8) != Some(MAGIC) || bytes.len() < 16 {
        bail!("{} is no checkpoint", path.display());
    }
    let mut words =
        bytes[8..].chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight bytes")));
    let seed = words.next().context("a checkpoint without a seed")?;
    Ok((seed, words.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_acknowledged_version_may_be_read() {
        let mut oracle = Oracle::new(4);
        assert!(oracle.check(0, Found::Zero).is_ok());
        oracle.acknowledged(0, 2, 5);
        assert!(oracle.check(1, Found::Version(5)).is_ok());
        let error = oracle.check(1, Found::Version(3)).expect_err("a lost write");
        assert!(error.contains("the older version 3"), "{error}");
        assert!(oracle.check(1, Found::Version(6)).is_err());
        assert!(oracle.check(1, Found::Zero).is_err());
        assert!(oracle.check(1, Found::Torn).is_err());
    }

    #[test]
    fn a_failed_write_may_be_there_but_never_goes_back() {
        let mut oracle = Oracle::new(1);
        oracle.acknowledged(0, 1, 1);
        oracle.uncertain(0, 1, 2);
        assert!(oracle.check(0, Found::Version(1)).is_ok());
        assert!(oracle.check(0, Found::Version(2)).is_ok());
        assert!(oracle.check(0, Found::Version(1)).is_err(), "it was read as 2 before");
    }

    #[test]
    fn after_a_power_cut_newer_is_right_and_older_is_wrong() {
        let mut oracle = Oracle::at_least(vec![3, 0]);
        assert!(oracle.check(0, Found::Version(2)).is_err());
        assert!(oracle.check(0, Found::Version(4)).is_ok());
        assert!(oracle.check(0, Found::Version(3)).is_err(), "it was read as 4 before");
        assert!(oracle.check(1, Found::Zero).is_ok());
    }
}
