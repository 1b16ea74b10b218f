//! Counts the cells of the honesty matrix that are shown, and what LVM2 lost in the same.

use std::collections::BTreeSet;

use lvshift_vm_tests::conformance::honesty::{CONTROLS, Extent, Fault, MATRIX};

use super::figure::Reached;
use super::scenarios::{Made, Seen, figures};

/// Every scenario that shows a cell, and the controls.
pub(super) const MADE: Made = Made { names, count };

fn names() -> Vec<&'static str> {
    let names: BTreeSet<&str> = MATRIX.iter().map(|cell| cell.shown_by).collect();
    names.into_iter().chain(CONTROLS.iter().copied()).collect()
}

fn count(seen: &[Seen]) -> Vec<Reached> {
    let mut reached = figures(seen);
    let mut cells = 0;
    println!("\n{:32} {:14} {:14}", "fault", "8 sectors", "all");
    for fault in Fault::ALL {
        let of = |extent: Extent| {
            let cell = MATRIX.iter().find(|cell| cell.fault == fault && cell.extent == extent);
            let good = seen
                .iter()
                .filter(|(_, tally)| cell.is_some_and(|cell| tally.good.contains(&cell.shown_by)));
            good.map(|(frontend, _)| frontend.word()).collect::<Vec<_>>()
        };
        let [eight, all] = Extent::ALL.map(of);
        cells += (eight.len() + all.len()) as u64;
        println!("{:32} {:14} {:14}", fault.says(), eight.join(", "), all.join(", "));
    }
    reached.push(Reached::of("honesty-cells", cells));
    reached
}
