//! `pvmove -b`: the same program once more carries the recorded move on: as a unit where systemd has it,
//! else detached from the terminal.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use super::super::Context;
use crate::cli::pv_args::{Pvmove, WritePolicy};
use crate::cli::values::OrNone;
use crate::error::{Error, Kind, Result};
use crate::factor;
use crate::lock::run_directory;
use crate::pause;
use crate::systemd;

/// Starts the process that goes on, and says how to follow it.
pub(super) fn leave(
    context: &mut Context<'_>,
    args: &Pvmove,
    name: &str,
    source: String,
) -> Result<()> {
    let program = context.program;
    pause::forget(name)?;
    let cannot = |error: std::io::Error| {
        Error::new(Kind::Kernel, "the background process could not be started")
            .because(error)
            .state("the move is recorded and nothing is moved yet")
            .next(format!("`{program} pvmove` carries it on, `{program} pvmove --abort` drops it"))
    };
    let mut options = vec!["--interval".to_owned(), args.interval.to_string()];
    if context.json {
        options.push("--json".to_owned());
    }
    if args.verify {
        options.push("--verify".to_owned());
    }
    if let Some(rate) = args.max_rate {
        options.push(format!("--max-rate={}s", rate.0));
    }
    if let Some(OrNone(factor)) = args.pace {
        let text = factor.map_or_else(|| "none".to_owned(), factor::text);
        options.push(format!("--pace={text}"));
    }
    if let Some(rate) = args.min_rate {
        options.push(format!("--min-rate={}s", rate.0));
    }
    if let Some(OrNone(seconds)) = args.deadline {
        let text = seconds.map_or_else(|| "none".to_owned(), |seconds| seconds.to_string());
        options.push(format!("--deadline={text}"));
    }
    if let Some(policy) = args.write_policy {
        options.push(match policy {
            WritePolicy::CopyFirst => "--write-policy=copy-first".to_owned(),
            WritePolicy::SourceFirst => "--write-policy=source-first".to_owned(),
        });
    }
    if let Some(unit) = systemd::unit("lvshift-pvmove", &systemd::escape(name)) {
        let text = format!("LVSHIFT_PROGRAM={program}\nLVSHIFT_OPTIONS={}\n", options.join(" "));
        fs::write(run_directory()?.join(format!("pvmove-{name}.env")), text).map_err(cannot)?;
        systemd::start_now(&unit)?;
        context.say(format!("pvmove: the move from {source} goes on in {unit}"));
        context.say(format!("pvmove: follow it with `{program} lvs -a -o +move_pv,copy_percent`"));
        context.say(format!("pvmove: its messages are in `journalctl -u '{unit}'`"));
        return Ok(());
    }
    let path = run_directory()?.join(format!("pvmove-{name}.log"));
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(cannot)?;
    let child = Command::new("/proc/self/exe")
        .args(["pvmove", "--detached"])
        .args(&options)
        .arg(&source)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(cannot)?)
        .stderr(log)
        .spawn()
        .map_err(cannot)?;
    context.say(format!("pvmove: the move from {source} goes on in process {}", child.id()));
    context.say(format!("pvmove: follow it with `{program} lvs -a -o +move_pv,copy_percent`"));
    context.say(format!("pvmove: its messages are in {}", path.display()));
    Ok(())
}

/// Leaves the terminal's session, so that closing the terminal does not stop the move.
pub(super) fn detach() {
    // It fails only for the leader of a group, which a process just spawned is not.
    let _ = rustix::process::setsid();
}
