//! The matrix of faults: what may break while an LV moves, and which scenario shows that it is said.
//!
//! A cell is shown by a scenario that passes on a front end. Each such scenario holds that the move
//! ends with status 5 and names the disk that failed, that the source is in charge, that the
//! application saw no error but those of its own disk, and that at the end every sector holds what was
//! acknowledged last. `cargo xtask scorecard --only honesty` counts the cells.

mod control;
mod disks;
mod flush;
mod lvm2;
mod space;

use super::fixture;
use disks::{destination, source};
use flush::flush;
use space::space;

use crate::scenario::{Frontend, Scenario};

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reads of the source fail, the copy's and the application's.
    SourceRead,
    /// Writes of the copy to the destination fail.
    CopyWrite,
    /// Writes of the application to the destination fail, after the copy.
    ApplicationWrite,
    /// Flushes of the destination fail.
    Flush,
    /// The destination is not there.
    DestinationGone,
    /// The source is not there.
    SourceGone,
    /// The destination is thin and has no space.
    NoSpace,
}

impl Fault {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::SourceRead,
        Self::CopyWrite,
        Self::ApplicationWrite,
        Self::Flush,
        Self::DestinationGone,
        Self::SourceGone,
        Self::NoSpace,
    ];

    /// For people.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::SourceRead => "source read",
            Self::CopyWrite => "destination copy write",
            Self::ApplicationWrite => "destination application write",
            Self::Flush => "flush",
            Self::DestinationGone => "destination gone",
            Self::SourceGone => "source gone",
            Self::NoSpace => "no space on a thin destination",
        }
    }
}

/// How much of it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Eight sectors. A flush has no sectors: one flush fails. A disk that is gone for eight sectors is
    /// gone for a moment and comes back. Thin space comes in blocks of 128 sectors: the last one that
    /// the move needs is missing.
    Eight,
    /// Everything, and for as long as the move runs. A thin destination has room for its label,
    /// metadata and log, and for no data.
    All,
}

impl Extent {
    /// Both of them, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Eight, Self::All];
}

/// A fault, and the scenario that shows what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// What breaks.
    pub fault: Fault,
    /// How much of it.
    pub extent: Extent,
    /// The name of the scenario; it runs on both front ends.
    pub shown_by: &'static str,
}

const fn cell(fault: Fault, extent: Extent, shown_by: &'static str) -> Cell {
    Cell { fault, extent, shown_by }
}

/// All cells, for each front end.
pub const MATRIX: &[Cell] = &[
    cell(Fault::SourceRead, Extent::Eight, "fault-source-mid-copy"),
    cell(Fault::SourceRead, Extent::All, "honesty-source"),
    cell(Fault::CopyWrite, Extent::Eight, "fault-destination-unwritable"),
    cell(Fault::CopyWrite, Extent::All, "honesty-destination"),
    cell(Fault::ApplicationWrite, Extent::Eight, "honesty-destination"),
    cell(Fault::ApplicationWrite, Extent::All, "fault-destination-after-copy"),
    cell(Fault::Flush, Extent::Eight, "honesty-flush"),
    cell(Fault::Flush, Extent::All, "honesty-flush"),
    cell(Fault::DestinationGone, Extent::Eight, "honesty-destination"),
    cell(Fault::DestinationGone, Extent::All, "fault-destination-vanishes"),
    cell(Fault::SourceGone, Extent::Eight, "honesty-source"),
    cell(Fault::SourceGone, Extent::All, "fault-source-vanishes"),
    cell(Fault::NoSpace, Extent::Eight, "honesty-space"),
    cell(Fault::NoSpace, Extent::All, "honesty-space"),
];

/// The same faults under LVM2's pvmove, on device-mapper: each prints figures.
pub const CONTROLS: &[&str] = &["control-honesty-sectors", "control-honesty-disks"];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "honesty-source",
        about: "no sector of the source can be read in mid-copy; then it is gone for a moment",
        run: source,
        ..BASE
    },
    Scenario {
        name: "honesty-destination",
        about: "no copy can be written; 8 sectors fail an application's write; gone for a moment",
        run: destination,
        ..BASE
    },
    Scenario {
        name: "honesty-flush",
        about: "one flush of the destination fails after the copy; then all of them in mid-copy",
        volatile: true,
        run: flush,
        ..BASE
    },
    Scenario {
        name: "honesty-space",
        about: "a thin destination has no room for any data; then for all but the last block",
        disks: fixture::TWO,
        run: space,
        ..BASE
    },
    Scenario {
        name: CONTROLS[0],
        about: "LVM2's pvmove under the faults of the matrix that are about sectors: it loses data",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: control::sectors,
        ..BASE
    },
    Scenario {
        name: CONTROLS[1],
        about: "LVM2's pvmove under the faults of the matrix that are about whole disks",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: control::disks,
        ..BASE
    },
];

const BASE: Scenario = Scenario { disks: fixture::THREE, timeout_s: 360, ..Scenario::DEFAULT };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_shown_once_and_by_a_scenario_of_both_front_ends() {
        for fault in Fault::ALL {
            for extent in Extent::ALL {
                let cells = MATRIX.iter().filter(|c| c.fault == fault && c.extent == extent);
                assert_eq!(cells.count(), 1, "{fault:?} {extent:?}");
            }
        }
        for cell in MATRIX {
            let shown_by =
                crate::conformance::find(cell.shown_by).expect("a scenario of that name");
            assert_eq!(shown_by.frontends, Frontend::BOTH, "{}", cell.shown_by);
            assert!(!shown_by.hidden, "{} runs only when named", cell.shown_by);
        }
    }
}
