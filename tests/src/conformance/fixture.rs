//! What scenarios share: a VG, a writer on an LV, and the last look at everything.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;

use super::fixture_meta::{Meta, Place};
use crate::guest::{Background, Guest, Region, Run};
use crate::scenario::{Disk, Frontend};
use crate::writer::{Config, Writer};

/// The name of the VG of most scenarios.
pub(super) const VG: &str = "vg";
/// How long the application may have to wait before it counts as hung.
pub(super) const HANG: Duration = Duration::from_secs(20);
/// The environment variable that makes a move die, fail or stop at a named point.
pub(super) const FAIL: &str = "LVSHIFT_FAIL_AT";
/// Where extent 0 starts on a PV made by `pvcreate`, in sectors.
pub(super) const DATA: u64 = 16_384;
/// Sectors of the 1 MiB extents that scenarios use.
pub(super) const EXTENT: u64 = 2048;

/// Four small disks: 24 extents of 1 MiB on each.
pub(super) const FOUR: &[Disk] =
    &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("pv3", 32), Disk::new("pv4", 32)];
/// Two small disks.
pub(super) const TWO: &[Disk] = &[Disk::new("pv1", 32), Disk::new("pv2", 32)];
/// Three small disks.
pub(super) const THREE: &[Disk] =
    &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("pv3", 32)];

/// A VG with 1 MiB extents.
pub(super) struct Rig<'g> {
    pub(super) guest: &'g Guest,
    pub(super) devices: Vec<PathBuf>,
    /// The rate limit that moves get which are begun now; see `fixture_copy`.
    pub(super) limit: Cell<&'static [&'static str]>,
}

impl<'g> Rig<'g> {
    /// Makes PVs of these disks and a VG of the PVs.
    ///
    /// # Errors
    /// If a command fails.
    pub(super) fn new(guest: &'g Guest, disks: &[&str]) -> Result<Rig<'g>> {
        let devices: Result<Vec<_>> = disks.iter().map(|disk| guest.disk(disk)).collect();
        Rig::over(guest, devices?)
    }

    /// The same over any devices.
    ///
    /// # Errors
    /// If a command fails.
    pub(super) fn over(guest: &'g Guest, devices: Vec<PathBuf>) -> Result<Rig<'g>> {
        let rig = Rig::found(guest, devices);
        let names = rig.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        guest.lvshift(&[&["pvcreate"], &names[..]].concat())?.ok()?;
        guest.lvshift(&[&["vgcreate", "-s", "1m", VG], &names[..]].concat())?.ok()?;
        Ok(rig)
    }

    /// A VG that is there already, after a reboot.
    pub(super) fn found(guest: &'g Guest, devices: Vec<PathBuf>) -> Rig<'g> {
        Rig { guest, devices, limit: Cell::new(&[]) }
    }

    /// The path of a PV, from 1 as in `pv1`.
    pub(super) fn pv(&self, number: usize) -> String {
        self.devices[number - 1].display().to_string()
    }

    /// The path of a PV with `:RANGE` behind it.
    pub(super) fn pv_at(&self, number: usize, range: &str) -> String {
        format!("{}:{range}", self.pv(number))
    }

    fn names(&self) -> Vec<String> {
        (1..=self.devices.len()).map(|n| self.pv(n)).collect()
    }

    /// `lvcreate -n NAME -l EXTENTS vg PLACES`; the node is there afterwards.
    ///
    /// # Errors
    /// If the command fails or the link is missing.
    pub(super) fn lv(&self, name: &str, extents: u32, places: &[String]) -> Result<PathBuf> {
        let extents = extents.to_string();
        let mut args = vec!["lvcreate", "-n", name, "-l", &extents, VG];
        args.extend(places.iter().map(String::as_str));
        self.guest.lvshift(&args)?.ok()?;
        let path = lv_path(name);
        ensure!(path.exists(), "lvcreate left no {}", path.display());
        Ok(path)
    }

    /// `pvmove` with these arguments and the shortest interval.
    ///
    /// # Errors
    /// If it cannot be run; a failing status is no error.
    pub(super) fn pvmove(&self, args: &[&str]) -> Result<Run> {
        self.guest.lvshift(&[&["pvmove"], args].concat())
    }

    /// `pvmove` with a fail point.
    ///
    /// # Errors
    /// As [`Rig::pvmove`].
    pub(super) fn pvmove_at(&self, point: &str, args: &[&str]) -> Result<Run> {
        self.guest.lvshift_env(&[(FAIL, point)], &[&["pvmove"], args].concat())
    }

    /// `pvmove` in the background of the scenario.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn spawn_move(&self, args: &[&str]) -> Result<Background<'g>> {
        self.guest.spawn(&[&["pvmove"], self.rate_limit(), args].concat())
    }

    /// The metadata, read from the disks; all PVs must agree.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn meta(&self) -> Result<Meta> {
        Meta::read(self.guest, &self.devices)
    }

    /// As [`Rig::meta`] after a crash, when a commit may stand on some PVs only: what the PV with
    /// the highest sequence number says.
    ///
    /// # Errors
    /// If no PV holds metadata that can be read.
    pub(super) fn newest_meta(&self) -> Result<Meta> {
        Meta::read_newest(self.guest, &self.devices)
    }

    /// Fails unless the LV lies exactly there: (number of the PV, first extent, count).
    ///
    /// # Errors
    /// Where it lies.
    pub(super) fn lies(&self, lv: &str, at: &[(usize, u32, u32)]) -> Result<()> {
        let expected: Vec<Place> =
            at.iter().map(|(pv, pe, n)| (self.devices[pv - 1].clone(), *pe, *n)).collect();
        let found = self.meta()?.places(lv)?;
        ensure!(found == expected, "{lv} should lie at {expected:?} and lies at {found:?}");
        Ok(())
    }

    /// The number of the one PV that the whole LV lies on.
    ///
    /// # Errors
    /// If there are several.
    pub(super) fn home(&self, lv: &str) -> Result<usize> {
        let places = self.meta()?.places(lv)?;
        let device = &places.first().context("an LV without extents")?.0;
        ensure!(places.iter().all(|(d, ..)| d == device), "{lv} lies on several PVs: {places:?}");
        let at = self.devices.iter().position(|d| d == device).context("on no PV")?;
        Ok(at + 1)
    }

    /// Fails unless reading the LV gives what stands at the places that the metadata names: the
    /// table that the kernel runs is the one meant.
    ///
    /// # Errors
    /// The first sector that differs.
    pub(super) fn reads_from_its_places(&self, lv: &str) -> Result<()> {
        self.guest.drop_caches()?;
        let (meta, mut at) = (self.meta()?, 0);
        for (device, pe, count) in meta.places(lv)? {
            let sectors = u64::from(count) * meta.extent_sectors;
            let on_pv = Region::new(&device, meta.sector_of(&device, pe)?, sectors);
            self.guest.same_bytes(&Region::new(lv_path(lv), at, sectors), &on_pv)?;
            at += sectors;
        }
        Ok(())
    }

    /// Everything is as it should be when nothing moves: `vgck` content, every PV with the same
    /// metadata, no move recorded, no helper device left.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn at_rest(&self) -> Result<Meta> {
        self.guest.lvshift(&["vgck", VG])?.ok()?;
        let meta = self.meta()?;
        ensure!(meta.moves.is_empty(), "moves are recorded: {:?}", meta.states());
        ensure!(meta.parts.is_empty(), "parts of moves are recorded");
        if self.guest.frontend() == Frontend::Dm {
            let ours = self.guest.dm_devices()?.into_iter().filter(|d| d.uuid.contains(&meta.uuid));
            for device in ours {
                let known = meta.lvs.iter().any(|lv| {
                    let name = String::from_utf8_lossy(lv.name.as_bytes()).replace('-', "--");
                    device.name == format!("{}-{name}", meta.name.replace('-', "--"))
                });
                ensure!(known, "a device is left over: {device:?}");
                let table = self.guest.dm_table(&device.name)?;
                ensure!(
                    table.lines().all(|line| line.split(' ').nth(2) == Some("linear")),
                    "{} is not plain when nothing moves:\n{table}",
                    device.name
                );
            }
        }
        Ok(meta)
    }

