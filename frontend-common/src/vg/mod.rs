//! Volume groups: opening one by name, changing its metadata, saying how sound it is.

mod commit;
mod health;
mod membership;
mod open;
mod read;
#[cfg(test)]
mod tests;

pub use health::{Health, PvHealth};
pub use open::{Hold, OpenVg};
