//! Threads, locks and clocks of the simulator.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

use super::host::{call, host};
use crate::platform::RingLoop;

#[derive(Debug)]
pub(crate) struct Thread(u32);

pub(crate) fn spawn<W: RingLoop + 'static>(
    name: String,
    make: impl FnOnce() -> io::Result<W> + 'static,
) -> io::Result<Thread> {
    call("beginning a thread")?;
    let work = make()?;
    Ok(Thread(host().spawn(name, Box::new(work))))
}

impl Thread {
    pub(crate) fn ready(&mut self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn join(self) {
        while !host().has_ended(self.0) {
            host().step();
        }
    }
}

/// The daemon ends with the step that it is in.
pub(crate) fn abort() {
    host().abort();
}

pub(crate) fn cpus() -> usize {
    host().cpus()
}

pub(crate) fn sleep(_time: Duration) {
    host().step();
}

/// A moment of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(u64);

impl Instant {
    pub(crate) fn now() -> Instant {
        Instant(host().now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(host().now() - self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    of: &'a Mutex<T>,
    guard: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>, PoisonError<MutexGuard<'_, T>>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { of: self, guard: Some(guard) })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_deref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_deref_mut().expect("held")
    }
}

#[derive(Debug)]
pub(crate) struct Condvar;

/// A guard and whether the time was over, or the same from a poisoned lock.
type Waited<G> = Result<(G, bool), PoisonError<(G, bool)>>;

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar
    }

    pub(crate) fn notify_all(&self) {}

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        _limit: Duration,
    ) -> Waited<MutexGuard<'a, T>> {
        guard.guard = None;
        host().step();
        guard.guard = Some(guard.of.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((guard, false))
    }
}
