//! The commands that only a front end with a daemon has: `upgrade`, `tables`, `tune`, `verify`.

mod verify;

use std::process::ExitCode;

use lvshift_core::table::{Log, Segment, Target};
use lvshift_frontend_common::cli::daemon_args::{OwnCommand, Tune};
use lvshift_frontend_common::cli::pv_args::WritePolicy;
use lvshift_frontend_common::cli::values::OrNone;
use lvshift_frontend_common::commands::is_driven;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::FrontEnd as _;
use lvshift_frontend_common::vg::{Hold, OpenVg};
use lvshift_frontend_common::{lvm2, output, pause, systemd};

use crate::client::Ublk;
use crate::platform::{self, Role};
use crate::protocol::{Dev, Request, Tuning, WireTable};

/// Does one of them.
pub(crate) fn run(command: OwnCommand) -> ExitCode {
    let action: Box<dyn FnOnce() -> Result<()>> = match command {
        OwnCommand::Daemon(args) => {
            #[cfg(feature = "failpoints")]
            if args.failpoints {
                crate::failpoint::Point::ALL
                    .iter()
                    .for_each(|(_, name)| output::out(&format!("{name}\n")));
                return ExitCode::SUCCESS;
            }
            let role = match (args.foreground, args.standby) {
                (_, true) => Role::Standby,
                (true, false) => Role::Daemon,
                (false, false) => Role::Guardian { beside: args.beside },
            };
            return args.vg.map_or(ExitCode::from(3), |vg| platform::daemon(vg, role));
        }
        OwnCommand::Upgrade(args) => Box::new(move || upgrade(args.vg.as_deref())),
        OwnCommand::Tables(args) => Box::new(move || tables(&args.lv)),
        OwnCommand::Tune(args) => Box::new(move || tune(&args)),
        OwnCommand::HandOver(args) => Box::new(move || hand_over(&args.vg)),
        OwnCommand::Verify(args) => Box::new(move || verify::run(&args.name)),
    };
    match action() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::err(&format!("  lvshift-ublk: {error}\n"));
            ExitCode::from(error.exit_status())
        }
    }
}

/// Replaces the daemon of one VG or of all by this version.
fn upgrade(only: Option<&str>) -> Result<()> {
    let all = match only {
        Some(name) => vec![OpenVg::open(name, Hold::Release)],
        None => OpenVg::open_all(Hold::Release)?,
    };
    for vg in all {
        let vg = vg?;
        let mut client = Ublk::default();
        if client.is_served(vg.vg().uuid())? {
            client.replace_daemon(vg.vg().uuid())?;
            output::out(&format!("  the daemon of VG {} was replaced\n", vg.vg().name()));
        }
    }
    Ok(())
}

/// Gives the kernel's mirror what the daemon mirrors in a VG of LVM2's.
fn hand_over(name: &str) -> Result<()> {
    let mut client = Ublk::default();
    for mirror in lvm2::hand_over(name, client.lvm2()?)? {
        output::out(&format!("  {mirror}: the kernel mirrors from now on\n"));
    }
    Ok(())
}

/// Shows the LV's tables in the manner of `dmsetup table`.
fn tables(name: &str) -> Result<()> {
    let wrong = || Error::new(Kind::Usage, format!("{name} is not the name of an LV: VG/LV"));
    let (vg_name, lv_name) = name.split_once('/').ok_or_else(wrong)?;
    let vg = OpenVg::open(vg_name, Hold::Release)?;
    let lv = vg.vg().lvs().iter().find(|lv| lv.name.as_str() == lv_name);
    let lv = lv.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no LV {name}")))?;
    let tables = Ublk::default().tables(vg.vg().uuid(), lv.uuid)?;
    for (title, table) in
        [("live", tables.live), ("inactive", tables.inactive), ("shadow", tables.shadow)]
    {
        for line in table.iter().flat_map(WireTable::segments) {
            output::out(&format!("{title}: {}\n", text(&line)));
        }
    }
    Ok(())
}

fn text(line: &Segment<Dev>) -> String {
    let Segment { start, len, target } = line;
    match target {
        Target::Linear(area) => {
            format!("{start} {len} linear {} {}", dev(area.device), area.offset)
        }
        Target::Mirror(mirror) => {
            let log = match mirror.log {
                Log::Core => "core 1".to_owned(),
                Log::Disk(log) => format!("disk 2 {}", dev(log)),
            };
            format!(
                "{start} {len} mirror {log} {} 2 {} {} {} {} 1 handle_errors",
                mirror.chunk_sectors,
                dev(mirror.source.device),
                mirror.source.offset,
                dev(mirror.destination.device),
                mirror.destination.offset,
            )
        }
        Target::Error => format!("{start} {len} error"),
    }
}

