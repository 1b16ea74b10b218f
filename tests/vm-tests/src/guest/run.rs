//! Running commands: all of it logged, all of it bounded in time.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use super::Guest;
use crate::scenario::Frontend;

/// How long a command may take unless it is told otherwise.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What became of a command.
#[derive(Clone, Debug)]
pub struct Run {
    /// The command, as one would type it.
    pub command: String,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
    /// Its exit status, unless a signal killed it.
    pub status: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// Fails unless the exit status is 0; gives itself back.
    ///
    /// # Errors
    /// The command, its status and what it wrote.
    pub fn ok(self) -> Result<Self> {
        if self.status == Some(0) { Ok(self) } else { bail!("expected success: {self}") }
    }

    /// Fails unless the exit status is `status`; gives itself back.
    ///
    /// # Errors
    /// The command, its status and what it wrote.
    pub fn fails_with(self, status: i32) -> Result<Self> {
        if self.status == Some(status) {
            Ok(self)
        } else {
            bail!("expected exit status {status}: {self}")
        }
    }

    /// Fails unless standard error contains `text`; gives itself back.
    ///
    /// # Errors
    /// The command, its status and what it wrote.
    pub fn stderr_has(self, text: &str) -> Result<Self> {
        if self.stderr.contains(text) { Ok(self) } else { bail!("no {text:?} on stderr: {self}") }
    }

    /// Fails unless standard output contains `text`; gives itself back.
    ///
    /// # Errors
    /// The command, its status and what it wrote.
    pub fn stdout_has(self, text: &str) -> Result<Self> {
        if self.stdout.contains(text) { Ok(self) } else { bail!("no {text:?} on stdout: {self}") }
    }

    /// The fields of each line of standard output.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        self.stdout.lines().map(fields).collect()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ", self.command)?;
        match (self.status, self.signal) {
            (Some(status), _) => write!(f, "ended with status {status}")?,
            (None, Some(signal)) => write!(f, "was killed by signal {signal}")?,
            (None, None) => write!(f, "ended in an unknown way")?,
        }
        write!(f, " after {:.2} s", self.took.as_secs_f64())?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                write!(f, "\n    {name}| {line}")?;
            }
        }
        Ok(())
    }
}

/// A command that is running. Dropping it kills it.
#[derive(Debug)]
pub struct Background<'g> {
    guest: &'g Guest,
    command: String,
    child: Option<Child>,
    files: [PathBuf; 2],
    start: Instant,
}

impl Guest {
    /// Runs the front end's binary, e.g. `&["pvmove", "/dev/vda"]`.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time; a failing status is no error.
    pub fn lvshift(&self, args: &[&str]) -> Result<Run> {
        self.lvshift_env(&[], args)
    }

    /// As [`Guest::lvshift`], with environment variables.
    ///
    /// # Errors
    /// As [`Guest::lvshift`].
    pub fn lvshift_env(&self, env: &[(&str, &str)], args: &[&str]) -> Result<Run> {
        self.spawn_env(env, self.frontend().binary(), args)?.wait(LIMIT)
    }

    /// Runs the binary of this front end, whichever is under test: both are in the guest, since what
    /// one began the other must be able to go on with.
    ///
    /// # Errors
    /// As [`Guest::lvshift`].
    pub fn lvshift_as(&self, frontend: Frontend, args: &[&str]) -> Result<Run> {
        self.run(frontend.binary(), args)
    }

    /// Runs a program with arguments; see `PATH` for what the guest has.
    ///
    /// # Errors
    /// As [`Guest::lvshift`].
    pub fn run(&self, program: &str, args: &[&str]) -> Result<Run> {
        self.spawn_env(&[], program, args)?.wait(LIMIT)
    }

    /// Runs a line of shell and fails if it fails.
    ///
    /// # Errors
    /// If it fails or does not end in time.
    pub fn sh(&self, line: &str) -> Result<Run> {
        self.run("sh", &["-euc", line])?.ok()
    }

