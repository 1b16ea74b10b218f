//! Physical volumes: finding, opening, making and wiping them.

mod create;
mod members;
pub(crate) mod probe;
mod scan;

pub(crate) use create::repair_label;
#[cfg(test)]
pub(crate) use create::write_label;
pub use create::{CreateOptions, create, new_uuid, remove};
pub use members::{Member, Members};
pub use scan::{FoundPv, Scan};
