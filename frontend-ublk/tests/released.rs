//! What is released has none of the ways in which tests make a process die, stop, fail or look elsewhere.
#![cfg(not(feature = "failpoints"))]

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lvshift-ublk");

#[test]
fn no_variable_of_the_tests_is_named_in_the_program() {
    let program = std::fs::read(PROGRAM).expect("it was built");
    let ours = b"LVSHIFT_";
    let found = program.windows(ours.len()).position(|window| window == ours);
    let what = found.map(|at| String::from_utf8_lossy(&program[at..program.len().min(at + 40)]));
    assert_eq!(what, None, "the program reads its environment");
}

#[test]
fn it_lists_no_fail_points() {
    let told = Command::new(PROGRAM).arg("failpoints").output().expect("it starts");
    assert_eq!(told.status.code(), Some(3), "{told:?}");
}

#[test]
fn the_daemon_has_no_names_of_fail_points() {
    let told = Command::new(PROGRAM).args(["daemon", "--failpoints"]).output().expect("it starts");
    assert_eq!(told.status.code(), Some(3), "{told:?}");
}
