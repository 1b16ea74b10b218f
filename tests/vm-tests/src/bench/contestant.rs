//! The contestants: LVM2 and both front ends, which all take the same commands.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::disk;
use super::lab::{command, succeed, text};

/// The VG of every benchmark.
const VG: &str = "lvshift-bench";
/// LVM2 takes no device whose driver it does not know.
const KNOWN: &[&str] = &["--config", "devices { types = [ \"nullb\", 16 ] }"];
/// How long a new LV's node may take to appear where udev makes it.
const NODE: Duration = Duration::from_secs(10);

/// Another build of lvshift-ublk, as a program and in results.
pub const OTHER_UBLK: &str = "other-lvshift-ublk";

/// Whose commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Lvm,
    Dm,
    Ublk,
    /// Another build of lvshift-ublk, where one was given.
    Other,
}

impl Tool {
    pub(super) const ALL: [Tool; 3] = [Tool::Lvm, Tool::Dm, Tool::Ublk];

    /// The name in results.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Tool::Lvm => "pvmove",
            Tool::Dm => "lvshift-dm",
            Tool::Ublk => "lvshift-ublk",
            Tool::Other => OTHER_UBLK,
        }
    }

    /// Its program.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Tool::Lvm => "lvm",
            Tool::Dm | Tool::Ublk | Tool::Other => self.name(),
        }
    }

    /// What its `pvmove` is given where its speed is asked for: LVM2's would else look every 15 seconds.
    pub(super) const fn quickly(self) -> &'static [&'static str] {
        match self {
            Tool::Lvm => &["-i1"],
            Tool::Dm | Tool::Ublk | Tool::Other => &[],
        }
    }
}

/// An LV on the first of two devices, made by one contestant. Dropping it takes it down.
pub(super) struct Volume {
    /// Who moves it.
    pub(super) tool: Tool,
    /// LVM2's configuration, where the VG is LVM2's and this contestant moves in place.
    config: Option<PathBuf>,
    devices: [PathBuf; 2],
    /// The LV's node.
    pub(super) node: PathBuf,
    down: bool,
}

impl Volume {
    /// Makes a VG of both devices with extents of 4 MiB, and an LV of `extents` extents at these
    /// places of the first one (`:0-9:20`, or nothing for its start).
    pub(super) fn new(
        tool: Tool,
        devices: &[PathBuf; 2],
        extents: u64,
        places: &str,
    ) -> Result<Volume> {
        Volume::made(tool, None, devices, extents, places)
    }

    /// The same in a VG of LVM2's, which this contestant moves in place.
    pub(super) fn in_lvm2(
        tool: Tool,
        devices: &[PathBuf; 2],
        extents: u64,
        places: &str,
    ) -> Result<Volume> {
        let config = only_these(devices)?;
        Volume::made(tool, Some(config), devices, extents, places)
    }

