//! What a script reads on standard output is all of it, or the exit status says that it is not.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

fn help() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvshift-dm"));
    command.arg("--help");
    command
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let told = help().stdout(full).output().expect("the program starts");
    let text = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(5), "{text}");
    assert!(text.contains("standard output: No space left on device"), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_none() {
    let mut child = help().stdout(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}
