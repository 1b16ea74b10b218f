//! The program; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lvshift_dm::main(std::env::args_os())
}
