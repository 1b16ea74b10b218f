//! What reads as zeroes is not written to the destination as data.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FallocateFlags, fallocate};

use super::rig::{HeldMove, fill, mirrored, pattern, tune};
use crate::conformance::fixture::{Rig, VG};
use crate::guest::{Guest, Region};
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-sparse",
    about: "an LV of 512 MiB with 32 MiB of data fills at most 40 MiB of the destination",
    frontends: Frontend::UBLK,
    disks: &[Disk::new("pv1", 544)],
    timeout_s: 360,
    run: sparse,
    cpus: 2,
    ..Scenario::DEFAULT
}];

/// Sectors of a MiB.
const MIB: u64 = 2048;
/// The LV's size in MiB.
const ALL: u64 = 512;
/// Every so many MiB one of data: 32 in all.
const EVERY: u64 = 16;
/// The first of them.
const FIRST: u64 = 3;
const SEED: u64 = 3201;
/// What the destination may hold more than it did before, in MiB.
const MOST: u64 = 40;

fn sparse(guest: &mut Guest) -> Result<()> {
    let (destination, file) = sparse_disk(guest, "/run/destination", 544)?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, destination])?;
    let lv = rig.lv("lv", ALL as u32, &[rig.pv(1)])?;
    // Was data and is discarded before the move: it must not come back as such.
    fill(guest, &lv, 100 * MIB, 16 * MIB, SEED + 1)?;
    discard(guest, &lv, 100, 16)?;
    for at in data() {
        fill(guest, &lv, at * MIB, MIB, SEED)?;
    }
    let before = allocated(&file)?;

    tune(guest, &["--pause"])?;
    let pvs = [rig.pv(1), rig.pv(2)];
    let mut moving = HeldMove::start(guest, &["--skip-read-check", &pvs[0], &pvs[1]])?;
    mirrored(&rig, "lv")?;
    // Data in pending chunks, all of which is made zeroes or discarded while they are pending: they
    // need no copy, and none of it reaches the destination. What is written afterwards does.
    for at in [200, 312] {
        fill(guest, &lv, at * MIB, 24 * MIB, SEED + 2)?;
    }
    punch(&lv, 200, 24)?;
    discard(guest, &lv, 312, 24)?;
    for at in data().filter(|at| (200..224).contains(at) || (312..336).contains(at)) {
        fill(guest, &lv, at * MIB, MIB, SEED)?;
    }
    tune(guest, &["--resume"])?;
    moving.equal()?;
    moving.finish()?;
    ensure!(rig.home("lv")? == 2, "the LV did not move");

    let grown = allocated(&file)?.checked_sub(before).context("the destination has shrunk")?;
    guest.log(format!("the destination holds {} KiB more than before", grown >> 10));
    ensure!(grown <= MOST << 20, "{} KiB were allocated on the destination", grown >> 10);
    for at in 0..ALL {
        let bytes = guest.read_region(&Region::new(&lv, at * MIB, MIB))?;
        let right = if at % EVERY == FIRST {
            bytes == pattern(SEED, at * MIB)
        } else {
            bytes.iter().all(|byte| *byte == 0)
        };
        ensure!(right, "MiB {at} of the LV is not what it was before the move");
    }
    rig.at_rest()?;
    guest.lvshift(&["vgchange", "-a", "n", VG])?.ok()?;
    guest.run("losetup", &["-D"])?.ok().map(drop)
}

/// The MiBs that hold data.
fn data() -> impl Iterator<Item = u64> {
    (FIRST..ALL).step_by(EVERY as usize)
}

/// A disk that is a file in memory: what it holds of it can be seen.
fn sparse_disk(guest: &Guest, path: &str, mib: u64) -> Result<(PathBuf, PathBuf)> {
    guest.modprobe("loop")?;
    guest.sh(&format!("truncate -s {mib}M {path}"))?;
    let run = guest.run("losetup", &["-f", "--show", path])?.ok()?;
    Ok((PathBuf::from(run.stdout.trim()), PathBuf::from(path)))
}

fn allocated(file: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(file).with_context(|| format!("{}", file.display()))?;
    Ok(metadata.blocks() * 512)
}

fn discard(guest: &Guest, lv: &Path, first: u64, mib: u64) -> Result<()> {
    let (offset, len) = (first << 20, mib << 20);
    guest.sh(&format!("blkdiscard -o {offset} -l {len} {}", lv.display())).map(drop)
}

/// Makes zeroes of which the space may be given back.
fn punch(lv: &Path, first: u64, mib: u64) -> Result<()> {
    let file = File::options().write(true).open(lv)?;
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&file, how, first << 20, mib << 20).context("zeroing a part of the LV")
}
