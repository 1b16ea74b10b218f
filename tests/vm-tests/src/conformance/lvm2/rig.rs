//! What the scenarios about moves in LVM2's own VGs share: a VG that LVM2 made, a writer on an LV, the last look.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::dirty_log;

use crate::conformance::fixture::{FAIL, HANG, served, unpaced};
use crate::guest::{Background, Faulty, Guest, Region, Run};
use crate::scenario::{Disk, Frontend};
use crate::writer::{Config, Writer};

/// The VG.
pub(super) const VG: &str = "lvg";
/// Sectors before extent 0, as LVM2 lays PVs out.
pub(super) const HEAD: u64 = 2048;
/// Sectors of an extent.
pub(super) const EXTENT: u64 = 2048;

/// Disks that most scenarios need no more of.
pub(super) const TWO: &[Disk] = &[Disk::new("pv1", 32), Disk::new("pv2", 32)];
/// The same.
pub(super) const THREE: &[Disk] =
    &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("pv3", 32)];
/// The same.
pub(super) const FOUR: &[Disk] =
    &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("pv3", 32), Disk::new("pv4", 32)];

/// From here on LVM2 is Debian 13's, for everybody in the guest, until it boots again.
pub(super) fn debian_13(guest: &Guest) -> Result<()> {
    guest.sh("mount --bind /opt/debian13/lvm /usr/sbin/lvm")?;
    guest.run("lvm", &["version"])?.ok()?.stdout_has("2.03.31(")?;
    Ok(())
}

/// A VG of LVM2's with extents of 1 MiB.
pub(super) struct Lvm2<'g> {
    pub(super) guest: &'g Guest,
    pub(super) devices: Vec<PathBuf>,
}

