//! Physical volumes: finding, opening, making and wiping them.

mod attend;
mod create;
mod members;
pub(crate) mod online;
pub(crate) mod probe;
mod scan;

#[cfg(any(test, feature = "sim"))]
pub(crate) use create::write_label;
pub use create::{CreateOptions, create, new_uuid, remove};
pub(crate) use create::{claim, repair_label};
pub use members::{Member, Members};
pub use scan::{FoundPv, KnownPv, Scan};
