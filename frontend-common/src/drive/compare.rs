//! Both sides of a move compared from outside of its mirror, where that is the kernel's and holds no write back.
//!
//! A sector is the same on both sides if the source holds it, then the destination, and then the source still:
//! what is written between changes the source, so that the first and the last look differ, and is looked at
//! again. A write may have reached one side and not yet the other: only what stays different for long, while the
//! source does not change, differs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use lvshift_core::mover::Event;
use lvshift_core::units::{SECTOR_SIZE, Sectors, Uuid};
use lvshift_core::{Leg, LegFault};
use lvshift_driver::CopyStatus;

use crate::device::{Aligned, BlockDevice, DEADLINE};
use crate::error::{Error, Kind, Result};

/// Sectors that are read at once.
const STRETCH: u64 = 2048;
/// Sectors of what is looked at again by itself: what a write in flight may cover, and any disk can read.
const BLOCK: u64 = 8;
/// How long a block has to stay different without being written: longer than a write takes from one side to
/// the other.
const STAYS: Duration = Duration::from_secs(3);
/// How long a block that is written all the time is looked at.
const BUSY: Duration = Duration::from_secs(60);
/// How long it is compared before signals and other commands are heard.
const MOMENT: Duration = Duration::from_millis(100);
/// Between two looks.
const REST: Duration = Duration::from_millis(20);

/// A piece of a move with its two places.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) source: (Uuid, u64),
    pub(crate) destination: (Uuid, u64),
    pub(crate) sectors: u64,
    /// What its first sector is called when something is told of it.
    pub(crate) first: u64,
}

/// Whether a copy that is equal has been compared, as its command wants it.
pub(crate) struct Watch {
    wanted: bool,
    compare: Option<Compare>,
}

impl Watch {
    pub(crate) fn new(wanted: bool) -> Watch {
        Watch { wanted, compare: None }
    }

