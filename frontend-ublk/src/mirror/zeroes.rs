//! Which runs of a block hold only zeroes: they are made zeroes on the destination, not written.

use std::ops::Range;

/// The grain in bytes: shorter runs of zeroes are written as data.
pub(super) const GRAIN: usize = 64 << 10;

/// Bytes of a block that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) bytes: Range<usize>,
    pub(super) zero: bool,
}

/// Cuts `block` into runs of data and of zeroes, and puts them into `runs`.
pub(super) fn cut(block: &[u8], runs: &mut Vec<Run>) {
    runs.clear();
    for (n, grain) in block.chunks(GRAIN).enumerate() {
        let start = n * GRAIN;
        let bytes = start..start + grain.len();
        let zero = is_zero(grain);
        match runs.last_mut() {
            Some(last) if last.zero == zero => last.bytes.end = bytes.end,
            _ => runs.push(Run { bytes, zero }),
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // In wide steps first: most data differs from zero early, most zeroes are long.
    bytes.chunks(128).all(|chunk| chunk.iter().fold(0, |all, &byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_the_block_and_alternate() {
        let mut block = vec![0; 5 * GRAIN + 512];
        block[GRAIN + 7] = 1;
        block[5 * GRAIN + 511] = 1;
        let mut runs = Vec::new();
        cut(&block, &mut runs);
        let run = |bytes, zero| Run { bytes, zero };
        assert_eq!(
            runs,
            [
                run(0..GRAIN, true),
                run(GRAIN..2 * GRAIN, false),
                run(2 * GRAIN..5 * GRAIN, true),
                run(5 * GRAIN..block.len(), false),
            ]
        );
    }
}
