//! Device-mapper, by way of `dmsetup`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Guest;

/// How much of its time the kernel's mirrors copy, in per cent: all of the machine.
pub const THROTTLE: &str = "/sys/module/dm_mirror/parameters/raid1_resync_throttle";

/// One line of `dmsetup info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmDevice {
    /// Its name below `/dev/mapper`.
    pub name: String,
    /// `MAJOR:MINOR`.
    pub number: String,
    /// Its UUID, which may be empty.
    pub uuid: String,
    /// How many have it open.
    pub open: u32,
    /// Whether it is suspended.
    pub suspended: bool,
}

impl Guest {
    /// Every device-mapper device.
    ///
    /// # Errors
    /// If `dmsetup` fails.
    pub fn dm_devices(&self) -> Result<Vec<DmDevice>> {
        let columns = "name,major,minor,uuid,open,suspended";
        let run = self
            .run("dmsetup", &["info", "-c", "--noheadings", "--separator", "|", "-o", columns])?
            .ok()?;
        run.stdout.lines().filter(|line| line.contains('|')).map(device).collect()
    }

    /// The one of that name, if there is one.
    ///
    /// # Errors
    /// If `dmsetup` fails.
    pub fn dm_device(&self, name: &str) -> Result<Option<DmDevice>> {
        Ok(self.dm_devices()?.into_iter().find(|d| d.name == name))
    }

    /// The live table, a target a line.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn dm_table(&self, name: &str) -> Result<String> {
        Ok(self.run("dmsetup", &["table", name])?.ok()?.stdout)
    }

    /// The status of its targets, a target a line.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn dm_status(&self, name: &str) -> Result<String> {
        Ok(self.run("dmsetup", &["status", "--noflush", name])?.ok()?.stdout)
    }

    /// Makes a device with that table and its node below `/dev/mapper`.
    ///
    /// # Errors
    /// If the kernel refuses the table.
    pub fn dm_create(&self, name: &str, table: &str) -> Result<PathBuf> {
        self.run("dmsetup", &["create", "--noudevsync", name, "--table", table])?.ok()?;
        self.run("dmsetup", &["mknodes", name])?.ok()?;
        Ok(PathBuf::from("/dev/mapper").join(name))
    }

    /// Swaps its table in one ioctl, without flushing and without freezing a file system.
    ///
    /// # Errors
    /// If the kernel refuses the table.
    pub fn dm_reload(&self, name: &str, table: &str) -> Result<()> {
        self.run("dmsetup", &["reload", name, "--table", table])?.ok()?;
        self.run("dmsetup", &["resume", "--noudevsync", "--noflush", "--nolockfs", name])?.ok()?;
        Ok(())
    }

    /// Removes a device.
    ///
    /// # Errors
    /// If it is in use.
    pub fn dm_remove(&self, name: &str) -> Result<()> {
        self.run("dmsetup", &["remove", "--noudevsync", name])?.ok()?;
        Ok(())
    }
}

fn device(line: &str) -> Result<DmDevice> {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, major, minor, uuid, open, suspended] = fields[..] else {
        anyhow::bail!("a line of dmsetup that nobody expected: {line:?}");
    };
    Ok(DmDevice {
        name: name.to_owned(),
        number: format!("{major}:{minor}"),
        uuid: uuid.to_owned(),
        open: open.parse().with_context(|| format!("open count in {line:?}"))?,
        suspended: suspended.eq_ignore_ascii_case("suspended"),
    })
}
