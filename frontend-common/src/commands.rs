//! What the commands do: one file for each command or noun. Each refuses all that can be refused
//! before it writes anything.

mod autoactivation;
mod blocks;
mod chosen;
mod context;
mod day;
mod display;
mod driven;
#[cfg(feature = "failpoints")]
mod failpoints;
mod grow_fs;
mod ignored;
mod lookup;
mod lvchange;
mod lvcreate;
mod lvextend;
mod lvremove;
mod lvrename;
mod place;
mod pv;
mod pvmove;
mod pvresize;
mod reports;
mod scans;
mod sights;
mod take_down;
mod udev;
mod vg;
mod vgcfg;
mod vgchoose;
mod vgck;
mod vgreduce;
mod vgrename;
mod vgsystemid;

pub(crate) use context::{Context, complain};
pub use driven::is_driven;

use crate::cli::Command;
use crate::error::{Kind, Result};
use crate::report::Noun;

/// Does what was typed. What failed without ending the command is in the context.
pub(crate) fn dispatch(context: &mut Context<'_>, command: &Command) -> Result<()> {
    if context.test && !command.only_looks() {
        let what = format!("{} cannot tell with --test what it would do", command.name());
        return Err(lookup::refuse(Kind::Unsupported, what).next("leave --test out"));
    }
    match command {
        Command::Pvcreate(args) => pv::create(context, args),
        Command::Pvremove(args) => pv::remove(context, args),
        Command::Pvs(args) => reports::run(context, Noun::Pv, args),
        Command::Pvmove(args) => pvmove::run(context, args),
        Command::Vgcreate(args) => vg::create(context, args),
        Command::Vgextend(args) => vg::extend(context, args),
        Command::Vgreduce(args) => vgreduce::run(context, args),
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
        Command::Pvresize(args) => pvresize::run(context, args),
        Command::Pvck(args) => vgck::pvs(context, args),
        Command::Vgrename(args) => vgrename::run(context, args),
        Command::Vgcfgbackup(args) => vgcfg::backup(context, args),
        Command::Vgcfgrestore(args) => vgcfg::restore(context, args),
        Command::Lvresize(args) => lvextend::run(context, args),
        Command::Fullreport(args) => reports::full(context, args),
        Command::Pvdisplay(args) => display::run(context, Noun::Pv, args),
        Command::Vgdisplay(args) => display::run(context, Noun::Vg, args),
        Command::Lvdisplay(args) => display::run(context, Noun::Lv, args),
        Command::Pvscan(args) => scans::pvs(context, args),
        Command::Vgscan(args) => scans::vgs(context, args),
        Command::Lvscan(args) => scans::lvs(context, args),
        Command::Version => day::version(context),
        Command::Metrics => reports::metrics(context),
        Command::Udev(args) => udev::run(context, args),
        #[cfg(feature = "failpoints")]
        Command::Failpoints => failpoints::run(context),
    }
}
