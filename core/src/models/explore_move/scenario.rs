//! What the clients ask for, up to what makes no difference.

use std::collections::BTreeSet;
use std::vec::Vec;

use crate::chunk::WritePolicy;

/// Operations at most.
pub(super) const MAX_OPS: usize = 3;

/// One operation of a client. All of them are under way together, in every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Op {
    /// A write of these blocks of a chunk, as bits; 3 is all of it.
    Write {
        chunk: usize,
        blocks: u8,
    },
    Flush,
}

/// A world to explore.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) ops: Vec<Op>,
    pub(super) chunks: usize,
    pub(super) policy: WritePolicy,
    /// The administrator may ask for the move to be undone, at any time.
    pub(super) abort: bool,
}

impl Scenario {
    /// The chunks that operations touch are the first ones; how many.
    pub(super) fn touched(&self) -> usize {
        let chunk = |op: &Op| match op {
            Op::Write { chunk, .. } => chunk + 1,
            Op::Flush => 0,
        };
        self.ops.iter().map(chunk).max().unwrap_or(0)
    }
}

/// All sets of so many operations. Which chunk is which makes no difference, nor which block of a
/// chunk: the copier takes any chunk at any time.
pub(super) fn scripts(count: usize) -> BTreeSet<Vec<Op>> {
    let mut alphabet = Vec::from([Op::Flush]);
    for chunk in 0..count {
        alphabet.extend((1..=3).map(|blocks| Op::Write { chunk, blocks }));
    }
    let mut all = BTreeSet::from([Vec::new()]);
    for _ in 0..count {
        let longer = |ops: &Vec<Op>| {
            let ops = ops.clone();
            alphabet.clone().into_iter().map(move |op| {
                let mut ops = ops.clone();
                ops.push(op);
                canonical(&ops)
            })
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

fn canonical(ops: &[Op]) -> Vec<Op> {
    let renamed = |order: [usize; 3], swapped: usize| {
        let mut ops: Vec<Op> = ops
            .iter()
            .map(|op| match *op {
                Op::Write { chunk, blocks } => {
                    let swap = swapped >> chunk & 1 == 1 && blocks != 3;
                    let blocks = if swap { 3 - blocks } else { blocks };
                    Op::Write { chunk: order[chunk], blocks }
                }
                Op::Flush => Op::Flush,
            })
            .collect();
        ops.sort_unstable();
        ops
    };
    let all = ORDERS.into_iter().flat_map(|order| (0..8).map(move |swap| (order, swap)));
    let least = all.map(|(order, swap)| renamed(order, swap)).min();
    least.unwrap_or_default()
}

#[test]
fn scripts_that_differ_in_names_only_count_once() {
    // One block, all of a chunk, a flush.
    assert_eq!(scripts(1).len(), 3);
    // Flush twice; a flush with either write; two blocks of one chunk: the same, the other, with the
    // whole, the whole twice; and in two chunks: three pairs.
    assert_eq!(scripts(2).len(), 1 + 2 + 4 + 3);
}
