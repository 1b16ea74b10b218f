//! What one sector holds: a function of (seed, sector, version), and a checksum.

use super::hash::{Hasher, mix};

/// The sector size in which everything is stamped and checked.
pub const SECTOR: usize = 512;

const MAGIC: u64 = u64::from_le_bytes(*b"LVSHWRT1");
const CHECKSUM: usize = SECTOR - 8;

/// What a sector was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All zeroes: never written.
    Zero,
    /// A stamp of this writer for this very sector, whole.
    Version(u64),
    /// A whole stamp, but of another sector: a misplaced write or read.
    OtherSector(u64),
    /// A whole stamp of a writer with another seed.
    OtherSeed(u64),
    /// Our magic but a wrong checksum: torn or damaged.
    Torn,
    /// Nothing of a writer's.
    Foreign,
}

/// Writes the stamp into a sector.
pub fn write(sector_bytes: &mut [u8], seed: u64, sector: u64, version: u64) {
    assert_eq!(sector_bytes.len(), SECTOR, "one sector at a time");
    let mut filler = mix(seed ^ mix(sector ^ mix(version)));
    for (n, word) in sector_bytes.chunks_exact_mut(8).enumerate() {
        let value = match n {
            0 => MAGIC,
            1 => seed,
            2 => sector,
            3 => version,
            _ => {
                filler = filler.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                filler
            }
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
    let sum = checksum(sector_bytes);
    sector_bytes[CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
}

/// Whose a whole stamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The writer's seed.
    pub seed: u64,
    /// The sector that it was written for.
    pub sector: u64,
    /// Which of the writes to that sector.
    pub version: u64,
}

/// Says what a sector holds.
#[must_use]
pub fn read(sector_bytes: &[u8], seed: u64, sector: u64) -> Found {
    match decode(sector_bytes) {
        Ok(stamp) if stamp.seed != seed => Found::OtherSeed(stamp.seed),
        Ok(stamp) if stamp.sector != sector => Found::OtherSector(stamp.sector),
        Ok(stamp) => Found::Version(stamp.version),
        Err(found) => found,
    }
}

/// Reads a stamp whosever it is.
///
/// # Errors
/// [`Found::Zero`], [`Found::Foreign`] or [`Found::Torn`] where there is no whole one.
pub fn decode(sector_bytes: &[u8]) -> Result<Stamp, Found> {
    assert_eq!(sector_bytes.len(), SECTOR, "one sector at a time");
    let word = |n: usize| {
        u64::from_le_bytes(sector_bytes[n * 8..n * 8 + 8].try_into().expect("eight bytes"))
    };
    if word(0) != MAGIC {
        let zero = sector_bytes.iter().all(|byte| *byte == 0);
        return Err(if zero { Found::Zero } else { Found::Foreign });
    }
    if word(CHECKSUM / 8) != checksum(sector_bytes) {
        return Err(Found::Torn);
    }
    Ok(Stamp { seed: word(1), sector: word(2), version: word(3) })
}

fn checksum(sector_bytes: &[u8]) -> u64 {
    let mut hasher = Hasher::new(MAGIC);
    hasher.update(&sector_bytes[..CHECKSUM]);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_names_its_version() {
        let mut bytes = [0; SECTOR];
        assert_eq!(read(&bytes, 7, 9), Found::Zero);
        write(&mut bytes, 7, 9, 3);
        assert_eq!(read(&bytes, 7, 9), Found::Version(3));
        assert_eq!(read(&bytes, 7, 10), Found::OtherSector(9));
        assert_eq!(read(&bytes, 8, 9), Found::OtherSeed(7));
    }

    #[test]
    fn any_changed_byte_is_seen() {
        let mut good = [0; SECTOR];
        write(&mut good, 7, 9, 3);
        for at in 0..SECTOR {
            let mut bytes = good;
            bytes[at] ^= 0x10;
            assert!(
                matches!(read(&bytes, 7, 9), Found::Torn | Found::Foreign),
                "byte {at} can change unseen"
            );
        }
    }

    #[test]
    fn two_versions_share_no_half() {
        let (mut old, mut new) = ([0; SECTOR], [0; SECTOR]);
        write(&mut old, 7, 9, 3);
        write(&mut new, 7, 9, 4);
        for cut in (40..SECTOR).step_by(8) {
            let mut torn = new;
            torn[cut..].copy_from_slice(&old[cut..]);
            assert_eq!(read(&torn, 7, 9), Found::Torn, "torn at byte {cut}");
        }
    }
}
