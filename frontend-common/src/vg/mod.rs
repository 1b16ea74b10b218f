//! Volume groups: opening one by name, changing its metadata, saying how sound it is.

mod health;
mod open;

pub use health::{Health, PvHealth};
pub use open::{Hold, OpenVg};