    /// Starts the front end's binary and goes on.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, args: &[&str]) -> Result<Background<'_>> {
        self.spawn_env(&[], self.frontend().binary(), args)
    }

    /// Starts any program, with environment variables, and goes on.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn_env(
        &self,
        env: &[(&str, &str)],
        program: &str,
        args: &[&str],
    ) -> Result<Background<'_>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let command = written_out(env, program, args);
        self.log(format!("$ {command}"));
        // Files and not pipes: a daemon that keeps them open blocks nobody.
        let files = ["out", "err"].map(|kind| PathBuf::from(format!("/run/command-{n}.{kind}")));
        let create = |path: &PathBuf| {
            File::create(path).with_context(|| format!("creating {}", path.display()))
        };
        let child = Command::new(program)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(create(&files[0])?)
            .stderr(create(&files[1])?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting `{command}`"))?;
        Ok(Background { guest: self, command, child: Some(child), files, start: Instant::now() })
    }
}

fn written_out(env: &[(&str, &str)], program: &str, args: &[&str]) -> String {
    let mut text = String::new();
    for (key, value) in env {
        text.push_str(&format!("{key}={value} "));
    }
    text.push_str(program);
    for arg in args {
        let plain =
            !arg.is_empty() && !arg.contains(|c: char| c.is_whitespace() || "'\"$;".contains(c));
        text.push_str(&if plain { format!(" {arg}") } else { format!(" {arg:?}") });
    }
    text
}

impl Background<'_> {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.output(0)
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.output(1)
    }

    fn output(&self, which: usize) -> String {
        let bytes = std::fs::read(&self.files[which]).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.ended_within(Duration::ZERO).map(|ended| !ended)
    }

    /// Sends a signal to this one process.
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.guest.log(format!("signal {signal:?} to `{}`", self.command));
        kill_process(self.raw_pid()?, signal)
            .with_context(|| format!("signal to `{}`", self.command))
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(self) -> Result<Run> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(30))
    }

    /// Waits for its end; past `limit` its whole group is killed and this is an error.
    ///
    /// # Errors
    /// That it did not end in time, with what it had written.
    pub fn wait(mut self, limit: Duration) -> Result<Run> {
        let in_time = self.ended_within(limit)?;
        let stack = if in_time { String::new() } else { self.where_it_is() };
        if !in_time {
            kill_process_group(self.raw_pid()?, Signal::KILL).context("killing a stuck command")?;
            if !self.ended_within(Duration::from_secs(5))? {
                bail!("`{}` cannot be killed; it is in\n{stack}", self.command);
            }
        }
        let mut child = self.child.take().ok_or_else(|| anyhow!("it was waited for already"))?;
        let status = child.wait().with_context(|| format!("waiting for `{}`", self.command))?;
        let run = self.finished(status);
        self.guest.log(run.to_string());
        if !in_time {
            bail!("no end within {limit:?}, it was in\n{stack}\n{run}");
        }
        Ok(run)
    }

    fn finished(&self, status: ExitStatus) -> Run {
        Run {
            command: self.command.clone(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            status: status.code(),
            signal: status.signal(),
            took: self.start.elapsed(),
        }
    }

    fn raw_pid(&self) -> Result<Pid> {
        let child = self.child.as_ref().context("it has ended already")?;
        Ok(Pid::from_child(child))
    }

    fn where_it_is(&self) -> String {
        let file = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", self.pid())).unwrap_or_default()
        };
        format!("{}{}", file("wchan"), file("stack"))
    }

    fn ended_within(&self, limit: Duration) -> Result<bool> {
        let fd = pidfd_open(self.raw_pid()?, PidfdFlags::empty()).context("pidfd_open")?;
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = rustix::time::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for a command"),
            }
        }
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = self.raw_pid()
            && kill_process_group(pid, Signal::KILL).is_ok()
            && self.ended_within(Duration::from_secs(5)).unwrap_or(false)
            && let Some(mut child) = self.child.take()
        {
            child.wait().ok();
        }
        for file in &self.files {
            std::fs::remove_file(file).ok();
        }
    }
}
