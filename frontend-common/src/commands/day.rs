//! `version`.

use super::Context;
use crate::error::Result;
use crate::output;

/// The release of LVM whose commands and options are taken: programs ask for it before they begin.
const LVM: &str = "2.03.16(2) (2022-05-18)";

pub(super) fn version(context: &mut Context<'_>) -> Result<()> {
    let (program, own) = (context.program, env!("CARGO_PKG_VERSION"));
    output::out(&format!(
        "  LVM version:     {LVM}: its commands are taken, this is {program} {own}\n  \
         {program} version: {own}\n"
    ));
    Ok(())
}
