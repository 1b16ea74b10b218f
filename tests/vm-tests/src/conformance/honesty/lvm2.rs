//! LVM2 on two devices: a VG with an LV on the first and an application on it, made anew for each fault.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture::{HANG, served};
use crate::guest::{Background, Guest};
use crate::writer::{Config, Writer};

/// Extents of 1 MiB that the LV has.
pub(super) const EXTENTS: u64 = 8;
/// Sectors before the data on a PV.
pub(super) const HEAD: u64 = 2048;
/// The device of the LV while it moves.
const MIRROR: &str = "cvg-pvmove0";

/// LVM2, told to look at these two devices alone: else it finds its PVs once more on the disks below.
pub(super) struct Lvm2<'g> {
    pub(super) guest: &'g Guest,
    pub(super) pvs: [String; 2],
}

impl<'g> Lvm2<'g> {
    fn spawn_any(&self, args: &[&str]) -> Result<Background<'g>> {
        let only = ["--devices", &self.pvs.join(",")];
        self.guest.spawn_env(&[], "lvm", &[args, &only].concat())
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        Ok(self.spawn_any(args)?.wait(Duration::from_secs(50))?.ok()?.stdout)
    }

    /// The VG, the LV, and an application that has written all of it, and pauses.
    pub(super) fn begin(&self, seed: u64) -> Result<Writer> {
        let [one, two] = &self.pvs;
        self.run(&["vgcreate", "-s", "1m", "cvg", one, two])?;
        let extents = EXTENTS.to_string();
        self.run(&["lvcreate", "-an", "-Zn", "-Wn", "-l", &extents, "-n", "lv", "cvg", one])?;
        self.run(&["lvchange", "-ay", "cvg/lv"])?;
        let table = self.guest.dm_table("cvg-lv")?;
        let starts = table.split_whitespace().last() == Some(&HEAD.to_string());
        ensure!(starts, "the LV does not start at sector {HEAD} of its PV: {table}");
        let writer = Writer::start(Config::new(Path::new("/dev/mapper/cvg-lv"), seed))?;
        served(&writer)?;
        writer.pause();
        Ok(writer)
    }

    /// `pvmove` from the first to the second.
    pub(super) fn spawn_move(&self, args: &[&str]) -> Result<Background<'g>> {
        let [one, two] = &self.pvs;
        self.spawn_any(&[&["pvmove"], args, &[one, two]].concat())
    }

    /// Waits until this is true of the chunks that are copied, and of all.
    pub(super) fn wait_for_chunks(&self, enough: impl Fn(u64, u64) -> bool) -> Result<()> {
        self.guest.wait_for("LVM2's mirror is so far", HANG, || {
            if self.guest.dm_device(MIRROR)?.is_none() {
                return Ok(false);
            }
            let status = self.guest.dm_status(MIRROR)?;
            let chunks = status.split_whitespace().find_map(|word| {
                let (done, all) = word.split_once('/')?;
                Some((done.parse().ok()?, all.parse().ok()?))
            });
            Ok(chunks.is_some_and(|(done, all)| enough(done, all)))
        })
    }

    /// Lets go on what a command left suspended.
    pub(super) fn resume_all(&self) -> Result<()> {
        for device in self.ours()? {
            self.guest.run("dmsetup", &["resume", "--noudevsync", &device])?;
        }
        Ok(())
    }

    /// Takes everything away, whatever state it is in.
    pub(super) fn end(&self) -> Result<()> {
        self.guest.wait_for("LVM2's devices go", HANG, || {
            for device in self.ours()? {
                self.guest.run("dmsetup", &["remove", "--noudevsync", "--force", &device])?;
            }
            Ok(self.ours()?.is_empty())
        })?;
        // Without udev nobody else takes the links away, and vgcreate minds them.
        if Path::new("/dev/cvg").exists() {
            std::fs::remove_dir_all("/dev/cvg").context("removing LVM2's links")?;
        }
        for pv in &self.pvs {
            self.guest.sh(&format!("dd if=/dev/zero of={pv} bs=1M count=1 oflag=direct"))?;
        }
        Ok(())
    }

    /// The LV before the mirror below it.
    fn ours(&self) -> Result<Vec<String>> {
        let names = self.guest.dm_devices()?.into_iter().map(|device| device.name);
        let mut names: Vec<String> = names.filter(|name| name.starts_with("cvg-")).collect();
        names.sort();
        Ok(names)
    }
}
