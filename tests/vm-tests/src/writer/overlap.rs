//! Many writes in flight that overlap, of any length and offset in sectors, and what may be read
//! afterwards.
//!
//! Nobody says in which order overlapping writes in flight land; but a write that began after
//! another had ended must win over it. So each sector must hold a write that no other one has
//! replaced for certain.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::aligned::Aligned;
use super::hash::mix;
use super::stamp::{self, Found, SECTOR};

/// What to write where.
#[derive(Clone, Debug)]
pub struct Overlapping {
    /// The block device.
    pub path: PathBuf,
    /// Tells this writer's sectors from another's.
    pub seed: u64,
    /// First sectors of the places that all threads write to.
    pub places: Vec<u64>,
    /// Sectors of each place.
    pub sectors: u64,
    /// Sectors of a write at most.
    pub longest: u64,
    /// Writes in flight.
    pub depth: usize,
}

/// A write that has ended well. Both ends are ticks of one clock that no two events share.
#[derive(Clone, Copy, Debug)]
struct Write {
    first: u64,
    count: u64,
    began: u64,
    ended: u64,
}

#[derive(Debug)]
struct Shared {
    config: Overlapping,
    file: File,
    clock: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    writes: Mutex<Vec<Write>>,
    failed: Mutex<Option<String>>,
}

/// The writer at work.
#[derive(Debug)]
pub struct OverlapWriter {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What it has written.
#[derive(Debug)]
pub struct History {
    config: Overlapping,
    writes: Vec<Write>,
}

impl Overlapping {
    /// Starts writing.
    ///
    /// # Errors
    /// If the device cannot be opened.
    pub fn start(self) -> Result<OverlapWriter> {
        ensure!(self.longest <= self.sectors && !self.places.is_empty(), "no room to write");
        let shared = Arc::new(Shared {
            file: direct(&self.path, true)?,
            config: self,
            clock: AtomicU64::new(1),
            done: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            writes: Mutex::default(),
            failed: Mutex::default(),
        });
        let thread = |n| {
            let shared = Arc::clone(&shared);
            // So many threads need no deep stacks.
            let builder = std::thread::Builder::new().stack_size(128 << 10);
            builder.spawn(move || shared.work(n)).context("a thread of the overlapping writer")
        };
        let threads = (0..shared.config.depth as u64).map(thread).collect::<Result<_>>()?;
        Ok(OverlapWriter { shared, threads })
    }
}

impl OverlapWriter {
    /// Waits until that many more writes have ended.
    ///
    /// # Errors
    /// If it takes longer than `limit`, or a write has failed.
    pub fn wait_for_writes(&self, more: u64, limit: Duration) -> Result<()> {
        let (start, before) = (Instant::now(), self.shared.done.load(Ordering::SeqCst));
        loop {
            let done = self.shared.done.load(Ordering::SeqCst) - before;
            self.shared.is_well()?;
            if done >= more {
                return Ok(());
            }
            ensure!(
                start.elapsed() < limit,
                "overlapping writes hang: {done} of {more} in {limit:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops, waits for what is in flight, and says what was written.
    ///
    /// # Errors
    /// If a write has failed.
    pub fn stop(mut self) -> Result<History> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                bail!("a thread of the overlapping writer panicked");
            }
        }
        self.shared.is_well()?;
        let mut writes = lock(&self.shared.writes).clone();
        writes.sort_unstable_by_key(|write| write.began);
        Ok(History { config: self.shared.config.clone(), writes })
    }
}

impl Drop for OverlapWriter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn is_well(&self) -> Result<()> {
        lock(&self.failed).as_ref().map_or(Ok(()), |failed| bail!("{failed}"))
    }

