//! Block devices: opened once and identified, read and written in whole blocks, and what sysfs and
//! procfs say of them.

mod answers;
mod block;
mod buffer;
pub mod filter;
mod list;
mod loops;
#[cfg(feature = "sim")]
mod medium;
mod number;
mod stack;
pub mod sysfs;
pub mod users;

pub(crate) use answers::{answering, is_silent, remember};
pub use block::{Access, BlockDevice};
pub use buffer::Aligned;
pub(crate) use list::is_own_lv;
pub use list::{Candidate, candidates};
#[cfg(feature = "sim")]
pub use medium::Medium;
pub(crate) use number::{number_at, number_of};

/// What every dm UUID of a device of ours starts with.
pub const OWN_DM_PREFIX: &str = "LVSHIFT-";
