//! The only file that names atomics and locks: the core's own and spin's, or loom's or shuttle's when a
//! model is checked.

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

/// A lock for what is off the path of requests.
#[cfg(loom)]
pub(crate) type Mutex<T> = loom::sync::Mutex<T>;
/// A lock for what is off the path of requests.
#[cfg(shuttle)]
pub(crate) type Mutex<T> = shuttle::sync::Mutex<T>;
/// A lock for what is off the path of requests.
#[cfg(not(any(loom, shuttle)))]
pub(crate) type Mutex<T> = spin::Mutex<T>;

/// Does something with what is locked. With a model's lock, a panic while it was held ends the model.
pub(crate) fn with<T, R>(lock: &Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
    #[cfg(not(any(loom, shuttle)))]
    let mut held = lock.lock();
    #[cfg(any(loom, shuttle))]
    let mut held = lock.lock().expect("no thread panicked with it");
    work(&mut held)
}
