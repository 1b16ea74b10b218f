//! The writer's threads.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::aligned::Aligned;
use super::hash::mix;
use super::oracle::{self, Oracle};
use super::stamp::{self, SECTOR};

/// How much a sequential pass does at once.
const STRIDE: usize = 256 << 10;
/// How many faults and mismatches are kept word for word.
const KEPT: usize = 64;

/// What to write where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The block device, or a file of its full size.
    pub path: PathBuf,
    /// Tells this writer's sectors from another's.
    pub seed: u64,
    /// Bytes to use from the start; `None` means all.
    pub size: Option<u64>,
    /// Bytes per request: a multiple of the device's sector size.
    pub block: usize,
    /// Threads, each with one request in flight.
    pub threads: usize,
    /// Of a hundred requests, how many read and verify.
    pub read_percent: u64,
    /// A pause between requests of a thread, to leave others some of the machine.
    pub pace: Duration,
    /// Whether every block is written once, in order, before the random writes.
    pub fill: bool,
    /// Whether thread n stays on processor n (counted round), so that every queue gets requests.
    pub spread: bool,
}

impl Config {
    /// Two threads of 4 KiB requests over the whole of `path`, after filling it.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, seed: u64) -> Self {
        Self {
            path: path.into(),
            seed,
            size: None,
            block: 4096,
            threads: 2,
            read_percent: 25,
            pace: Duration::from_millis(5),
            fill: true,
            spread: false,
        }
    }

    /// The same with 32 requests in flight all the time, spread over all processors, which mostly
    /// write.
    #[must_use]
    pub fn deep(path: impl Into<PathBuf>, seed: u64) -> Self {
        let new = Self::new(path, seed);
        Self { threads: 32, pace: Duration::ZERO, spread: true, read_percent: 20, ..new }
    }
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoFault {
    /// Whether it was a write (else a read).
    pub write: bool,
    /// Its first 512-byte sector.
    pub sector: u64,
    /// How many sectors.
    pub sectors: u64,
    /// What the kernel said.
    pub error: String,
}

/// Numbers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Random writes acknowledged.
    pub writes: u64,
    /// Random reads verified.
    pub reads: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Sectors that held something they may not hold.
    pub mismatches: u64,
    /// The longest any request took.
    pub worst: Duration,
    /// The most requests that were in flight at one time.
    pub deepest: u32,
}

/// What a writer saw from its start to its end.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The numbers.
    pub counters: Counters,
    /// Requests that failed, the first of them word for word.
    pub faults: Vec<IoFault>,
    /// Wrong sectors, the first of them word for word.
    pub mismatches: Vec<String>,
}

impl Outcome {
    /// Fails unless every sector was right; requests that failed are allowed.
    ///
    /// # Errors
    /// The sectors that were wrong.
    pub fn intact(self) -> Result<Self> {
        if self.counters.mismatches == 0 {
            return Ok(self);
        }
        bail!("{} wrong sectors:\n  {}", self.counters.mismatches, self.mismatches.join("\n  "))
    }

    /// Fails unless every sector was right and no request failed.
    ///
    /// # Errors
    /// The sectors that were wrong, or the requests that failed.
    pub fn clean(self) -> Result<Self> {
        let this = self.intact()?;
        if this.faults.is_empty() {
            return Ok(this);
        }
        bail!("the application saw errors: {:?}", this.faults)
    }
}

#[derive(Debug)]
struct State {
    oracle: Oracle,
    busy: Vec<bool>,
    outcome: Outcome,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    file: File,
    blocks: usize,
    version: AtomicU64,
    stop: AtomicBool,
    paused: Mutex<bool>,
    unpaused: Condvar,
    in_flight: AtomicU32,
    state: Mutex<State>,
}