    /// Hashes of what lies before the data on every PV: labels, metadata, logs.
    ///
    /// # Errors
    /// If a PV cannot be read.
    pub(super) fn heads(&self) -> Result<Vec<u64>> {
        let head = |device: &PathBuf| self.guest.hash_region(&Region::new(device, 0, DATA));
        self.devices.iter().map(head).collect()
    }

    /// Waits until a move is recorded in that state.
    ///
    /// # Errors
    /// If it does not happen.
    pub(super) fn wait_for_state(&self, state: MoveState) -> Result<()> {
        self.guest.wait_for(&format!("a move is {state:?}"), HANG, || {
            Ok(self.meta().is_ok_and(|meta| meta.states().contains(&state)))
        })
    }
}

/// `/dev/vg/NAME`.
pub(super) fn lv_path(name: &str) -> PathBuf {
    Path::new("/dev").join(VG).join(name)
}

/// A writer over a whole LV, at work already.
///
/// # Errors
/// If the LV cannot be opened or written.
pub(super) fn writer(path: &Path, seed: u64) -> Result<Writer> {
    let writer = Writer::start(Config::new(path, seed))?;
    writer.wait_for_writes(10, HANG)?;
    Ok(writer)
}

/// The application is still served.
///
/// # Errors
/// If it hangs.
pub(super) fn served(writer: &Writer) -> Result<()> {
    writer.wait_for_writes(10, HANG)
}

/// Whether an LV in use can grow: on ublk only where the driver can resize a device, since Linux 6.16.
///
/// # Errors
/// If the kernel does not say which one it is.
pub(super) fn grows_in_use(guest: &Guest) -> Result<bool> {
    if guest.frontend() == Frontend::Dm {
        return Ok(true);
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let mut number = || numbers.next().with_context(|| format!("a kernel called {release}"));
    Ok((number()??, number()??) >= (6, 16))
}
