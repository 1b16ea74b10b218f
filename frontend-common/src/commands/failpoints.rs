//! `failpoints`: at which steps a test can make a mover die.

use super::Context;
use super::context::print;
use crate::drive;
use crate::error::Result;

pub(super) fn run(_: &mut Context<'_>) -> Result<()> {
    print(&format!("{}\n", drive::failpoint::names().join("\n")));
    Ok(())
}
