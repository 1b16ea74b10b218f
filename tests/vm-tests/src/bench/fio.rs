//! fio as the application: running it, and every request's latency afterwards.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::lab::{command, run, text};

/// What the application does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// fio's `rw=`.
    pub(super) pattern: &'static str,
    pub(super) block: &'static str,
    pub(super) depth: u32,
}

impl Load {
    fn args(self, target: &Path, seconds: u64) -> Vec<String> {
        vec![
            "--name=load".to_owned(),
            format!("--filename={}", target.display()),
            format!("--rw={}", self.pattern),
            format!("--bs={}", self.block),
            format!("--iodepth={}", self.depth),
            "--direct=1".to_owned(),
            "--ioengine=libaio".to_owned(),
            "--rwmixread=70".to_owned(),
            "--norandommap".to_owned(),
            "--randrepeat=0".to_owned(),
            "--time_based".to_owned(),
            format!("--runtime={seconds}"),
        ]
    }
}

/// Requests per second, of a run alone.
pub(super) fn iops(load: Load, target: &Path, seconds: f64) -> Result<f64> {
    let mut args = load.args(target, 0);
    args.pop();
    args.push(format!("--runtime={}ms", (seconds * 1000.0) as u64));
    args.push("--output-format=json".to_owned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = run("fio", &args)?;
    let from = said.find('{').context("fio gave no JSON")?;
    let json: serde_json::Value = serde_json::from_str(&said[from..]).context("fio's JSON")?;
    let job = json.pointer("/jobs/0").context("fio reports no job")?;
    let of = |kind: &str| job.pointer(&format!("/{kind}/iops")).and_then(|v| v.as_f64());
    let all = of("read").unwrap_or(0.0) + of("write").unwrap_or(0.0);
    ensure!(all > 0.0, "fio did nothing");
    Ok(all)
}

/// fio at work, for as long as it is let.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

/// A moment on fio's clock, in milliseconds.
pub(super) fn now_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() * 1000.0
}

impl Running {
    /// Starts it. `limit` is when it ends by itself.
    pub(super) fn start(load: Load, target: &Path, limit: Duration) -> Result<Running> {
        let log = std::env::temp_dir().join(format!("lvshift-fio-{}", std::process::id()));
        let mut args = load.args(target, limit.as_secs());
        args.push(format!("--write_lat_log={}", text(&log)));
        args.extend(
            ["--log_unix_epoch=1", "--disable_clat=1", "--disable_slat=1"].map(str::to_owned),
        );
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let child = command("fio", &args)
            .stdout(std::process::Stdio::null())
            .spawn()
            .context("starting fio")?;
        Ok(Running { child, log })
    }

    /// Stops it and gives each request: when it ended (ms) and how long it took (ms).
    pub(super) fn stop(mut self) -> Result<Vec<(f64, f64)>> {
        if let Some(status) = self.child.try_wait().context("looking at fio")? {
            bail!("fio ended before it was stopped: {status}");
        }
        kill_process(Pid::from_child(&self.child), Signal::INT).context("stopping fio")?;
        let start = Instant::now();
        while self.child.try_wait().context("waiting for fio")?.is_none() {
            ensure!(start.elapsed() < Duration::from_secs(60), "fio does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
        let file = PathBuf::from(format!("{}_lat.1.log", text(&self.log)));
        let log = std::fs::read_to_string(&file)
            .with_context(|| format!("reading fio's log {}", file.display()))?;
        std::fs::remove_file(&file).context("removing fio's log")?;
        let requests: Vec<(f64, f64)> = log.lines().filter_map(line).collect();
        ensure!(!requests.is_empty(), "fio's log is empty");
        Ok(requests)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `time in ms, latency in ns, direction, size, offset, priority`.
fn line(line: &str) -> Option<(f64, f64)> {
    let mut words = line.split(',').map(str::trim);
    let at: f64 = words.next()?.parse().ok()?;
    let took: f64 = words.next()?.parse().ok()?;
    Some((at, took / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read() {
        assert_eq!(line("1763838000123, 250000, 1, 4096, 8192, 0"), Some((1763838000123.0, 0.25)));
        assert_eq!(line("fio: something"), None);
    }
}
