//! The whole of both binaries: from the arguments to the exit status.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use nix::sys::signal::SigSet;

use crate::cli::{self, Cli, Command, habits};
use crate::commands::{self, Context};
use crate::device::filter;
use crate::error::{Error, Kind};
use crate::front_end::FrontEnd;
use crate::lvm2;
use crate::output;
use crate::progress::{Style, Teller};
use crate::report::Log;
use crate::warnings;

/// Does what the arguments say and returns LVM's exit status: 0 done, 3 bad arguments, 5 failed.
pub fn run(
    front_end: &mut (dyn FrontEnd + Send),
    args: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    let args = habits::by_own_name(args.into_iter().collect());
    if let Some(refusal) = habits::refusal(args.get(1..).unwrap_or_default()) {
        output::err(&format!("  {refusal}\n"));
        if lvm2::in_use().is_some() {
            let line = lvm2::line_to_type();
            output::err(&format!("  in a VG of LVM2's own, LVM2 does this: type `{line}`\n"));
        }
        return ExitCode::from(5);
    }
    let cli = match parse(front_end.name(), front_end.has_daemon(), &args) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    warnings::show(cli.common);
    if let Err(error) = filter::choose(&cli.scope.devices, cli.scope.devicesfile.as_deref()) {
        output::err(&format!("  {}\n", error.to_string().replace('\n', "\n  ")));
        return ExitCode::from(error.exit_status());
    }
    let status = std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("command".to_owned())
            .spawn_scoped(scope, || execute(front_end, &cli));
        let Ok(worker) = worker else {
            commands::complain("  there is no memory for a thread");
            return 5;
        };
        // From here on signals go to the worker alone, which takes them off a descriptor while it
        // moves something. Should this fail, they end the process, which a move survives.
        let _ = SigSet::all().thread_block();
        // A panic has said what it had to say.
        worker.join().unwrap_or(5)
    });
    ExitCode::from(status)
}

fn parse(program: &'static str, daemon: bool, args: &[OsString]) -> Result<Cli, ExitCode> {
    let parsed = cli::command(program, daemon)
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        if !error.use_stderr() {
            output::out(&error.to_string());
            return ExitCode::from(if output::was_cut_short() { 5 } else { 0 });
        }
        let text = error.to_string();
        if args.iter().any(|arg| arg == "--json") {
            let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let error = Error::new(Kind::Usage, what);
            Teller::new(Style::Json, program, output::stdout()).error(&error);
        }
        output::err(&error.to_string());
        ExitCode::from(3)
    })
}

fn execute(front_end: &mut (dyn FrontEnd + Send), cli: &Cli) -> u8 {
    let program = front_end.name();
    let json = cli.command.json();
    let mut context = Context {
        front_end,
        program,
        command: cli.command.name(),
        common: cli.common,
        json,
        test: cli.scope.test,
        log: Log::default(),
        status: 0,
    };
    if let Err(error) = commands::dispatch(&mut context, &cli.command) {
        context.fail(&error);
        match &cli.command {
            Command::Pvmove(_) if json => {
                Teller::new(Style::Json, program, output::stdout()).error(&error);
            }
            _ if json => output::out(&context.log.document()),
            _ => {}
        }
    }
    output::finish();
    if output::was_cut_short() { context.status.max(5) } else { context.status }
}
