//! The list of checks. A new one needs an entry here, a section in docs/testing.md, and to have
//! been seen failing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Size;
use super::figure::{self, Figure, Reached, Target};
use super::{fuzz, panics};
use crate::{paths, sim};

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
}

use Form::{Cargo, Own};
use Target::{AtLeast, Exactly};

/// All checks, cheap ones first.
pub(super) const ALL: &[Check] = &[PANICS, FUZZ, LOOM, METADATA, EXHAUSTIVE, SIM, PLANTED];

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

const METADATA: Check = Check {
    name: "metadata",
    says: "torn, damaged, stale, missing or cloned metadata never give a wrong mapping",
    // Not in the ordinary tests until it was seen to its end, and each of its parts failing once.
    quick: None,
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
            quick: AtLeast(1_000_000),
            full: AtLeast(10_000_000),
        },
        Figure {
            id: "metadata-damage-opened",
            says: "flips and zeroed sectors on all PVs but one: the right mapping opens",
            quick: AtLeast(15_000),
            full: AtLeast(1_000_000),
        },
        Figure {
            id: "metadata-combinations",
            says: "stale, missing, cloned, corrupt over three PVs: right or refused",
            quick: AtLeast(9_000),
            full: AtLeast(300_000),
        },
        Figure {
            id: "metadata-crash-states",
            says: "states left by power cuts in commits and in recoveries, 3 deep",
            quick: AtLeast(300),
            full: AtLeast(300),
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
            quick: AtLeast(1_500_000),
            full: AtLeast(10_000_000),
        },
        Figure {
            id: "exhaustive-subsets",
            says: "sets of sectors that may survive in them",
            quick: AtLeast(10_000_000),
            full: AtLeast(100_000_000),
        },
        Figure {
            id: "exhaustive-unfinished",
            says: "worlds not walked to their end: more states or time than allowed",
            quick: Exactly(0),
            full: AtLeast(0),
        },
    ],
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
            Own(run) => run(size),
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
