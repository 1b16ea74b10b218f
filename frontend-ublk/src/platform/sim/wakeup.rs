//! A wakeup that the simulator hears.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::platform::Handle;

/// Something that makes a thread look up from its ring.
#[derive(Debug)]
pub(crate) struct Wakeup(Arc<Handle>);

impl Wakeup {
    pub(crate) fn new() -> io::Result<Wakeup> {
        Ok(Wakeup(Arc::new(Handle::Wakeup(AtomicBool::new(false)))))
    }

    pub(crate) fn wake(&self) {
        if let Handle::Wakeup(woken) = &*self.0 {
            woken.store(true, Ordering::Release);
        }
    }

    pub(crate) fn file(&self) -> &Arc<Handle> {
        &self.0
    }
}
