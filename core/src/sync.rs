//! The only file that names atomics: the core's own, or loom's or shuttle's when a model is checked.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// For what is no part of a model: it lives longer than one execution.
#[cfg(feature = "planted")]
pub(crate) use core::sync::atomic::AtomicU32 as PlainU32;
