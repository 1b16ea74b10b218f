//! The scenario's own process. The report port comes as its standard input.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, Result};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::guest::boot::Job;
use lvshift_vm_tests::guest::{Channel, Guest};
use lvshift_vm_tests::report::Report;

/// Runs the scenario of the job whose words are `args`.
pub(crate) fn main(args: &[String]) -> i32 {
    let channel = match take_port() {
        Ok(channel) => channel,
        Err(error) => {
            eprintln!("init: {error:#}");
            return 1;
        }
    };
    let panics = channel.clone();
    std::panic::set_hook(Box::new(move |info| {
        panics.send(&Report::Fail(info.to_string()));
    }));
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&args.join(" "), &channel)));
    match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            channel.send(&Report::Fail(format!("{error:?}")));
            1
        }
        // The hook has reported it.
        Err(_) => 1,
    }
}

fn run(words: &str, channel: &Channel) -> Result<()> {
    let job = Job::from_cmdline(words)?;
    let name = job.scenario.as_deref().context("no scenario was named")?;
    let scenario =
        conformance::find(name).with_context(|| format!("there is no scenario {name}"))?;
    (scenario.run)(&mut Guest::new(channel.clone(), &job))
}

/// Takes the port out of the reach of the commands that the scenario will run.
fn take_port() -> Result<Channel> {
    let port = std::io::stdin().as_fd().try_clone_to_owned().context("no report port")?;
    let null = File::open("/dev/null").context("opening /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("replacing standard input")?;
    Ok(Channel::from_file(port.into()))
}
