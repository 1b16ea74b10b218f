//! What scenarios about the ublk daemon share: who it is, how it dies, how deep it is asked.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::conformance::fixture::{self, HANG, Rig};
use crate::guest::{Background, Guest, Run};
use crate::processes;
use crate::writer::{Config, Writer};

/// The file that says where the next daemon dies, and the variable that names it.
const FAIL_FILE: &str = "/run/daemon-fail";
pub(crate) const DAEMON_FAIL: (&str, &str) = ("LVSHIFT_DAEMON_FAIL_FILE", FAIL_FILE);

/// A process of ours that serves, or sees to it that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) pid: i32,
    pub(crate) role: Role,
}

/// What it is, by what it calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Guardian,
    Standby,
    Daemon,
}

/// Those that run now. What is dead and was not waited for does not count.
pub(crate) fn servers() -> Result<Vec<Server>> {
    let mut found = Vec::new();
    for (pid, of) in processes::all()? {
        let line = std::fs::read(of.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split('\0').collect();
        let ours = words.first().is_some_and(|name| name.ends_with("lvshift-ublk"));
        if ours && words.get(1) == Some(&"daemon") {
            let name = std::fs::read_to_string(of.join("comm")).unwrap_or_default();
            let role = match name.trim_end() {
                "lvshift-standby" => Role::Standby,
                // Its first words are not its name yet.
                _ if words.contains(&"--standby") && name.trim_end() != "lvshift-ublk" => {
                    Role::Standby
                }
                _ if words.contains(&"--foreground") => Role::Daemon,
                _ => Role::Guardian,
            };
            found.push(Server { pid, role });
        }
    }
    Ok(found)
}

/// There are a guardian, a standby and a daemon, or will be in a moment.
pub(crate) fn all_there(guest: &Guest) -> Result<()> {
    guest.wait_for("a guardian, a standby and a daemon", HANG, || {
        let roles: Vec<Role> = servers()?.iter().map(|server| server.role).collect();
        let has = |role| roles.contains(&role);
        Ok(roles.len() == 3 && has(Role::Guardian) && has(Role::Standby) && has(Role::Daemon))
    })
}

/// The process that is the daemon, once there is one.
pub(crate) fn daemon(guest: &Guest) -> Result<i32> {
    let mut pid = None;
    guest.wait_for("there is a daemon", HANG, || {
        pid = servers()?.iter().find(|server| server.role == Role::Daemon).map(|server| server.pid);
        Ok(pid.is_some())
    })?;
    pid.context("a daemon")
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victims {
    /// The daemon; its guardian starts another.
    Daemon,
    /// And its guardian and standby, too; the next command, or a mover that waits, starts another.
    Both,
}

/// `kill -9`, and waits until they are gone.
pub(crate) fn kill(guest: &Guest, victims: Victims) -> Result<()> {
    let old = daemon(guest)?;
    let mut dying: Vec<i32> = Vec::new();
    if victims == Victims::Both {
        dying.extend(servers()?.iter().filter(|s| s.role != Role::Daemon).map(|s| s.pid));
    }
    dying.push(old);
    guest.log(format!("kill -9 of {victims:?}: {dying:?}"));
    dying.iter().try_for_each(|pid| kill_one(*pid))?;
    guest.wait_for("the killed are gone", HANG, || {
        Ok(servers()?.iter().all(|server| !dying.contains(&server.pid)))
    })
}

/// The same of the guardian that a mover starts next, as soon as it is seen; returns once there is one more. A
/// daemon that has lost its guardian is killed, too: nothing would follow it when there is no mover.
pub(crate) fn kill_as_it_begins(guest: &Guest) -> Result<()> {
    let (began, mut victim) = (Instant::now(), None);
    while began.elapsed() < HANG {
        let servers = servers()?;
        let of = |role| servers.iter().find(|server| server.role == role).map(|server| server.pid);
        let dies = match (of(Role::Guardian), of(Role::Daemon)) {
            (Some(guardian), _) if victim.is_none() => {
                victim = Some(guardian);
                guardian
            }
            (Some(guardian), _) if victim != Some(guardian) => return Ok(()),
            (None, Some(daemon)) => daemon,
            _ => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
        };
        guest.log(format!("kill -9 of {dies} as it begins"));
        kill_one(dies)?;
    }
    bail!("no guardian begins")
}

/// `kill -9` of one that may have ended by itself.
fn kill_one(pid: i32) -> Result<()> {
    match kill_process(Pid::from_raw(pid).context("a process")?, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("kill -9"),
    }
}

/// Runs the front end with the daemon's fail file named to whatever daemon it starts.
pub(crate) fn ublk(guest: &Guest, args: &[&str]) -> Result<Run> {
    guest.lvshift_env(&[DAEMON_FAIL], args)
}

/// The same for a move in the background, with fail points of its own.
pub(crate) fn spawn_move<'g>(
    guest: &'g Guest,
    point: &str,
    args: &[&str],
) -> Result<Background<'g>> {
    let env = [DAEMON_FAIL, (fixture::FAIL, point)];
    guest.spawn_env(&env, guest.frontend().binary(), &[&["pvmove"], args].concat())
}

