//! The decisions of lvshift: mapping tables, metadata, and the mover. No I/O, no clock, no heap.
#![no_std]
#![forbid(unsafe_code)]

pub mod limits;
pub mod metadata;
pub mod mover;
pub mod table;
pub mod units;
