//! Serving a volume's requests: what each becomes on the devices below, and when it is answered.
//!
//! A [`Queue`] is one thread's share of the requests, up to `N` at once, each under a tag. It does no I/O
//! and holds no lock. Events go in: a request [came](Queue::came), an I/O [ended](Queue::ended), the queue
//! was [woken](Queue::woken), the volume's table is to change ([`Queue::suspend`], [`Queue::leave`],
//! [`Queue::resume`]). After each of them the caller takes [`Operation`]s out until there are no more, and
//! carries them out:
//!
//! ```text
//! loop {
//!     wait for something to happen, and tell the queue: came, ended, woken
//!     while let Some(operation) = queue.next(&volume) {
//!         carry it out; an I/O that it begins ends later
//!     }
//! }
//! ```
//!
//! The volume is [`Served`]: a table whose devices are numbers, and the parts of a move, which all queues
//! and the [copier](crate::mirror::Copier) share. A read touches nothing that another thread writes.
//!
//! What the queue does with a request: cuts it at the table's edges, and a write to a mirrored part at the
//! chunks' too; asks the part's tracker to admit the piece, or parks it until it is woken; plans one or two
//! leg I/Os; goes on after short or interrupted ones; and holds the answer while it is not decided which
//! leg is in charge. One piece of a request is on its way at a time.

mod flush;
mod late;
mod leg;
mod mirrored;
mod operation;
mod queue;
mod request;
mod slot;
mod volume;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use operation::{IoTag, Operation};
pub use queue::{Queue, TagInUse};
pub use request::{Answer, Failure, Kind, Request};
pub use volume::{Below, Served};

pub use crate::mirror::Ended;
