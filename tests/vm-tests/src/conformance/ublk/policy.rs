//! What a write to a chunk that is not copied yet does: the two policies, and a chunk written whole.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::rig::{END, HeldMove, counted, fill, legs_are_equal, mirrored, noise, rig_of, tune};
use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{HANG, Rig, served};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Aligned, Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-source-first",
        about: "a move under load whose writes go to the source first; the policy changes in flight",
        frontends: Frontend::UBLK,
        disks: &[Disk::new("pv1", 48), Disk::new("pv2", 48)],
        timeout_s: 360,
        cpus: 4,
        run: source_first,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-policy-waits",
        about: "copy-first lets a write wait for the copy of its chunk, source-first does not",
        frontends: Frontend::UBLK,
        disks: &[Disk::new("pv1", 48), Disk::new("pv2", 48)],
        timeout_s: 360,
        run: policy_waits,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "ublk-whole-chunks",
        about: "a write of a whole chunk needs no copy: its bytes reach the destination once",
        frontends: Frontend::UBLK,
        disks: &[Disk::new("pv1", 32), Disk::new("pv2", 32)],
        timeout_s: 360,
        cpus: 4,
        run: whole_chunks,
        ..Scenario::DEFAULT
    },
];

fn source_first(guest: &mut Guest) -> Result<()> {
    let disks = [guest.faulty("pv1")?, guest.faulty("pv2")?];
    let rig = Rig::over(guest, disks.iter().map(|disk| disk.path()).collect())?;
    let lv = rig.lv("lv", 32, &[rig.pv(1)])?;
    let writer = Writer::start(Config { threads: 8, spread: true, ..Config::new(&lv, 3501) })?;
    writer.wait_for_writes(100, HANG)?;
    for (round, (from, to)) in [(1, 2), (2, 1)].into_iter().enumerate() {
        slow_data(guest, &disks[to - 1], 800)?;
        let args = ["--write-policy", "source-first", &rig.pv(from), &rig.pv(to)];
        let mut moving = HeldMove::start(guest, &args)?;
        mirrored(&rig, "lv")?;
        writer.wait_for_writes(50, HANG)?;
        // The first move has one policy all the time, the second changes it again and again.
        for n in 0..if round == 0 { 0 } else { 4 } {
            let policy = if n % 2 == 0 { "copy-first" } else { "source-first" };
            tune(guest, &["--write-policy", policy])?;
            writer.wait_for_writes(30, HANG)?;
        }
        slow_data(guest, &disks[to - 1], 0)?;
        moving.equal()?;
        writer.wait_for_writes(100, HANG)?;
        writer.pause();
        legs_are_equal(&rig)?;
        writer.unpause();
        moving.finish()?;
        rig.lies("lv", &[(to, 0, 32)])?;
        served(&writer)?;
    }
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// How long the destination takes for a write in `policy_waits`.
const SLOW: Duration = Duration::from_secs(3);

fn policy_waits(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 32, &[rig.pv(1)])?;
    fill(guest, &lv, 0, 32 * 2048, 3511)?;
    slow_data(guest, &slow, u32::try_from(SLOW.as_millis())?)?;
    let args = ["--skip-read-check", "--write-policy", "source-first", &rig.pv(1), &rig.pv(2)];
    let moving = rig.spawn_move(&args)?;
    mirrored(&rig, "lv")?;
    // Four chunks are copied at once, each for as long as the destination takes; the last ones of
    // the LV are far from their turn.
    let write = |mib: u64| -> Result<Duration> {
        let start = Instant::now();
        // No flush: that would wait for the destination in either case.
        let mut buffer = Aligned::new(4096);
        buffer.bytes_mut().fill(mib as u8);
        open(&lv)?.write_all_at(buffer.bytes(), (mib * 2048 + 9) * 512)?;
        Ok(start.elapsed())
    };
    let took = write(31)?;
    guest.log(format!("source-first: {took:?}"));
    ensure!(took < SLOW, "source-first: a write waited {took:?}, as long as a copy takes");
    tune(guest, &["--write-policy", "copy-first"])?;
    let took = write(27)?;
    guest.log(format!("copy-first: {took:?}"));
    // For the copy of its chunk, and then for the destination.
    ensure!(took >= 2 * SLOW, "copy-first: a write took only {took:?}, and its chunk's copy more");
    slow_data(guest, &slow, 0)?;
    moving.wait(END)?.ok()?;
    for mib in [31_u64, 27] {
        let region = crate::guest::Region::new(&lv, mib * 2048 + 9, 8);
        let found = guest.read_region(&region)?;
        ensure!(found == [mib as u8; 4096], "the write to MiB {mib} is lost");
    }
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// Chunks of `whole_chunks`, and their bytes: as long as the longest request.
const CHUNKS: u64 = 40;
const CHUNK: u64 = 256 << 10;

fn whole_chunks(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = rig_of(guest, vec![guest.disk("pv1")?, slow.path()], "256k")?;
    // An extent on its own makes chunks of its size.
    let lv = rig.lv("lv", 40, &[rig.pv_at(1, "0-0"), rig.pv_at(1, "5-43")])?;
    fill(guest, &lv, 0, CHUNKS * CHUNK / 512, 3521)?;
    slow_data(guest, &slow, 2000)?;
    let args = ["--skip-read-check", &rig.pv(1), &rig.pv(2)];
    let mut moving = HeldMove::start(guest, &args)?;
    mirrored(&rig, "lv")?;
    let read_before = counted(guest, &rig.devices[0])?.read_sectors * 512;
    let written_before = counted(guest, &rig.devices[1])?.written_sectors * 512;
    write_all_chunks(&lv)?;
    slow_data(guest, &slow, 0)?;
    moving.equal()?;
    let read = counted(guest, &rig.devices[0])?.read_sectors * 512 - read_before;
    let written = counted(guest, &rig.devices[1])?.written_sectors * 512 - written_before;
    guest.log(format!("{read} bytes were read to be copied, {written} written"));
    // Four copies at once have begun before; some more may have slipped in.
    ensure!(read <= 12 * CHUNK, "{read} bytes were copied that were written over as a whole");
    let most = (CHUNKS + 12) * CHUNK;
    ensure!(written <= most, "{written} bytes were written to the destination, not {most}");
    ensure!(written >= CHUNKS * CHUNK, "only {written} bytes reached the destination");
    legs_are_equal(&rig)?;
    moving.finish()?;
    let mut expected = vec![0; CHUNK as usize];
    for chunk in 0..CHUNKS {
        noise(9000 + chunk, &mut expected);
        let region = crate::guest::Region::new(&lv, chunk * CHUNK / 512, CHUNK / 512);
        ensure!(guest.read_region(&region)? == expected, "chunk {chunk} reads differently");
    }
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// Writes every chunk whole, all at once.
fn write_all_chunks(lv: &Path) -> Result<()> {
    let file = open(lv)?;
    let write = |chunk: u64| {
        let mut buffer = Aligned::new(CHUNK as usize);
        noise(9000 + chunk, buffer.bytes_mut());
        file.write_all_at(buffer.bytes(), chunk * CHUNK)
    };
    std::thread::scope(|scope| {
        // From the end, since the copy begins at the start.
        let threads: Vec<_> =
            (0..CHUNKS).rev().map(|chunk| scope.spawn(move || write(chunk))).collect();
        for thread in threads {
            match thread.join() {
                Ok(written) => written.context("writing a whole chunk")?,
                Err(_) => bail!("a thread that writes a chunk panicked"),
            }
        }
        Ok(())
    })
}

fn open(lv: &Path) -> Result<File> {
    let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
    File::options().write(true).custom_flags(flag).open(lv).context("opening the LV")
}
