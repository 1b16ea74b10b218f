//! Which of the ways that the host around a move can harm it, or be harmed by it, have a check that fails
//! without the mending. What is not mended has none, and says so.

use anyhow::{Context as _, Result, ensure};
use lvshift_vm_tests::conformance;

use super::Size;
use super::figure::Reached;
use crate::paths;

/// What shows that a class is mended.
pub(super) enum Shown {
    /// A scenario of the VM.
    Scenario(&'static str),
    /// A test: its file and its name.
    Test(&'static str, &'static str),
    /// Nothing: what is missing.
    #[expect(dead_code, reason = "every class has a check now; the next one may not")]
    Not(&'static str),
}

use Shown::{Not, Scenario, Test};

/// The classes, as they were seen on a real host.
const CLASSES: &[(&str, Shown)] = &[
    ("taking over reads what lies on the dead LV", Scenario("host-take-over")),
    ("one hung device stops every command", Scenario("host-hung-stranger")),
    ("a prompt or a stopped command holds the VG's lock", Scenario("host-lock")),
    ("a message that cannot be written kills who must act", Scenario("host-output")),
    ("pvmove is stopped by its own output", Scenario("host-output")),
    ("a failed take-over leaks its queue threads", Scenario("host-files")),
    ("the guardian restarts only after a signal", Scenario("host-again")),
    ("the daemon dies with its caller's cgroup", Scenario("host-cgroup")),
    ("a shutdown hangs on the daemon", Scenario("debian-reboot")),
    ("a restart needs pages that lie on the LV", Scenario("host-swap")),
    ("an exchange of tables waits for the copier", Scenario("host-silent")),
    (
        "a flush goes to an abandoned destination",
        Test("core/src/serve/tests/late.rs", "a_flush_does_not_go_to_an_abandoned_destination"),
    ),
    ("a silent destination holds what is copied to it", Scenario("host-silent")),
    ("an LV that a loop or another namespace uses is taken down", Scenario("host-in-use")),
    ("names from a disk replace device nodes", Scenario("host-names")),
    ("a blank for a slash removes every LV", Scenario("commands-habits")),
    (
        "-V prints the version and ends with 0",
        Test(
            "frontend-common/src/cli/tests.rs",
            "only_help_and_version_end_well_without_doing_anything",
        ),
    ),
    (
        "a size given in capitals counts in thousands",
        Test("frontend-common/src/size/tests.rs", "sizes_take_lvms_suffixes"),
    ),
    ("a pvmove that was stopped ends with 0", Scenario("abort-signals")),
    ("an LV comes onto larger blocks", Scenario("host-blocks")),
    ("a report resumes, or holds", Scenario("host-report")),
    (
        "a superblock at the end is overlooked",
        Test(
            "frontend-common/src/signature/tests.rs",
            "a_leg_of_an_array_is_told_from_a_pv_whose_last_lv_is_one",
        ),
    ),
    ("the daemon keeps other people's mounts", Scenario("host-mounts")),
    ("two hosts change one VG", Scenario("host-two-hosts")),
    (
        "a slot that cannot be read counts as absent",
        Test(
            "frontend-common/src/activation.rs",
            "a_slot_that_cannot_be_read_is_not_an_absent_one",
        ),
    ),
    ("a dead PV freezes its VG", Scenario("host-bad-pv")),
    ("a source that takes no metadata cannot be left", Scenario("dying-read-only")),
    ("a third PV's flush refuses a move", Scenario("host-bad-pv")),
    ("a late PV that is no part of a move keeps its LV down", Scenario("host-late-pv")),
];

/// Counts the classes that have a check, and makes sure that each check is there.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    count("host-classes", CLASSES)
}

/// The same of any list, as the figure of this name.
pub(super) fn count(figure: &str, all: &[(&str, Shown)]) -> Result<Vec<Reached>> {
    let mut shown = 0;
    let mut why = Vec::new();
    for (class, by) in all {
        match by {
            Scenario(name) => {
                conformance::find(name).with_context(|| format!("there is no scenario {name}"))?;
                shown += 1;
            }
            Test(file, name) => {
                let text = std::fs::read_to_string(paths::root().join(file))
                    .with_context(|| format!("reading {file}"))?;
                ensure!(text.contains(&format!("fn {name}(")), "{file} has no test {name}");
                shown += 1;
            }
            Not(what) => why.push(format!("{class}: {what}")),
        }
    }
    Ok(vec![Reached { why, ..Reached::of(figure, shown) }])
}
