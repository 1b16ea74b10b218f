//! How long anybody waited, as scenarios have measured it.

use anyhow::Result;
use lvshift_tests::scenario::Frontend;

use super::figure::Reached;
use super::{Size, scenarios};

/// Runs them.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    let mut reached = Vec::new();
    for frontend in Frontend::READY {
        let names = ["liveness-kill-gap", "liveness-copy-progress"];
        let tally = scenarios::run(*frontend, &names)?;
        scenarios::figures(&tally, &mut reached);
    }
    Ok(reached)
}
