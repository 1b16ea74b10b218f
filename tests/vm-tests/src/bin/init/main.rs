//! PID 1 of the test VM.
//!
//! One binary, four jobs by its name and arguments: as PID 1 it sets the guest
//! up, runs the job and reports; as `init agent` it does the job as a service of
//! a distribution's own init; as `init scenario` it is the scenario's own
//! process; as `modprobe` it loads the modules the kernel asks for.

mod agent;
mod epilogue;
mod jobs;
mod own_life;
mod scenario;
mod setup;

use std::time::Duration;

use anyhow::{Context as _, Result};
use lvshift_vm_tests::guest::Channel;
use lvshift_vm_tests::guest::boot::{self, Job, Order};
use lvshift_vm_tests::guest::modules::Modules;
use lvshift_vm_tests::report::Report;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let name = args.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
    match (name, args.get(1).map(String::as_str)) {
        ("modprobe", _) => std::process::exit(modprobe(&args[1..])),
        (_, Some("scenario")) => std::process::exit(scenario::main(&args[2..])),
        (_, Some("agent")) => std::process::exit(agent::main()),
        _ if std::process::id() == 1 => pid_1(),
        _ => eprintln!("init runs as PID 1 of the test VM"),
    }
}

/// The kernel calls `/sbin/modprobe -q -- NAME`.
fn modprobe(args: &[String]) -> i32 {
    let names = args.iter().filter(|a| !a.starts_with('-'));
    let mut status = 0;
    for name in names {
        if let Err(error) = Modules::read().and_then(|modules| modules.load(name)) {
            if !args.iter().any(|a| a == "-q") {
                eprintln!("modprobe: {error:#}");
            }
            status = 1;
        }
    }
    status
}

fn pid_1() {
    std::panic::set_hook(Box::new(|info| eprintln!("init: PID 1 panics: {info}")));
    let began = setup::early();
    let channel = match Channel::open() {
        Ok(channel) => Some(channel),
        Err(error) => {
            eprintln!("init: no report port: {error:#}");
            None
        }
    };
    let result = began
        .and_then(|()| job(channel.as_ref()))
        .and_then(|job| setup::disks().map(|()| job))
        .and_then(|job| jobs::run(&job, channel.as_ref()));
    if let Err(error) = result {
        eprintln!("init: {error:#}");
        if let Some(channel) = &channel {
            channel.send(&Report::Fail(format!("init: {error:#}")));
            channel.send(&Report::End);
        }
    }
    setup::power_off();
    // Returning would be a kernel panic; the host kills what is left.
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// The job on the kernel's command line, or the one that is waited for.
fn job(channel: Option<&Channel>) -> Result<Job> {
    let text = std::fs::read_to_string("/proc/cmdline").context("reading the command line")?;
    if !text.split_whitespace().any(|word| word == boot::WAITS) {
        return Job::from_cmdline(&text);
    }
    let channel = channel.context("nowhere to wait for a job")?;
    channel.send(&Report::Ready);
    let order = Order::from_line(&channel.line()?)?;
    own_life::begin(&order)?;
    Ok(order.job)
}
