//! Running one scenario: boot, listen, cut the power, boot again, judge.

use std::fs::File;
use std::io::{
    BufRead as _, BufReader, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _,
};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use lvshift_checks::disk_server::survive::Survive;
use lvshift_checks::disk_server::{DiskServer, Served};
use lvshift_vm_tests::guest::boot::{Job, Order};
use lvshift_vm_tests::report::Report;
use lvshift_vm_tests::scenario::{Disk, Frontend, Scenario};

use crate::copies::{Booted, Copies};
use crate::debian::Debian;
use crate::emulator::Accel;
use crate::kernel::Kernel;
use crate::qemu::{BOOT_LIMIT, Console, Guest, Start, Vm, disks_of, make_disks, short};

/// What the host waits for beyond the scenario's own limit, which the guest watches.
const GRACE: Duration = Duration::from_secs(15);

/// On the console, each of these is a failure, whatever the guest says.
const BAD_SIGNS: &[&str] = &[
    "Kernel panic",
    "blocked for more than",
    "BUG: ",
    "Oops: ",
    "soft lockup",
    "rcu_sched self-detected",
];

/// What every scenario of a run has in common.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) kernel: Kernel,
    pub(crate) accel: Accel,
    pub(crate) initramfs: PathBuf,
    /// The guest is a whole Debian, which has no initramfs.
    pub(crate) debian: Option<Debian>,
    pub(crate) frontend: Frontend,
    /// Scenarios of many trials make all of them.
    pub(crate) full: bool,
    /// Booted guests of that initramfs.
    pub(crate) copies: Arc<Copies>,
}

impl Setting {
    /// What there can be copies of.
    pub(crate) fn booted(&self) -> Booted<'_> {
        let Self { kernel, initramfs, accel, frontend, .. } = self;
        let small = self.debian.is_none();
        Booted { kernel, initramfs, accel: *accel, frontend: *frontend, small }
    }
}

/// How one scenario went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Empty if it passed.
    pub(crate) failures: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) console: String,
    pub(crate) took: Duration,
    /// What the emulation took of the processors.
    pub(crate) cpu: Duration,
}

/// An emulated processor has been seen to load its flags with what another register held, in the midst of a system
/// call that does nothing of the kind: once in some hundred scenarios.
const OF_THE_EMULATOR: &str = "PANIC: double fault";

impl Outcome {
    /// Whether the emulator, and not what ran in it, is to blame.
    pub(crate) fn is_of_the_emulator(&self) -> bool {
        self.console.contains(OF_THE_EMULATOR)
    }
}

/// How one boot ended.
enum End {
    Passed,
    Failed,
    PowerCut,
    BootAgain,
    /// The kernel died before anything of ours had run.
    Stillborn(String),
}

/// How often a kernel that dies before anything of ours has run is booted again. Emulated on a busy
/// machine, one in some hundred trips over the patching of its own code (`Oops: int3`).
const STILLBORN: u32 = 2;

/// Runs a scenario with its disks and logs in `dir`; `live` shows what it shows at once.
pub(crate) fn scenario(
    setting: &Setting,
    scenario: &Scenario,
    dir: &Path,
    live: bool,
) -> Result<Outcome> {
    if scenario.volatile {
        let server = serve(scenario, dir, false)?;
        return Run::new(setting, scenario, dir, Some(&server), live).boots(1);
    }
    let run = Run::new(setting, scenario, dir, None, live);
    make_disks(dir, &run.disks)?;
    if let Some(debian) = &setting.debian {
        debian.make_root(dir)?;
    }
    run.boots(1)
}

/// The same over disks that are served from elsewhere, starting with a later boot than the first.
pub(crate) fn on_server(
    setting: &Setting,
    scenario: &Scenario,
    dir: &Path,
    server: &DiskServer,
    first_boot: u32,
) -> Result<Outcome> {
    Run::new(setting, scenario, dir, Some(server), false).boots(first_boot)
}

/// Serves the disks of a scenario from this process, and keeps a log if told to.
pub(crate) fn serve(scenario: &Scenario, dir: &Path, record: bool) -> Result<DiskServer> {
    let served = |disk: Disk| Served {
        name: disk.name.to_owned(),
        sectors: u64::from(disk.size_mib) << 11,
        sector: disk.sector,
    };
    let disks = disks_of(scenario).into_iter().map(served).collect();
    DiskServer::start(&short(dir).with_extension("disks"), disks, record)
}

struct Run<'a> {
    setting: &'a Setting,
    scenario: &'a Scenario,
    dir: &'a Path,
    disks: Vec<Disk>,
    server: Option<&'a DiskServer>,
    live: bool,
    failures: Vec<String>,
    log: Vec<String>,
    cpu: Duration,
}

