//! What a scenario is: its name, its disks, and the function that runs it.

use crate::guest::Guest;

/// A front end of lvshift that a scenario can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frontend {
    /// `lvshift-dm`: kernel device-mapper targets.
    Dm,
    /// `lvshift-ublk`: a ublk device.
    Ublk,
}

impl Frontend {
    /// Every front end the project plans, in the order they came.
    pub const ALL: &[Self] = &[Self::Dm, Self::Ublk];
    /// Those that exist so far and can be tested.
    pub const READY: &[Self] = &[Self::Dm, Self::Ublk];
    /// The list for scenarios that run on either.
    pub const BOTH: &[Self] = Self::ALL;
    /// The list for scenarios about device-mapper alone.
    pub const DM: &[Self] = &[Self::Dm];
    /// The list for scenarios about ublk alone.
    pub const UBLK: &[Self] = &[Self::Ublk];

    /// The word on the command line: `dm` or `ublk`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dm => "dm",
            Self::Ublk => "ublk",
        }
    }

    /// The binary, which is also its cargo package: `lvshift-dm` or `lvshift-ublk`.
    #[must_use]
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Dm => "lvshift-dm",
            Self::Ublk => "lvshift-ublk",
        }
    }

    /// The front end whose [`Frontend::word`] this is.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.word() == word)
    }
}

/// One empty disk of the guest, found there as `/dev/disk/by-serial/NAME`.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// Its serial number (at most 20 bytes) and the name scenarios use.
    pub name: &'static str,
    /// Its size.
    pub size_mib: u32,
    /// Logical and physical sector size in bytes: 512 or 4096.
    pub sector: u32,
    /// What it can do, where that is to be less than the machine can.
    pub limit: Option<DiskLimit>,
}

/// The most that a disk does in a second, reads and writes together, without bursts. QEMU holds it back,
/// which costs the guest no processor's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimit {
    /// MiB a second.
    pub mib: u32,
    /// Requests a second, however large.
    pub requests: u32,
}

impl Disk {
    /// A disk with 512-byte sectors.
    #[must_use]
    pub const fn new(name: &'static str, size_mib: u32) -> Self {
        Self { name, size_mib, sector: 512, limit: None }
    }

    /// A disk with 4096-byte sectors.
    #[must_use]
    pub const fn new_4k(name: &'static str, size_mib: u32) -> Self {
        Self { name, size_mib, sector: 4096, limit: None }
    }

    /// This disk, held back.
    #[must_use]
    pub const fn limited(self, limit: DiskLimit) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// One run of the guest with a verdict.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Unique, in kebab-case.
    pub name: &'static str,
    /// One sentence for `--list`.
    pub about: &'static str,
    /// The front ends it runs on.
    pub frontends: &'static [Frontend],
    /// The disks it gets, all zeroes at the first boot.
    pub disks: &'static [Disk],
    /// Whether a disk that survives reboots is mounted at `/var/lib/lvshift`.
    pub state_disk: bool,
    /// Whether its disks are served with a volatile cache, so that a power cut loses what was not
    /// flushed; there is a side disk then, too ([`Guest::side`]). Else a power cut loses nothing that
    /// was acknowledged.
    pub volatile: bool,
    /// How many times the guest may boot: 1 plus its power cuts and reboots.
    pub boots: u32,
    /// Wall-clock limit of each boot, in seconds, on a machine under emulation.
    pub timeout_s: u32,
    /// The guest's processors: a ublk device has a queue for each, up to four. An emulated machine of
    /// one takes a third less of this machine's time than one of two; those that are about what happens
    /// at once have more.
    pub cpus: u32,
    /// The guest's memory in MiB.
    pub memory_mib: u32,
    /// Whether it needs a whole Debian, with systemd and udevd, in which lvshift's package is to be
    /// installed. What is written to its root survives reboots.
    pub debian: bool,
    /// Whether it is left out unless asked for by name.
    pub hidden: bool,
    /// Set in those that prove that the machinery sees a failure: it must be one
    /// that says this. `cargo xtask test` checks that.
    pub must_fail: Option<&'static str>,
    /// The scenario itself. It is called once per boot; see [`Guest::boot`].
    pub run: fn(&mut Guest) -> anyhow::Result<()>,
}

impl Scenario {
    /// What most scenarios share; use it as `..Scenario::DEFAULT`.
    pub const DEFAULT: Self = Self {
        name: "",
        about: "",
        frontends: Frontend::BOTH,
        disks: &[],
        state_disk: false,
        volatile: false,
        boots: 1,
        timeout_s: 120,
        cpus: 1,
        memory_mib: 1024,
        debian: false,
        hidden: false,
        must_fail: None,
        run: |_| anyhow::bail!("this scenario has no body"),
    };
}
