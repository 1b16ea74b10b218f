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

    const fn program(self) -> &'static str {
        match self {
            Tool::Lvm => "lvm",
            Tool::Dm | Tool::Ublk | Tool::Other => self.name(),
        }
    }
}

/// An LV on the first of two devices, made by one contestant. Dropping it takes it down.
pub(super) struct Volume {
    pub(super) tool: Tool,
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
        for device in devices {
            disk::wait_until_free(device)?;
            disk::wipe(device)?;
        }
        let node = Path::new("/dev").join(VG).join("lv");
        let volume = Volume { tool, devices: devices.clone(), node, down: false };
        let (one, two) = (text(&devices[0]), text(&devices[1]));
        match tool {
            Tool::Lvm => {
                for device in [&one, &two] {
                    volume.tool(&["pvcreate", "-y", "--dataalignment", "8m", device])?;
                }
            }
            Tool::Dm | Tool::Ublk | Tool::Other => volume.tool(&["pvcreate", &one, &two])?,
        }
        volume.tool(&["vgcreate", "-s", "4m", VG, &one, &two])?;
        let (extents, place) = (extents.to_string(), format!("{one}{places}"));
        let mut create = vec!["lvcreate", "-n", "lv", "-l", &extents, "-Zn"];
        if tool == Tool::Lvm {
            create.extend(["-y", "-Wn"]);
        }
        create.extend([VG, &place]);
        volume.tool(&create)?;
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
        self.command(&words)
    }

    /// Starts that command. What it says is not for our own standard output, which is records.
    pub(super) fn begin_move(&self, options: &[&str]) -> Result<Child> {
        let mut command = self.pvmove(options);
        command.stdout(Stdio::null()).spawn().context("starting a move")
    }

    /// The command that carries on what was interrupted, not yet started.
    pub(super) fn carry_on(&self, options: &[&str]) -> Command {
        self.command(&[&["pvmove"], options].concat())
    }

    /// `vgchange -a y` or `n`.
    pub(super) fn activate(&self, yes: bool) -> Result<()> {
        self.tool(&["vgchange", "-a", if yes { "y" } else { "n" }, VG])
    }

    /// Checks where it lies: on the device of this number, whole.
    pub(super) fn lies_on(&self, number: usize) -> Result<()> {
        let mut show = self.command(&["lvs", "--noheadings", "--segments", "-o", "devices", VG]);
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

    /// How much of a running move is copied.
    pub(super) fn copy_percent(&self) -> Result<f64> {
        let mut show = self.command(&["lvs", "--noheadings", "-o", "copy_percent", VG]);
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
    fn command(&self, words: &[&str]) -> Command {
        let only = format!("{},{}", text(&self.devices[0]), text(&self.devices[1]));
        match self.tool {
            Tool::Lvm => command("lvm", &[words, &["--devices", &only], KNOWN].concat()),
            Tool::Dm | Tool::Ublk | Tool::Other => command(self.tool.program(), words),
        }
    }

    fn tool(&self, words: &[&str]) -> Result<()> {
        succeed(&mut self.command(words)).map(drop)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if !self.down && self.activate(false).is_err() {
            eprintln!("{} could not be taken down", self.node.display());
        }
    }
}