impl<'a> Run<'a> {
    fn new(
        setting: &'a Setting,
        scenario: &'a Scenario,
        dir: &'a Path,
        server: Option<&'a DiskServer>,
        live: bool,
    ) -> Self {
        let disks = disks_of(scenario);
        let (failures, log) = (Vec::new(), Vec::new());
        let cpu = Duration::ZERO;
        Self { setting, scenario, dir, disks, server, live, failures, log, cpu }
    }

    /// Boots until it is over.
    fn boots(mut self, mut boot: u32) -> Result<Outcome> {
        let start = Instant::now();
        let mut console = String::new();
        let mut stillborn = 0;
        loop {
            let file = self.dir.join(format!("console-{boot}"));
            let end = self.boot(boot, stillborn > 0, &file)?;
            console.push_str(&String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()));
            match end {
                End::Stillborn(sign) if stillborn < STILLBORN => {
                    stillborn += 1;
                    let name = self.scenario.name;
                    let what = format!("boot {boot} died before anything of ours ran: {sign}");
                    println!("note {name}: {what}; it is booted again");
                    self.log.push(format!("--- {what}"));
                }
                End::Stillborn(sign) => {
                    self.failures.push(format!("on the console: {sign}"));
                    break;
                }
                End::Passed if self.failures.is_empty() => break,
                End::Passed | End::Failed => {
                    if self.failures.is_empty() {
                        self.failures.push("it failed without saying why".to_owned());
                    }
                    break;
                }
                End::PowerCut | End::BootAgain if !self.failures.is_empty() => break,
                End::PowerCut | End::BootAgain if boot == self.scenario.boots => {
                    let why = format!("it wants to boot again after boot {boot}, the last");
                    self.failures.push(why);
                    break;
                }
                End::PowerCut | End::BootAgain => {
                    boot += 1;
                    self.log.push(format!("--- boot {boot}"));
                }
            }
        }
        let Run { dir, failures, log, cpu, .. } = self;
        std::fs::write(dir.join("log"), log.join("\n")).context("writing the scenario's log")?;
        Ok(Outcome { failures, log, console, took: start.elapsed(), cpu })
    }

    fn boot(&mut self, boot: u32, itself: bool, console: &Path) -> Result<End> {
        let copy = if itself {
            None
        } else {
            self.setting.copies.of(self.setting.booted(), self.scenario)
        };
        let socket = short(self.dir).with_extension(boot.to_string());
        std::fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("listening on {}", socket.display()))?;
        let job = Job {
            scenario: Some(self.scenario.name.to_owned()),
            frontend: self.setting.frontend,
            boot,
            terminal: self.live && std::io::stdout().is_terminal(),
            full: self.setting.full,
        };
        let mut command = Vm {
            kernel: &self.setting.kernel,
            initramfs: &self.setting.initramfs,
            debian: self.setting.debian.as_ref(),
            accel: self.setting.accel,
            cpus: self.scenario.cpus,
            memory_mib: self.scenario.memory_mib,
            job: &job,
            start: copy.as_deref().map_or(Start::WithJob, Start::From),
            disks: &self.disks,
            dir: self.dir,
            server: self.server,
            reports: Some(&socket),
            console: Console::File(console.to_owned()),
        }
        .command();
        let errors = self.dir.join(format!("qemu-errors-{boot}"));
        command.stderr(File::create(&errors).context("creating a file for QEMU's errors")?);
        let mut guest = Guest(command.spawn().context("starting QEMU")?);
        let order = copy.is_some().then(|| order(job)).transpose()?;
        let copied = order.is_some();
        let reports = listen(listener, order);
        let end = self.judge(&mut guest, &reports, console, boot, copied);
        std::fs::remove_file(&socket).ok();
        self.cpu += guest.cpu_time();
        drop(guest);
        if let (Ok(End::PowerCut), Some(server)) = (&end, self.server) {
            // The guest may have asked for another cut.
            let lost = server.power_cut(Survive::Torn { seed: u64::from(boot), per_mille: 500 });
            self.log.push(format!("--- the power cut lost {lost} sectors that were not flushed"));
        }
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        if !said.is_empty() {
            self.log.push(format!("QEMU said: {}", said.trim_end()));
        }
        end
    }

    fn judge(
        &mut self,
        guest: &mut Guest,
        reports: &Receiver<Result<Report, String>>,
        console: &Path,
        boot: u32,
        copied: bool,
    ) -> Result<End> {
        let mut deadline = Instant::now() + BOOT_LIMIT;
        let mut what = "sign of life from the guest";
        let mut alive = false;
        let mut passed = false;
        let mut console_read = 0;
        let mut leaving: Option<Instant> = None;
        loop {
            let report = match reports.recv_timeout(Duration::from_millis(100)) {
                Ok(Ok(report)) => report,
                Ok(Err(wrong)) => {
                    self.failures.push(wrong);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(sign) = bad_sign(console, &mut console_read)? {
                        if !alive {
                            return Ok(End::Stillborn(sign));
                        }
                        self.failures.push(format!("on the console: {sign}"));
                        // The rest of the message.
                        std::thread::sleep(Duration::from_millis(500));
                        return Ok(End::Failed);
                    }
                    if let Some(status) = guest.0.try_wait().context("waiting for QEMU")? {
                        if let Some(since) = leaving.filter(|_| status.success()) {
                            self.log.push(format!(
                                "figure=shutdown-ms {}",
                                since.elapsed().as_millis()
                            ));
                            return Ok(End::BootAgain);
                        }
                        if copied && !alive {
                            return Ok(End::Stillborn(format!("a copy ended with {status}")));
                        }
                        self.failures.push(format!("the guest ended without a verdict ({status})"));
                        return Ok(End::Failed);
                    }
                    if Instant::now() > deadline {
                        if copied && !alive {
                            return Ok(End::Stillborn("a copy gave no sign of life".to_owned()));
                        }
                        self.failures.push(format!("no {what} in time"));
                        return Ok(End::Failed);
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // The guest is going down; its end or the console will say more.
                    std::thread::sleep(Duration::from_millis(300));
                    if let Some(since) = leaving {
                        self.log
                            .push(format!("figure=shutdown-ms {}", since.elapsed().as_millis()));
                        return Ok(End::BootAgain);
                    }
                    let sign = bad_sign(console, &mut console_read)?;
                    if copied && !alive {
                        return Ok(End::Stillborn(sign.unwrap_or("a copy ended".to_owned())));
                    }
                    let sign = sign.map_or(String::new(), |s| format!(": {s}"));
                    self.failures.push(format!("the guest ended without a verdict{sign}"));
                    return Ok(End::Failed);
                }
            };
            match report {
                Report::Hello(n) if n == boot => {
                    alive = true;
                    let limit = u64::from(self.scenario.timeout_s);
                    deadline = Instant::now() + Duration::from_secs(limit) + GRACE;
                    what = "verdict";
                }
                // Of a guest that goes on from here; its copies have said it before.
                Report::Ready => {}
                Report::Hello(n) => self.failures.push(format!("boot {boot} calls itself {n}")),
                Report::Log(line) => self.log.push(line),
                Report::Show(text) => self.show(&text),
                Report::PowerCut => return Ok(End::PowerCut),
                Report::Reboot => return Ok(End::BootAgain),
                Report::ShutDown(limit_s) => {
                    leaving = Some(Instant::now());
                    deadline = Instant::now() + Duration::from_secs(limit_s.into());
                    what = "end of the shutdown";
                }
                Report::Fail(why) => self.failures.push(why),
                Report::Pass => passed = true,
                Report::End => {
                    if let Some(sign) = bad_sign(console, &mut console_read)? {
                        self.failures.push(format!("on the console: {sign}"));
                    }
                    return Ok(if passed { End::Passed } else { End::Failed });
                }
            }
        }
    }

    fn show(&mut self, text: &str) {
        if self.live {
            print!("{text}");
            std::io::stdout().flush().ok();
        } else {
            self.log.push(text.to_owned());
        }
    }
}

