//! A file system on an LV that moves, recorded; and what recovery makes of the disks as a power cut
//! left them. `cargo xtask power` boots the second part on crash images of the first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::{self, DATA, EXTENT, Rig, lv_path};
use crate::guest::{Fs, Guest, Mounted, Side};
use crate::scenario::{Disk, Scenario};
use crate::side_disk::Note;
use crate::writer::hash::mix;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power-fs-ext4",
        about: "ext4 on an LV that moves, recorded, then recovered from crash images",
        disks: fixture::TWO,
        run: |guest| run(guest, Fs::Ext4, 16, 16),
        ..BASE
    },
    Scenario {
        name: "power-fs-xfs",
        about: "xfs on an LV of which a part moves, recorded, then recovered from crash images",
        disks: &[Disk::new("pv1", 344), Disk::new("pv2", 32)],
        run: |guest| run(guest, Fs::Xfs, 320, 16),
        ..BASE
    },
    Scenario {
        name: "power-fs-btrfs",
        about: "btrfs on an LV of which a part moves, recorded, then recovered from crash images",
        disks: &[Disk::new("pv1", 152), Disk::new("pv2", 48)],
        run: |guest| run(guest, Fs::Btrfs, 136, 32),
        ..BASE
    },
];

const BASE: Scenario = Scenario {
    state_disk: true,
    volatile: true,
    hidden: true,
    timeout_s: 600,
    // One that records, and any number of recoveries that are told that they are the second.
    boots: 2,
    ..Scenario::DEFAULT
};

/// Bytes of a file.
const FILE: usize = 12_345;

fn run(guest: &Guest, fs: Fs, extents: u32, moved: u32) -> Result<()> {
    if guest.boot() == 1 { record(guest, fs, extents, moved) } else { recover(guest, fs) }
}

fn record(guest: &Guest, fs: Fs, extents: u32, moved: u32) -> Result<()> {
    let side = guest.side()?;
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", extents, &[rig.pv(1)])?;
    guest.mkfs(fs, &lv)?;
    let mounted = guest.mount(fs, &lv, "lv")?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write_files(&side, mounted.dir(), &stop));
        let moved = || -> Result<()> {
            std::thread::sleep(Duration::from_millis(500));
            side.mark("begin")?;
            side.command(format!("delay pv2 write {DATA}+{} 200", 2 * EXTENT))?;
            let range = rig.pv_at(1, &format!("0-{}", moved - 1));
            rig.pvmove(&[&range, &rig.pv(2)])?.ok()?;
            side.mark("moved")?;
            side.command("clear pv2")
        };
        let moved = moved();
        stop.store(true, Ordering::SeqCst);
        writing.join().expect("a thread that does not panic")?;
        moved
    })?;
    side.mark("end")?;
    mounted.umount()?;
    check_fs(guest, fs, &lv)
}

/// Writes files, each durable with its name before it is noted; every third is renamed over an older.
fn write_files(side: &Side, dir: &Path, stop: &AtomicBool) -> Result<()> {
    let mut version = 0u64;
    while !stop.load(Ordering::SeqCst) {
        version += 1;
        let name = if version.is_multiple_of(3) { version / 6 } else { version };
        let (new, path) = (dir.join("new"), dir.join(format!("file-{name}")));
        let mut file = File::create(&new).with_context(|| format!("creating {}", new.display()))?;
        file.write_all(&bytes(version))?;
        file.sync_all().with_context(|| format!("fsync of {}", new.display()))?;
        std::fs::rename(&new, &path)?;
        File::open(dir)?.sync_all().context("fsync of the directory")?;
        side.mark(format!("fsynced file-{name} {version}"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn bytes(version: u64) -> Vec<u8> {
    let mut state = mix(version);
    let mut bytes = version.to_le_bytes().to_vec();
    while bytes.len() < FILE {
        state = mix(state);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(FILE);
    bytes
}

/// After the power cut: the move is carried on under the mounted file system; nothing is lost.
fn recover(guest: &Guest, fs: Fs) -> Result<()> {
    let notes = guest.side()?.notes()?;
    let said_moved = notes.contains(&Note::Mark("moved".to_owned()));
    let devices = vec![guest.disk("pv1")?, guest.disk("pv2")?];
    let rig = Rig::found(guest, devices);
    let before = rig.newest_meta()?.states();
    guest.log(format!("recorded: {before:?}; the move was said to be done: {said_moved}"));
    ensure!(!said_moved || before.is_empty(), "it was said to be done and is {before:?}");
    guest.lvshift(&["vgchange", "-a", "y"])?.ok()?;
    let lv = lv_path("lv");
    let mounted = guest.mount(fs, &lv, "lv")?;
    let files = check_files(&mounted, &notes)?;
    guest.log(format!("{files} files that were fsynced are there"));
    match before.as_slice() {
        [] => {}
        [MoveState::Aborting] => drop(rig.pvmove(&[])?.fails_with(5)?),
        _ => drop(rig.pvmove(&[])?.ok()?),
    }
    guest.drop_caches()?;
    check_files(&mounted, &notes)?;
    mounted.umount()?;
    check_fs(guest, fs, &lv)?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn check_fs(guest: &Guest, fs: Fs, lv: &Path) -> Result<()> {
    guest.fsck(fs, lv).map(drop)
}

/// Of each name the newest version that was fsynced, or a newer one, is there and whole.
fn check_files(mounted: &Mounted<'_>, notes: &[Note]) -> Result<usize> {
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for note in notes {
        if let Note::Mark(text) = note
            && let ["fsynced", name, version] = text.split(' ').collect::<Vec<_>>()[..]
        {
            expected.insert(name, version.parse()?);
        }
    }
    for (name, version) in &expected {
        let path = mounted.join(name);
        let found = std::fs::read(&path).with_context(|| format!("{} is lost", path.display()))?;
        let word = found.first_chunk().context("it is shorter than its number")?;
        let there = u64::from_le_bytes(*word);
        ensure!(there >= *version, "{name}: version {version} was fsynced, found {there}");
        ensure!(found == bytes(there), "{name}: its bytes are not those of version {there}");
    }
    Ok(expected.len())
}
