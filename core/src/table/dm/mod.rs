//! The kernel's text for tables and statuses, both ways.
//!
//! The letters and the order of the words are those of `drivers/md/dm-linear.c`, `dm-raid1.c` and
//! `dm-log.c`; the peculiar counts in front of lists are theirs too.

mod mirror;
mod status;
#[cfg(test)]
mod tests;
mod words;

use core::fmt;
use core::str::FromStr;

pub use status::{Judgement, LegHealth, LogHealth, LogStatus, MirrorStatus};
use words::Words;

use super::{Area, Segment, Target};
use crate::units::DeviceNumber;

/// Why a text is not one that the kernel writes for a target we know.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It ends where this was due.
    Missing(&'static str),
    /// A word is not what was due.
    Bad(&'static str),
    /// There is more after its end.
    TooLong,
    /// A target that no table of ours has.
    UnknownTarget,
    /// A mirror with more or fewer than two legs.
    NotTwoLegs,
}

/// The parameters of a target as the kernel reads them; made by [`Target::dm_params`].
#[derive(Clone, Copy, Debug)]
pub struct Params<'a>(&'a Target);

impl Target {
    /// The kernel's name for this kind of target.
    pub const fn dm_kind(&self) -> &'static str {
        match self {
            Target::Linear(_) => "linear",
            Target::Mirror(_) => "mirror",
            Target::Error => "error",
        }
    }

    /// Its parameters, to be displayed.
    pub const fn dm_params(&self) -> Params<'_> {
        Params(self)
    }

    /// The target from the kernel's name and parameters of it.
    ///
    /// # Errors
    /// [`ParseError`] says what is not as the kernel writes it.
    pub fn from_dm(kind: &str, params: &str) -> Result<Target, ParseError> {
        Target::from_words(kind, Words::new(params))
    }

    fn from_words(kind: &str, mut words: Words<'_>) -> Result<Target, ParseError> {
        let target = match kind {
            "linear" => Target::Linear(words.area()?),
            "mirror" => Target::Mirror(mirror::parse(&mut words)?),
            "error" => Target::Error,
            _ => return Err(ParseError::UnknownTarget),
        };
        words.end()?;
        Ok(target)
    }
}

impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::Linear(area) => area.fmt(f),
            Target::Mirror(mirror) => mirror.fmt(f),
            Target::Error => Ok(()),
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.device, self.offset)
    }
}

/// The whole line as `dmsetup table` shows it: `0 8192 linear 254:0 2048`.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.start, self.len, self.target.dm_kind())?;
        match self.target {
            Target::Error => Ok(()),
            Target::Linear(_) | Target::Mirror(_) => write!(f, " {}", self.target.dm_params()),
        }
    }
}

impl FromStr for Segment {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Segment, ParseError> {
        let mut words = Words::new(line);
        let start = words.sectors("the first sector")?;
        let len = words.sectors("the number of sectors")?;
        let kind = words.word("the target")?;
        Ok(Segment { start, len, target: Target::from_words(kind, words)? })
    }
}

impl FromStr for DeviceNumber {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<DeviceNumber, ParseError> {
        words::device(text)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Missing(what) => write!(f, "the text ends before {what}"),
            ParseError::Bad(what) => write!(f, "{what} is not as the kernel writes it"),
            ParseError::TooLong => write!(f, "there are words after the end"),
            ParseError::UnknownTarget => write!(f, "not a linear, mirror or error target"),
            ParseError::NotTwoLegs => write!(f, "a mirror that has not two legs"),
        }
    }
}

impl core::error::Error for ParseError {}
