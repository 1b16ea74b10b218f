//! The command line: what can be typed. The words are LVM's; where we say more (`--json`,
//! `--verbose`), it is an addition and never another meaning.

pub mod args;
pub mod daemon_args;
pub mod day_args;
pub mod habits;
pub mod ignored;
pub mod lv_args;
pub mod pv_args;
pub mod report_args;
pub mod spec;
pub mod udev_args;
pub mod values;
pub mod vg_args;

pub use args::{Cli, Command, Common, command, own_command};

#[cfg(test)]
mod tests;
