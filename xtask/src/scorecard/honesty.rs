//! Counts the cells of the honesty matrix that are shown, and what LVM2 lost in the same.

use std::collections::BTreeSet;

use anyhow::Result;
use lvshift_tests::conformance::honesty::{CONTROLS, Extent, Fault, MATRIX};
use lvshift_tests::scenario::Frontend;

use super::figure::Reached;
use super::{Size, scenarios};

/// Runs every scenario that shows a cell, and the controls.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    let names: BTreeSet<&str> = MATRIX.iter().map(|cell| cell.shown_by).collect();
    let names: Vec<&str> = names.into_iter().chain(CONTROLS.iter().copied()).collect();
    let (mut reached, mut shown) = (Vec::new(), Vec::new());
    for frontend in Frontend::READY {
        let tally = scenarios::run(*frontend, &names)?;
        scenarios::figures(&tally, &mut reached);
        shown.push((frontend.word(), tally.good));
    }
    let mut cells = 0;
    println!("\n{:32} {:14} {:14}", "fault", "8 sectors", "all");
    for fault in Fault::ALL {
        let of = |extent: Extent| {
            let cell = MATRIX.iter().find(|cell| cell.fault == fault && cell.extent == extent);
            let good = shown
                .iter()
                .filter(|(_, good)| cell.is_some_and(|cell| good.contains(&cell.shown_by)));
            good.map(|(word, _)| *word).collect::<Vec<_>>()
        };
        let [eight, all] = Extent::ALL.map(of);
        cells += (eight.len() + all.len()) as u64;
        println!("{:32} {:14} {:14}", fault.says(), eight.join(", "), all.join(", "));
    }
    reached.push(Reached { id: "honesty-cells".to_owned(), count: cells, seed: None });
    Ok(reached)
}
