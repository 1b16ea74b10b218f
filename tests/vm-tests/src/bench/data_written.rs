//! What reached a disk as data. The kernel's own counters of a disk (`stat`) count zeroes that were
//! only asked for (`REQ_OP_WRITE_ZEROES`) as written; its trace events tell them apart.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};

const TRACING: &str = "/sys/kernel/tracing";

/// Sectors that a disk completed, by kind, from [`Trace::start`] on.
pub(super) struct Trace {
    /// A trace instance of our own, so that nobody else's is disturbed.
    dir: PathBuf,
}

impl Trace {
    pub(super) fn start(disk: &Path) -> Result<Trace> {
        if !Path::new(TRACING).join("instances").exists() {
            mount("tracefs", TRACING, "tracefs", MountFlags::empty(), c"")
                .with_context(|| format!("mounting {TRACING}"))?;
        }
        let number = rustix::fs::stat(disk).context("looking at a disk")?.st_rdev;
        // The kernel's own packing of the two, not the one that programs see.
        let number =
            (u64::from(rustix::fs::major(number)) << 20) | u64::from(rustix::fs::minor(number));
        let dir =
            Path::new(TRACING).join("instances").join(format!("bench-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        let trace = Trace { dir };
        let trigger = format!("hist:keys=rwbs:vals=nr_sector if dev == {number}");
        std::fs::write(trace.event().join("trigger"), trigger).context("counting requests")?;
        Ok(trace)
    }

    fn event(&self) -> PathBuf {
        self.dir.join("events/block/block_rq_complete")
    }

    /// Bytes written as data so far.
    pub(super) fn data(&self) -> Result<u64> {
        let text = std::fs::read_to_string(self.event().join("hist")).context("reading counts")?;
        Ok(data_sectors(&text) * 512)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The trigger goes with it; what is left of it is a directory without weight.
        std::fs::remove_dir(&self.dir).ok();
    }
}

/// Lines are like `{ rwbs: WS       } hitcount:         20  nr_sector:      40960`. The first letters:
/// a flush before (F), then W for a write, D for a discard, and N, since Linux 6.15 WZ, for zeroes.
fn data_sectors(hist: &str) -> u64 {
    let kinds = hist.lines().filter_map(|line| {
        let (kind, rest) = line.trim().strip_prefix("{ rwbs:")?.split_once('}')?;
        let sectors = rest.split_once("nr_sector:")?.1.trim().parse::<u64>().ok()?;
        Some((kind.trim().trim_start_matches('F'), sectors))
    });
    let data = kinds.filter(|(kind, _)| kind.starts_with('W') && !kind.starts_with("WZ"));
    data.map(|(_, sectors)| sectors).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_and_discards_are_no_data() {
        let hist = "# event histogram\n\n\
            { rwbs: W                } hitcount:          3  nr_sector:         24\n\
            { rwbs: FWFS             } hitcount:          1  nr_sector:          8\n\
            { rwbs: N                } hitcount:          9  nr_sector:       2048\n\
            { rwbs: WZ               } hitcount:          9  nr_sector:       4096\n\
            { rwbs: DS               } hitcount:          1  nr_sector:        512\n\
            { rwbs: R                } hitcount:          1  nr_sector:      70000\n\n\
            Totals:\n    Hits: 14\n";
        assert_eq!(data_sectors(hist), 32);
    }
}
