//! What the queue threads of a device share with everybody else: how each is woken, and what it counts.

use std::sync::Arc;

use crate::latency::QueueLatencies;
use crate::platform::Wakeup;

/// The queues of one device, as others see them.
#[derive(Debug)]
pub(crate) struct Queues {
    wakeups: Vec<Arc<Wakeup>>,
    latencies: Box<[QueueLatencies]>,
}

impl Queues {
    /// Queues that these wake, in order.
    pub(crate) fn new(wakeups: Vec<Arc<Wakeup>>) -> Queues {
        let latencies = wakeups.iter().map(|_| QueueLatencies::new()).collect();
        Queues { wakeups, latencies }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.wakeups.len()
    }

    /// How long requests took, queue by queue.
    pub(crate) fn latencies(&self) -> &[QueueLatencies] {
        &self.latencies
    }

    /// Wakes these queues (bit n is queue n).
    pub(crate) fn wake(&self, queues: u16) {
        for (n, wakeup) in self.wakeups.iter().enumerate() {
            if queues >> n & 1 == 1 {
                wakeup.wake();
            }
        }
    }
}
