//! Metadata that cannot be believed: damaged, cloned, stale, newer than this program.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use lvshift_on_disk_format::checksum::crc32c;
use lvshift_on_disk_format::layout::label as at;
use lvshift_on_disk_format::{Label, LabelCopy, SlotIndex};

use crate::conformance::fixture::meta::label;
use crate::conformance::fixture::{self, DATA, Rig, VG, lv_path};
use crate::guest::{Guest, Region};
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "damage-one-copy",
        about: "a bad label or slot on one PV: everything works, vgck names it, a commit repairs it",
        disks: fixture::THREE,
        run: one_copy,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "damage-all-copies",
        about: "every slot of every PV is bad, or every label: refused, nothing written",
        disks: fixture::TWO,
        run: all_copies,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "damage-clone",
        about: "a PV that is there twice is refused on both devices until one goes",
        disks: fixture::THREE,
        run: clone,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "damage-stale",
        about: "an old copy of a PV comes back: it never wins",
        disks: fixture::TWO,
        run: stale,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "damage-newer-format",
        about: "an unknown feature bit is refused by name, and nothing is written",
        disks: fixture::TWO,
        run: newer_format,
        ..Scenario::DEFAULT
    },
];

/// Overwrites eight sectors with what belongs to nobody; gives back what was there.
fn spoil(guest: &Guest, device: &Path, sector: u64) -> Result<Vec<u8>> {
    let old = guest.read_region(&Region::new(device, sector, 8))?;
    let bad: Vec<u8> = old.iter().map(|byte| byte ^ 0x5a).collect();
    guest.write_sectors(device, sector, &bad)?;
    Ok(old)
}

/// Where the slots of a PV start.
fn slots(guest: &Guest, device: &Path) -> Result<[u64; 2]> {
    let geometry = label(guest, device, LabelCopy::First)?.geometry();
    Ok(SlotIndex::ALL.map(|index| geometry.slot(index).start))
}

fn one_copy(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 801)?;
    let [zero, one] = slots(guest, &rig.devices[1])?;
    let places = [("slot 0", zero), ("slot 1", one), ("payload of slot 0", zero + 8)];
    let labels = LabelCopy::ALL.map(|copy| ("label", copy.start()));
    for (what, sector) in places.into_iter().chain(labels) {
        let trial = || -> Result<()> {
            spoil(guest, &rig.devices[1], sector)?;
            let run = guest.lvshift(&["vgck", VG])?.fails_with(5)?;
            let said = format!("{}{}", run.stdout, run.stderr);
            ensure!(said.contains(&rig.pv(2)), "does not name the PV: {run}");
            guest.lvshift(&["lvs", VG])?.ok()?.stdout_has("lv")?;
            rig.newest_meta()?;
            // Two commits, since slots are written in turn; then all is well.
            guest.lvshift(&["lvrename", "vg/lv", "renamed"])?.ok()?;
            guest.lvshift(&["lvrename", "vg/renamed", "lv"])?.ok()?;
            rig.at_rest()?;
            fixture::served(&writer)
        };
        trial().with_context(|| format!("{what} of pv2 is bad"))?;
    }
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

fn all_copies(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 811)?;
    let commands: &[&[&str]] = &[
        &["vgck", VG],
        &["lvcreate", "-n", "x", "-l", "1", VG],
        &["vgchange", "-a", "y", VG],
        &["pvmove", &rig.pv(1), &rig.pv(2)],
    ];
    let mut all = Vec::new();
    for device in &rig.devices {
        all.extend(slots(guest, device)?.map(|sector| (device.clone(), sector)));
    }
    let labels = rig.devices.iter().flat_map(|d| LabelCopy::ALL.map(|c| (d.clone(), c.start())));
    for places in [all.clone(), labels.collect()] {
        let mut old = Vec::new();
        for (device, sector) in &places {
            old.push(spoil(guest, device, *sector)?);
        }
        let heads = rig.heads()?;
        for args in commands {
            let run = guest.lvshift(args)?.fails_with(5)?;
            ensure!(rig.heads()? == heads, "it wrote over what it cannot read: {run}");
        }
        // Reports do not fall over it either; the LV that runs goes on running.
        guest.lvshift(&["pvs"])?;
        guest.lvshift(&["lvs"])?;
        fixture::served(&writer)?;
        for ((device, sector), old) in places.iter().zip(old) {
            guest.write_sectors(device, *sector, &old)?;
        }
        rig.at_rest()?;
    }
    writer.stop()?.clean().map(drop)
}

