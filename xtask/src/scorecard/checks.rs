//! The list of checks. A new one needs an entry here, a section in docs/testing/proofs.md, and to have
//! been seen failing.

use std::process::Command;

use anyhow::Result;

use super::Size;
use super::figure::{Figure, Reached, Target};
use super::listen::listen;
use super::scenarios::Made;
use super::{cuts, dying, fuzz, habits, honesty, host, liveness, miri, mutants, panics};
use crate::{planted, power, sim};

/// One check.
pub(super) struct Check {
    /// For `--only`.
    pub(super) name: &'static str,
    /// What holds if it passes.
    pub(super) says: &'static str,
    /// The form that `cargo xtask test` runs, unless it would take too long.
    pub(super) quick: Option<Form>,
    /// The large form.
    pub(super) full: Form,
    /// What it counts.
    pub(super) figures: &'static [Figure],
}

/// How a check is run.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// By cargo, with these arguments and variables.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// By code of xtask.
    Own(fn(Size) -> Result<Vec<Reached>>),
    /// The same, and it boots virtual machines.
    Vm(fn(Size) -> Result<Vec<Reached>>),
    /// Made of scenarios, which `cargo xtask test` runs anyway.
    Scenarios(Made),
}

use Form::{Cargo, Own, Scenarios, Vm};
use Target::{AtLeast, AtMost, Exactly};

/// All checks, cheap ones first.
pub(super) const ALL: &[Check] = &[
    PANICS, HOST, DYING, FUZZ, LOOM, SHUTTLE, METADATA, EXHAUSTIVE, SIM, MIRI, PLANTED, MUTANTS,
    POWER, HONESTY, LIVENESS, HABITS,
];

const PANICS: Check = Check {
    name: "panics",
    says: "code that reads foreign bytes or maps requests cannot panic",
    quick: Some(Own(panics::check)),
    full: Own(panics::check),
    figures: &[
        Figure {
            id: "panic-roots",
            says: "functions looked at in a release build",
            quick: AtLeast(50),
            full: AtLeast(50),
        },
        Figure {
            id: "panic-reached",
            says: "of these, functions that reach the panic machinery",
            quick: Exactly(0),
            full: Exactly(0),
        },
    ],
};

const HOST: Check = Check {
    name: "host",
    says: "whatever else goes on on the host: no harm is taken, and none is done",
    quick: Some(Own(host::check)),
    full: Own(host::check),
    figures: &[Figure {
        id: "host-classes",
        says: "classes of harm with a check that fails unmended, of 29",
        quick: AtLeast(29),
        full: AtLeast(29),
    }],
};

const DYING: Check = Check {
    name: "dying",
    says: "a disk is left while it dies: what can be read is safe, and the rest is named",
    quick: Some(Own(dying::check)),
    full: Own(dying::check),
    figures: &[Figure {
        id: "dying-cases",
        says: "cases with a check that fails unmended, of 21",
        quick: AtLeast(21),
        full: AtLeast(21),
    }],
};

const HABITS: Check = Check {
    name: "habits",
    says: "the command lines that programs send to LVM, each run for real",
    quick: Some(Scenarios(habits::MADE)),
    full: Scenarios(habits::MADE),
    figures: &[Figure {
        id: "habits-dm",
        says: "of 79 lines, done as LVM does or refused plainly (dm)",
        quick: Exactly(79),
        full: Exactly(79),
    }],
};

const FUZZ: Check = Check {
    name: "fuzz",
    says: "whatever the bytes are, a decoder answers, and what it takes it gives back",
    quick: Some(Own(fuzz::check)),
    full: Own(fuzz::check),
    figures: &[
        Figure {
            id: "fuzz-targets",
            says: "fuzz targets, raw and with checksums made right",
            quick: AtLeast(9),
            full: AtLeast(9),
        },
        Figure {
            id: "fuzz-executions",
            says: "inputs tried, none of which breaks a promise",
            quick: AtLeast(20_000),
            full: AtLeast(10_000_000),
        },
    ],
};

