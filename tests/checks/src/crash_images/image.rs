//! The disks at one moment, as numbers of contents.

use super::sectors::{Id, ZERO};
use lvshift_vm_tests::writer::hash::mix;

/// All disks. Its hash tells two images apart.
#[derive(Clone, Debug)]
pub struct Image {
    disks: Vec<Vec<Id>>,
    hash: u64,
}

impl Image {
    /// Zeroes.
    #[must_use]
    pub fn new(sizes: impl Iterator<Item = u64>) -> Self {
        let disk = |sectors: u64| vec![ZERO; usize::try_from(sectors).expect("a disk in memory")];
        Self { disks: sizes.map(disk).collect(), hash: 0 }
    }

    /// What a sector holds.
    #[must_use]
    pub fn get(&self, disk: usize, sector: u64) -> Id {
        self.disks[disk][sector as usize]
    }

    /// What some sectors hold.
    #[must_use]
    pub fn run(&self, disk: usize, first: u64, sectors: u64) -> &[Id] {
        &self.disks[disk][first as usize..(first + sectors) as usize]
    }

    /// Puts a content in a sector and says what was there.
    pub fn set(&mut self, disk: usize, sector: u64, id: Id) -> Id {
        let old = std::mem::replace(&mut self.disks[disk][sector as usize], id);
        self.hash ^= weight(disk, sector, old) ^ weight(disk, sector, id);
        old
    }

    /// How many disks.
    #[must_use]
    pub fn disks(&self) -> usize {
        self.disks.len()
    }

    /// How many sectors a disk has.
    #[must_use]
    pub fn sectors(&self, disk: usize) -> u64 {
        self.disks[disk].len() as u64
    }

    /// Equal for equal images, and hardly ever for others.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

fn weight(disk: usize, sector: u64, id: Id) -> u64 {
    if id == ZERO { 0 } else { mix(sector ^ (disk as u64) << 40 ^ mix(u64::from(id))) }
}