    /// The copy was looked at: what is equal and not compared counts as not equal, and what differs as a
    /// failure of the destination.
    ///
    /// # Errors
    /// When it is not known where both sides lie.
    pub(crate) fn looked<'d>(
        &mut self,
        mut status: CopyStatus,
        pieces: impl FnOnce() -> Vec<Piece>,
        device: &dyn Fn(Uuid) -> Option<&'d BlockDevice>,
    ) -> Result<CopyStatus> {
        if !self.wanted || status.verdict() != Some(Event::CopyEqual) {
            return Ok(status);
        }
        if self.compare.is_none() {
            let pieces = pieces();
            let sectors: u64 = pieces.iter().map(|piece| piece.sectors).sum();
            if sectors * SECTOR_SIZE != status.bytes_total {
                return Err(Error::new(
                    Kind::Inconsistent,
                    "not all of both sides is found to compare it",
                ));
            }
            // What the destination has taken and not stored yet is no proof of anything.
            let devices: BTreeSet<_> = pieces.iter().map(|piece| piece.destination.0.0).collect();
            let flushed = devices.into_iter().filter_map(|pv| device(Uuid(pv)));
            if flushed.map(|pv| pv.flush_in_time(DEADLINE)).any(|flushed| flushed.is_err()) {
                status.failed = Some((Leg::Destination, LegFault::Flush));
                return Ok(status);
            }
            self.compare = Some(Compare::new(pieces));
        }
        match &self.compare {
            Some(compare) if !compare.differs.is_empty() => {
                status.failed = Some((Leg::Destination, LegFault::Copy));
            }
            Some(compare) if compare.is_equal() => {}
            _ => {
                status.chunks_done = status.chunks_done.saturating_sub(1);
                status.bytes_done = status.bytes_done.saturating_sub(1);
            }
        }
        Ok(status)
    }

    /// Compares for a moment, if there is something to compare.
    ///
    /// # Errors
    /// When a side cannot be read, or is written too much to be compared.
    pub(crate) fn goes_on<'d>(
        &mut self,
        device: &dyn Fn(Uuid) -> Option<&'d BlockDevice>,
    ) -> Result<bool> {
        match &mut self.compare {
            Some(compare) if !compare.is_equal() && compare.differs.is_empty() => {
                compare.go_on(MOMENT, device)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// What differs; see [`Compare::differs`].
    pub(crate) fn differs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.compare.iter().flat_map(Compare::differs)
    }
}

/// A comparison that goes on bit by bit.
struct Compare {
    pieces: Vec<Piece>,
    /// The piece that it has come to, and how far in it.
    at: (usize, u64),
    /// Blocks that differ for now, of the stretch before.
    open: BTreeMap<u64, Open>,
    differs: Vec<(usize, Range<u64>)>,
}

/// A block that differed at the last look.
struct Open {
    since: Instant,
    /// Both sides as they were at the last look, and since when they are so.
    seen: (Vec<u8>, Vec<u8>),
    same_since: Instant,
}

/// A look at one place.
enum Look {
    Equal,
    /// The source did not change between two looks, and the destination holds something else.
    Differs(Vec<u8>, Vec<u8>),
    Written,
}

impl Compare {
    fn new(pieces: Vec<Piece>) -> Compare {
        Compare { pieces, at: (0, 0), open: BTreeMap::new(), differs: Vec::new() }
    }

    /// Whether all of it was the same.
    fn is_equal(&self) -> bool {
        self.at.0 >= self.pieces.len() && self.differs.is_empty()
    }

    /// What differs, as sectors counted from [`Piece::first`]'s.
    fn differs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.differs.iter().filter_map(|(piece, sectors)| {
            let first = self.pieces.get(*piece)?.first;
            Some(first + sectors.start..first + sectors.end)
        })
    }

    /// Goes on for about this long.
    ///
    /// # Errors
    /// When a side cannot be read, or is written too much to be compared.
    fn go_on<'d>(
        &mut self,
        budget: Duration,
        device: &dyn Fn(Uuid) -> Option<&'d BlockDevice>,
    ) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < budget && self.differs.is_empty() {
            let (number, at) = self.at;
            let Some(piece) = self.pieces.get(number).cloned() else { return Ok(()) };
            let missing = || {
                Error::new(Kind::Missing, "a PV of the move is missing")
                    .state("nothing is said to be moved")
            };
            let source = device(piece.source.0).ok_or_else(missing)?;
            let destination = device(piece.destination.0).ok_or_else(missing)?;
            let sides = Sides { piece: &piece, source, destination };
            let end = piece.sectors.min(at + STRETCH);
            if self.open.is_empty() {
                let now = Instant::now();
                let blocks = sides.unequal(at..end)?;
                let open =
                    |at| (at, Open { since: now, seen: Default::default(), same_since: now });
                self.open = blocks.into_iter().map(open).collect();
            } else {
                std::thread::sleep(REST);
                self.look_again(number, &sides)?;
            }
            if self.open.is_empty() {
                self.at = if end >= piece.sectors { (number + 1, 0) } else { (number, end) };
            }
        }
        Ok(())
    }

    fn look_again(&mut self, piece: usize, sides: &Sides<'_>) -> Result<()> {
        let now = Instant::now();
        let mut equal = Vec::new();
        for (&at, open) in &mut self.open {
            let end = sides.piece.sectors.min(at + BLOCK);
            match sides.look(at..end)? {
                Look::Equal => equal.push(at),
                Look::Differs(ours, theirs) => {
                    if open.seen != (ours.clone(), theirs.clone()) {
                        open.same_since = now;
                        open.seen = (ours, theirs);
                    } else if now.duration_since(open.same_since) >= STAYS {
                        self.differs.push((piece, at..end));
                    }
                }
                Look::Written => open.same_since = now,
            }
            if now.duration_since(open.since) >= BUSY && self.differs.is_empty() {
                return Err(Error::new(
                    Kind::State,
                    "a place is written all the time and cannot be compared",
                )
                .state("nothing is said to be moved")
                .next("move without --verify, or with lvshift-ublk, which can hold its writes"));
            }
        }
        equal.iter().for_each(|at| drop(self.open.remove(at)));
        Ok(())
    }
}

/// Both sides of a piece.
struct Sides<'a> {
    piece: &'a Piece,
    source: &'a BlockDevice,
    destination: &'a BlockDevice,
}