fn dev(dev: Dev) -> String {
    match dev {
        Dev::Pv { major, minor } => format!("{major}:{minor}"),
        Dev::Shadow => "shadow".to_owned(),
        Dev::Log { major, minor, sector } => format!("{major}:{minor}+{sector}"),
    }
}

/// Changes how the VG's running copies are made.
fn tune(args: &Tune) -> Result<()> {
    let tuning = tuning(args)?;
    let (vg, lvs, moves) = match OpenVg::open(&args.vg, Hold::Release) {
        Ok(open) => {
            let lvs = open.vg().lvs().iter().map(|lv| lv.uuid).collect();
            (open.vg().uuid(), lvs, !open.vg().moves().is_empty())
        }
        Err(error) if error.kind == Kind::Unsupported => {
            let (vg, moves) = lvm2::moves_of(&args.vg)?.ok_or(error)?;
            let some = !moves.is_empty();
            (vg, moves, some)
        }
        Err(error) => return Err(error),
    };
    let waits = args.resume && pause::is_noted(&args.vg) && !is_driven(vg);
    let mut client = Ublk::default();
    if client.is_served(vg)? {
        let lvs = lvs.into_iter().map(|lv| lv.0).collect();
        client.do_it(vg, &Request::Tune { lvs, tuning })?;
    } else if !waits {
        return Err(Error::new(Kind::State, format!("no LV of VG {} is served here", args.vg)));
    }
    if args.pause {
        pause::note(&args.vg)?;
    }
    if args.resume {
        pause::forget(&args.vg)?;
    }
    if waits && moves { go_on(&args.vg) } else { Ok(()) }
}

/// Has what is recorded carried on where no process does that, as after a boot while it was paused.
fn go_on(name: &str) -> Result<()> {
    match systemd::unit("lvshift-pvmove", &systemd::escape(name)) {
        Some(unit) => systemd::start_now(&unit),
        None => {
            output::err(&format!(
                "  VG {name}: no process moves it: `lvshift-ublk pvmove` carries the move on\n"
            ));
            Ok(())
        }
    }
}

fn tuning(args: &Tune) -> Result<Tuning> {
    let mut tuning = Tuning::default();
    if let Some(OrNone(rate)) = args.max_rate {
        let bytes = rate.map_or(Some(0), |rate| rate.0.bytes());
        let too_large = || Error::new(Kind::Usage, "--max-rate: the number is too large");
        tuning.max_rate = Some(bytes.ok_or_else(too_large)?);
    }
    tuning.pace = args.pace.map(|OrNone(factor)| factor.map_or(0, |factor| factor.hundredths()));
    if let Some(OrNone(rate)) = args.min_rate {
        let bytes = rate.map_or(Some(0), |rate| rate.0.bytes());
        let too_large = || Error::new(Kind::Usage, "--min-rate: the number is too large");
        tuning.min_rate = Some(bytes.ok_or_else(too_large)?);
    }
    tuning.deadline = args.deadline.map(|OrNone(seconds)| seconds.unwrap_or(0));
    tuning.source_first = args.write_policy.map(|policy| policy == WritePolicy::SourceFirst);
    tuning.paused = (args.pause || args.resume).then_some(args.pause);
    Ok(tuning)
}

#[cfg(test)]
mod tests {
    use lvshift_frontend_common::cli;

    use super::*;

    fn parse(line: &str) -> Option<Tuning> {
        let words = format!("lvshift-ublk tune vg0 {line}");
        let words: Vec<_> = words.split_whitespace().map(Into::into).collect();
        match cli::own_command("lvshift-ublk", &words)?.0 {
            OwnCommand::Tune(args) => tuning(&args).ok(),
            _ => None,
        }
    }

    #[test]
    fn tuning_is_understood_or_refused() {
        let both = parse("--max-rate 1m --pause").expect("both are known");
        assert_eq!((both.max_rate, both.paused), (Some(1 << 20), Some(true)));
        assert_eq!(parse("--max-rate none").map(|t| t.max_rate), Some(Some(0)));
        assert_eq!(parse("--pace 1.5").map(|t| t.pace), Some(Some(150)));
        assert_eq!(parse("--pace none").map(|t| t.pace), Some(Some(0)));
        assert_eq!(parse("--min-rate 2m").map(|t| t.min_rate), Some(Some(2 << 20)));
        assert_eq!(parse("--min-rate none").map(|t| t.min_rate), Some(Some(0)));
        assert_eq!(parse("--deadline 5").map(|t| t.deadline), Some(Some(5)));
        assert_eq!(parse("--deadline none").map(|t| t.deadline), Some(Some(0)));
        assert_eq!(parse("--resume").map(|t| t.paused), Some(Some(false)));
        for line in ["--pace 0.5", "--max-rate", "--faster", "--pause --resume"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
