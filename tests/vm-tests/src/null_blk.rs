//! Disks in memory, made with null_blk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

const CONFIG: &str = "/sys/kernel/config";
/// How long a disk's node may take to appear.
const NODE: Duration = Duration::from_secs(10);

/// Makes a disk of so many MiB that keeps what is written, with these further settings; its directory in
/// configfs, which to remove takes it down, and its node. The module is there.
///
/// # Errors
/// If the kernel refuses, or no node appears.
pub(crate) fn make(name: &str, mib: u64, settings: &[(&str, u64)]) -> Result<(PathBuf, PathBuf)> {
    let driver = Path::new(CONFIG).join("nullb");
    if !driver.exists() {
        let mounted = Command::new("mount").args(["-t", "configfs", "none", CONFIG]).status();
        ensure!(mounted.context("starting mount")?.success(), "configfs cannot be mounted");
        ensure!(driver.exists(), "null_blk is not loaded, or has no configfs");
    }
    let config = driver.join(name);
    std::fs::create_dir(&config).with_context(|| format!("creating {}", config.display()))?;
    let set = |name: &str, value: u64| {
        let path = config.join(name);
        std::fs::write(&path, value.to_string())
            .with_context(|| format!("writing {value} to {}", path.display()))
    };
    [("memory_backed", 1), ("blocksize", 512), ("size", mib)]
        .iter()
        .chain(settings)
        .chain(&[("power", 1)])
        .try_for_each(|(name, value)| set(name, *value))?;
    let index = config.join("index");
    let index =
        std::fs::read_to_string(&index).with_context(|| format!("reading {}", index.display()))?;
    // Newer kernels name the disk like its directory.
    let nodes = [format!("/dev/{name}"), format!("/dev/nullb{}", index.trim())];
    let start = Instant::now();
    loop {
        if let Some(node) = nodes.iter().map(PathBuf::from).find(|node| node.exists()) {
            return Ok((config, node));
        }
        ensure!(start.elapsed() < NODE, "neither {} nor {}", nodes[0], nodes[1]);
        std::thread::sleep(Duration::from_millis(10));
    }
}
