//! Which cases of a disk that is being left while it dies have a check that fails without the mending. What is
//! not done has none, and says so.

use anyhow::Result;

use super::Size;
use super::figure::Reached;
use super::host::Shown::{self, Scenario, Test};
use super::host::count;

/// The cases, and what shows how each ends.
const CASES: &[(&str, Shown)] = &[
    ("unreadable sectors stay, and all else moves", Scenario("fault-source-unreadable")),
    ("sectors go bad in mid-copy", Scenario("fault-source-mid-copy")),
    ("unreadable sectors in an LVM2 VG", Scenario("lvm2-source-unreadable")),
    ("what stays is named by its file", Scenario("unreadable-file")),
    ("what cannot be read is given up, and nothing else", Scenario("unreadable-given-up")),
    ("the same in an LVM2 VG, of a stripe", Scenario("lvm2-unreadable-given-up")),
    ("all of the source unreadable", Scenario("honesty-source")),
    ("the source vanishes", Scenario("fault-source-vanishes")),
    ("the source takes no writes of the application", Scenario("fault-source-write")),
    ("a destination flips bits", Scenario("fault-flipping-destination")),
    ("a destination flips bits in an LVM2 VG", Scenario("lvm2-verify")),
    ("a bit flipped once is copied again", Scenario("ublk-verify")),
    (
        "a flipped bit is never called equal, in any order of ends",
        Test(
            "core/src/mirror/tests/verify.rs",
            "a_copy_is_equal_only_once_both_legs_were_compared",
        ),
    ),
    ("LVM2's pvmove loses data where this does not", Scenario("control-source-unreadable")),
    ("a VG with a PV that is missing or bad goes on", Scenario("host-bad-pv")),
    ("a source that can only be read is left", Scenario("dying-turns-read-only")),
    ("a source gets worse while it is left, then it is gone", Scenario("dying-gets-worse")),
    ("metadata slots alone that take nothing", Scenario("dying-slots")),
    ("a source with bad sectors, and a third PV missing", Scenario("dying-two")),
    ("abort, -b and a power cut while one is left", Scenario("dying-cut-off")),
    ("what was taken out unwiped comes back", Scenario("dying-read-only")),
    ("reads in ddrescue's order, with a deadline each", Scenario("dying-order")),
    (
        "on every small disk the good comes first",
        Test(
            "core/src/copier/rescue/tests.rs",
            "on_every_small_disk_what_can_be_read_is_read_and_the_good_comes_first",
        ),
    ),
    (
        "a read that is not answered is given up",
        Test(
            "core/src/mirror/tests/rescue.rs",
            "a_read_that_is_not_answered_is_given_up_twice_and_then_its_source_has_failed",
        ),
    ),
    ("progress tells what is safe, left and bad, with a map", Scenario("dying-map")),
    ("a late PV of no part in a move keeps its LV down", Scenario("host-late-pv")),
];

/// Counts the cases that have a check, and makes sure that each check is there.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    count("dying-cases", CASES)
}
