//! How many requests, and how many I/Os below, have failed: for `metrics`. Only what fails is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::uapi::op;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    Read,
    /// Zeroes, too.
    Write,
    Flush,
    Discard,
}

impl Op {
    /// All, in the order of their numbers, with their names.
    pub(crate) const ALL: [(Op, &str); 4] =
        [(Op::Read, "read"), (Op::Write, "write"), (Op::Flush, "flush"), (Op::Discard, "discard")];

    /// The one with this number.
    pub(crate) fn of_bits(bits: u8) -> Option<Op> {
        Op::ALL.get(usize::from(bits)).map(|(op, _)| *op)
    }

    /// What the driver calls so.
    pub(crate) const fn of_driver(number: u8) -> Op {
        match number {
            op::READ => Op::Read,
            op::FLUSH => Op::Flush,
            op::DISCARD => Op::Discard,
            _ => Op::Write,
        }
    }
}

/// What a device is to the move of the LV whose I/O has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It does not move.
    None,
    Source,
    Destination,
}

impl Side {
    /// All, in order, with their names.
    pub(crate) const ALL: [(Side, &str); 3] =
        [(Side::None, "none"), (Side::Source, "source"), (Side::Destination, "destination")];
}

/// Counts for each kind of request.
#[derive(Debug, Default)]
pub(crate) struct Errors([AtomicU64; Op::ALL.len()]);

impl Errors {
    /// One more.
    pub(crate) fn count(&self, op: Op) {
        if let Some(count) = self.0.get(op as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So far.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// Counts of a device below, for each side that it may be.
#[derive(Debug, Default)]
pub(crate) struct DeviceErrors([Errors; Side::ALL.len()]);

impl DeviceErrors {
    /// One more.
    pub(crate) fn count(&self, side: Side, op: Op) {
        if let Some(errors) = self.0.get(side as usize) {
            errors.count(op);
        }
    }

    /// So far, side by side.
    pub(crate) fn counts(&self) -> Vec<Vec<u64>> {
        self.0.iter().map(Errors::counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_together() {
        for (number, (op, _)) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, number);
            assert_eq!(Op::of_bits(*op as u8), Some(*op));
        }
        for (number, (side, _)) in Side::ALL.iter().enumerate() {
            assert_eq!(*side as usize, number);
        }
        let errors = DeviceErrors::default();
        errors.count(Side::Destination, Op::Flush);
        assert_eq!(errors.counts(), [[0; 4], [0; 4], [0, 0, 1, 0]]);
    }
}
