//! Crash images, rebuilt from the disk server's log and checked natively.
//!
//! At each point of a log the power fails: [`replay`] knows what was durable, a
//! [`Survive`](crate::disk_server::survive::Survive) says which of the rest stays, [`open`] opens the VG as the product does,
//! and [`check`] compares every sector with what the application knew at that point ([`known`]), and
//! both legs of every chunk that the dirty log calls clean.

pub mod check;
pub mod image;
pub mod known;
pub mod open;
pub mod replay;
pub mod run;
pub mod sectors;

#[cfg(test)]
mod tests;