/// What a copy of a guest is told.
fn order(job: Job) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the time of day")?;
    let mut seed = [0; 32];
    let mut urandom = File::open("/dev/urandom").context("/dev/urandom")?;
    urandom.read_exact(&mut seed).context("reading random numbers")?;
    Ok(Order { job, now, seed }.to_line() + "\n")
}

/// Reads reports in a thread of its own, after the order is given if there is one; the channel closes when
/// the guest is gone.
fn listen(listener: UnixListener, order: Option<String>) -> Receiver<Result<Report, String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        if order.is_some_and(|order| stream.write_all(order.as_bytes()).is_err()) {
            return;
        }
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let text = String::from_utf8_lossy(&line);
            if sender.send(Report::parse(&text)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The first line of the console, after `from`, that must not be there.
fn bad_sign(console: &Path, from: &mut u64) -> Result<Option<String>> {
    let Ok(mut file) = File::open(console) else { return Ok(None) };
    file.seek(SeekFrom::Start(*from)).context("reading the console")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("reading the console")?;
    // Whole lines only: the rest is read again.
    let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    *from += end as u64;
    let text = String::from_utf8_lossy(&bytes[..end]);
    let bad = text.lines().find(|line| BAD_SIGNS.iter().any(|sign| line.contains(sign)));
    Ok(bad.map(|line| line.trim().to_owned()))
}
