//! `failpoints`: at which steps a test can make a mover die.

use super::Context;
use crate::drive;
use crate::error::Result;
use crate::output;

pub(super) fn run(_: &mut Context<'_>) -> Result<()> {
    output::out(&format!("{}\n", drive::failpoint::names().join("\n")));
    Ok(())
}
