//! The driver loop of a move: take an action from the mover, do it, hand back what happened.

pub mod failpoint;

mod command;
mod diagnose;
mod driver;
mod halve;
mod log;
mod report;
mod scout;
#[cfg(feature = "sim")]
mod simulate;
#[cfg(test)]
mod tests;
mod wait;

pub use command::{abort, carry_on, run};
pub use report::{MoveReport, Options, Progress, Report};
pub use scout::scout;
#[cfg(feature = "sim")]
pub use simulate::one;
