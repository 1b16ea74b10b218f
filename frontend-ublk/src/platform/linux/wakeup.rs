//! How a thread is made to look up from its ring.

use std::io::{self, Write as _};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::platform::Handle;

/// Something that makes a thread look up from its ring.
#[derive(Debug)]
pub(crate) struct Wakeup(Arc<Handle>);

impl Wakeup {
    pub(crate) fn new() -> io::Result<Wakeup> {
        Ok(Wakeup(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?.into())))
    }

    /// Wakes the thread, now or when it next looks.
    pub(crate) fn wake(&self) {
        // It can only fail by overflow, and then the thread is woken already.
        let _ = (&*self.0).write_all(&1u64.to_le_bytes());
    }

    pub(crate) fn file(&self) -> &Arc<Handle> {
        &self.0
    }
}