fn clone(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 821)?;
    let copy = guest.disk("pv3")?;
    guest.sh(&format!("dd if={} of={} bs=1M conv=fsync", rig.pv(2), copy.display()))?;
    let all = Rig::found(guest, [&rig.devices[..], std::slice::from_ref(&copy)].concat());
    let heads = all.heads()?;
    let copy_path = copy.display().to_string();
    for args in [
        &["pvmove", &rig.pv(1), &rig.pv(2)][..],
        &["pvmove", &rig.pv(1), &copy_path],
        &["lvcreate", "-n", "x", "-l", "1", VG],
        &["vgck", VG],
    ] {
        let run = guest.lvshift(args)?.fails_with(5)?;
        let said = format!("{}{}", run.stdout, run.stderr);
        ensure!(said.contains(&rig.pv(2)), "does not name the one: {run}");
        ensure!(said.contains(&copy_path), "does not name the other: {run}");
    }
    ensure!(all.heads()? == heads, "a refusal wrote something");
    fixture::served(&writer)?;
    guest.sh(&format!("dd if=/dev/zero of={copy_path} bs=1M conv=fsync count=8"))?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, 4)])
}

fn stale(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 831)?;
    let old = guest.read_region(&Region::new(&rig.devices[1], 0, DATA))?;
    rig.lv("new", 2, &[rig.pv(1)])?;
    rig.pvmove(&["-n", "new", &rig.pv(1), &rig.pv(2)])?.ok()?;
    let new = rig.at_rest()?;
    guest.write_sectors(&rig.devices[1], 0, &old)?;
    let run = guest.lvshift(&["vgck", VG])?.fails_with(5)?;
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(said.contains(&rig.pv(2)), "does not name the old PV: {run}");
    guest.lvshift(&["lvs", "--noheadings", "-o", "lv_name", VG])?.ok()?.stdout_has("new")?;
    ensure!(rig.newest_meta()?.sequence >= new.sequence, "the sequence number went back");
    fixture::served(&writer)?;
    // The next change either heals it or is refused; it never takes the old for the new.
    guest.lvshift(&["lvcreate", "-n", "third", "-l", "1", VG])?;
    let after = rig.newest_meta()?;
    ensure!(after.sequence >= new.sequence, "the sequence number went back");
    let names: Vec<_> = after.lvs.iter().map(|lv| lv.name.as_bytes().to_vec()).collect();
    ensure!(names.contains(&b"new".to_vec()), "an LV was forgotten: {names:?}");
    ensure!(lv_path("new").exists(), "the LV's link is gone");
    fixture::served(&writer)?;
    writer.stop()?.clean().map(drop)
}

fn newer_format(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 841)?;
    let device = &rig.devices[1];
    let mut old = Vec::new();
    for copy in LabelCopy::ALL {
        let bytes = guest.read_region(&Region::new(device, copy.start(), 8))?;
        let mut label: [u8; Label::SIZE] =
            bytes.clone().try_into().map_err(|_| anyhow!("a label is 4096 bytes"))?;
        at::INCOMPAT.put(&mut label, (1u64 << 40).to_le_bytes());
        let sum = crc32c(&label[..at::CRC.start()]);
        at::CRC.put(&mut label, sum.to_le_bytes());
        guest.write_sectors(device, copy.start(), &label)?;
        old.push((copy, bytes));
    }
    let heads = rig.heads()?;
    for args in [
        &["pvmove", &rig.pv(1), &rig.pv(2)][..],
        &["lvcreate", "-n", "x", "-l", "1", VG],
        &["pvcreate", &rig.pv(2)],
        &["vgck", VG],
    ] {
        let run = guest.lvshift(args)?.fails_with(5)?;
        ensure!(run.stderr.contains("0x10000000000"), "does not name the feature bit: {run}");
    }
    ensure!(rig.heads()? == heads, "a refusal wrote something");
    fixture::served(&writer)?;
    for (copy, bytes) in old {
        guest.write_sectors(device, copy.start(), &bytes)?;
    }
    rig.at_rest()?;
    writer.stop()?.clean().map(drop)
}
