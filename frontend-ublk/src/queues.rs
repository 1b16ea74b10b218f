//! What the queue threads of a device share with everybody else: how each is woken, and what it counts.

use std::sync::Arc;

use crate::errors::Errors;
use crate::latency::QueueLatencies;
use crate::platform::Wakeup;
use crate::protocol::WireCounted;

/// The queues of one device, as others see them.
#[derive(Debug)]
pub(crate) struct Queues {
    wakeups: Vec<Arc<Wakeup>>,
    latencies: Box<[QueueLatencies]>,
    errors: Errors,
}

impl Queues {
    /// Queues that these wake, in order.
    pub(crate) fn new(wakeups: Vec<Arc<Wakeup>>) -> Queues {
        let latencies = wakeups.iter().map(|_| QueueLatencies::new()).collect();
        Queues { wakeups, latencies, errors: Errors::default() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.wakeups.len()
    }

    /// How long requests took, queue by queue.
    pub(crate) fn latencies(&self) -> &[QueueLatencies] {
        &self.latencies
    }

    /// How many requests have failed.
    pub(crate) fn errors(&self) -> &Errors {
        &self.errors
    }

    /// All that was counted, as it is told to commands.
    pub(crate) fn counted(&self, lv: [u8; 16]) -> WireCounted {
        let mut counted = WireCounted { lv, errors: self.errors.counts(), ..Default::default() };
        for queue in &self.latencies {
            queue.tell(&mut counted.reads, &mut counted.writes);
        }
        counted
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
