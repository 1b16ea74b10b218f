//! The driver loop of a move: take an action from the mover, do it, hand back what happened.

pub mod failpoint;

mod command;
mod diagnose;
mod driver;
mod log;
mod report;
mod scout;
#[cfg(test)]
mod tests;
mod wait;

pub use command::{abort, carry_on, run};
pub use report::{MoveReport, Options, Progress, Report};
pub use scout::scout;
