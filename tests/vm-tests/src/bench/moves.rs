//! Moves without an application: how long, how much processor, how many bytes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::contestant::{Tool, Volume};
use super::data_written::Trace;
use super::lab::{Lab, run, succeed, text};
use super::late_disk::LateDisk;
use super::watch::{Progress, busy_seconds};
use super::{disk, uring_copy};

const MIB: u64 = 1 << 20;
/// Extents are 4 MiB.
const EXTENT_MIB: u64 = 4;

/// A move, or the floor that moves are held against.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Raw,
    Move(Tool, &'static str, &'static [&'static str]),
}

const IDLE: &[Way] = &[
    Way::Raw,
    Way::Move(Tool::Lvm, "", &["-i1"]),
    Way::Move(Tool::Dm, "", &[]),
    Way::Move(Tool::Dm, ", no read check", &["--skip-read-check"]),
    Way::Move(Tool::Ublk, "", &[]),
    Way::Move(Tool::Ublk, ", read check", &["--read-check"]),
];

/// 1 GiB that nobody uses.
pub(super) fn idle(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(1024);
    lab.noise(mib)?;
    let disks = lab.disks.clone();
    for way in lab.turns(IDLE) {
        measure(lab, &disks, way, mib)?;
    }
    Ok(())
}

/// How much longer each I/O takes on disks that are slow.
const LATENCY: Duration = Duration::from_millis(2);

/// The same where each I/O takes longer, on either side.
pub(super) fn slow_disks(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(512);
    lab.noise(mib)?;
    let mut slow = Vec::new();
    for path in &lab.disks {
        slow.push(Slow::over(path, LATENCY)?);
    }
    let devices = [slow[0].path(), slow[1].path()];
    as_usual(lab, &devices, mib)
}

/// The same on disks in memory, whose latency costs no processor's time.
pub(super) fn late_disks(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(512);
    let room = mib + 2 * disk::DATA / MIB + EXTENT_MIB;
    let one = LateDisk::new("lvshift-bench-1", room, LATENCY)?;
    let two = LateDisk::new("lvshift-bench-2", room, LATENCY)?;
    for (late, seed) in [(&one, 1), (&two, 2)] {
        disk::fill(&late.node, disk::DATA, mib * MIB, seed)?;
    }
    as_usual(lab, &[one.node.clone(), two.node.clone()], mib)
}

/// Everybody as they are without options.
fn as_usual(lab: &Lab, devices: &[PathBuf; 2], mib: u64) -> Result<()> {
    for way in lab.turns(IDLE) {
        if matches!(way, Way::Raw | Way::Move(_, "", _)) {
            measure(lab, devices, way, mib)?;
        }
    }
    Ok(())
}

/// Measures one of them, which must move what it should.
pub(super) fn measure(lab: &Lab, devices: &[PathBuf; 2], way: Way, mib: u64) -> Result<()> {
    let (name, took, busy, points) = match way {
        Way::Raw => {
            for device in devices {
                disk::wait_until_free(device)?;
            }
            let progress = Progress::start(&real(&devices[1])?)?;
            let (source, destination) =
                (disk::open(&devices[0], true)?, disk::open(&devices[1], true)?);
            let (start, before) = (Instant::now(), busy_seconds()?);
            uring_copy::copy(&source, &destination, disk::DATA, mib * MIB)?;
            let took = start.elapsed().as_secs_f64();
            ("raw copy".to_owned(), took, busy_seconds()? - before, progress.stop()?)
        }
        Way::Move(tool, suffix, options) => {
            let volume = Volume::new(tool, devices, mib / EXTENT_MIB, "")?;
            let print = disk::fingerprint(&volume.node, mib * MIB)?;
            let progress = Progress::start(&real(&devices[1])?)?;
            let (start, before) = (Instant::now(), busy_seconds()?);
            succeed(&mut volume.pvmove(options))?;
            let took = start.elapsed().as_secs_f64();
            let busy = busy_seconds()? - before;
            let points = progress.stop()?;
            volume.lies_on(1)?;
            volume.holds(&print, mib * MIB)?;
            volume.remove()?;
            (format!("{}{suffix}", tool.name()), took, busy, points)
        }
    };
    lab.sample(&name, "time", "s", took);
    lab.sample(&name, "rate", "MiB/s", mib as f64 / took);
    lab.sample(&name, "processor per GiB", "s", busy * 1024.0 / mib as f64);
    lab.series(&name, "progress", "MiB", Vec::new(), points);
    Ok(())
}

/// Eight segments of 4 MiB, and one of 32 MiB.
pub(super) fn small_segments(lab: &mut Lab) -> Result<()> {
    const CASES: &[(Tool, &[&str])] = &[(Tool::Lvm, &[]), (Tool::Dm, &[]), (Tool::Ublk, &[])];
    lab.noise(lab.scale.mib(1024))?;
    for (tool, options) in lab.turns(CASES) {
        for (what, extents, places) in
            [("eight segments", 8, ":0:2:4:6:8:10:12:14"), ("one segment", 8, ":0-7")]
        {
            if tool == Tool::Lvm && lab.round > if lab.scale.quick { 1 } else { 2 } {
                // Two minutes each time, nearly all of it asleep: that varies little.
                continue;
            }
            let disks = lab.disks.clone();
            let volume = Volume::new(tool, &disks, extents, places)?;
            let start = Instant::now();
            succeed(&mut volume.pvmove(options))?;
            let took = start.elapsed().as_secs_f64();
            volume.lies_on(1)?;
            volume.remove()?;
            lab.sample(tool.name(), &format!("{what}, time"), "s", took);
        }
    }
    Ok(())
}

/// A sixteenth of it was ever written; the rest is zeroes.
pub(super) fn sparse(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(512);
    for tool in lab.turns(&Tool::ALL) {
        let disks = lab.disks.clone();
        for path in &disks {
            disk::wait_until_free(path)?;
            disk::zero(path, disk::DATA, mib * MIB)?;
        }
        for n in 0..8 {
            disk::fill(&disks[0], disk::DATA + n * mib / 8 * MIB, mib * MIB / 128, n + 1)?;
        }
        let volume = Volume::new(tool, &disks, mib / EXTENT_MIB, "")?;
        let print = disk::fingerprint(&volume.node, mib * MIB)?;
        let (start, trace) = (Instant::now(), Trace::start(&disks[1])?);
        succeed(&mut volume.pvmove(tool.quickly()))?;
        let (took, written) = (start.elapsed(), trace.data()?);
        volume.lies_on(1)?;
        volume.holds(&print, mib * MIB)?;
        volume.remove()?;
        let share = 512.0 / mib as f64;
        lab.sample(tool.name(), "time", "s", took.as_secs_f64());
        lab.sample(
            tool.name(),
            "data written to the destination, per 512 MiB",
            "MiB",
            written as f64 / MIB as f64 * share,
        );
    }
    Ok(())
}

/// The device behind a link such as those in `/dev/mapper`.
pub(super) fn real(path: &std::path::Path) -> Result<PathBuf> {
    let stat = rustix::fs::stat(path).with_context(|| format!("looking at {}", path.display()))?;
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let link = format!("/sys/dev/block/{major}:{minor}");
    let place = std::fs::canonicalize(&link).with_context(|| format!("looking for {link}"))?;
    Ok(PathBuf::from("/dev").join(place.file_name().context("a device has a name")?))
}

/// A device of dm-delay over a disk.
pub(super) struct Slow(String);

impl Slow {
    pub(super) fn over(disk: &std::path::Path, latency: Duration) -> Result<Slow> {
        let name = format!("slow-{}", disk.file_name().unwrap_or_default().to_string_lossy());
        let sectors = disk::size(disk)? / 512;
        let disk = text(disk);
        let table = format!("0 {sectors} delay {disk} 0 {}", latency.as_millis());
        run("dmsetup", &["create", "--noudevsync", &name, "--table", &table])?;
        let slow = Slow(name);
        run("dmsetup", &["mknodes", &slow.0])?;
        Ok(slow)
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from("/dev/mapper").join(&self.0)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Err(error) = run("dmsetup", &["remove", "--noudevsync", "--retry", &self.0]) {
            eprintln!("{error:#}");
        }
    }
}
