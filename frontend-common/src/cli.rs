//! The command line: what can be typed. The words are LVM's; where we say more (`--json`,
//! `--verbose`), it is an addition and never another meaning.

pub mod args;
pub mod lv_args;
pub mod pv_args;
pub mod report_args;
pub mod spec;
pub mod values;
pub mod vg_args;

pub use args::{Cli, Command, Common};

#[cfg(test)]
mod tests;
