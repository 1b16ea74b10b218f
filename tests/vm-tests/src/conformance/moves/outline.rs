//! The outline: a mounted LV over three PVs, the middle one moves to a fourth.
//!
//! The move is stopped (not delayed) where the second picture must be true, so nothing races.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;
use rustix::process::Signal;

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, EXTENT, FAIL, Rig, VG, lv_path};
use crate::guest::{Fs, Guest};
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "outline-ext4",
        about: "a mounted ext4 over three PVs; the middle PV moves to a fourth; tables as pictured",
        disks: fixture::FOUR,
        run: |guest| outline(guest, Fs::Ext4, 20),
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "outline-xfs",
        about: "the same with xfs",
        disks: &[
            Disk::new("pv1", 140),
            Disk::new("pv2", 140),
            Disk::new("pv3", 140),
            Disk::new("pv4", 140),
        ],
        run: |guest| outline(guest, Fs::Xfs, 110),
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "outline-raw",
        about: "the same under a writer on the whole device, with only part of the LV on the source",
        disks: fixture::FOUR,
        run: raw,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

fn outline(guest: &mut Guest, fs: Fs, each: u32) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3", "pv4"])?;
    let range = format!("0-{}", each - 1);
    let places = [rig.pv_at(1, &range), rig.pv_at(2, &range), rig.pv_at(3, &range)];
    let lv = rig.lv("lv", 3 * each, &places)?;
    let free_before = rig.meta()?.free_on(&rig.devices[1])?;
    let number = guest.major_minor(&lv)?;

    guest.mkfs(fs, &lv)?;
    let mounted = guest.mount(fs, &lv, "lv")?;
    mounted.fill("data", 24, 700_000, 3)?;
    let hashes = mounted.hash("data")?;
    let file = mounted.join("writer.bin");
    guest.sh(&format!("dd if=/dev/zero of={} bs=64k count=64 conv=fsync", file.display()))?;
    let writer = Writer::start(Config::new(&file, 17))?;
    fixture::served(&writer)?;

    let before = pictured(&rig, &number, &[(1, 0, each), (2, 0, each), (3, 0, each)])?;
    let pvs = [rig.pv(2), rig.pv(4)];
    let mut moving = guest.spawn_env(
        &[(FAIL, "stop:check-legs")],
        guest.frontend().binary(),
        &["pvmove", "--pace=none", &pvs[0], &pvs[1]],
    )?;
    stopped_at(guest, &mut moving)?;
    ensure!(rig.meta()?.states() == [MoveState::Copying], "the record says Copying by now");
    during(&rig, &number, &before, each)?;
    fixture::served(&writer).context("while the mover stands still")?;
    moving.signal(Signal::CONT)?;
    moving.wait(fixture::HANG)?.ok()?;

    ensure!(guest.major_minor(&lv)? == number, "the LV's number changed");
    pictured(&rig, &number, &[(1, 0, each), (4, 0, each), (3, 0, each)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    mounted.same_tree("data", &hashes)?;
    mounted.umount()?;
    guest.fsck(fs, &lv)?;
    let meta = rig.at_rest()?;
    rig.lies("lv", &[(1, 0, each), (4, 0, each), (3, 0, each)])?;
    ensure!(meta.free_on(&rig.devices[1])? == free_before + each, "the source is not free again");
    rig.reads_from_its_places("lv")
}

fn raw(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3", "pv4"])?;
    // Not from extent 0, so that a forgotten offset is seen.
    let places = [rig.pv_at(1, "3-7"), rig.pv_at(2, "5-12"), rig.pv_at(3, "1-4")];
    let lv = rig.lv("lv", 17, &places)?;
    let number = guest.major_minor(&lv)?;
    let writer = fixture::writer(&lv, 18)?;
    pictured(&rig, &number, &[(1, 3, 5), (2, 5, 8), (3, 1, 4)])?;
    rig.pvmove(&[&rig.pv(2), &rig.pv(4)])?.ok()?;
    ensure!(guest.major_minor(&lv)? == number, "the LV's number changed");
    pictured(&rig, &number, &[(1, 3, 5), (4, 0, 8), (3, 1, 4)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// The first and the third picture: one linear target for each PV, and nothing else.
fn pictured(rig: &Rig<'_>, number: &str, places: &[(usize, u32, u32)]) -> Result<String> {
    let guest = rig.guest;
    if guest.frontend() != Frontend::Dm {
        return Ok(String::new());
    }
    let mut expected = String::new();
    let mut at = 0;
    for (pv, pe, count) in places {
        let device = guest.major_minor(&rig.devices[pv - 1])?;
        let start = fixture::DATA + u64::from(*pe) * EXTENT;
        let sectors = u64::from(*count) * EXTENT;
        expected.push_str(&format!("{at} {sectors} linear {device} {start}\n"));
        at += sectors;
    }
    let device = guest.dm_device("vg-lv")?.context("the LV has no dm device")?;
    ensure!(device.number == number, "the LV is {} and was {number}", device.number);
    let table = guest.dm_table("vg-lv")?;
    ensure!(table == expected, "the kernel runs\n{table}and not\n{expected}");
    let ours = guest.dm_devices()?.into_iter().filter(|d| d.uuid.contains("LVSHIFT")).count();
    ensure!(ours == 1, "the picture shows one device, there are {ours}");
    Ok(table)
}

/// The second picture: the LV is linear onto the shadow at its ends and a mirror (shadow ->
/// destination) in the middle; the shadow has the old table.
fn during(rig: &Rig<'_>, number: &str, before: &str, each: u32) -> Result<()> {
    let guest = rig.guest;
    if guest.frontend() != Frontend::Dm {
        return Ok(());
    }
    let each = u64::from(each) * EXTENT;
    let table = guest.dm_table("vg-lv")?;
    let destination = guest.major_minor(&rig.devices[3])?;
    let mut shadow = None;
    let mut next = 0;
    for line in table.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (start, sectors): (u64, u64) = (words[0].parse()?, words[1].parse()?);
        ensure!(start == next, "a hole in the table:\n{table}");
        next = start + sectors;
        let (device, offset) = if words[2] == "linear" {
            ensure!(next <= each || start >= 2 * each, "not mirrored: {line}");
            (words[3], words[4])
        } else {
            ensure!(words[2] == "mirror", "a target nobody asked for: {line}");
            ensure!(start >= each && next <= 2 * each, "mirrored though it does not move: {line}");
            ensure!(words[3] == "disk", "the log is not on disk: {line}");
            let logs: usize = words[4].parse()?;
            let legs = &words[5 + logs..];
            ensure!(legs[0] == "2" && legs[5..] == ["1", "handle_errors"], "{line}");
            let place: u64 = legs[4].parse()?;
            ensure!(legs[3] == destination, "the second leg is {}: {line}", legs[3]);
            ensure!(place == fixture::DATA + start - each, "second leg misplaced: {line}");
            (legs[1], legs[2])
        };
        ensure!(offset.parse::<u64>()? == start, "not at the same offset of the shadow: {line}");
        ensure!(*shadow.get_or_insert(device) == device, "two shadows:\n{table}");
    }
    ensure!(next == 3 * each, "the table ends at {next}:\n{table}");
    let shadow = shadow.context("no shadow")?;
    ensure!(shadow != number, "the LV maps onto itself");
    let devices = guest.dm_devices()?;
    let name =
        &devices.iter().find(|d| d.number == shadow).context("the shadow is no device")?.name;
    let old = guest.dm_table(name)?;
    ensure!(old == before, "the shadow {name} has\n{old}and not the old table\n{before}");
    ensure!(devices.iter().all(|d| !d.suspended), "something is suspended: {devices:?}");
    let lv = guest.dm_device(&format!("{VG}-lv"))?.context("the LV is gone")?;
    ensure!(lv.number == number, "the LV's number changed to {}", lv.number);
    ensure!(Path::new(&lv_path("lv")).exists(), "the LV's link is gone");
    Ok(())
}
