//! The control plane of one move: facts in with `handle`, actions out with `poll_action`.

mod action;
mod event;
mod state;

pub use action::{Action, Change, Mapping};
pub use event::{AbortReason, Event, Leg, LegFault};
pub use state::{Live, Outcome, Recorded};
