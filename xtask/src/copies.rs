//! Guests that are booted once: a boot is half of what most scenarios cost under emulation, and it does the
//! same each time until the first disk is looked at.
//!
//! A guest boots over empty disks up to where it waits for an order, QEMU writes its state to a file
//! (`migrate`), and each later boot of a machine of the same shape goes on from there, with disks of its
//! own. The disks' driver is loaded after that, so no copy knows another's disks. What copies must not have
//! in common the order tells each ([`lvshift_vm_tests::guest::boot::Order`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lvshift_vm_tests::guest::boot::Job;
use lvshift_vm_tests::report::Report;
use lvshift_vm_tests::scenario::{Disk, Frontend, Scenario};

use crate::emulator::Accel;
use crate::kernel::Kernel;
use crate::qemu::{self, BOOT_LIMIT, Console, Guest, Start, Vm};
use crate::{paths, seconds};

/// So often must a shape of machine be booted for a copy to be worth its making.
const WORTH_IT: u32 = 3;

/// What is booted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booted<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) initramfs: &'a Path,
    pub(crate) accel: Accel,
    /// For the words on the command line; it is asked for with each order.
    pub(crate) frontend: Frontend,
    /// Our own init, not a whole Debian.
    pub(crate) small: bool,
}

/// What two guests must share for one to go on from the other's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    cpus: u32,
    memory_mib: u32,
    disks: usize,
}

/// The state of a guest of one shape: not made yet, made, or not to be had.
type State = Arc<Mutex<Option<Option<PathBuf>>>>;

/// The guests of one image, by shape. Their files go when this does.
#[derive(Debug, Default)]
pub(crate) struct Copies(Mutex<BTreeMap<Shape, State>>);

impl Copies {
    /// Remembers which shapes these scenarios boot often enough.
    pub(crate) fn plan(&self, image: Booted<'_>, chosen: &[&Scenario]) {
        // KVM boots within a second. A whole Debian boots as it does.
        if image.accel != Accel::Tcg || !image.small {
            return;
        }
        let mut boots = BTreeMap::<Shape, u32>::new();
        for scenario in chosen {
            *boots.entry(Shape::of(scenario)).or_default() += scenario.boots;
        }
        let often = boots.into_iter().filter(|(_, boots)| *boots >= WORTH_IT);
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (shape, _) in often {
            states.entry(shape).or_default();
        }
    }

    /// The state to go on from, made if it is not there; none if this scenario is to boot itself.
    pub(crate) fn of(&self, image: Booted<'_>, scenario: &Scenario) -> Option<PathBuf> {
        let shape = Shape::of(scenario);
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = Arc::clone(states.get(&shape)?);
        drop(states);
        // Whoever wants the same waits meanwhile.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let made = state.get_or_insert_with(|| match shape.make(image) {
            Ok(file) => Some(file),
            Err(error) => {
                println!("note: no copies of {shape:?}, each is booted: {error:#}");
                None
            }
        });
        made.clone()
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let states = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for state in states.values() {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Some(file)) = &*state {
                std::fs::remove_file(file).ok();
            }
        }
    }
}

impl Shape {
    fn of(scenario: &Scenario) -> Self {
        let disks = qemu::disks_of(scenario).len();
        Self { cpus: scenario.cpus, memory_mib: scenario.memory_mib, disks }
    }

    /// Boots a guest of this shape and writes its state to a file.
    fn make(self, image: Booted<'_>) -> Result<PathBuf> {
        let began = Instant::now();
        let Self { cpus, memory_mib, disks } = self;
        let initramfs = image.initramfs.file_name().unwrap_or_default().to_string_lossy();
        // Its end is this process's number, as an initramfs's is: who clears up looks for that.
        let name = format!("copy-{cpus}-{memory_mib}-{disks}-{initramfs}");
        let place = paths::vm_dir("images")?.join(&name);
        let dir = paths::vm_dir("runs")?.join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let done = self.make_in(image, &dir, &place);
        if done.is_err() {
            std::fs::remove_file(&place).ok();
        }
        std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        done?;
        let took = seconds(began.elapsed());
        println!("     booted once for {cpus} processors and {disks} disks: {took}");
        Ok(place)
    }

    fn make_in(self, image: Booted<'_>, dir: &Path, place: &Path) -> Result<()> {
        let socket = qemu::short(dir);
        std::fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("listening on {}", socket.display()))?;
        let job =
            Job { scenario: None, frontend: image.frontend, boot: 1, terminal: false, full: false };
        let console = dir.join("console");
        let disks = vec![Disk::new("none", 1); self.disks];
        let mut command = Vm {
            kernel: image.kernel,
            initramfs: image.initramfs,
            debian: None,
            accel: image.accel,
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            job: &job,
            start: Start::AndWait,
            disks: &disks,
            dir,
            server: None,
            reports: Some(&socket),
            console: Console::File(console.clone()),
        }
        .command();
        let errors = dir.join("qemu-errors");
        command.stderr(File::create(&errors).context("creating a file for QEMU's errors")?);
        command.args(["-monitor", "stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guest = Guest(command.spawn().context("starting QEMU")?);
        let said = wait_and_save(&mut guest, &listener, place);
        std::fs::remove_file(&socket).ok();
        drop(guest);
        said.with_context(|| {
            let text = |path| std::fs::read_to_string(path).unwrap_or_default();
            let (errors, console) = (text(errors), text(console));
            let last: Vec<&str> = console.lines().rev().take(3).collect();
            format!("QEMU said {:?}, its console ends with {last:?}", errors.trim())
        })
    }
}

/// Waits until the guest is ready and has its state written to `place`.
fn wait_and_save(guest: &mut Guest, listener: &UnixListener, place: &Path) -> Result<()> {
    listener.set_nonblocking(true).context("the socket of its reports")?;
    let start = Instant::now();
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("the socket of its reports"),
        }
        ensure!(start.elapsed() < BOOT_LIMIT, "QEMU does not come");
        ensure!(guest.0.try_wait().context("waiting for QEMU")?.is_none(), "QEMU ended");
        std::thread::sleep(Duration::from_millis(20));
    };
    stream.set_nonblocking(false).context("the socket of its reports")?;
    stream.set_read_timeout(Some(BOOT_LIMIT)).context("the socket of its reports")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).context("waiting for the guest")?;
    ensure!(Report::parse(line.trim_end_matches('\n')) == Ok(Report::Ready), "it said {line:?}");
    let mut monitor = guest.0.stdin.take().context("QEMU's monitor")?;
    let mut answers = guest.0.stdout.take().context("QEMU's monitor")?;
    // The guest must not be stopped for it: its copies would be stopped, too.
    let file = place.display();
    let words = format!(
        "migrate_set_parameter max-bandwidth 8G\nmigrate \"exec:exec cat >'{file}'\"\n\
         info migrate\nquit\n"
    );
    monitor.write_all(words.as_bytes()).context("talking to QEMU's monitor")?;
    let mut said = String::new();
    answers.read_to_string(&mut said).context("listening to QEMU's monitor")?;
    if !said.contains("Migration status: completed") {
        bail!("its state was not written: {said}");
    }
    Ok(())
}
