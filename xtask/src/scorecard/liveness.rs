//! How long anybody waited, as scenarios have measured it.

use super::scenarios::{Made, figures};

/// Made of these.
pub(super) const MADE: Made = Made { names, count: figures };

fn names() -> Vec<&'static str> {
    vec!["liveness-kill-gap", "liveness-copy-progress"]
}
