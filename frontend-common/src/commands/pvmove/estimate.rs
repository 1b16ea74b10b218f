//! `pvmove --test`: how long will the move take, from a sample of its source?

use std::ops::Range;
use std::time::{Duration, Instant};

use lvshift_core::units::{SECTOR_SIZE, Sectors};

use crate::device::{Aligned, BlockDevice};
use crate::size::Short;

/// What is read at once.
const PIECE: usize = 1 << 20;
/// How much is read, unless it takes longer than this.
const PIECES: usize = 16;
const LIMIT: Duration = Duration::from_millis(500);

/// The sentence. `sectors` of the source are what moves first; `bytes` is all that moves.
pub(super) fn sentence(source: &BlockDevice, sectors: Range<u64>, bytes: u64) -> String {
    let begun = Instant::now();
    let mut buffer = Aligned::zeroed(PIECE);
    let mut read = 0_u64;
    let mut at = sectors.start;
    while at < sectors.end && read < (PIECES * PIECE) as u64 && begun.elapsed() < LIMIT {
        let left = usize::try_from((sectors.end - at) * SECTOR_SIZE).unwrap_or(usize::MAX);
        let Some(piece) = buffer.get_mut(..left.min(PIECE)) else { break };
        if let Err(error) = source.read(Sectors(at), piece) {
            return format!("no time can be told: {}", error.what);
        }
        let length = piece.len() as u64;
        read += length;
        at += length / SECTOR_SIZE;
    }
    told(read, begun.elapsed(), bytes)
}

fn told(read: u64, took: Duration, bytes: u64) -> String {
    let seconds = took.as_secs_f64();
    if read == 0 || seconds <= 0.0 {
        return "no time can be told: nothing was read".to_owned();
    }
    let rate = read as f64 / seconds;
    let whole = (bytes as f64 / rate).ceil() as u64;
    format!(
        "at least {:02}:{:02}:{:02}, at the {}/s that a first {} of the source were read at; a busy LV, a slower \
         destination and a limit make it longer",
        whole / 3600,
        whole / 60 % 60,
        whole % 60,
        Short(rate as u64),
        Short(read)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_follows_from_what_was_read() {
        let text = told(16 << 20, Duration::from_millis(160), 100 << 30);
        assert!(text.starts_with("at least 00:17:04, at the 100 MiB/s that a first 16"), "{text}");
        assert!(told(0, Duration::ZERO, 1).starts_with("no time"));
    }
}
