//! The processes that there are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Their numbers and what the kernel tells of each, below `/proc`. They come and go: one may have ended by now.
pub(crate) fn all() -> Result<impl Iterator<Item = (i32, PathBuf)>> {
    let entries = std::fs::read_dir("/proc").context("listing processes")?.flatten();
    Ok(entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    }))
}
