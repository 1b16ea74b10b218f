//! A picture of a disk that is being left: what of it is safe, what is left, and what is bad.

use std::fmt::Write as _;
use std::ops::Range;

/// Characters in a row, and rows at most.
const WIDTH: usize = 64;
const ROWS: usize = 8;
/// What each character means.
const LEGEND: &str = "# safe, + partly, . left, x bad, - not asked for, _ free";

/// The extents of one PV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskMap {
    device: String,
    /// Sectors of an extent.
    extent: u64,
    extents: Vec<Extent>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extent {
    /// An LV's.
    used: bool,
    /// A sector of it cannot be read.
    bad: bool,
    /// Pieces of it that are to move, and those of them that are on the destination as well.
    pieces: u32,
    equal: u32,
}

impl Extent {
    fn and(self, other: Extent) -> Extent {
        Extent {
            used: self.used || other.used,
            bad: self.bad || other.bad,
            pieces: self.pieces.saturating_add(other.pieces),
            equal: self.equal.saturating_add(other.equal),
        }
    }

    fn sign(self) -> char {
        match self {
            Extent { bad: true, .. } => 'x',
            Extent { pieces: 0, used: true, .. } => '-',
            Extent { pieces: 0, .. } => '_',
            Extent { equal: 0, .. } => '.',
            Extent { pieces, equal, .. } if equal < pieces => '+',
            _ => '#',
        }
    }
}

impl DiskMap {
    /// A disk with nothing on it.
    #[must_use]
    pub fn new(device: String, extent_sectors: u64, extents: u32) -> DiskMap {
        let extents = vec![Extent::default(); usize::try_from(extents).unwrap_or(0)];
        DiskMap { device, extent: extent_sectors.max(1), extents }
    }

    /// The PV's device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// How many extents it has.
    #[must_use]
    pub fn extents(&self) -> usize {
        self.extents.len()
    }

    /// These extents are an LV's.
    pub fn uses(&mut self, extents: Range<u32>) {
        self.of(extents).for_each(|extent| extent.used = true);
    }

    /// Sectors, counted from extent 0, move, and are `equal` on the destination or not.
    pub fn moves(&mut self, sectors: Range<u64>, equal: bool) {
        let extents = self.extents_of(sectors);
        for extent in self.of(extents) {
            extent.pieces = extent.pieces.saturating_add(1);
            extent.equal = extent.equal.saturating_add(u32::from(equal));
        }
    }

    /// Sectors, counted from extent 0, cannot be read.
    pub fn is_bad(&mut self, sectors: Range<u64>) {
        let extents = self.extents_of(sectors);
        self.of(extents).for_each(|extent| extent.bad = true);
    }

    /// What was moved from it since `before` was drawn, and is free now, is safe.
    pub fn remember(&mut self, before: &DiskMap) {
        if before.extents.len() != self.extents.len() {
            return;
        }
        for (now, before) in self.extents.iter_mut().zip(&before.extents) {
            if !now.used && now.pieces == 0 && before.pieces > 0 {
                (now.pieces, now.equal) = (before.pieces, before.pieces);
            }
            now.bad |= before.bad;
        }
    }

    fn extents_of(&self, sectors: Range<u64>) -> Range<u32> {
        let extent = |sector: u64| u32::try_from(sector / self.extent).unwrap_or(u32::MAX);
        let end = sectors.end.saturating_add(self.extent - 1);
        extent(sectors.start)..extent(end)
    }

    fn of(&mut self, extents: Range<u32>) -> impl Iterator<Item = &mut Extent> {
        let place = |extent: u32| usize::try_from(extent).unwrap_or(usize::MAX);
        let end = place(extents.end).min(self.extents.len());
        let start = place(extents.start).min(end);
        self.extents[start..end].iter_mut()
    }

    /// A character for each extent, or for as many as share one.
    #[must_use]
    pub fn picture(&self) -> String {
        let (all, cells) = (self.extents.len(), self.extents.len().min(WIDTH * ROWS));
        let cell = |n: usize| {
            let shared = &self.extents[n * all / cells..(n + 1) * all / cells];
            let none = Extent::default();
            shared.iter().fold(none, |sum, extent| sum.and(*extent)).sign()
        };
        (0..cells).map(cell).collect()
    }

    /// The picture in rows, with what it is of, and in colours if it is for a terminal that has them.
    #[must_use]
    pub fn drawn(&self, colour: bool) -> String {
        let picture = self.picture();
        let cells: Vec<char> = picture.chars().collect();
        let each = self.extents.len().div_ceil(cells.len().max(1));
        let mut text = format!("{}: a character for each {each} extents: {LEGEND}", self.device);
        if each == 1 {
            text = format!("{}: a character for each extent: {LEGEND}", self.device);
        }
        for row in cells.chunks(WIDTH) {
            text.push_str("\n    [");
            text.push_str(&if colour { coloured(row) } else { row.iter().collect() });
            text.push(']');
        }
        text
    }
}

/// Green is safe, yellow is on its way, red is bad.
fn coloured(row: &[char]) -> String {
    let mut text = String::new();
    for run in row.chunk_by(|one, other| one == other) {
        let colour = match run.first() {
            Some('#') => "32",
            Some('+') => "33",
            Some('x') => "1;31",
            _ => "0",
        };
        let signs: String = run.iter().collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "\x1b[{colour}m{signs}\x1b[0m");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(extents: u32) -> DiskMap {
        DiskMap::new("/dev/sdb".into(), 8, extents)
    }

    #[test]
    fn each_extent_is_what_it_is() {
        let mut disk = disk(7);
        disk.uses(0..6);
        disk.moves(8..12, true);
        disk.moves(12..16, false);
        disk.moves(16..24, true);
        disk.moves(24..32, false);
        disk.is_bad(39..40);
        assert_eq!(disk.picture(), "-+#.x-_");
        // A chunk over the end of an extent is of both, and what lies behind the disk is of none.
        disk.moves(44..1 << 40, false);
        disk.is_bad(u64::MAX - 1..u64::MAX);
        assert_eq!(disk.picture(), "-+#.x..");
    }

    #[test]
    fn what_shares_a_character_never_looks_better_than_it_is() {
        let mut disk = disk(4096);
        disk.uses(0..4096);
        disk.moves(0..8 * 4096, true);
        assert_eq!(disk.picture(), "#".repeat(512));
        disk.moves(0..8, false);
        disk.is_bad(8 * 4095..8 * 4095 + 1);
        let picture = disk.picture();
        assert_eq!(picture.chars().next(), Some('+'));
        assert_eq!(picture.chars().last(), Some('x'));
    }

    #[test]
    fn what_has_left_stays_in_the_picture_as_safe() {
        let mut before = disk(3);
        before.uses(0..3);
        before.moves(0..16, false);
        let mut after = disk(3);
        after.uses(1..3);
        after.remember(&before);
        // The first is free now: it was moved. The second is still an LV's: its move was undone.
        assert_eq!(after.picture(), "#--");
    }

    #[test]
    fn a_terminal_shows_the_same_signs_in_colours() {
        let mut disk = disk(70);
        disk.uses(0..70);
        disk.moves(0..8 * 66, true);
        disk.is_bad(0..1);
        let plain = disk.drawn(false);
        assert!(plain.contains("a character for each extent: # safe"), "{plain}");
        assert!(plain.contains(&format!("\n    [x{}]\n    [##----]", "#".repeat(63))), "{plain}");
        let coloured = disk.drawn(true);
        assert!(coloured.contains("\x1b[1;31mx\x1b[0m\x1b[32m###"), "{coloured}");
    }
}
