//! Physical volumes: finding, opening, making and wiping them.

mod create;
mod members;
mod scan;

pub use create::{CreateOptions, create, remove};
pub use members::{Member, Members};
pub use scan::{FoundPv, Scan};
