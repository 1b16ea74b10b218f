//! A bell that the simulator hears.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ring::Handle;

/// Something that makes a thread look up from its ring.
#[derive(Debug)]
pub(crate) struct Bell(Arc<Handle>);

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        Ok(Bell(Arc::new(Handle::Bell(AtomicBool::new(false)))))
    }

    pub(crate) fn ring(&self) {
        if let Handle::Bell(rung) = &*self.0 {
            rung.store(true, Ordering::Release);
        }
    }

    pub(crate) fn file(&self) -> &Arc<Handle> {
        &self.0
    }
}