const LOOM_TEST: &[&str] = &[
    "test",
    "--quiet",
    "-p",
    "lvshift-core",
    "--release",
    "--lib",
    "--target-dir",
    "target/loom",
    "loom",
    "--",
    "--nocapture",
];

const LOOM: Check = Check {
    name: "loom",
    says: "no interleaving and no memory order of the tracker breaks a rule",
    quick: Some(Cargo(LOOM_TEST, &[("RUSTFLAGS", "--cfg loom")])),
    full: Cargo(LOOM_TEST, &[("RUSTFLAGS", "--cfg loom")]),
    figures: &[Figure {
        id: "loom-executions",
        says: "executions of the tracker's models",
        quick: AtLeast(10_000),
        full: AtLeast(1_000_000),
    }],
};

const METADATA: Check = Check {
    name: "metadata",
    says: "torn, damaged, stale, missing or cloned metadata never give a wrong mapping",
    quick: Some(Own(|size| listen(&mut sim::metadata()?, size))),
    full: Own(|size| listen(&mut sim::metadata()?, size)),
    figures: &[
        Figure {
            id: "metadata-torn-images",
            says: "torn slots of a move's commits: exactly old, exactly new, or bad",
            quick: AtLeast(400_000),
            full: AtLeast(4_000_000),
        },
        Figure {
            id: "metadata-flips",
            says: "bit flips in labels and slots, noticed or without meaning",
            quick: AtLeast(500_000),
            full: AtLeast(10_000_000),
        },
        Figure {
            id: "metadata-damage-opened",
            says: "flips and zeroed sectors on all PVs but one: the right mapping opens",
            quick: AtLeast(9_000),
            full: AtLeast(1_000_000),
        },
        Figure {
            id: "metadata-combinations",
            says: "stale, missing, cloned, corrupt over three PVs: right or refused",
            quick: AtLeast(4_500),
            full: AtLeast(300_000),
        },
        Figure {
            id: "metadata-crash-states",
            says: "states left by power cuts in commits and in recoveries, at any depth",
            quick: AtLeast(3_000),
            full: AtLeast(3_000),
        },
        Figure {
            id: "metadata-further-behind",
            says: "recoveries that find a PV more than one commit behind",
            quick: Exactly(0),
            full: Exactly(0),
        },
        Figure {
            id: "metadata-behind-commits",
            says: "commands on VGs of which PVs are missing or fail: one line of changes",
            quick: AtLeast(15_000),
            full: AtLeast(1_500_000),
        },
        Figure {
            id: "metadata-behind-leaving",
            says: "of these, done while a PV that takes no changes is being left",
            quick: AtLeast(2_500),
            full: AtLeast(250_000),
        },
        Figure {
            id: "metadata-wrong",
            says: "of all these, wrong",
            quick: Exactly(0),
            full: Exactly(0),
        },
    ],
};

const EXHAUSTIVE_TEST: &[&str] = &[
    "test",
    "--quiet",
    "-p",
    "lvshift-core",
    "--release",
    "--lib",
    "--target-dir",
    "target/exhaustive",
    "exhaustive",
    "--",
    "--nocapture",
];

const EXHAUSTIVE: Check = Check {
    name: "exhaustive",
    says: "a whole small move: every interleaving, every power cut, every surviving subset",
    quick: Some(Cargo(EXHAUSTIVE_TEST, &[])),
    full: Cargo(EXHAUSTIVE_TEST, &[]),
    figures: &[
        Figure {
            id: "exhaustive-states",
            says: "states of a move with clients, each with its power cuts",
            quick: AtLeast(5_000_000),
            full: AtLeast(100_000_000),
        },
        Figure {
            id: "exhaustive-subsets",
            says: "sets of sectors that may survive in them",
            quick: AtLeast(50_000_000),
            full: AtLeast(1_000_000_000),
        },
        Figure {
            id: "exhaustive-unfinished",
            says: "worlds not walked to their end: more states or time than allowed",
            quick: Exactly(0),
            full: AtLeast(0),
        },
    ],
};

