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

pub(crate) use command::keep_alive;
pub use command::{abort, carry_on, run};
pub(crate) use facts::Facts;
pub use read_check::read_check;
pub(crate) use read_check::unreadable;
pub use report::{MoveReport, Options, Progress, Report};
#[cfg(feature = "sim")]
pub use simulate::one;
pub(crate) use summary::{Failures, Names, summary};
pub(crate) use ticker::{Place, Ticker};
pub(crate) use wishes::Wishes;
