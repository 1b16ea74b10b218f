//! `failpoints`: at which steps a test can make a mover die.

use super::Context;
use crate::error::Result;
use crate::output;

pub(super) fn run(_: &mut Context<'_>) -> Result<()> {
    output::out(&format!("{}\n", crate::failpoint::names().join("\n")));
    Ok(())
}
