//! Driving the moves of a VG of the own format: the host that the driver asks, and what is told of it.

mod bisect;
mod command;
mod diagnose;
mod facts;
mod host;
mod log;
mod read_check;
mod record;
mod report;
#[cfg(feature = "sim")]
mod simulate;
mod summary;
#[cfg(test)]
mod tests;
mod ticker;
mod wishes;

pub use command::{abort, carry_on, run};
pub use read_check::read_check;
pub use report::{MoveReport, Options, Progress, Report};
#[cfg(feature = "sim")]
pub use simulate::one;