impl Sides<'_> {
    fn read(&self, sectors: &Range<u64>, of_source: bool) -> Result<Aligned> {
        let bytes = (sectors.end - sectors.start) * SECTOR_SIZE;
        let mut data = Aligned::zeroed(usize::try_from(bytes).unwrap_or(0));
        let ((_, start), device) = if of_source {
            (self.piece.source, self.source)
        } else {
            (self.piece.destination, self.destination)
        };
        // The child that waits in our place is made once.
        device.keep_errand();
        device.read_in_time(Sectors(start + sectors.start), &mut data, DEADLINE)?;
        Ok(data)
    }

    /// The source, the destination, and the source once more.
    fn three(&self, sectors: &Range<u64>) -> Result<[Aligned; 3]> {
        Ok([self.read(sectors, true)?, self.read(sectors, false)?, self.read(sectors, true)?])
    }

    /// The blocks of a stretch that are not seen to be the same.
    fn unequal(&self, sectors: Range<u64>) -> Result<Vec<u64>> {
        let [before, theirs, after] = self.three(&sectors)?;
        let block = usize::try_from(BLOCK * SECTOR_SIZE).unwrap_or(4096);
        let blocks = before.chunks(block).zip(theirs.chunks(block)).zip(after.chunks(block));
        let starts = (sectors.start..).step_by(usize::try_from(BLOCK).unwrap_or(8));
        let unequal = starts
            .zip(blocks)
            .filter(|(_, ((before, theirs), after))| before != theirs || before != after);
        Ok(unequal.map(|(at, _)| at).collect())
    }

    fn look(&self, sectors: Range<u64>) -> Result<Look> {
        let [before, theirs, after] = self.three(&sectors)?;
        Ok(match (*before == *after, *before == *theirs) {
            (true, true) => Look::Equal,
            (true, false) => Look::Differs(before.to_vec(), theirs.to_vec()),
            (false, _) => Look::Written,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    struct Files(BlockDevice, BlockDevice, [std::path::PathBuf; 2]);

    impl Files {
        fn new(name: &str) -> Files {
            let path = |side: &str| {
                let name = format!("lvshift-compare-{}-{name}-{side}", std::process::id());
                std::env::temp_dir().join(name)
            };
            let paths = [path("from"), path("to")];
            let bytes: Vec<u8> = (0..5000 * 512).map(|at| (at / 7 % 251) as u8).collect();
            paths.iter().for_each(|path| fs::write(path, &bytes).unwrap());
            Files(BlockDevice::on_file(&paths[0]), BlockDevice::on_file(&paths[1]), paths)
        }

        fn device(&self, pv: Uuid) -> Option<&BlockDevice> {
            if pv == Uuid([1; 16]) { Some(&self.0) } else { Some(&self.1) }
        }

        fn put(&self, side: usize, sector: u64, byte: u8) {
            let file = fs::OpenOptions::new().write(true).open(&self.2[side]).unwrap();
            file.write_all_at(&[byte; 512], sector * 512).unwrap();
        }

        fn pieces() -> Vec<Piece> {
            let piece = |first: u64, sectors| Piece {
                source: (Uuid([1; 16]), first),
                destination: (Uuid([2; 16]), first),
                sectors,
                first: 10_000 + first,
            };
            vec![piece(8, 2400), piece(2408, 2592)]
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            self.2.iter().for_each(|path| drop(fs::remove_file(path)));
        }
    }

    #[test]
    fn what_is_the_same_is_found_the_same_and_all_of_it_is_read() {
        let files = Files::new("same");
        let mut compare = Compare::new(Files::pieces());
        compare.go_on(Duration::from_secs(60), &|pv| files.device(pv)).unwrap();
        assert!(compare.is_equal());
        assert_eq!(compare.differs().count(), 0);
    }

    #[test]
    fn one_sector_that_differs_is_named_once_it_stays_so() {
        let files = Files::new("differs");
        files.put(1, 4321, 0xEE);
        let mut compare = Compare::new(Files::pieces());
        compare.go_on(Duration::from_millis(500), &|pv| files.device(pv)).unwrap();
        assert_eq!(compare.differs().count(), 0, "a write may be on its way");
        assert!(!compare.is_equal());
        compare.go_on(Duration::from_secs(20), &|pv| files.device(pv)).unwrap();
        let differs: Vec<_> = compare.differs().collect();
        // The block that holds it: blocks are counted from the piece's start.
        let block = (4321 - 2408) / 8 * 8 + 2408 + 10_000;
        assert_eq!((differs.len(), differs[0].clone()), (1, block..block + 8));
        assert!(!compare.is_equal());
    }

    #[test]
    fn a_write_that_comes_late_to_one_side_is_no_difference() {
        let files = Files::new("late");
        files.put(0, 100, 0xEE);
        let mut compare = Compare::new(Files::pieces());
        compare.go_on(Duration::from_millis(300), &|pv| files.device(pv)).unwrap();
        files.put(1, 100, 0xEE);
        compare.go_on(Duration::from_secs(60), &|pv| files.device(pv)).unwrap();
        assert!(compare.is_equal());
    }
}
