//! Waits for a program, but not for ever.

use std::io::{Error, ErrorKind, Read, Result};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// As [`Command::output`], but one that has not ended by then is killed. It may go on being there where the kernel
/// waits for a device: no command waits for it.
pub(super) fn output(command: &mut Command, limit: Duration) -> Result<Output> {
    let deadline = Instant::now() + limit;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if !ends(&child, deadline)? {
        // Where it is stuck in the kernel the signal waits, too.
        let _ = child.kill();
        let seconds = limit.as_secs_f64();
        return Err(Error::new(ErrorKind::TimedOut, format!("it did not end within {seconds} s")));
    }
    let status = child.wait()?;
    let rest = |from: mpsc::Receiver<Vec<u8>>| {
        // A child of its own may hold the pipe open.
        from.recv_timeout(Duration::from_secs(1)).unwrap_or_default()
    };
    Ok(Output { status, stdout: rest(stdout), stderr: rest(stderr) })
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (to, from) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = to.send(bytes);
    });
    from
}

/// Whether it has ended by then.
fn ends(child: &Child, deadline: Instant) -> Result<bool> {
    let pid = Pid::from_child(child);
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null());
        command
    }

    #[test]
    fn who_ends_in_time_is_heard() {
        let done =
            output(&mut sh("echo out; echo err >&2; exit 5"), Duration::from_secs(60)).unwrap();
        assert_eq!(done.status.code(), Some(5));
        assert_eq!((&*done.stdout, &*done.stderr), (&b"out\n"[..], &b"err\n"[..]));
        // More than a pipe holds.
        let long = output(&mut sh("seq 100000"), Duration::from_secs(60)).unwrap();
        assert_eq!(long.stdout.iter().filter(|byte| **byte == b'\n').count(), 100_000);
    }

    #[test]
    fn who_does_not_end_is_left() {
        let begun = Instant::now();
        let error = output(&mut sh("sleep 600"), Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
