//! A disk in memory that answers late and takes no processor's time for it, as a real slow disk does.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::null_blk;

/// A device of null_blk that answers each request by a timer of its own. Dropping it takes it down.
pub(super) struct LateDisk {
    config: PathBuf,
    /// Its node.
    pub(super) node: PathBuf,
}

impl LateDisk {
    /// One of so many MiB whose requests all take this much longer, however many are in flight.
    pub(super) fn new(name: &str, mib: u64, latency: Duration) -> Result<LateDisk> {
        let latency = u64::try_from(latency.as_nanos()).context("a short latency")?;
        // irqmode 2 is the timer; 0 and 1 answer at once.
        let settings = [("irqmode", 2), ("completion_nsec", latency)];
        let (config, node) = null_blk::make(name, mib, &settings)?;
        Ok(LateDisk { config, node })
    }
}

impl Drop for LateDisk {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.config) {
            eprintln!("{} was not taken down: {error}", self.config.display());
        }
    }
}
