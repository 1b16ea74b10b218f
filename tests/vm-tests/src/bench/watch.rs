//! What the machine did meanwhile: processor time, and bytes that reached a disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How often progress is looked at.
const STEP: Duration = Duration::from_millis(50);

/// Seconds that all processors together were busy since the boot.
pub(super) fn busy_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq; a tick is 10 ms on every Linux.
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|&at| ticks.get(at)).sum::<u64>();
    Ok(busy as f64 / 100.0)
}

/// Bytes ever written to a disk, as the kernel counts them.
pub(super) fn bytes_written(disk: &Path) -> Result<u64> {
    let name = disk.file_name().context("a disk has a name")?;
    let file = Path::new("/sys/class/block").join(name).join("stat");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let sectors = text.split_whitespace().nth(6).and_then(|word| word.parse::<u64>().ok());
    Ok(sectors.with_context(|| format!("{}: {text:?}", file.display()))? * 512)
}

/// Looks at a disk's bytes until it is stopped.
pub(super) struct Progress {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<(f64, f64)>>>,
}

impl Progress {
    /// Starts looking, at time 0 and 0 MiB.
    pub(super) fn start(disk: &Path) -> Result<Progress> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, disk) = (Arc::clone(&stop), disk.to_owned());
        let (begin, first) = (Instant::now(), bytes_written(&disk)?);
        let thread = std::thread::spawn(move || {
            let mut points = vec![(0.0, 0.0)];
            loop {
                let last = told.load(Ordering::Acquire);
                let mib = (bytes_written(&disk)? - first) as f64 / f64::from(1 << 20);
                points.push((begin.elapsed().as_secs_f64(), mib));
                if last {
                    return Ok(points);
                }
                std::thread::sleep(STEP);
            }
        });
        Ok(Progress { stop, thread })
    }

    /// Stops, and gives seconds and MiB.
    pub(super) fn stop(self) -> Result<Vec<(f64, f64)>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("looking at a disk does not panic")
    }
}
