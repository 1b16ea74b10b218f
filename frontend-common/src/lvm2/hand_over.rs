//! The mirror of a move goes from a daemon of ours to the kernel, in use as it is and with its progress.
//!
//! The log is right at every moment, and so a kill or a power cut at any of them costs nothing: until the switch the daemon
//! notes in it what it writes, from then on the kernel does, which reads it in the switch, while no request is under way.
//! What the daemon did by itself, copying and calling clean what is equal, it has ended before. Since it has the log's
//! device alone, the kernel's mirror gets a device of its own onto the same sectors for as long as the daemon is there.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lvshift_core::mover::Mapping;
use lvshift_core::units::Uuid;

use super::host::{SOON, commit_aborting};
use super::id::{self, dm_name};
use super::mapper::Mapper;
use super::stack::Stack;
use super::table::Line;
use super::text::{Record, State};
use super::tools::Lvm;
use super::vg::LvmVg;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::lock::{self, Lock};

/// The program whose daemon mirrors.
const PROGRAM: &str = "lvshift-ublk";

/// Gives the kernel every mirror of the moves in this VG that a daemon of this front end has. Their names.
///
/// # Errors
/// What LVM2 says; `Kind::Locked` while a mover is at work; `Kind::State` where a mirror has failed.
pub fn hand_over(name: &str, mapper: &mut dyn Mapper) -> Result<Vec<String>> {
    let lvm = Lvm::find().ok_or_else(|| Error::new(Kind::Unsupported, "LVM2 is not here"))?;
    let mut vg = LvmVg::open(&lvm, name)?;
    let _lock = lock::mover(vg.uuid(), "hand-over")?;
    // A commit that was torn says the same on every PV from now on.
    let confirmed = vg.commit(&mut |_| Ok(()));
    let mut over = Vec::new();
    for record in vg.moves().to_vec() {
        // The kernel's mirror of one that was left half-way may hold the application's writes: where a PV takes no
        // metadata that is ended all the same.
        if confirmed.is_err() {
            let stack = Stack::new(&mut *mapper, vg.text(), vg.moves(), vg.members());
            if !stack.is_half_handed_over(&record)? {
                continue;
            }
        }
        match one(&mut vg, mapper, &record)? {
            Done::Nothing => {}
            Done::HandedOver => over.push(format!("{}/{}", vg.name(), record.names.mirror)),
            Done::Failed => {
                return Err(failed(&record)
                    .state("the move goes back; the LV is on its source")
                    .next("`pvmove` takes down what is left of the move"));
            }
        }
    }
    confirmed.map(|()| over)
}

/// Hands over one move's mirror. One that has failed goes back: the record says so, and `lvshiftN` is on the source.
fn one(vg: &mut LvmVg, mapper: &mut dyn Mapper, record: &Record) -> Result<Done> {
    let lock = vg.lock()?;
    let stack = Stack::new(&mut *mapper, vg.text(), vg.moves(), vg.members());
    let done = match record.state {
        State::Copying => stack.hand_over(record)?,
        State::Moved => stack.leave(record, Mapping::Final)?,
        State::Queued | State::Aborting => stack.leave(record, Mapping::Source)?,
    };
    drop(lock);
    if done != Done::Failed {
        return Ok(done);
    }
    let of = id::uuid(&record.id);
    commit_aborting(vg, mapper, of)?;
    // The kernel's mirror holds what the application writes to a side that fails, and the next command may come late.
    let _lock = vg.lock_soon(SOON)?;
    let record = vg.record(of)?.clone();
    let stack = Stack::new(&mut *mapper, vg.text(), vg.moves(), vg.members());
    stack.load(&record, Mapping::Source)?;
    stack.swap(&record, Mapping::Source)?;
    stack.end_served(&record)?;
    Ok(Done::Failed)
}

/// What became of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// No daemon has it.
    Nothing,
    /// The kernel has it, or it is linear.
    HandedOver,
    /// The kernel has it, and the destination has failed meanwhile: what the daemon gave up may still land there.
    Failed,
}

