//! `pvdisplay`, `vgdisplay`, `lvdisplay`.

use super::Context;
use super::reports::{self, with_all_facts};
use crate::cli::day_args::Display;
use crate::error::Result;
use crate::output;
use crate::report::{self, Noun};

pub(super) fn run(context: &mut Context<'_>, noun: Noun, args: &Display) -> Result<()> {
    if args.columns {
        return reports::run(context, noun, &args.report);
    }
    let units = args.report.units.unwrap_or_default();
    let wanted = report::wanted_in_paragraphs(noun);
    with_all_facts(context, noun, &wanted, &args.report.names, |_, facts| {
        output::out(&report::render_paragraphs(noun, &facts, units)?);
        Ok(())
    })
}
