//! The list of checks. A new one needs an entry here, a section in docs/testing.md, and to have
//! been seen failing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Size;
use super::figure::{self, Figure, Reached, Target};
use super::{cuts, fuzz, honesty, liveness, panics};
use crate::{paths, power, sim};

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
    /// The same, and it is made of scenarios that `cargo xtask test` runs anyway.
    Scenarios(fn(Size) -> Result<Vec<Reached>>),
}

use Form::{Cargo, Own, Scenarios, Vm};
use Target::{AtLeast, AtMost, Exactly};

/// All checks, cheap ones first.
pub(super) const ALL: &[Check] = &[PANICS, FUZZ, LOOM, SIM, PLANTED, POWER, HONESTY, LIVENESS];

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

const SIM: Check = Check {
    name: "sim",
    says: "a power cut at any step of a simulated move loses nothing that was flushed",
    // Not in the ordinary tests until what seed 187 shows is mended: docs/ublk.md, "A flush that fails".
    quick: None,
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
    says: "bugs that are planted on purpose are found by the simulator",
    quick: None,
    full: Own(|size| listen(&mut sim::planted_bugs()?, size)),
    figures: &[
        Figure {
            id: "planted-found",
            says: "planted bugs that the simulator finds",
            quick: AtLeast(30),
            full: AtLeast(30),
        },
        Figure {
            id: "planted-missed",
            says: "planted bugs that it misses",
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
    quick: Some(Scenarios(honesty::check)),
    full: Scenarios(honesty::check),
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
    quick: Some(Scenarios(liveness::check)),
    full: Scenarios(liveness::check),
    figures: &[
        at_most("kill-gap-idle-ms", "ms without service after a kill of the daemon, worst", 15_000),
        at_most("kill-gap-move-ms", "the same while a move is mirrored", 15_000),
        at_most(
            "copy-standstill-dm-ms",
            "ms without progress under a saturating writer, dm",
            5_000,
        ),
        at_most("copy-standstill-ublk-ms", "the same, ublk", 5_000),
    ],
};

const fn at_most(id: &'static str, says: &'static str, most: u64) -> Figure {
    Figure { id, says, quick: AtMost(most), full: AtMost(most) }
}

impl Check {
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
            Own(run) | Vm(run) | Scenarios(run) => run(size),
        }
    }
}

/// Runs a command, shows what it prints, and picks the figures out.
pub(super) fn listen(command: &mut Command, size: Size) -> Result<Vec<Reached>> {
    command.current_dir(paths::root()).env("LVSHIFT_SCORECARD", size.word());
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {command:?}"))?;
    let mut reached = Vec::new();
    let output = child.stdout.take().context("its output is a pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        figure::take(&line, &mut reached);
    }
    let status = child.wait()?;
    if status.success() { Ok(reached) } else { bail!("{command:?}: {status}") }
}
