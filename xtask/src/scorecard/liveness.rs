//! How long anybody waited, as scenarios have measured it.

use super::figure::Reached;
use super::scenarios::{Made, Seen, figures};

/// Made of these.
pub(super) const MADE: Made = Made { names, count };

fn names() -> Vec<&'static str> {
    vec!["liveness-kill-gap", "liveness-copy-progress"]
}

fn count(seen: &[Seen]) -> Vec<Reached> {
    figures(seen)
}