    fn work(&self, thread: u64) {
        let config = &self.config;
        let mut random = mix(config.seed ^ (thread << 32));
        let mut buffer = Aligned::new(config.longest as usize * SECTOR);
        while !self.stop.load(Ordering::SeqCst) {
            random = mix(random);
            let place = config.places[(random >> 48) as usize % config.places.len()];
            let count = 1 + (random >> 24) % config.longest;
            let first = place + random % (config.sectors - count + 1);
            let began = self.clock.fetch_add(1, Ordering::SeqCst);
            let bytes = &mut buffer.bytes_mut()[..count as usize * SECTOR];
            for (n, sector) in (first..).zip(bytes.chunks_exact_mut(SECTOR)) {
                stamp::write(sector, config.seed, n, began);
            }
            let written = self.file.write_all_at(bytes, first * SECTOR as u64);
            let ended = self.clock.fetch_add(1, Ordering::SeqCst);
            if let Err(error) = written {
                let what = format!("writing {count} sectors at {first}: {error}");
                lock(&self.failed).get_or_insert(what);
                return;
            }
            lock(&self.writes).push(Write { first, count, began, ended });
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl History {
    /// How many pairs of writes shared a sector while both were in flight.
    #[must_use]
    pub fn overlaps(&self) -> usize {
        let meet = |a: &Write, b: &Write| {
            b.began < a.ended && a.first < b.first + b.count && b.first < a.first + a.count
        };
        let later = |n: usize| {
            self.writes[n + 1..].iter().take_while(move |b| b.began < self.writes[n].ended)
        };
        (0..self.writes.len()).map(|n| later(n).filter(|b| meet(&self.writes[n], b)).count()).sum()
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.writes.len()
    }

    /// Fails unless every sector holds a write that may be there.
    ///
    /// # Errors
    /// The first sector that does not, with what it holds.
    pub fn verify(&self, path: &Path) -> Result<()> {
        let file = direct(path, false)?;
        let mut buffer = Aligned::new(self.config.sectors as usize * SECTOR);
        for &place in &self.config.places {
            file.read_exact_at(buffer.bytes_mut(), place * SECTOR as u64)
                .with_context(|| format!("reading {} at sector {place}", path.display()))?;
            for (sector, bytes) in (place..).zip(buffer.bytes().chunks_exact(SECTOR)) {
                self.verify_sector(sector, stamp::read(bytes, self.config.seed, sector))
                    .with_context(|| format!("{} sector {sector}", path.display()))?;
            }
        }
        Ok(())
    }

    fn verify_sector(&self, sector: u64, found: Found) -> Result<()> {
        let here = |w: &&Write| w.first <= sector && sector < w.first + w.count;
        let Some(last) = self.writes.iter().filter(here).max_by_key(|write| write.began) else {
            return Ok(());
        };
        let Found::Version(version) = found else {
            bail!("it holds {found:?}, and was written last by {last:?}");
        };
        let held = self.writes.iter().filter(here).find(|write| write.began == version);
        let held = held.with_context(|| format!("it holds a write of {version} that never was"))?;
        match self.writes.iter().filter(here).find(|later| later.began > held.ended) {
            None => Ok(()),
            Some(later) => bail!("it holds {held:?}, which {later:?} has replaced"),
        }
    }
}

fn direct(path: &Path, write: bool) -> Result<File> {
    let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
    let file = File::options().read(true).write(write).custom_flags(flag).open(path);
    file.with_context(|| format!("opening {}", path.display()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(writes: &[(u64, u64, u64, u64)]) -> History {
        let config = Overlapping {
            path: PathBuf::new(),
            seed: 1,
            places: vec![0],
            sectors: 8,
            longest: 8,
            depth: 1,
        };
        let write = |&(first, count, began, ended)| Write { first, count, began, ended };
        History { config, writes: writes.iter().map(write).collect() }
    }

    #[test]
    fn either_of_two_writes_in_flight_may_win() {
        let both = history(&[(0, 4, 1, 4), (2, 4, 2, 3)]);
        assert_eq!(both.overlaps(), 1);
        for version in [1, 2] {
            both.verify_sector(2, Found::Version(version)).expect("both were in flight");
        }
        assert!(both.verify_sector(0, Found::Version(2)).is_err(), "it was not written there");
        assert!(both.verify_sector(2, Found::Zero).is_err(), "something was written there");
    }

    #[test]
    fn a_write_that_was_replaced_must_be_gone() {
        let turns = history(&[(0, 4, 1, 2), (2, 4, 3, 4)]);
        assert_eq!(turns.overlaps(), 0);
        assert!(turns.verify_sector(2, Found::Version(1)).is_err(), "the second began later");
        turns.verify_sector(1, Found::Version(1)).expect("the second did not reach it");
        turns.verify_sector(2, Found::Version(3)).expect("it was the last");
    }
}
