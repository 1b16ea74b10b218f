//! The only file that names atomics: the core's own, or loom's or shuttle's when a model is checked.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use core::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64 as AtomicWide, Ordering, fence};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64 as AtomicWide, Ordering, fence};

/// The widest word that this machine changes in one step.
#[cfg(target_has_atomic = "64")]
pub(crate) type Wide = u64;
/// The widest word that this machine changes in one step.
#[cfg(not(target_has_atomic = "64"))]
pub(crate) type Wide = u32;
#[cfg(all(not(any(loom, shuttle)), not(target_has_atomic = "64")))]
pub(crate) use core::sync::atomic::AtomicU32 as AtomicWide;
#[cfg(all(not(any(loom, shuttle)), target_has_atomic = "64"))]
pub(crate) use core::sync::atomic::AtomicU64 as AtomicWide;
