//! A request on a mirrored part -> at most two leg I/Os -> what the application is told.
//!
//! Pieces are cut at chunk edges first ([`table`](crate::table)) and let in by the part's
//! [`Tracker`](crate::chunk::Tracker). Nothing here touches shared memory: plain values in and out.

mod completion;
mod discard;
mod flush;
mod plan;

#[cfg(test)]
mod tests;

pub use completion::{ReadPlan, ReadStep, WriteProgress};
pub use discard::{Discards, Zeroing};
pub use flush::{FlushProgress, FlushResult};
pub use plan::{LegIo, LegOp, MAX_LEG_IOS, Plan, WriteOp, plan_write};
