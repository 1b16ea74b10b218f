//! Somebody with one request outstanding: how long does each take?

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::disk;
use crate::writer::Aligned;

/// A thread that reads a block, writes it back, and goes to the next.
pub(super) struct Prober {
    stop: Arc<AtomicBool>,
    start: Instant,
    thread: JoinHandle<Result<Vec<(f64, f64)>>>,
}

impl Prober {
    /// Starts it on the first `bytes` bytes.
    pub(super) fn start(node: &Path, bytes: u64) -> Result<Prober> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, file) = (Arc::clone(&stop), disk::open(node, false)?);
        let start = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut buffer = Aligned::new(4096);
            let mut requests = Vec::new();
            let (mut seed, mut at, mut write) = (1u64, 0, false);
            while !told.load(Ordering::Acquire) {
                let begun = Instant::now();
                if write {
                    file.write_all_at(buffer.bytes(), at).context("the prober's write")?;
                } else {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    at = (seed >> 16) % (bytes / 4096) * 4096;
                    file.read_exact_at(buffer.bytes_mut(), at).context("the prober's read")?;
                }
                write = !write;
                let took = begun.elapsed().as_secs_f64() * 1000.0;
                requests.push((start.elapsed().as_secs_f64() * 1000.0, took));
            }
            Ok(requests)
        });
        Ok(Prober { stop, start, thread })
    }

    /// The prober's own clock, in ms.
    pub(super) fn now_ms(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }

    /// Stops it and gives each request: when it ended (ms) and how long it took (ms).
    pub(super) fn stop(self) -> Result<Vec<(f64, f64)>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the prober does not panic")
    }
}