/// A writer at work in threads of this process.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Fills the region if told to, then starts writing at random.
    ///
    /// # Errors
    /// If the device cannot be opened, or a write of the filling fails.
    pub fn start(config: Config) -> Result<Self> {
        let shared = Shared::open(config, None)?;
        if shared.config.fill {
            shared.fill()?;
        }
        Ok(Self::run(shared))
    }

    /// After a power cut: verifies every sector against the checkpoint (no older
    /// version may be there), then goes on writing.
    ///
    /// # Errors
    /// If a sector is older than the checkpoint says, naming it and its version.
    pub fn resume(config: Config, checkpoint: &Path) -> Result<Self> {
        let shared = Shared::open(config, Some(checkpoint))?;
        shared.verify_all();
        lock(&shared.state).outcome.clone().clean().context("after the power cut")?;
        let newest = lock(&shared.state).oracle.newest();
        shared.version.store(newest + 1_000_000, Ordering::SeqCst);
        Ok(Self::run(shared))
    }

    fn run(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let thread = |n| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work(n))
        };
        let threads = (0..shared.config.threads as u64).map(thread).collect();
        Self { shared, threads }
    }

    /// Stops issuing requests, and waits for those in flight.
    pub fn pause(&self) {
        *lock(&self.shared.paused) = true;
        while lock(&self.shared.state).busy.contains(&true) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Goes on after a pause.
    pub fn unpause(&self) {
        *lock(&self.shared.paused) = false;
        self.shared.unpaused.notify_all();
    }

    /// The numbers so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).outcome.counters
    }

    /// The slowest request is looked for from now on.
    pub fn forget_worst(&self) {
        lock(&self.shared.state).outcome.counters.worst = Duration::ZERO;
    }

    /// All it saw so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        lock(&self.shared.state).outcome.clone()
    }

    /// Waits until that many more writes were acknowledged.
    ///
    /// # Errors
    /// If it takes longer than `limit`: the application hangs.
    pub fn wait_for_writes(&self, more: u64, limit: Duration) -> Result<()> {
        let (start, before) = (Instant::now(), self.counters().writes);
        while self.counters().writes < before + more {
            if start.elapsed() > limit {
                let done = self.counters().writes - before;
                bail!("the application hangs: {done} of {more} writes in {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Writes the block that starts at this sector, now, paused or not, and returns when it was answered;
    /// an error is in the [`Outcome`], as for every other write.
    pub fn write_now(&self, sector: u64) {
        let shared = &self.shared;
        let block = usize::try_from(sector).expect("a sector of it") / shared.sectors_per_block();
        while std::mem::replace(&mut lock(&shared.state).busy[block], true) {
            std::thread::sleep(Duration::from_millis(1));
        }
        shared.write_block(block, &mut Aligned::new(shared.config.block));
        lock(&shared.state).busy[block] = false;
    }

    /// Flushes the device, then writes down what was acknowledged before the flush.
    ///
    /// # Errors
    /// If the flush fails or the file cannot be written.
    pub fn checkpoint(&self, path: &Path) -> Result<()> {
        let floor = self.flushed()?;
        oracle::save(path, self.shared.config.seed, &floor)
    }

    /// Flushes the device, and says which version of every sector was acknowledged before the flush.
    ///
    /// # Errors
    /// If the flush fails.
    pub fn flushed(&self) -> Result<Vec<u64>> {
        let floor = lock(&self.shared.state).oracle.floor();
        self.shared.file.sync_data().context("flushing the writer's device")?;
        Ok(floor)
    }

    /// Stops, then verifies every sector.
    ///
    /// # Errors
    /// If a thread of the writer panicked; wrong sectors are in the [`Outcome`].
    pub fn stop(mut self) -> Result<Outcome> {
        self.join()?;
        self.shared.verify_all();
        Ok(self.outcome())
    }

    /// Stops without a look at the sectors.
    ///
    /// # Errors
    /// If a thread of the writer panicked.
    pub fn stop_unverified(mut self) -> Result<Outcome> {
        self.join()?;
        Ok(self.outcome())
    }

    fn join(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.unpause();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                bail!("a thread of the writer panicked");
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.unpause();
    }
}

impl Shared {
    fn open(config: Config, checkpoint: Option<&Path>) -> Result<Self> {
        let name = config.path.display();
        if config.block == 0 || !config.block.is_multiple_of(SECTOR) {
            bail!("requests of {} bytes are not whole sectors", config.block);
        }
        let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
        let file = File::options().read(true).write(true).custom_flags(direct).open(&config.path);
        let mut file = file.with_context(|| format!("the writer opens {name}"))?;
        let end = std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        let size = config.size.unwrap_or(end);
        let blocks = usize::try_from(size)? / config.block;
        if size > end || blocks < 2 * config.threads.max(1) {
            bail!("{name} has {end} bytes, too few for this writer");
        }
        let sectors = blocks * (config.block / SECTOR);
        let oracle = match checkpoint {
            None => Oracle::new(sectors),
            Some(path) => {
                let (seed, floor) = oracle::load(path)?;
                if seed != config.seed || floor.len() != sectors {
                    bail!("{} is the checkpoint of another writer", path.display());
                }
                Oracle::at_least(floor)
            }
        };
        let state = State { oracle, busy: vec![false; blocks], outcome: Outcome::default() };
        Ok(Self {
            config,
            file,
            blocks,
            version: AtomicU64::new(1),
            stop: AtomicBool::new(false),
            paused: Mutex::new(false),
            unpaused: Condvar::new(),
            in_flight: AtomicU32::new(0),
            state: Mutex::new(state),
        })
    }

    const fn sectors_per_block(&self) -> usize {
        self.config.block / SECTOR
    }

    fn stamp(&self, bytes: &mut [u8], first_sector: usize, version: u64) {
        for (n, sector) in bytes.chunks_exact_mut(SECTOR).enumerate() {
            stamp::write(sector, self.config.seed, (first_sector + n) as u64, version);
        }
    }

    /// The region in large pieces: (first sector, bytes).
    fn strides(&self) -> impl Iterator<Item = (usize, usize)> {
        let step = (STRIDE / self.config.block).max(1);
        (0..self.blocks).step_by(step).map(move |block| {
            let count = step.min(self.blocks - block);
            (block * self.sectors_per_block(), count * self.config.block)
        })
    }

    fn fill(&self) -> Result<()> {
        let mut buffer = Aligned::new(STRIDE.max(self.config.block));
        let version = self.version.fetch_add(1, Ordering::SeqCst);
        for (sector, len) in self.strides() {
            let bytes = &mut buffer.bytes_mut()[..len];
            self.stamp(bytes, sector, version);
            self.file.write_all_at(bytes, (sector * SECTOR) as u64).with_context(|| {
                format!("filling {} at sector {sector}", self.config.path.display())
            })?;
            lock(&self.state).oracle.acknowledged(sector, len / SECTOR, version);
        }
        self.file.sync_data().with_context(|| format!("flushing {}", self.config.path.display()))
    }

    fn verify_all(&self) {
        let mut buffer = Aligned::new(STRIDE.max(self.config.block));
        for (sector, len) in self.strides() {
            let bytes = &mut buffer.bytes_mut()[..len];
            if self.file.read_exact_at(bytes, (sector * SECTOR) as u64).is_ok() {
                self.check(sector, bytes);
                continue;
            }
            // Block by block, to lose no more than what is truly unreadable.
            for (n, block) in bytes.chunks_exact_mut(self.config.block).enumerate() {
                let first = sector + n * self.sectors_per_block();
                match self.file.read_exact_at(block, (first * SECTOR) as u64) {
                    Ok(()) => self.check(first, block),
                    Err(error) => self.fault(false, first, &error),
                }
            }
        }
    }

    fn check(&self, first: usize, bytes: &[u8]) {
        let mut state = lock(&self.state);
        for (n, sector) in bytes.chunks_exact(SECTOR).enumerate() {
            let found = stamp::read(sector, self.config.seed, (first + n) as u64);
            if let Err(what) = state.oracle.check(first + n, found) {
                let outcome = &mut state.outcome;
                outcome.counters.mismatches += 1;
                if outcome.mismatches.len() < KEPT {
                    let path = self.config.path.display();
                    outcome.mismatches.push(format!("{path} sector {}: {what}", first + n));
                }
            }
        }
    }

    fn fault(&self, write: bool, first: usize, error: &std::io::Error) {
        let mut state = lock(&self.state);
        let outcome = &mut state.outcome;
        let count = if write {
            &mut outcome.counters.write_errors
        } else {
            &mut outcome.counters.read_errors
        };
        *count += 1;
        if outcome.faults.len() < KEPT {
            outcome.faults.push(IoFault {
                write,
                sector: first as u64,
                sectors: self.sectors_per_block() as u64,
                error: error.to_string(),
            });
        }
    }

    fn work(&self, thread: u64) {
        if self.config.spread {
            stay_on(thread);
        }
        let mut random = mix(self.config.seed ^ thread);
        let mut buffer = Aligned::new(self.config.block);
        while self.wait_while_paused() {
            random = mix(random);
            let Some(block) = self.claim(random) else { continue };
            let start = Instant::now();
            let deep = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            if (random >> 32) % 100 < self.config.read_percent {
                self.read_block(block, &mut buffer);
            } else {
                self.write_block(block, &mut buffer);
            }
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            let mut state = lock(&self.state);
            state.busy[block] = false;
            let counters = &mut state.outcome.counters;
            counters.worst = start.elapsed().max(counters.worst);
            counters.deepest = counters.deepest.max(deep);
            drop(state);
            if !self.config.pace.is_zero() {
                std::thread::sleep(self.config.pace);
            }
        }
    }

    /// False when it is time to stop.
    fn wait_while_paused(&self) -> bool {
        let mut paused = lock(&self.paused);
        while *paused && !self.stop.load(Ordering::SeqCst) {
            paused = self.unpaused.wait(paused).unwrap_or_else(PoisonError::into_inner);
        }
        !self.stop.load(Ordering::SeqCst)
    }

    /// No two requests of this writer touch one block at a time.
    fn claim(&self, random: u64) -> Option<usize> {
        let paused = lock(&self.paused);
        if *paused {
            return None;
        }
        let block = usize::try_from(random % self.blocks as u64).expect("below a usize");
        let mut state = lock(&self.state);
        let was_busy = std::mem::replace(&mut state.busy[block], true);
        (!was_busy).then_some(block)
    }

    fn read_block(&self, block: usize, buffer: &mut Aligned) {
        let first = block * self.sectors_per_block();
        match self.file.read_exact_at(buffer.bytes_mut(), (first * SECTOR) as u64) {
            Ok(()) => {
                self.check(first, buffer.bytes());
                lock(&self.state).outcome.counters.reads += 1;
            }
            Err(error) => self.fault(false, first, &error),
        }
    }

    fn write_block(&self, block: usize, buffer: &mut Aligned) {
        let (first, count) = (block * self.sectors_per_block(), self.sectors_per_block());
        let version = self.version.fetch_add(1, Ordering::SeqCst);
        self.stamp(buffer.bytes_mut(), first, version);
        lock(&self.state).oracle.uncertain(first, count, version);
        match self.file.write_all_at(buffer.bytes(), (first * SECTOR) as u64) {
            Ok(()) => {
                let mut state = lock(&self.state);
                state.oracle.acknowledged(first, count, version);
                state.outcome.counters.writes += 1;
            }
            Err(error) => self.fault(true, first, &error),
        }
    }
}

/// Where this thread asks, the kernel's queue of that processor is asked.
fn stay_on(thread: u64) {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut set = rustix::thread::CpuSet::new();
    set.set(usize::try_from(thread).unwrap_or(0) % all);
    // A processor that is taken away meanwhile costs nothing but the spread, which is looked at.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
