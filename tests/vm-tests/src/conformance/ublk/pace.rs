//! A copy that makes way for the application, and takes all that the disks have without it.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::daemon::{Victims, kill};
use super::rig::{END, counted, fill, mirrored, rig_of, tune};
use crate::conformance::fixture::{HANG, Rig, lv_path};
use crate::guest::Guest;
use crate::null_blk;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::Aligned;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-pace",
    about: "a paced copy slows down beside an application, in the next daemon too, and only then",
    frontends: Frontend::UBLK,
    disks: &[Disk::new("pv2", 144)],
    timeout_s: 600,
    run: pace,
    cpus: 2,
    ..Scenario::DEFAULT
}];

const MIB: u64 = 1 << 20;
/// Of the LV.
const SIZE: u32 = 128;
/// What the source can do in a second: one chunk keeps it busy for an eighth of that, and whoever
/// comes meanwhile waits. No machine is so busy that it hides this.
const BANDWIDTH: u64 = 8;
/// How much the application's own measurement may be off from the front end's.
const SLACK: u32 = 2;

fn pace(guest: &mut Guest) -> Result<()> {
    let source = narrow_disk(guest, SIZE + 16)?;
    let rig = rig_of(guest, vec![source, guest.disk("pv2")?], "1m")?;
    let lv = lv_path("lv");
    rig.lv("lv", SIZE, &[rig.pv_at(1, &format!("0-{}", SIZE - 1))])?;
    fill(guest, &lv, 0, u64::from(SIZE) * 2048, 3501)?;

    let readers = Readers::start(&lv)?;
    let alone = readers.over(&rig, 4, "before the move")?;
    // As people type it.
    let moving = guest.spawn(&["pvmove", "--skip-read-check", &rig.pv(1), &rig.pv(2)])?;
    mirrored(&rig, "lv")?;
    // Until it has found its pace.
    std::thread::sleep(Duration::from_secs(6));
    let paced = readers.over(&rig, 8, "paced")?;
    kill(guest, Victims::Daemon)?;
    guest.wait_for("the LV is served again", HANG, || Ok(readers.last_s() < 0.2))?;
    std::thread::sleep(Duration::from_secs(4));
    let again = readers.over(&rig, 5, "paced by the next daemon")?;
    tune(guest, &["--pace", "none"])?;
    // The application may get next to nothing now: how long that takes is not the question.
    let free = rate_over(&rig, Duration::from_secs(3))?;
    guest.log(format!("without a pace: {free:.2} MiB/s"));
    tune(guest, &["--pace", "1.5"])?;
    readers.stop()?;
    // Half a second is enough to see that nobody is there.
    std::thread::sleep(Duration::from_secs(1));
    let idle = rate_over(&rig, Duration::from_secs(2))?;
    guest.log(format!("paced, and nobody is there: {idle:.2} MiB/s"));
    ensure!(rig.meta()?.moves.len() == 1, "the move was over before all was measured");

    for (what, found) in [("the copy", &paced), ("the next daemon's copy", &again)] {
        // A copy that nobody feels does not have to be slow.
        let felt = found.p99 > alone.p99 * 3 / 2 * SLACK;
        ensure!(
            found.rate < free / 2.0 || !felt,
            "{what} does not make way: {found:?}, without a pace {free:.2} MiB/s, before it {alone:?}"
        );
        ensure!(found.rate > 0.2, "{what} stands still: {found:?}");
    }
    ensure!(
        idle > free / 2.0,
        "nobody is there, and the copy is paced at {idle:.2} MiB/s; it can do {free:.2}"
    );
    moving.wait(END)?.ok()?;
    rig.at_rest()?;
    ensure!(rig.home("lv")? == 2, "the LV did not move");
    rig.reads_from_its_places("lv")
}

/// A disk in memory that transfers so many bytes a second.
fn narrow_disk(guest: &Guest, mib: u32) -> Result<PathBuf> {
    guest.modprobe("null_blk")?;
    guest.modprobe("configfs").ok();
    Ok(null_blk::make("nullb0", mib.into(), &[("mbps", BANDWIDTH)])?.1)
}

/// What was seen in some time.
#[derive(Debug)]
struct Found {
    /// What all of the application's requests took but one in a hundred.
    p99: Duration,
    /// MiB copied a second.
    rate: f64,
}

/// MiB a second that reach the destination, which takes nothing now but the copy.
fn rate_over(rig: &Rig<'_>, span: Duration) -> Result<f64> {
    let written = || Ok::<_, anyhow::Error>(counted(rig.guest, &rig.devices[1])?.written_sectors);
    let (start, before) = (Instant::now(), written()?);
    std::thread::sleep(span);
    Ok((written()? - before) as f64 / 2048.0 / start.elapsed().as_secs_f64())
}

/// An application of two threads that read a block, think, and read another.
struct Readers {
    stop: Arc<AtomicBool>,
    begun: Instant,
    threads: Vec<JoinHandle<Result<()>>>,
    requests: Arc<std::sync::Mutex<Vec<(Instant, Duration)>>>,
}

impl Readers {
    fn start(lv: &Path) -> Result<Readers> {
        let stop = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut threads = Vec::new();
        for n in 0..2u64 {
            let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
            let file = File::options().read(true).custom_flags(direct).open(lv)?;
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            threads.push(std::thread::spawn(move || {
                let mut buffer = Aligned::new(4096);
                let mut seed = n + 1;
                while !stop.load(Ordering::Acquire) {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let at = (seed >> 16) % (u64::from(SIZE) * MIB / 4096) * 4096;
                    let begun = Instant::now();
                    file.read_exact_at(buffer.bytes_mut(), at).context("the application")?;
                    let done = (Instant::now(), begun.elapsed());
                    requests.lock().expect("no thread panics").push(done);
                    std::thread::sleep(Duration::from_millis(8));
                }
                Ok(())
            }));
        }
        Ok(Readers { stop, begun: Instant::now(), threads, requests })
    }

    /// What is seen in so long from now.
    fn over(&self, rig: &Rig<'_>, seconds: u64, what: &str) -> Result<Found> {
        let from = Instant::now();
        let rate = rate_over(rig, Duration::from_secs(seconds))?;
        let requests = self.requests.lock().expect("no thread panics");
        let mut took: Vec<Duration> =
            requests.iter().filter(|(at, _)| *at >= from).map(|request| request.1).collect();
        took.sort_unstable();
        ensure!(took.len() > 10, "{what}: the application made {} requests", took.len());
        let p99 = took[took.len() - 1 - (took.len() / 100).max(1)];
        let (count, s) = (took.len(), (from - self.begun).as_secs_f64());
        rig.guest
            .log(format!("at {s:.1} s, {what}: {rate:.2} MiB/s, {count} requests, p99 {p99:?}"));
        Ok(Found { p99, rate })
    }

    /// How long ago the last request has ended, in seconds.
    fn last_s(&self) -> f64 {
        let requests = self.requests.lock().expect("no thread panics");
        requests.last().map_or(f64::MAX, |(at, _)| at.elapsed().as_secs_f64())
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        self.threads.into_iter().try_for_each(|t| t.join().expect("no thread panics"))
    }
}
