//! What `benches/` measures of what is private to this crate.

use crate::errors::Op;
use crate::latency::QueueLatencies;

/// What a queue counts of its requests.
#[derive(Debug)]
pub struct Counters(Box<QueueLatencies>);

impl Counters {
    /// Nothing is counted yet.
    #[expect(clippy::new_without_default, reason = "for benches alone")]
    #[must_use]
    pub fn new() -> Counters {
        Counters(Box::new(QueueLatencies::new()))
    }

    /// A request has come.
    pub fn begun(&self) {
        self.0.begun();
    }

    /// A read has been answered, so many nanoseconds after it came.
    pub fn read_ended(&self, took: u64) {
        self.0.ended(Op::Read, took);
    }
}
