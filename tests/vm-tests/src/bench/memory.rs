//! What a move's tracker borrows.

use lvshift_core::chunk::{ChunkCell, Geometry, Group};
use lvshift_core::units::Sectors;

/// Bytes for each TiB that moves, in chunks of 1 MiB.
#[must_use]
pub fn tracker_bytes_per_tib() -> u64 {
    let geometry = Geometry::new(Sectors(1 << 31), 2048).expect("a TiB is a legal part");
    let each = |count: u32, bytes: usize| u64::from(count) * bytes as u64;
    each(geometry.chunks(), size_of::<ChunkCell>()) + each(geometry.groups(), size_of::<Group>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tib_takes_a_word_for_each_mib() {
        let words = 4 << 20;
        assert!((words..words + words / 1000).contains(&tracker_bytes_per_tib()));
    }
}
