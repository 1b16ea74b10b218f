//! The status of a mirror target, and what it means for a move.

use core::str::FromStr;

use super::ParseError;
use super::words::{Words, halves, number};
use crate::units::DeviceNumber;
use crate::{Leg, LegFault};

/// The worst that has happened to a leg, as the kernel's letter tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegHealth {
    /// `A`: nothing failed.
    Alive,
    /// `F`: a flush failed.
    Flush,
    /// `D`: a write failed; the leg is out of date.
    Dead,
    /// `S`: the copy failed on this leg: reading, if it is the source, else writing.
    Sync,
    /// `R`: a read failed; the data on the leg are not touched by that.
    Read,
    /// `U`: something failed that the kernel has no letter for.
    Unknown,
}

/// The state of the device that the dirty log is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogHealth {
    /// `A`: nothing failed.
    Alive,
    /// `D`: it could not be read or written.
    Dead,
    /// `F`: a flush of it failed.
    Flush,
}

/// The log's part of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStatus {
    /// In memory: nothing to tell.
    Core,
    /// On a device.
    Disk(DeviceNumber, LogHealth),
}

/// The status line of one mirror target: `2 254:0 254:1 3/32 1 AA 3 disk 254:2 A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MirrorStatus {
    /// The devices of the legs: source, destination.
    pub legs: [DeviceNumber; 2],
    /// Chunks that are equal on both.
    pub in_sync: u64,
    /// Chunks.
    pub total: u64,
    /// The health of the legs: source, destination.
    pub health: [LegHealth; 2],
    /// The log.
    pub log: LogStatus,
}

/// What a status means for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// Nothing failed and not all is equal.
    Copying {
        /// Chunks that are equal.
        done: u64,
        /// Chunks.
        total: u64,
    },
    /// Nothing failed and all is equal.
    Equal {
        /// Chunks.
        total: u64,
    },
    /// A leg failed. Nothing that the line says about equality counts any more.
    LegFailed(Leg, LegFault),
}

impl MirrorStatus {
    /// What it means for a move. A failed source is named before a failed destination, and that
    /// before a failed log, which lies on the destination's PV.
    pub fn judge(&self) -> Judgement {
        let [source, destination] = self.health;
        let failed = |leg, fault| Judgement::LegFailed(leg, fault);
        match source {
            LegHealth::Alive => {}
            LegHealth::Sync | LegHealth::Read => return failed(Leg::Source, LegFault::Read),
            LegHealth::Dead => return failed(Leg::Source, LegFault::Write),
            LegHealth::Flush => return failed(Leg::Source, LegFault::Flush),
            LegHealth::Unknown => return failed(Leg::Source, LegFault::Copy),
        }
        match destination {
            LegHealth::Alive => {}
            LegHealth::Sync | LegHealth::Dead => {
                return failed(Leg::Destination, LegFault::Write);
            }
            LegHealth::Read => return failed(Leg::Destination, LegFault::Read),
            LegHealth::Flush => return failed(Leg::Destination, LegFault::Flush),
            LegHealth::Unknown => return failed(Leg::Destination, LegFault::Copy),
        }
        match self.log {
            LogStatus::Core | LogStatus::Disk(_, LogHealth::Alive) => {}
            LogStatus::Disk(_, LogHealth::Dead) => return failed(Leg::Destination, LegFault::Gone),
            LogStatus::Disk(_, LogHealth::Flush) => {
                return failed(Leg::Destination, LegFault::Flush);
            }
        }
        if self.in_sync == self.total {
            Judgement::Equal { total: self.total }
        } else {
            Judgement::Copying { done: self.in_sync, total: self.total }
        }
    }
}

impl Judgement {
    /// Both together, for several mirrors of one move; of two failures the first stands.
    #[must_use]
    pub fn and(self, other: Judgement) -> Judgement {
        use Judgement::{Copying, Equal, LegFailed};
        match (self, other) {
            (LegFailed(leg, fault), _) | (_, LegFailed(leg, fault)) => LegFailed(leg, fault),
            (Equal { total: a }, Equal { total: b }) => Equal { total: a.saturating_add(b) },
            (a, b) => {
                let ((done_a, total_a), (done_b, total_b)) = (a.counts(), b.counts());
                let done = done_a.saturating_add(done_b);
                Copying { done, total: total_a.saturating_add(total_b) }
            }
        }
    }

    fn counts(self) -> (u64, u64) {
        match self {
            Judgement::Copying { done, total } => (done, total),
            Judgement::Equal { total } => (total, total),
            Judgement::LegFailed(..) => (0, 0),
        }
    }
}

impl FromStr for MirrorStatus {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<MirrorStatus, ParseError> {
        const PROGRESS: &str = "the number of regions in sync";
        const HEALTH: &str = "the health of the legs";
        let mut words = Words::new(text);
        if words.number::<u32>("the number of legs")? != 2 {
            return Err(ParseError::NotTwoLegs);
        }
        let legs = [words.device()?, words.device()?];
        let (in_sync, total) =
            halves(words.word(PROGRESS)?, b'/').ok_or(ParseError::Bad(PROGRESS))?;
        let in_sync: u64 = number(in_sync).ok_or(ParseError::Bad(PROGRESS))?;
        let total: u64 = number(total).ok_or(ParseError::Bad(PROGRESS))?;
        if in_sync > total || total == 0 {
            return Err(ParseError::Bad(PROGRESS));
        }
        if words.number::<u32>(HEALTH)? != 1 {
            return Err(ParseError::Bad(HEALTH));
        }
        let health = match *words.word(HEALTH)?.as_bytes() {
            [source, destination] => [leg_health(source)?, leg_health(destination)?],
            _ => return Err(ParseError::Bad(HEALTH)),
        };
        let log = log_status(&mut words)?;
        words.end()?;
        Ok(MirrorStatus { legs, in_sync, total, health, log })
    }
}

fn leg_health(letter: u8) -> Result<LegHealth, ParseError> {
    Ok(match letter {
        b'A' => LegHealth::Alive,
        b'F' => LegHealth::Flush,
        b'D' => LegHealth::Dead,
        b'S' => LegHealth::Sync,
        b'R' => LegHealth::Read,
        b'U' => LegHealth::Unknown,
        _ => return Err(ParseError::Bad("the health of the legs")),
    })
}

fn log_status(words: &mut Words<'_>) -> Result<LogStatus, ParseError> {
    const LOG: &str = "the status of the log";
    let arguments: u32 = words.number(LOG)?;
    match (arguments, words.word(LOG)?) {
        (1, "core") => Ok(LogStatus::Core),
        (3, "disk") => {
            let device = words.device()?;
            let health = match words.word(LOG)? {
                "A" => LogHealth::Alive,
                "D" => LogHealth::Dead,
                "F" => LogHealth::Flush,
                _ => return Err(ParseError::Bad(LOG)),
            };
            Ok(LogStatus::Disk(device, health))
        }
        _ => Err(ParseError::Bad(LOG)),
    }
}
