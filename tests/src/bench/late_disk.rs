//! A disk in memory that answers late and takes no processor's time for it, as a real slow disk does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::lab::run;

const CONFIG: &str = "/sys/kernel/config";
/// How long its node may take to appear.
const NODE: Duration = Duration::from_secs(10);

/// A device of null_blk that keeps what is written and answers each request by a timer of its own.
/// Dropping it takes it down.
pub(super) struct LateDisk {
    config: PathBuf,
    /// Its node.
    pub(super) node: PathBuf,
}

impl LateDisk {
    /// One of so many MiB whose requests all take this much longer, however many are in flight.
    pub(super) fn new(name: &str, mib: u64, latency: Duration) -> Result<LateDisk> {
        let driver = Path::new(CONFIG).join("nullb");
        if !driver.exists() {
            run("mount", &["-t", "configfs", "none", CONFIG])?;
            ensure!(driver.exists(), "null_blk is not loaded, or has no configfs");
        }
        let config = driver.join(name);
        std::fs::create_dir(&config).with_context(|| format!("creating {}", config.display()))?;
        let mut disk = LateDisk { config, node: PathBuf::new() };
        // irqmode 2 is the timer; 0 and 1 answer at once.
        disk.set("memory_backed", 1)?;
        disk.set("blocksize", 512)?;
        disk.set("size", mib)?;
        disk.set("irqmode", 2)?;
        disk.set("completion_nsec", u64::try_from(latency.as_nanos()).context("a short latency")?)?;
        disk.set("power", 1)?;
        let index = disk.config.join("index");
        let index = std::fs::read_to_string(&index)
            .with_context(|| format!("reading {}", index.display()))?;
        // Newer kernels name the disk like its directory.
        let nodes = [format!("/dev/{name}"), format!("/dev/nullb{}", index.trim())];
        let start = Instant::now();
        loop {
            if let Some(node) = nodes.iter().map(PathBuf::from).find(|node| node.exists()) {
                disk.node = node;
                return Ok(disk);
            }
            ensure!(start.elapsed() < NODE, "neither {} nor {}", nodes[0], nodes[1]);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn set(&self, name: &str, value: u64) -> Result<()> {
        let path = self.config.join(name);
        std::fs::write(&path, value.to_string())
            .with_context(|| format!("writing {value} to {}", path.display()))
    }
}

impl Drop for LateDisk {
    fn drop(&mut self) {
        // Removing the directory takes the device down, too.
        if let Err(error) = std::fs::remove_dir(&self.config) {
            eprintln!("{} was not taken down: {error}", self.config.display());
        }
    }
}
