//! Driving the moves of a VG of the own format: the host that the driver asks, and what is told of it.

mod account;
mod bisect;
mod command;
mod compare;
mod diagnose;
mod facts;
mod gate;
mod host;
pub(crate) mod log;
mod read_check;
mod record;
mod report;
mod series;
#[cfg(feature = "sim")]
mod simulate;
mod summary;
#[cfg(test)]
mod tests;
mod ticker;
mod wishes;

pub(crate) use account::Account;
pub use command::{abort, carry_on, run};
pub(crate) use compare::{Piece, Watch};
pub(crate) use facts::Facts;
pub(crate) use gate::Gate;
pub use log::log_is_all_dirty;
pub(crate) use read_check::{READ_BYTES, read_check, unreadable};
pub use report::{MoveReport, Options, Progress, Report};
pub(crate) use series::{Moves, Turn, lock_to_abort, run_all};
#[cfg(feature = "sim")]
pub use simulate::one;
pub(crate) use summary::{Names, copied_again};
pub(crate) use ticker::{Place, Ticker};
pub(crate) use wishes::Wishes;