/// The next daemon that passes the first of these points dies there, the next one at the second.
pub(crate) fn die_at(points: &[&str]) -> Result<()> {
    let text: String = points.iter().map(|point| format!("{point}\n")).collect();
    // Whole or not at all: a daemon may read it at any moment.
    let scratch = format!("{FAIL_FILE}-new");
    std::fs::write(&scratch, text).context("writing the daemon's fail points")?;
    std::fs::rename(&scratch, FAIL_FILE).context("writing the daemon's fail points")
}

/// The points at which no daemon has died yet.
pub(crate) fn points_left() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(FAIL_FILE).context("reading the daemon's fail points")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// A VG over these disks, an LV on the first, and 32 requests in flight on it over four queues.
pub(crate) struct Deep<'g> {
    pub(crate) rig: Rig<'g>,
    pub(crate) writer: Writer,
}

impl<'g> Deep<'g> {
    /// Makes them over two disks.
    ///
    /// # Errors
    /// If a command fails, or there are not four queues.
    pub(crate) fn new(guest: &'g Guest, extents: u32, seed: u64) -> Result<Deep<'g>> {
        Deep::over(guest, vec![guest.disk("pv1")?, guest.disk("pv2")?], extents, seed)
    }

    /// The same over any devices.
    pub(crate) fn over(
        guest: &'g Guest,
        devices: Vec<PathBuf>,
        extents: u32,
        seed: u64,
    ) -> Result<Deep<'g>> {
        die_at(&[])?;
        let rig = Rig::over(guest, devices)?;
        let (count, pv) = (extents.to_string(), rig.pv(1));
        ublk(guest, &["lvcreate", "-n", "lv", "-l", &count, fixture::VG, &pv])?.ok()?;
        let path = fixture::lv_path("lv");
        let queues = queues(&path)?;
        ensure!(queues == 4, "the device has {queues} queues, not four");
        let writer = Writer::start(Config::deep(&path, seed))?;
        writer.wait_for_writes(200, HANG)?;
        Ok(Deep { rig, writer })
    }

    pub(crate) fn served(&self) -> Result<()> {
        // More than are in flight: some of them were begun after whatever happened before.
        self.writer.wait_for_writes(64, HANG).inspect_err(|_| log_daemons(self.rig.guest))
    }

    /// Everything at rest on one PV, no error was seen; which PV it is.
    pub(crate) fn settled(&self) -> Result<usize> {
        self.rig.at_rest()?;
        self.served()?;
        self.writer.outcome().clean()?;
        self.rig.home("lv")
    }

    /// Verifies every sector.
    pub(crate) fn end(self) -> Result<()> {
        self.settled()?;
        let outcome = self.writer.stop()?.clean()?;
        self.rig.guest.log(format!("{:?}", outcome.counters));
        let deepest = outcome.counters.deepest;
        ensure!(deepest >= 32, "only {deepest} requests were in flight");
        self.rig.reads_from_its_places("lv")
    }
}

/// What the daemons have said, and what they wait for, into the scenario's log.
pub(crate) fn log_daemons(guest: &Guest) {
    let show = "cat /run/lvshift/ublk/*.log; for t in $(pidof @lvshift-ublk lvshift-ublk); do \
                echo process $t $(tr '\\0' ' ' </proc/$t/cmdline) $(grep State /proc/$t/status); \
                cat /proc/$t/task/*/stack; done; cat /sys/block/ublkb*/inflight";
    // It is for the reader of a failure that is reported anyway.
    if let Err(error) = guest.run("sh", &["-c", show]) {
        guest.log(format!("{error:#}"));
    }
}

/// How many queues the disk of an LV has.
fn queues(path: &Path) -> Result<usize> {
    let node = std::fs::canonicalize(path).with_context(|| path.display().to_string())?;
    let name = node.file_name().context("a device has a name")?.to_string_lossy().into_owned();
    let queues = std::fs::read_dir(format!("/sys/block/{name}/mq")).context("its queues")?;
    Ok(queues.count())
}

/// Waits for the end of a move that died daemons may have held up.
pub(crate) fn finished(moving: Background<'_>) -> Result<Run> {
    moving.wait(Duration::from_secs(60))
}
