//! Reading the kernel's texts word by word. Stricter than the kernel: digits only.

use core::str::{FromStr, SplitAsciiWhitespace};

use super::ParseError;
use crate::table::Area;
use crate::units::{DeviceNumber, Sectors};

/// The words that are still to be read.
#[derive(Clone, Debug)]
pub(super) struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Words<'a> {
        Words(text.split_ascii_whitespace())
    }

    /// The next word; `what` is what was due there.
    pub(super) fn word(&mut self, what: &'static str) -> Result<&'a str, ParseError> {
        self.0.next().ok_or(ParseError::Missing(what))
    }

    /// The next word, if there is one.
    pub(super) fn maybe(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub(super) fn number<N: FromStr>(&mut self, what: &'static str) -> Result<N, ParseError> {
        number(self.word(what)?).ok_or(ParseError::Bad(what))
    }

    pub(super) fn sectors(&mut self, what: &'static str) -> Result<Sectors, ParseError> {
        self.number(what).map(Sectors)
    }

    pub(super) fn device(&mut self) -> Result<DeviceNumber, ParseError> {
        device(self.word("a device number")?)
    }

    pub(super) fn area(&mut self) -> Result<Area, ParseError> {
        Ok(Area { device: self.device()?, offset: self.sectors("an offset")? })
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) -> Result<(), ParseError> {
        match self.0.next() {
            None => Ok(()),
            Some(_) => Err(ParseError::TooLong),
        }
    }
}

/// Digits and nothing else: `FromStr` alone would take a sign.
pub(super) fn number<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// What stands before and behind an ASCII byte. `str::split_once` has a panic inside, be it one that never
/// happens.
pub(super) fn halves(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == byte)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// `major:minor`.
pub(super) fn device(text: &str) -> Result<DeviceNumber, ParseError> {
    const WHAT: &str = "a device number";
    let (major, minor) = halves(text, b':').ok_or(ParseError::Bad(WHAT))?;
    match (number(major), number(minor)) {
        (Some(major), Some(minor)) => Ok(DeviceNumber { major, minor }),
        _ => Err(ParseError::Bad(WHAT)),
    }
}
