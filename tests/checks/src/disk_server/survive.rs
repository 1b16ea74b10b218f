//! Which of the cached changes a power cut leaves on the disk.

use lvshift_vm_tests::writer::hash::mix;

/// A choice that is the same each time it is asked: a seed can be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survive {
    /// Nothing that was not durable.
    Nothing,
    /// Everything that was received.
    Everything,
    /// Whole changes, about this many in a thousand.
    Some {
        /// Chooses which.
        seed: u64,
        /// How many.
        per_mille: u64,
    },
    /// Single sectors, about this many in a thousand: changes are torn.
    Torn {
        /// Chooses which.
        seed: u64,
        /// How many.
        per_mille: u64,
    },
    /// Everything on the disks whose bit is set, nothing on the others.
    Disks {
        /// Bit n is disk n.
        mask: u64,
    },
    /// This one change alone.
    Only {
        /// Its position.
        position: u64,
    },
    /// Everything but this one change.
    AllBut {
        /// Its position.
        position: u64,
    },
}

impl Survive {
    /// Whether this sector of the change at `position` is on disk `disk` afterwards. A disk writes its
    /// own sectors whole: `unit` is how many 512-byte sectors one of them has.
    #[must_use]
    pub fn keeps(self, disk: usize, position: u64, sector: u64, unit: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some { seed, per_mille } => mix(seed ^ mix(position)) % 1000 < per_mille,
            Self::Torn { seed, per_mille } => {
                mix(seed ^ mix(position ^ mix(sector / unit))) % 1000 < per_mille
            }
            Self::Disks { mask } => mask >> disk & 1 == 1,
            Self::Only { position: one } => position == one,
            Self::AllBut { position: one } => position != one,
        }
    }
}