    fn made(
        tool: Tool,
        config: Option<PathBuf>,
        devices: &[PathBuf; 2],
        extents: u64,
        places: &str,
    ) -> Result<Volume> {
        for device in devices {
            disk::wait_until_free(device)?;
            disk::wipe(device)?;
        }
        let node = Path::new("/dev").join(VG).join("lv");
        let devices = devices.clone();
        let volume = Volume { tool, config, devices, node, down: false };
        let (one, two) = (text(&volume.devices[0]), text(&volume.devices[1]));
        let lvm2s = volume.owner() == Tool::Lvm;
        if lvm2s {
            for device in [&one, &two] {
                volume.owners(&["pvcreate", "-y", "--dataalignment", "8m", device])?;
            }
        } else {
            volume.owners(&["pvcreate", &one, &two])?;
        }
        volume.owners(&["vgcreate", "-s", "4m", VG, &one, &two])?;
        let (extents, place) = (extents.to_string(), format!("{one}{places}"));
        let mut create = vec!["lvcreate", "-n", "lv", "-l", &extents, "-Zn"];
        if lvm2s {
            create.extend(["-y", "-Wn"]);
        }
        create.extend([VG, &place]);
        volume.owners(&create)?;
        let start = Instant::now();
        while !volume.node.exists() {
            ensure!(start.elapsed() < NODE, "no {}", volume.node.display());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(volume)
    }

    /// The command that moves everything to the second device, not yet started.
    pub(super) fn pvmove(&self, options: &[&str]) -> Command {
        let (one, two) = (text(&self.devices[0]), text(&self.devices[1]));
        let words = [&["pvmove"], options, &[&one, &two]].concat();
        self.command(self.tool, &words)
    }

    /// Starts that command. What it says is not for our own standard output, which is records.
    pub(super) fn begin_move(&self, options: &[&str]) -> Result<Child> {
        let mut command = self.pvmove(options);
        command.stdout(Stdio::null()).spawn().context("starting a move")
    }

    /// The command that carries on what was interrupted, not yet started.
    pub(super) fn carry_on(&self, options: &[&str]) -> Command {
        self.command(self.tool, &[&["pvmove"], options].concat())
    }

    /// `vgchange -a y` or `n`.
    pub(super) fn activate(&self, yes: bool) -> Result<()> {
        self.owners(&["vgchange", "-a", if yes { "y" } else { "n" }, VG])
    }

    /// Checks where it lies: on the device of this number, whole.
    pub(super) fn lies_on(&self, number: usize) -> Result<()> {
        let words = ["lvs", "--noheadings", "--segments", "-o", "devices", VG];
        let mut show = self.command(self.owner(), &words);
        let output = show.output().context("starting lvs")?;
        ensure!(output.status.success(), "lvs: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let (here, there) = (text(&self.devices[number]), text(&self.devices[1 - number]));
        ensure!(
            shown.contains(&here) && !shown.contains(&there),
            "the LV should lie on {here} alone, lvs says: {shown}"
        );
        Ok(())
    }

    /// Checks that it holds what it held when this fingerprint of so many bytes was taken.
    pub(super) fn holds(&self, print: &[u8], bytes: u64) -> Result<()> {
        let same = disk::fingerprint(&self.node, bytes)? == print;
        ensure!(same, "{} moved other bytes than it should", self.tool.name());
        Ok(())
    }

    /// How much of a running move is copied.
    pub(super) fn copy_percent(&self) -> Result<f64> {
        let words = ["lvs", "--noheadings", "-o", "copy_percent", VG];
        let mut show = self.command(self.tool, &words);
        let output = show.output().context("starting lvs")?;
        ensure!(output.status.success(), "lvs: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        // Without a move there is none.
        Ok(shown.trim().parse().unwrap_or(100.0))
    }

    /// Takes it down.
    pub(super) fn remove(mut self) -> Result<()> {
        self.down = true;
        self.activate(false)?;
        for device in &self.devices {
            disk::wait_until_free(device)?;
            disk::wipe(device)?;
        }
        Ok(())
    }

    /// LVM2 is shown these devices alone: it would else find its PVs a second time on the disks below.
    fn command(&self, whose: Tool, words: &[&str]) -> Command {
        let only = format!("{},{}", text(&self.devices[0]), text(&self.devices[1]));
        if whose == Tool::Lvm && self.config.is_none() {
            return command(whose.program(), &[words, &["--devices", &only], KNOWN].concat());
        }
        let mut command = command(whose.program(), words);
        // Read by LVM2 whoever starts it.
        command.envs(self.config.iter().map(|config| ("LVM_SYSTEM_DIR", config)));
        command
    }

    /// Who made it, and activates and shows it.
    fn owner(&self) -> Tool {
        if self.config.is_some() { Tool::Lvm } else { self.tool }
    }

    fn owners(&self, words: &[&str]) -> Result<()> {
        succeed(&mut self.command(self.owner(), words)).map(drop)
    }
}

/// A directory with the configuration that LVM2 has on this machine, but that it sees two devices alone.
fn only_these(devices: &[PathBuf; 2]) -> Result<PathBuf> {
    let config = PathBuf::from("/run/lvshift-bench-lvm");
    std::fs::create_dir_all(&config).with_context(|| format!("creating {}", config.display()))?;
    let usual = std::fs::read_to_string("/etc/lvm/lvm.conf").unwrap_or_default();
    let [one, two] = devices.each_ref().map(|device| text(device));
    let text = format!(
        "{usual}\ndevices {{\n \
         global_filter=[ \"a|^{one}$|\", \"a|^{two}$|\", \"r|.*|\" ]\n}}\n"
    );
    std::fs::write(config.join("lvm.conf"), text).context("writing LVM2's configuration")?;
    Ok(config)
}

impl Drop for Volume {
    fn drop(&mut self) {
        if !self.down && self.activate(false).is_err() {
            eprintln!("{} could not be taken down", self.node.display());
        }
    }
}