impl Stack<'_> {
    /// The kernel's mirror with its log on the device of its own; `None` where there is no such device.
    fn on_own_log(&self, record: &Record) -> Result<Option<Vec<Line>>> {
        let (uuid, _) = self.private(&record.names.log)?;
        let own = self.mapper.borrow_mut().find(&uuid)?;
        let (Some(own), Some(log)) = (own, self.find(&record.names.log)?) else { return Ok(None) };
        let mut lines = self.of_kernel(record, Mapping::Mirrored)?;
        let (theirs, own) = (format!("disk 2 {} ", log.number), format!("disk 2 {} ", own.number));
        lines.iter_mut().for_each(|line| line.params = line.params.replacen(&theirs, &own, 1));
        Ok(Some(lines))
    }

    /// Whether the kernel mirrors, and has the log by the device of its own.
    pub(super) fn is_half_handed_over(&self, record: &Record) -> Result<bool> {
        let Some(lines) = self.on_own_log(record)? else { return Ok(false) };
        Ok(self.live_table(&record.names.mirror)? == Some(lines))
    }

    /// See the module. Done in part already it goes on from there.
    fn hand_over(&self, record: &Record) -> Result<Done> {
        let mirror = &record.names.mirror;
        let (uuid, name) = (self.uuid(mirror)?, dm_name(self.text.name(), mirror));
        let switch = |lines: &[Line]| {
            let mut mapper = self.mapper.borrow_mut();
            mapper.load(&uuid, &name, lines)?;
            mapper.swap(&uuid, &name, lines)
        };
        if !self.is_half_handed_over(record)? {
            if !self.is_served(record)? {
                return self.leave(record, Mapping::Source);
            }
            failpoint::before("hand-over-hush")?;
            if self.ask(record, |engine, vg, of| engine.hand_over(vg, of))? != Some(true) {
                self.ask(record, |engine, vg, of| engine.keep(vg, of))?;
                return Err(failed(record)
                    .state("the daemon mirrors as before")
                    .next(format!("take the move back with `{PROGRAM} pvmove --abort`")));
            }
            failpoint::after("hand-over-hush");
            let (log_uuid, log_name) = self.private(&record.names.log)?;
            let missing = || {
                Error::new(Kind::Missing, "the devices of the move are not all there")
                    .because(record.names.log.clone())
            };
            let log = self.as_recorded(&record.names.log).ok_or_else(missing)?;
            self.make_so(&log_uuid, &log_name, &log)?;
            failpoint::before("hand-over-swap")?;
            switch(&self.on_own_log(record)?.ok_or_else(missing)?)?;
            failpoint::after("hand-over-swap");
        }
        let (vg, of) = (id::uuid(self.text.id()), id::uuid(&record.id));
        let whole = self.ask(record, |engine, _, _| {
            if engine.device(vg, of)?.is_some() { engine.hand_over(vg, of) } else { Ok(true) }
        })?;
        if whole != Some(true) {
            return Ok(Done::Failed);
        }
        failpoint::before("hand-over-end")?;
        self.ask(record, |engine, vg, of| engine.end(vg, of))?;
        failpoint::after("hand-over-end");
        switch(&self.of_kernel(record, Mapping::Mirrored)?)?;
        self.end_served(record)?;
        Ok(Done::HandedOver)
    }

    /// Puts `lvshiftN` past a daemon that does not mirror, onto the side that is in charge.
    fn leave(&self, record: &Record, side: Mapping) -> Result<Done> {
        let served = self.is_on_served(record)?;
        if served {
            self.load(record, side)?;
            self.swap(record, side)?;
        }
        self.end_served(record)?;
        Ok(if served { Done::HandedOver } else { Done::Nothing })
    }
}

fn failed(record: &Record) -> Error {
    Error::new(
        Kind::State,
        format!("a side of {} has failed, or does not answer", record.names.mirror),
    )
}

/// The mover's lock of a VG, its text as it is under that, and no mirror of these moves with a daemon of another front end.
///
/// # Errors
/// As [`LvmVg::reread`]; those of `lock`; `Kind::State` when the daemon does not hand over.
pub(super) fn take_over(
    vg: &mut LvmVg,
    mapper: &mut dyn Mapper,
    moves: &[Uuid],
    lock: &dyn Fn(&LvmVg) -> Result<Lock>,
) -> Result<Lock> {
    let held = lock(vg)?;
    vg.reread()?;
    let records = |vg: &LvmVg| -> Vec<Record> {
        moves.iter().filter_map(|of| vg.record(*of).ok().cloned()).collect()
    };
    let mut of_another = false;
    for record in records(vg) {
        let stack = Stack::new(&mut *mapper, vg.text(), vg.moves(), vg.members());
        if stack.is_of_another(&record)? {
            of_another = true;
        } else if stack.is_half_handed_over(&record)? {
            one(vg, mapper, &record)?;
        } else if record.state == State::Copying && stack.is_served(&record)? {
            // A hand-over was killed before its switch.
            stack.ask(&record, |engine, vg, of| engine.keep(vg, of))?;
        }
    }
    if !of_another {
        return Ok(held);
    }
    // That is a command of its own, and the one at work.
    drop(held);
    let asked = ask(vg.name());
    let held = lock(vg)?;
    vg.reread()?;
    for record in records(vg) {
        let stack = Stack::new(&mut *mapper, vg.text(), vg.moves(), vg.members());
        // One that has failed was put onto its source, and is ended by whoever has no daemon, too.
        if stack.is_of_another(&record)? {
            return asked.and_then(|()| stack.refuse_another(&record)).map(|()| held);
        }
    }
    Ok(held)
}

/// Has the program whose daemon mirrors hand over.
fn ask(vg: &str) -> Result<()> {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(PROGRAM));
    let refused = |why: String| {
        Error::new(Kind::State, format!("a daemon of {PROGRAM} mirrors a move in VG {vg}"))
            .because(why)
            .state("it goes on")
            .next(format!(
                "carry it on with `{PROGRAM} pvmove`, or undo it with `{PROGRAM} pvmove --abort`"
            ))
    };
    let asked = Command::new(&program).args(["hand-over", vg]).stdin(Stdio::null()).output();
    let asked =
        asked.map_err(|error| refused(format!("{} hand-over {vg}: {error}", program.display())))?;
    if asked.status.success() {
        return Ok(());
    }
    Err(refused(String::from_utf8_lossy(&asked.stderr).trim().to_owned()))
}
