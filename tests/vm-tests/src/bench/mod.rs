//! What is measured, and how: LVM2's `pvmove`, both front ends and the floor, on the same disks.
//!
//! `cargo xtask bench` runs the program `bench` in the guest, or on the host with real disks. It
//! writes records to its standard output (see [`record`]) and words for people to standard error.

mod app;
mod bound;
mod contestant;
mod crash;
mod data_written;
mod disk;
mod fio;
mod in_place;
mod lab;
mod late_disk;
mod memory;
mod moves;
mod pace;
mod prober;
pub mod record;
pub mod scenarios;
mod steady;
pub mod uring_copy;
mod watch;

pub use contestant::OTHER_UBLK;
pub use lab::{Lab, Scale};
pub use memory::tracker_bytes_per_tib;

use anyhow::Result;

/// One benchmark.
#[derive(Clone, Copy)]
pub struct Bench {
    /// Its name for `--only`, in kebab-case.
    pub name: &'static str,
    /// One sentence: what is compared with what.
    pub about: &'static str,
    /// Measures it once, one contestant after the other.
    pub round: fn(&mut Lab) -> Result<()>,
}

/// All that need disks, in the order they run.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "hard-disk",
        about: "disks of 120 MiB and 250 requests a second: a move alone, and beside random 4 KiB at depth 4",
        round: bound::hard_disk,
    },
    Bench {
        name: "ssd",
        about: "disks of 180 MiB and 3,000 requests a second: a move alone, and beside random 4 KiB at depth 4",
        round: bound::ssd,
    },
    Bench {
        name: "network-disk",
        about: "disks of 40 MiB and 1,500 requests a second: a move alone, and beside random 4 KiB at depth 4",
        round: bound::network_disk,
    },
    Bench {
        name: "move-idle",
        about: "moving an LV that nobody uses: raw copy, pvmove -i1, both front ends",
        round: moves::idle,
    },
    Bench {
        name: "small-segments",
        about: "moving eight segments of 4 MiB, pvmove at its default interval, and one of 32 MiB",
        round: moves::small_segments,
    },
    Bench {
        name: "slow-disks",
        about: "moving with 2 ms of latency on both sides (dm-delay, which takes processor time)",
        round: moves::slow_disks,
    },
    Bench {
        name: "late-disks",
        about: "moving with 2 ms of latency on both sides (disks in memory that answer by a timer)",
        round: moves::late_disks,
    },
    Bench {
        name: "sparse",
        about: "bytes written to the destination where a sixteenth of the LV was ever written",
        round: moves::sparse,
    },
    Bench {
        name: "crash",
        about: "bytes copied again after everything was killed at 90 %",
        round: crash::at_90_percent,
    },
    Bench {
        name: "lvm2",
        about: "in a VG of LVM2's: one segment, eight small ones, bytes copied again after a kill at 90 %",
        round: in_place::in_lvm2,
    },
    Bench {
        name: "app-4k",
        about: "an application's random 4 KiB reads and writes, before and during a move",
        round: app::random_4k,
    },
    Bench {
        name: "app-1m",
        about: "an application's sequential 1 MiB reads and writes, before and during a move",
        round: app::sequential_1m,
    },
    Bench {
        name: "pace",
        about: "an application's random 4 KiB reads and writes beside a move, paced and not",
        round: pace::pace,
    },
    Bench {
        name: "pause",
        about: "the longest pause of a prober with one request outstanding",
        round: app::pause,
    },
    Bench {
        name: "steady",
        about: "no move: raw disk, dm linear, ublk, and libublk's own loop example",
        round: steady::steady,
    },
];

/// The one of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Bench> {
    BENCHES.iter().find(|bench| bench.name == name)
}
