//! What the commands do: one file for each command or noun. Each refuses all that can be refused
//! before it writes anything.

mod blocks;
mod chosen;
mod context;
mod driven;
mod failpoints;
mod lookup;
mod lvchange;
mod lvcreate;
mod lvextend;
mod lvremove;
mod lvrename;
mod place;
mod pv;
mod pvmove;
mod reports;
mod take_down;
mod vg;
mod vgck;

pub(crate) use context::{Context, complain};

use crate::cli::Command;
use crate::error::Result;
use crate::report::Noun;

/// Does what was typed. What failed without ending the command is in the context.
pub(crate) fn dispatch(context: &mut Context<'_>, command: &Command) -> Result<()> {
    match command {
        Command::Pvcreate(args) => pv::create(context, args),
        Command::Pvremove(args) => pv::remove(context, args),
        Command::Pvs(args) => reports::run(context, Noun::Pv, args),
        Command::Pvmove(args) => pvmove::run(context, args),
        Command::Vgcreate(args) => vg::create(context, args),
        Command::Vgextend(args) => vg::extend(context, args),
        Command::Vgreduce(args) => vg::reduce(context, args),
        Command::Vgremove(args) => vg::remove(context, args),
        Command::Vgchange(args) => lvchange::vgs(context, args),
        Command::Vgck(args) => vgck::run(context, args),
        Command::Vgs(args) => reports::run(context, Noun::Vg, args),
        Command::Lvcreate(args) => lvcreate::run(context, args),
        Command::Lvextend(args) => lvextend::run(context, args),
        Command::Lvremove(args) => lvremove::run(context, args),
        Command::Lvrename(args) => lvrename::run(context, args),
        Command::Lvchange(args) => lvchange::lvs(context, args),
        Command::Lvs(args) => reports::run(context, Noun::Lv, args),
        Command::Failpoints => failpoints::run(context),
    }
}
