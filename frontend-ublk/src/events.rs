//! A count of what happened to copies, which commands can wait on.

use tokio::sync::watch;

/// The count. Threads raise it; the control side waits for it to change.
#[derive(Debug)]
pub(crate) struct Events(watch::Sender<u64>);

impl Events {
    pub(crate) fn new() -> Events {
        Events(watch::Sender::new(1))
    }

    /// Something happened that may be waited for.
    pub(crate) fn happened(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
