//! Which runs of a block hold only zeroes: they are made zeroes on the destination, not written.

use core::ops::Range;

use super::operation::COPY_BLOCK;

/// The grain in bytes: shorter runs of zeroes are written as data.
pub(super) const GRAIN: usize = 64 << 10;
/// Runs of a block at most.
pub(super) const MAX_RUNS: usize = COPY_BLOCK / GRAIN;

/// Bytes of a block that are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) bytes: Range<usize>,
    pub(super) zero: bool,
}

/// The runs of `block`, in order; what is past [`COPY_BLOCK`] is left out.
pub(super) fn cut(block: &[u8]) -> heapless::Vec<Run, MAX_RUNS> {
    let mut runs: heapless::Vec<Run, MAX_RUNS> = heapless::Vec::new();
    let mut start = 0;
    for grain in block.chunks(GRAIN).take(MAX_RUNS) {
        let bytes = start..start + grain.len();
        start = bytes.end;
        let zero = is_zero(grain);
        match runs.last_mut() {
            Some(last) if last.zero == zero => last.bytes.end = bytes.end,
            // There is room: no more grains than runs.
            _ => drop(runs.push(Run { bytes, zero })),
        }
    }
    runs
}

fn is_zero(bytes: &[u8]) -> bool {
    // In wide steps first: most data differs from zero early, most zeroes are long.
    bytes.chunks(128).all(|chunk| chunk.iter().fold(0, |all, &byte| all | byte) == 0)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_the_block_and_alternate() {
        let mut block = std::vec![0; 5 * GRAIN + 512];
        block[GRAIN + 7] = 1;
        block[5 * GRAIN + 511] = 1;
        let run = |bytes, zero| Run { bytes, zero };
        assert_eq!(
            cut(&block),
            [
                run(0..GRAIN, true),
                run(GRAIN..2 * GRAIN, false),
                run(2 * GRAIN..5 * GRAIN, true),
                run(5 * GRAIN..block.len(), false),
            ]
        );
    }

    #[test]
    fn a_whole_block_of_alternating_grains_fits() {
        let mut block = std::vec![0; COPY_BLOCK];
        block.chunks_mut(2 * GRAIN).for_each(|two| two[0] = 1);
        let runs = cut(&block);
        assert_eq!(runs.len(), MAX_RUNS);
        assert_eq!(runs.last().map(|run| run.bytes.end), Some(COPY_BLOCK));
    }
}