impl<'g> Lvm2<'g> {
    /// Has LVM2 make the VG of these devices, and look at no others: else it finds its PVs once more on the
    /// disks below.
    pub(super) fn over(guest: &'g Guest, devices: Vec<PathBuf>) -> Result<Lvm2<'g>> {
        let rig = Lvm2::found(guest, devices)?;
        let names: Vec<String> = (1..=rig.devices.len()).map(|n| rig.pv(n)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        rig.lvm(&[&["vgcreate", "-s", "1m", VG], &names[..]].concat())?;
        Ok(rig)
    }

    /// The same, of these disks.
    pub(super) fn new(guest: &'g Guest, disks: &[&str]) -> Result<Lvm2<'g>> {
        let devices: Result<Vec<_>> = disks.iter().map(|disk| guest.disk(disk)).collect();
        Lvm2::over(guest, devices?)
    }

    /// A VG that is there already, after a reboot.
    pub(super) fn found(guest: &'g Guest, devices: Vec<PathBuf>) -> Result<Lvm2<'g>> {
        let accept: Vec<String> =
            devices.iter().map(|device| format!("\"a|^{}$|\"", device.display())).collect();
        let conf = format!(
            "activation {{ udev_sync=0 udev_rules=0 monitoring=0 }}\n\
             devices {{ use_devicesfile=0 global_filter=[{}, \"r|.*|\"] }}\n\
             global {{ event_activation=0 use_lvmpolld=0 }}\n\
             backup {{ backup=0 archive=0 }}\n",
            accept.join(", ")
        );
        std::fs::write("/etc/lvm/lvm.conf", conf).context("writing lvm.conf")?;
        guest.modprobe("dm-mirror")?;
        Ok(Lvm2 { guest, devices })
    }

    /// The path of a PV, from 1 as in `pv1`.
    pub(super) fn pv(&self, number: usize) -> String {
        self.devices[number - 1].display().to_string()
    }

    /// A command of LVM2 that must succeed.
    pub(super) fn lvm(&self, args: &[&str]) -> Result<Run> {
        self.lvm_may_fail(args)?.ok()
    }

    /// A command of LVM2.
    pub(super) fn lvm_may_fail(&self, args: &[&str]) -> Result<Run> {
        self.guest.spawn_env(&[], "lvm", args)?.wait(Duration::from_secs(60))
    }

    /// An active LV of these extents, on PVs and ranges in this order.
    pub(super) fn lv(&self, name: &str, pieces: &[(usize, u32)]) -> Result<PathBuf> {
        for (at, (pv, extents)) in pieces.iter().enumerate() {
            let (pv, full) = (self.pv(*pv), format!("{VG}/{name}"));
            let (count, more) = (extents.to_string(), format!("+{extents}"));
            if at == 0 {
                self.lvm(&["lvcreate", "-an", "-Zn", "-Wn", "-l", &count, "-n", name, VG, &pv])?;
            } else {
                self.lvm(&["lvextend", "-l", &more, &full, &pv])?;
            }
        }
        self.activate(name)
    }

    /// Has LVM2 activate the LV.
    pub(super) fn activate(&self, name: &str) -> Result<PathBuf> {
        self.lvm(&["lvchange", "-ay", &format!("{VG}/{name}")])?;
        let path = path(name);
        ensure!(path.exists(), "LVM2 left no {}", path.display());
        Ok(path)
    }

    /// `pvmove` of lvshift.
    pub(super) fn pvmove(&self, args: &[&str]) -> Result<Run> {
        self.guest.lvshift(&[&["pvmove"], unpaced(args), args].concat())
    }

    /// The same with a fail point.
    pub(super) fn pvmove_at(&self, point: &str, args: &[&str]) -> Result<Run> {
        self.guest.lvshift_env(&[(FAIL, point)], &[&["pvmove"], unpaced(args), args].concat())
    }

    /// The same, begun and left running.
    pub(super) fn spawn_move(&self, fail: &str, args: &[&str]) -> Result<Background<'g>> {
        let program = self.guest.frontend().binary();
        self.guest.spawn_env(
            &[(FAIL, fail)],
            program,
            &[&["pvmove", "-i1"], unpaced(args), args].concat(),
        )
    }

    /// Where LVM2 says that an LV lies: `/dev/vda(0),...`, a segment each.
    pub(super) fn lies(&self, name: &str) -> Result<Vec<String>> {
        let full = format!("{VG}/{name}");
        let run = self.lvm(&["lvs", "--noheadings", "--segments", "-o", "devices", &full])?;
        Ok(run.stdout.split_whitespace().map(str::to_owned).collect())
    }

    /// Fails unless all of the LV lies on this PV.
    pub(super) fn is_on(&self, name: &str, pv: usize) -> Result<()> {
        self.are_on(&[name], pv)
    }

    /// The same of several.
    pub(super) fn are_on(&self, names: &[&str], pv: usize) -> Result<()> {
        let full: Vec<String> = names.iter().map(|name| format!("{VG}/{name}")).collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        let fields = ["lvs", "--noheadings", "--segments", "-o", "lv_name,devices"];
        let run = self.lvm(&[&fields, &full[..]].concat())?;
        let start = format!("{}(", self.pv(pv));
        for name in names {
            let of: Vec<_> = run.rows().into_iter().filter(|row| row[0] == *name).collect();
            ensure!(!of.is_empty(), "LVM2 does not tell where {name} lies: {run}");
            for row in of {
                let place = row.get(1).context("a place of LVM2's")?;
                ensure!(place.starts_with(&start), "{name} lies on {place}");
            }
        }
        Ok(())
    }

    /// Nothing of a move is left, in LVM2's metadata or in the kernel; LVM2 finds nothing wrong, and nothing to
    /// change in any table.
    pub(super) fn at_rest(&self) -> Result<()> {
        self.nothing_is_left()?;
        self.refresh_changes_nothing()
    }

    /// The same without the refresh, which LVM2 makes of some kinds of LVs by more than comparing tables.
    pub(super) fn nothing_is_left(&self) -> Result<()> {
        for device in self.guest.dm_devices()? {
            ensure!(!device.name.contains("lvshift"), "a device is left: {device:?}");
        }
        // One command, since each costs an emulated guest as much as a small move: the text names every LV and
        // tag, and LVM2 says on the way if the copies of the metadata do not agree.
        let run = self.lvm(&["vgcfgbackup", "-f", "/run/rest.text", VG])?;
        ensure!(!run.stderr.contains("nconsistent"), "{run}");
        let text = std::fs::read_to_string("/run/rest.text").context("the text of the VG")?;
        ensure!(text.contains(&format!("\n{VG} {{")), "this is not the text of the VG:\n{text}");
        // The host's name and the command may have the word.
        let said = |line: &&str| !line.starts_with(['#', 'c', 'd']) && !line.contains("_host = ");
        let left = text.lines().filter(said).find(|line| line.contains("lvshift"));
        ensure!(left.is_none(), "of a move is left {left:?}:\n{text}");
        ensure!(!text.contains("LOCKED"), "an LV is LOCKED still:\n{text}");
        Ok(())
    }

    /// The last look: who wrote was served and wrote right, and these LVs read as their places do. Then LVM2 takes the
    /// VG down.
    pub(super) fn end(
        &self,
        writers: impl IntoIterator<Item = Writer>,
        lvs: &[&str],
    ) -> Result<()> {
        for writer in writers {
            served(&writer)?;
            writer.stop()?.clean()?;
        }
        lvs.iter().try_for_each(|lv| self.reads_from_its_places(lv))?;
        self.lvm(&["vgchange", "-an", VG]).map(drop)
    }

    /// `lvchange --refresh` of every active LV leaves every table as it was, and loads none.
    pub(super) fn refresh_changes_nothing(&self) -> Result<()> {
        let before = self.tables()?;
        let run = self.lvm(&["vgchange", "--refresh", "-vvvv", VG])?;
        let after = self.tables()?;
        ensure!(before == after, "a refresh changed\n{before}\nto\n{after}");
        // LVM2 names a device once for each table that it loads, unless it finds it the same.
        let told = |text: &str| run.stderr.lines().filter(|line| line.contains(text)).count();
        let (loads, same) = (told("Loading table for"), told("uppressed"));
        ensure!(loads > 0, "LVM2 tells of no table: {run}");
        ensure!(loads == same, "of {loads} tables {same} were the same:\n{run}");
        Ok(())
    }

    /// All tables of the VG's devices.
    pub(super) fn tables(&self) -> Result<String> {
        let mut text = String::new();
        let mut devices = self.guest.dm_devices()?;
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        for device in devices.iter().filter(|device| device.name.starts_with(VG)) {
            text.push_str(&format!("{}: {}\n", device.name, self.guest.dm_table(&device.name)?));
        }
        Ok(text)
    }

    /// Regions of the mirror that are equal, and all; nothing where there is no mirror.
    pub(super) fn regions(&self) -> Result<Option<(u64, u64)>> {
        let name = format!("{VG}-lvshift0");
        if self.guest.dm_device(&name)?.is_none() {
            return Ok(None);
        }
        if self.guest.frontend() == Frontend::Ublk && self.is_served()? {
            return self.logged().map(Some);
        }
        let status = self.guest.dm_status(&name)?;
        if !status.contains(" mirror ") {
            return Ok(None);
        }
        Ok(status.split_whitespace().find_map(|word| {
            let (done, all) = word.split_once('/')?;
            Some((done.parse().ok()?, all.parse().ok()?))
        }))
    }

    /// Whether a daemon of ours mirrors.
    pub(super) fn is_served(&self) -> Result<bool> {
        let name = format!("{VG}-lvshift0");
        if self.guest.dm_device(&name)?.is_none() {
            return Ok(false);
        }
        // The mirrored sectors begin behind those that answer with an error.
        let table = self.guest.dm_table(&name)?;
        Ok(table.contains(" linear ") && table.trim_end().ends_with(" 2048"))
    }

    /// What the log on the disk says.
    fn logged(&self) -> Result<(u64, u64)> {
        // Else what was read before is read again.
        self.guest.drop_caches()?;
        let mut image = [0; 4096];
        std::fs::File::open(format!("/dev/mapper/{VG}-lvshift0_mlog"))?.read_exact(&mut image)?;
        let regions = u64::from_le_bytes(image[8..16].try_into()?);
        let clean = dirty_log::count_clean(&image, u32::try_from(regions)?);
        Ok((u64::from(clean), regions))
    }

    /// Waits until some regions are equal and some are not.
    pub(super) fn wait_for_mid_copy(&self) -> Result<(u64, u64)> {
        let mut seen = (0, 0);
        self.guest.wait_for("the move is in mid-copy", HANG * 3, || {
            if let Some((done, all)) = self.regions()? {
                ensure!(done < all, "all is equal: mid-copy is over");
                seen = (done, all);
            }
            Ok(seen.0 > 0)
        })?;
        Ok(seen)
    }

    /// Keeps a text over a power cut.
    pub(super) fn note(&self, name: &str, text: &str) -> Result<()> {
        let path = self.guest.state(name)?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        std::fs::File::open(&path)?.sync_all().context("keeping it over the cut")
    }

    /// Makes every write to the data of a PV that much slower; LVM2's metadata stay as fast as they were.
    pub(super) fn slow(&self, disk: &Faulty<'_>, ms: u32) -> Result<()> {
        let (lower, rest) = (disk.lower().display(), disk.sectors() - HEAD);
        let data = if ms == 0 {
            format!("{HEAD} {rest} linear {lower} {HEAD}")
        } else {
            format!("{HEAD} {rest} delay {lower} {HEAD} 0 {lower} {HEAD} {ms}")
        };
        self.guest.dm_reload(disk.name(), &format!("0 {HEAD} linear {lower} 0\n{data}"))
    }

    /// A move to this disk, begun and left running, so slow that there is time to look at it in mid-copy.
    pub(super) fn spawn_move_slowly(
        &self,
        disk: &Faulty<'_>,
        ms: u32,
        args: &[&str],
    ) -> Result<Background<'g>> {
        match self.guest.frontend() {
            Frontend::Dm => {
                self.slow(disk, ms)?;
                self.spawn_move("", args)
            }
            Frontend::Ublk => self.spawn_move("", &[&["--max-rate=512k"], args].concat()),
        }
    }

    /// Keeps a copy in mid-copy that is begun, where that can be done; elsewhere it is slow enough.
    pub(super) fn hold_copy(&self) -> Result<()> {
        match self.guest.frontend() {
            Frontend::Dm => Ok(()),
            Frontend::Ublk => self.guest.lvshift(&["tune", VG, "--pause"])?.ok().map(drop),
        }
    }

    /// From now on the copy to this disk is as fast as can be.
    pub(super) fn full_speed(&self, disk: &Faulty<'_>) -> Result<()> {
        match self.guest.frontend() {
            Frontend::Dm => self.slow(disk, 0),
            Frontend::Ublk => {
                let words = ["tune", VG, "--resume", "--max-rate", "none"];
                self.guest.lvshift(&words)?.ok().map(drop)
            }
        }
    }

    /// The LV holds what its places hold: the table that the kernel runs is the one meant. For linear LVs.
    pub(super) fn reads_from_its_places(&self, name: &str) -> Result<()> {
        self.guest.drop_caches()?;
        let full = format!("{VG}/{name}");
        let fields = "seg_start_pe,seg_size_pe,devices";
        let run = self.lvm(&["lvs", "--noheadings", "--segments", "-o", fields, &full])?;
        for row in run.rows() {
            let [start, size, place] = row.as_slice() else { continue };
            let (device, extent) =
                place.trim_end_matches(')').split_once('(').context("a place of LVM2's")?;
            let (start, size): (u64, u64) = (start.parse()?, size.parse()?);
            let on_pv = Region::new(device, HEAD + extent.parse::<u64>()? * EXTENT, size * EXTENT);
            let on_lv = Region::new(path(name), start * EXTENT, size * EXTENT);
            self.guest.same_bytes(&on_lv, &on_pv)?;
        }
        Ok(())
    }
}

/// `/dev/mapper/lvg-NAME`.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(format!("{VG}-{name}"))
}

/// A writer that leaves the machine to the many commands of these scenarios.
pub(super) fn writer(path: &Path, seed: u64) -> Result<Writer> {
    let config = Config { pace: Duration::from_millis(5), ..Config::new(path, seed) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(10, HANG)?;
    Ok(writer)
}
