//! What is released has none of the ways in which tests make a process die, stop, fail or look elsewhere.
#![cfg(not(feature = "failpoints"))]

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lvshift-dm");

/// What a build for the test VM looks at in its environment. (`LVSHIFT_VG` and the like are written for
/// udev and systemd, and read by no program of ours.)
const OF_TESTS: &[&str] = &[
    "LVSHIFT_FAIL",
    "LVSHIFT_DAEMON_FAIL",
    "LVSHIFT_NO_FENCE",
    "LVSHIFT_RUN_DIR",
    "LVSHIFT_STATE_DIR",
    "LVSHIFT_PLANT",
];

#[test]
fn no_variable_of_the_tests_is_named_in_the_program() {
    let program = std::fs::read(PROGRAM).expect("it was built");
    for name in OF_TESTS {
        let found = program.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(!found, "the program names {name}");
    }
}

#[test]
fn it_lists_no_fail_points() {
    let told = Command::new(PROGRAM).arg("failpoints").output().expect("it starts");
    assert_eq!(told.status.code(), Some(3), "{told:?}");
}
