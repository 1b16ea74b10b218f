//! A disk that can be told to fail, while it is in use.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Guest;

/// What a byte becomes that is flipped.
const FLIPPED: u8 = 165;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reads,
    Writes,
    Both,
    Flips,
}

/// A disk behind a device-mapper device, `/dev/mapper/faulty-NAME`.
///
/// Each method changes the table in place, without a flush, so it works under a
/// running move. The `bad_*` faults add up; every other method replaces them.
#[derive(Debug)]
pub struct Faulty<'g> {
    guest: &'g Guest,
    name: String,
    lower: PathBuf,
    sectors: u64,
    bad: Vec<(u64, u64, Kind)>,
}

impl Guest {
    /// Writes random bytes to the start of a device, none of which is what a byte becomes that is flipped: a flip
    /// would change nothing then.
    ///
    /// # Errors
    /// What the device or the system says.
    pub fn fill(&self, device: impl AsRef<Path>, mib: u64) -> Result<()> {
        let mut random = File::open("/dev/urandom").context("random bytes")?;
        let mut bytes = vec![0; 1 << 20];
        for at in 0..mib {
            random.read_exact(&mut bytes).context("random bytes")?;
            bytes.iter_mut().filter(|byte| **byte == FLIPPED).for_each(|byte| *byte = 0);
            self.write_sectors(device.as_ref(), at << 11, &bytes)?;
        }
        Ok(())
    }

    /// Puts a disk behind a device that can fail; it works until told otherwise.
    ///
    /// # Errors
    /// If there is no such disk, or it is in use.
    pub fn faulty(&self, disk: &str) -> Result<Faulty<'_>> {
        let lower = self.disk(disk)?;
        let sectors = self.sectors(&lower)?;
        let name = format!("faulty-{disk}");
        let faulty = Faulty { guest: self, name, lower, sectors, bad: Vec::new() };
        self.dm_create(&faulty.name, &faulty.table())?;
        Ok(faulty)
    }
}

impl Faulty<'_> {
    /// `/dev/mapper/faulty-NAME`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/dev/mapper").join(&self.name)
    }

    /// The path as a string, for arguments.
    #[must_use]
    pub fn arg(&self) -> String {
        format!("/dev/mapper/{}", self.name)
    }

    /// The device-mapper name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The disk below, which has no faults.
    #[must_use]
    pub fn lower(&self) -> &Path {
        &self.lower
    }

    /// Its size, in sectors.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// From now on reads of these sectors fail.
    ///
    /// # Errors
    /// If the range is bad already or not on the disk.
    pub fn bad_reads(&mut self, sector: u64, len: u64) -> Result<()> {
        self.add(sector, len, Kind::Reads)
    }

    /// From now on writes to these sectors fail.
    ///
    /// # Errors
    /// If the range is bad already or not on the disk.
    pub fn bad_writes(&mut self, sector: u64, len: u64) -> Result<()> {
        self.add(sector, len, Kind::Writes)
    }

    /// From now on reads of and writes to these sectors fail.
    ///
    /// # Errors
    /// If the range is bad already or not on the disk.
    pub fn bad_sectors(&mut self, sector: u64, len: u64) -> Result<()> {
        self.add(sector, len, Kind::Both)
    }

    /// From now on each write to these sectors silently stores another byte than it was given.
    ///
    /// # Errors
    /// If the range is bad already or not on the disk.
    pub fn flipping_writes(&mut self, sector: u64, len: u64) -> Result<()> {
        self.add(sector, len, Kind::Flips)
    }

    /// Everything fails.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn dead(&mut self) -> Result<()> {
        self.replace(&format!("0 {} error", self.sectors))
    }

    /// Reads and writes take that much longer.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn delay(&mut self, ms: u32) -> Result<()> {
        self.replace(&format!("0 {} delay {} 0 {ms}", self.sectors, self.lower.display()))
    }

    /// Writes take that much longer, reads do not.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn delay_writes(&mut self, ms: u32) -> Result<()> {
        let lower = self.lower.display();
        self.replace(&format!("0 {} delay {lower} 0 0 {lower} 0 {ms}", self.sectors))
    }

    /// The device becomes that small.
    ///
    /// # Errors
    /// If it is not smaller than the disk.
    pub fn shrink(&mut self, sectors: u64) -> Result<()> {
        if sectors == 0 || sectors >= self.sectors {
            bail!("{} has {} sectors and cannot shrink to {sectors}", self.name, self.sectors);
        }
        self.replace(&format!("0 {sectors} linear {} 0", self.lower.display()))
    }

    /// Everything works again, at full size.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn good(&mut self) -> Result<()> {
        self.bad.clear();
        self.guest.dm_reload(&self.name, &self.table())
    }

    /// Takes the device away; the disk stays.
    ///
    /// # Errors
    /// If it is in use.
    pub fn remove(self) -> Result<()> {
        self.guest.dm_remove(&self.name)
    }

    fn replace(&mut self, table: &str) -> Result<()> {
        self.bad.clear();
        self.guest.dm_reload(&self.name, table)
    }

    fn add(&mut self, sector: u64, len: u64, kind: Kind) -> Result<()> {
        let end = sector.saturating_add(len);
        if len == 0 || end > self.sectors {
            bail!("{}: sectors {sector}+{len} are not on it", self.name);
        }
        if self.bad.iter().any(|(s, l, _)| sector < s + l && *s < end) {
            bail!("{}: sectors {sector}+{len} touch a range that is bad already", self.name);
        }
        self.bad.push((sector, len, kind));
        self.bad.sort_unstable_by_key(|range| range.0);
        self.guest.dm_reload(&self.name, &self.table())
    }

    fn table(&self) -> String {
        let lower = self.lower.display();
        let linear = |from: u64, to: u64| {
            if from < to {
                format!("{from} {} linear {lower} {from}\n", to - from)
            } else {
                String::new()
            }
        };
        let (mut table, mut at) = (String::new(), 0);
        for &(sector, len, kind) in &self.bad {
            table.push_str(&linear(at, sector));
            table.push_str(&match kind {
                Kind::Reads => {
                    format!("{sector} {len} flakey {lower} {sector} 0 3600 1 error_reads\n")
                }
                Kind::Writes => {
                    format!("{sector} {len} flakey {lower} {sector} 0 3600 1 error_writes\n")
                }
                Kind::Both => format!("{sector} {len} error\n"),
                Kind::Flips => format!(
                    "{sector} {len} flakey {lower} {sector} 0 3600 5 corrupt_bio_byte 1 w {FLIPPED} 0\n"
                ),
            });
            at = sector + len;
        }
        table.push_str(&linear(at, self.sectors));
        table
    }
}
