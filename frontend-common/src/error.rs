//! One error for the person: what failed, on which device and sectors, what state the data is in
//! now, and what to do next.

use std::fmt;
use std::ops::Range;

use lvshift_core::mover::MoverError;

/// The stable kind of an error, for scripts; printed in JSON and in brackets with `-v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line does not make sense (exit status 3).
    Usage,
    /// A device, VG or LV with this name is not there.
    NotFound,
    /// The name is taken.
    Exists,
    /// The device carries another program's signature.
    ForeignSignature,
    /// The device is mounted or held by something else.
    InUse,
    /// The same PV was found on two devices.
    Cloned,
    /// A PV that the VG lists was not found.
    Missing,
    /// A PV's metadata is older than the VG's, or it is not a member any more.
    Stale,
    /// The device is smaller than its metadata says.
    Shrunk,
    /// A label or metadata area cannot be believed.
    Damaged,
    /// A newer format or an unknown feature bit.
    Unsupported,
    /// Not enough free extents.
    NoSpace,
    /// A stated limit of this program is exceeded.
    Limit,
    /// The request contradicts the state of the VG (moving already, still active, ...).
    State,
    /// Another command holds the lock.
    Locked,
    /// The kernel lacks something or refused an operation.
    Kernel,
    /// An I/O error.
    Io,
    /// A move ended without moving.
    MoveFailed,
    /// Metadata and devices contradict each other.
    Inconsistent,
}

impl Kind {
    /// Its word in JSON and behind `-v`; programs compare it, so it stays what it is.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Usage => "Usage",
            Kind::NotFound => "NotFound",
            Kind::Exists => "Exists",
            Kind::ForeignSignature => "ForeignSignature",
            Kind::InUse => "InUse",
            Kind::Cloned => "Cloned",
            Kind::Missing => "Missing",
            Kind::Stale => "Stale",
            Kind::Shrunk => "Shrunk",
            Kind::Damaged => "Damaged",
            Kind::Unsupported => "Unsupported",
            Kind::NoSpace => "NoSpace",
            Kind::Limit => "Limit",
            Kind::State => "State",
            Kind::Locked => "Locked",
            Kind::Kernel => "Kernel",
            Kind::Io => "Io",
            Kind::MoveFailed => "MoveFailed",
            Kind::Inconsistent => "Inconsistent",
        }
    }
}

/// What a person needs to know of a failure.
#[derive(Debug)]
pub struct Error {
    /// The stable kind.
    pub kind: Kind,
    /// What failed, in one sentence, with the names the user used.
    pub what: String,
    /// The device it concerns, as a path.
    pub device: Option<String>,
    /// The 512-byte sectors of `device` that it concerns, as half-open ranges.
    pub sectors: Vec<Range<u64>>,
    /// What state the data is in now ("nothing was changed", "the source is still in charge").
    pub state: Option<String>,
    /// What to do next.
    pub next: Option<String>,
    /// What caused it.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything in the front ends.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with nothing but what happened; add the rest with the methods below.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error {
            kind,
            what: what.into(),
            device: None,
            sectors: Vec::new(),
            state: None,
            next: None,
            source: None,
        }
    }

    /// `what`, which a command had looked at, is not the same any more now that it is locked.
    #[must_use]
    pub fn changed_meanwhile(what: impl fmt::Display) -> Error {
        Error::new(Kind::State, format!("{what} was changed by another command just now"))
            .state("nothing was changed")
            .next("try again")
    }

    /// Names the device.
    #[must_use]
    pub fn device(mut self, path: impl fmt::Display) -> Error {
        self.device = Some(path.to_string());
        self
    }

    /// Names the sectors of the device.
    #[must_use]
    pub fn sectors(mut self, ranges: Vec<Range<u64>>) -> Error {
        self.sectors = ranges;
        self
    }

    /// Names one run of sectors of the device.
    #[must_use]
    pub fn sector_run(mut self, range: Range<u64>) -> Error {
        self.sectors.push(range);
        self
    }

    /// Says what state the data is in.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Error {
        self.state = Some(state.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Error {
        self.next = Some(next.into());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// LVM's exit status for it: 3 for a wrong command line, 5 for everything else.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            Kind::Usage => 3,
            _ => 5,
        }
    }
}

impl From<MoverError> for Error {
    fn from(error: MoverError) -> Error {
        Error::new(Kind::Inconsistent, error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(device) = &self.device {
            write!(f, "\n  device: {device}")?;
        }
        if !self.sectors.is_empty() {
            f.write_str("\n  sectors:")?;
            for range in &self.sectors {
                write!(f, " {}-{}", range.start, range.end.saturating_sub(1))?;
            }
        }
        if let Some(source) = &self.source {
            write!(f, "\n  cause: {source}")?;
        }
        if let Some(state) = &self.state {
            write!(f, "\n  state: {state}")?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}
