//! The decisions of lvshift: mapping tables, metadata, and the mover. No I/O, no clock, no heap.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod chunk;
pub mod copier;
pub mod device;
#[cfg(test)]
mod heap;
pub mod io;
mod leg;
pub mod limits;
pub mod list;
pub mod metadata;
pub mod mirror;
#[cfg(test)]
mod models;
pub mod mover;
pub mod serve;
mod shared;
mod sync;
pub mod table;
pub mod units;

pub use leg::{Leg, LegFault};
pub use shared::Shared;
