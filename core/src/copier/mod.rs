//! The copier's decisions: which chunk next, how many at once, how fast, how long still.
//!
//! One [`Schedule`] per part, one [`Pacer`] per move. Time is an argument, in nanoseconds from any
//! fixed moment. Nothing here is shared: the copier's thread owns all of it.

mod latency;
mod pace;
mod pacer;
mod rate;
mod rescue;
mod schedule;
mod settle;
mod stats;
mod throttle;
mod widen;
mod window;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use latency::{LATENCY_BUCKETS, Latencies, latency_bucket};
pub use pace::{FLOOR as PACE_FLOOR, Factor, Pace, Seen, Speed};
pub use pacer::{May, Pacer};
pub use rate::{Progress, Rate};
pub use rescue::{Aside, Rescue, SLOW, SetAside};
pub use schedule::{Allowed, Pick, SCAN_SHARE, Schedule};
pub use settle::SettlePace;
pub use stats::Stats;
pub use throttle::{Nanos, Throttle};
pub use widen::Widen;
pub use window::{MAX_WINDOW, Window};