const SHUTTLE_TEST: &[&str] = &[
    "test",
    "--quiet",
    "-p",
    "lvshift-core",
    "--release",
    "--lib",
    "--target-dir",
    "target/shuttle",
    "shuttle",
    "--",
    "--nocapture",
];

const SHUTTLE: Check = Check {
    name: "shuttle",
    says: "four queues, copier, log, flushes and the end of a move keep the legs equal and wake all",
    quick: Some(Cargo(SHUTTLE_TEST, &[("RUSTFLAGS", "--cfg shuttle")])),
    full: Cargo(SHUTTLE_TEST, &[("RUSTFLAGS", "--cfg shuttle")]),
    figures: &[Figure {
        id: "shuttle-executions",
        says: "moves of the whole tracker, random and PCT schedules",
        quick: AtLeast(1_000),
        full: AtLeast(200_000),
    }],
};

const MIRI: Check = Check {
    name: "miri",
    says: "core and format do nothing undefined, whatever the byte order",
    // A nightly Rust cannot be had everywhere; without it the large form fails.
    quick: None,
    full: Own(miri::check),
    figures: &[
        Figure {
            id: "miri-tests",
            says: "tests that Miri passes",
            quick: AtLeast(150),
            full: AtLeast(150),
        },
        Figure {
            id: "miri-big-endian-tests",
            says: "of these, on a big-endian machine",
            quick: AtLeast(150),
            full: AtLeast(150),
        },
    ],
};

const SIM: Check = Check {
    name: "sim",
    says: "a power cut at any step of a simulated move loses nothing that was flushed",
    quick: Some(Own(|size| listen(&mut sim::many(sim::QUICK)?, size))),
    full: Own(|size| listen(&mut sim::many(sim::FULL)?, size)),
    figures: &[
        Figure {
            id: "sim-crash-points",
            says: "moments of simulated moves, each with all that may survive",
            quick: AtLeast(sim::QUICK),
            full: AtLeast(sim::FULL),
        },
        Figure {
            id: "sim-broken",
            says: "of these, moments that break a promise",
            quick: Exactly(0),
            full: Exactly(0),
        },
    ],
};

const PLANTED: Check = Check {
    name: "planted",
    says: "bugs that are planted on purpose are found",
    // Five to eight minutes of a processor, whatever was changed.
    quick: None,
    full: Own(planted_bugs),
    figures: &[
        Figure {
            id: "planted-found",
            says: "planted bugs that a check finds",
            quick: AtLeast(30),
            full: AtLeast(30),
        },
        Figure {
            id: "planted-missed",
            says: "planted bugs that all checks miss",
            quick: Exactly(0),
            full: Exactly(0),
        },
    ],
};

const MUTANTS: Check = Check {
    name: "mutants",
    says: "an operator, an arm or an answer of the core cannot be changed unnoticed",
    // Half an hour.
    quick: None,
    full: Own(mutants::check),
    figures: &[
        Figure {
            id: "mutants-tried",
            says: "mutants of the tracker, the mover, and commits",
            quick: AtLeast(500),
            full: AtLeast(500),
        },
        Figure {
            id: "mutants-unexplained",
            says: "of these, mutants that no test notices and that are not explained",
            quick: Exactly(0),
            full: Exactly(0),
        },
    ],
};

const POWER: Check = Check {
    name: "power",
    says: "on a real kernel, too, a power cut at any moment loses nothing that was flushed",
    quick: Some(Vm(cuts::check)),
    full: Vm(cuts::check),
    figures: &[
        images("power-images-dm", "different crash images of lvshift-dm, checked natively"),
        images("power-images-ublk", "different crash images of lvshift-ublk, checked natively"),
        none("power-wrong-dm", "of these, images of lvshift-dm that are wrong"),
        none("power-wrong-ublk", "of these, images of lvshift-ublk that are wrong"),
        boots("power-boots-dm", "crash images of lvshift-dm, booted and recovered"),
        boots("power-boots-ublk", "crash images of lvshift-ublk, booted and recovered"),
        none("power-boots-failed-dm", "crash images of lvshift-dm, booted and not recovered"),
        none("power-boots-failed-ublk", "crash images of lvshift-ublk, booted and not recovered"),
    ],
};

