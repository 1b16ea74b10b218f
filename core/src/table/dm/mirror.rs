//! The parameters of a mirror target.
//!
//! `<log> <#log arguments> [<device>] <region> [sync|nosync] 2 <source> <offset> <destination>
//! <offset> [<#features> handle_errors [keep_log]]`

use core::fmt;

use super::ParseError;
use super::words::{Words, number};
use crate::table::{Log, Mirror, SyncHint};

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = u32::from(self.sync.is_some());
        match self.log {
            Log::Core => write!(f, "core {}", 1 + hint)?,
            Log::Disk(device) => write!(f, "disk {} {device}", 2 + hint)?,
        }
        write!(f, " {}", self.chunk_sectors)?;
        match self.sync {
            None => {}
            Some(SyncHint::Sync) => write!(f, " sync")?,
            Some(SyncHint::NoSync) => write!(f, " nosync")?,
        }
        write!(f, " 2 {} {}", self.source, self.destination)?;
        match (self.handle_errors, self.keep_log) {
            (false, false) => Ok(()),
            (true, false) => write!(f, " 1 handle_errors"),
            (false, true) => write!(f, " 1 keep_log"),
            (true, true) => write!(f, " 2 handle_errors keep_log"),
        }
    }
}

pub(super) fn parse(words: &mut Words<'_>) -> Result<Mirror, ParseError> {
    const LOG: &str = "the log";
    let kind = words.word(LOG)?;
    let arguments: u32 = words.number("the number of log arguments")?;
    let (log, fixed) = match kind {
        "core" => (Log::Core, 1),
        "disk" => (Log::Disk(words.device()?), 2),
        _ => return Err(ParseError::Bad(LOG)),
    };
    let chunk_sectors = words.number("the region size")?;
    let sync = match arguments.checked_sub(fixed) {
        Some(0) => None,
        Some(1) => Some(match words.word("sync or nosync")? {
            "sync" => SyncHint::Sync,
            "nosync" => SyncHint::NoSync,
            _ => return Err(ParseError::Bad("sync or nosync")),
        }),
        _ => return Err(ParseError::Bad("the number of log arguments")),
    };
    if words.number::<u32>("the number of legs")? != 2 {
        return Err(ParseError::NotTwoLegs);
    }
    let (source, destination) = (words.area()?, words.area()?);
    let (handle_errors, keep_log) = features(words)?;
    Ok(Mirror { source, destination, log, chunk_sectors, sync, handle_errors, keep_log })
}

fn features(words: &mut Words<'_>) -> Result<(bool, bool), ParseError> {
    const COUNT: &str = "the number of features";
    let (mut handle_errors, mut keep_log) = (false, false);
    let Some(count) = words.maybe() else {
        return Ok((handle_errors, keep_log));
    };
    let count: u32 = number(count).filter(|&count| count <= 2).ok_or(ParseError::Bad(COUNT))?;
    for _ in 0..count {
        match words.word("a feature")? {
            "handle_errors" if !handle_errors => handle_errors = true,
            "keep_log" if !keep_log => keep_log = true,
            _ => return Err(ParseError::Bad("a feature")),
        }
    }
    Ok((handle_errors, keep_log))
}
