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

use std::time::Duration;

pub(crate) use answers::{answering, is_silent, remember};
pub use answers::{is_kept_waiting, see_late_ones_off};
pub use block::{Access, BlockDevice};
pub use buffer::Aligned;
pub(crate) use list::is_own_lv;
pub use list::{Candidate, candidates};
#[cfg(feature = "sim")]
pub use medium::Medium;
pub(crate) use number::{number_at, number_of};

/// How long a device is waited for where nothing else is asked for; docs/move-protocol.md.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What every dm UUID of a device of ours starts with.
pub const OWN_DM_PREFIX: &str = "LVSHIFT-";