const fn images(id: &'static str, says: &'static str) -> Figure {
    Figure { id, says, quick: AtLeast(power::QUICK), full: AtLeast(power::FULL) }
}

const fn boots(id: &'static str, says: &'static str) -> Figure {
    Figure { id, says, quick: AtLeast(1), full: AtLeast(20) }
}

const fn none(id: &'static str, says: &'static str) -> Figure {
    Figure { id, says, quick: Exactly(0), full: Exactly(0) }
}

const HONESTY: Check = Check {
    name: "honesty",
    says: "whatever fails while an LV moves is said, and loses nothing; LVM2's pvmove beside it",
    quick: Some(Scenarios(honesty::MADE)),
    full: Scenarios(honesty::MADE),
    figures: &[
        Figure {
            id: "honesty-cells",
            says: "faults that both front ends report, of 28",
            quick: Exactly(28),
            full: Exactly(28),
        },
        Figure {
            id: "honesty-control-cells",
            says: "the same faults under LVM2's pvmove",
            quick: Exactly(14),
            full: Exactly(14),
        },
        Figure {
            id: "honesty-control-lossy",
            says: "of these, faults under which it loses sectors",
            quick: AtLeast(1),
            full: AtLeast(1),
        },
        Figure {
            id: "honesty-control-lost-sectors",
            says: "sectors that it loses under them",
            quick: AtLeast(8),
            full: AtLeast(8),
        },
        Figure {
            id: "honesty-control-said-done",
            says: "faults under which it ends with status 0",
            quick: AtLeast(1),
            full: AtLeast(1),
        },
    ],
};

const LIVENESS: Check = Check {
    name: "liveness",
    says: "nothing hangs for long: the application without a daemon, the copy under load",
    quick: Some(Scenarios(liveness::MADE)),
    full: Scenarios(liveness::MADE),
    figures: &[
        at_most("kill-gap-idle-ms", "ms without service after a kill of the daemon, worst", 15_000),
        at_most("kill-gap-move-ms", "the same while a move is mirrored", 15_000),
        at_most(
            "copy-standstill-dm-ms",
            "ms without progress under a saturating writer, dm",
            15_000,
        ),
        at_most("copy-standstill-ublk-ms", "the same, ublk", 5_000),
    ],
};

const fn at_most(id: &'static str, says: &'static str, most: u64) -> Figure {
    Figure { id, says, quick: AtMost(most), full: AtMost(most) }
}

fn planted_bugs(_: Size) -> Result<Vec<Reached>> {
    let catch = planted::all()?;
    let missed = catch.missed.len() as u64;
    let found = Reached::of("planted-found", catch.found);
    Ok(vec![found, Reached::of("planted-missed", missed)])
}

impl Check {
    /// Why a target is missed.
    pub(super) fn missed(&self, size: Size, reached: &[Reached]) -> Option<String> {
        self.figures.iter().find_map(|figure| figure.missed(size, reached))
    }

    pub(super) fn form(&self, size: Size) -> Option<Form> {
        match size {
            Size::Quick => self.quick,
            Size::Full => Some(self.full),
        }
    }
}

impl Form {
    pub(super) fn run(self, size: Size) -> Result<Vec<Reached>> {
        match self {
            Cargo(args, env) => {
                let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let mut command = Command::new(cargo);
                command.args(args).envs(env.iter().copied());
                listen(&mut command, size)
            }
            Own(run) | Vm(run) => run(size),
            Scenarios(made) => made.run(),
        }
    }
}
