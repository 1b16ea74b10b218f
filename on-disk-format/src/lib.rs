//! The on-disk format of lvshift, version 1: bytes only.
#![no_std]
#![forbid(unsafe_code)]

/// 128 random bits that name a PV, VG, LV or move for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);
