//! What may happen next in a world, one thing at a time.

use lvshift_ublk::platform::sim::{Completion, Handle, IoOp, Killed};

use super::client::{Kind, Op};
use super::words::describe;
use super::world::{Crash, Inner, Posted, Thread};

/// What a step asks of the world around the inner one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// This thread has something to take.
    Run(usize),
    /// The daemon dies here.
    Kill(Killed),
    /// The daemon is dead and its guardian starts another.
    Restart,
    /// Another host looks at the disks.
    Stranger,
}

impl Inner {
    /// Lets one thing happen.
    pub(super) fn step(&mut self) -> Next {
        self.steps += 1;
        self.moment += 1;
        if self.stranger {
            // Nothing of this host ends or begins while the other one's commands run.
        } else if self.fuel == 0 {
            if let Some(next) = self.crash_now() {
                return next;
            }
        } else {
            self.fuel -= 1;
        }
        let choice = self.rng.below(16);
        match choice {
            0..3 if self.issue() => Next::Nothing,
            0..6 if self.deliver() => Next::Nothing,
            3..9 if self.execute() => Next::Nothing,
            6..12 => self.complete(),
            12 => self.pass_time(),
            13 if self.answer_wakeup().is_some() => Next::Nothing,
            14 if self.wish() || self.break_something() || self.fall_silent() => Next::Nothing,
            14 if self.stranger_comes() => Next::Stranger,
            15 if self.can_restart() => Next::Restart,
            _ => self.complete(),
        }
    }

    fn crash_now(&mut self) -> Option<Next> {
        let crash = self.crash?;
        match crash {
            Crash::Power => {
                self.crash = None;
                Some(Next::Kill(Killed::Power))
            }
            Crash::Mover | Crash::Both if self.in_daemon > 0 => {
                if crash == Crash::Both {
                    self.crash = None;
                    self.mover_dies = self.mover;
                    return Some(Next::Kill(Killed::Daemon));
                }
                self.mover_dies = self.mover;
                self.crash = None;
                None
            }
            Crash::Mover | Crash::Both if self.mover => {
                self.crash = (crash == Crash::Both).then_some(Crash::Daemon);
                Some(Next::Kill(Killed::Mover))
            }
            Crash::Mover | Crash::Both => {
                self.crash = (crash == Crash::Both).then_some(Crash::Daemon);
                None
            }
            Crash::Daemon => {
                self.crash = None;
                Some(Next::Kill(Killed::Daemon))
            }
        }
    }

    /// The application makes a request.
    fn issue(&mut self) -> bool {
        if self.left == 0 || self.ops.len() >= self.plan.depth || self.ublk.is_empty() {
            return false;
        }
        // A number is drawn only where there is a choice: worlds with one LV go on as they did before there were two.
        let which = if self.ublk.len() > 1 { self.rng.index(self.ublk.len()) } else { 0 };
        let (lv, queues) = (self.ublk[which].lv, self.ublk[which].queues);
        let sectors = self.sectors_of(lv);
        let (base, all) = (sectors.start, sectors.len() as u64);
        let kind = match self.rng.below(16) {
            0..4 => Kind::Read,
            4..9 => Kind::Write { fua: false },
            9..11 => Kind::Write { fua: true },
            11..14 => Kind::Flush,
            14 => Kind::Zero,
            _ => Kind::Discard,
        };
        let count = match (kind, self.rng.below(8)) {
            (Kind::Flush, _) => 0,
            (_, 0) => 8,
            (_, 1) => 16,
            (_, n) => 1 + n / 2,
        };
        let count = count.min(all);
        // A hot place makes overlaps.
        let first = if self.rng.one_in(3) {
            8.min(all - count)
        } else if count >= 8 {
            self.rng.below((all - count) / 8 + 1) * 8
        } else {
            self.rng.below(all - count + 1)
        };
        let op = Op {
            id: self.next_op,
            kind,
            lv,
            first: base + first as u32,
            count: count as u32,
            issued: self.moment,
            queue: self.rng.below(u64::from(queues)) as u16,
            delivered: false,
            excused: false,
        };
        self.next_op += 1;
        self.left -= 1;
        self.say(|| format!("application: {op:?}"));
        if !matches!(kind, Kind::Read | Kind::Flush) {
            for sector in op.first..op.first + op.count {
                let any = kind == Kind::Discard;
                self.oracle.issue(sector as usize, op.id, op.value(sector), any, self.moment);
            }
        }
        self.ops.push(op);
        true
    }

    /// The request that a tag of a device was given.
    pub(super) fn tagged(&self, device: u32, queue: u16, tag: u16) -> Option<usize> {
        let lv = self.device(device)?.lv;
        self.ops.iter().position(|op| {
            op.delivered && op.lv == lv && op.queue == queue && op.id as u16 % 4 == tag
        })
    }

    /// The driver hands a request over to a queue that waits for one.
    fn deliver(&mut self) -> bool {
        let live = |lv: usize| self.ublk.iter().find(|ublk| ublk.lv == lv && ublk.live);
        let waiting: Vec<usize> = (0..self.ops.len())
            .filter(|at| !self.ops[*at].delivered && live(self.ops[*at].lv).is_some())
            .collect();
        if waiting.is_empty() {
            return false;
        }
        let at = waiting[self.rng.index(waiting.len())];
        let (queue, tag) = (self.ops[at].queue, self.ops[at].id as u16 % 4);
        let Some(device) = live(self.ops[at].lv).map(|ublk| ublk.id) else { return false };
        let busy = self.tagged(device, queue, tag).is_some();
        let posted =
            self.posted.iter().position(|p| p.device == device && p.queue == queue && p.tag == tag);
        let Some(posted) = posted.filter(|_| !busy) else { return false };
        let Posted { ring, user, at: place, .. } = self.posted.swap_remove(posted);
        let op = &mut self.ops[at];
        op.delivered = true;
        let data = matches!(op.kind, Kind::Write { .. }).then(|| (place, op.bytes()));
        let id = op.id;
        self.say(|| format!("driver: request {id} goes to queue {queue} tag {tag}"));
        self.rings[ring as usize].push_back(Completion { user, result: 0, data });
        true
    }

    /// A disk does something that is under way.
    fn execute(&mut self) -> bool {
        let ready: Vec<usize> = (0..self.pending.len())
            .filter(|at| {
                let pending = &self.pending[*at];
                let silent = |disk: u32| self.disks[disk as usize].faults.silent;
                let answers = pending.disk().is_some_and(|disk| pending.orphaned || !silent(disk));
                pending.done.is_none() && answers
            })
            .collect();
        if ready.is_empty() {
            return false;
        }
        let at = ready[self.rng.index(ready.len())];
        // A dead process's writes may take their time.
        if self.pending[at].orphaned && !self.rng.one_in(16) {
            return false;
        }
        let disk = self.pending[at].disk().unwrap_or(0) as usize;
        let user = self.pending[at].io.user;
        let (result, data) = self.perform(at, disk);
        let pending = &self.pending[at];
        if pending.orphaned {
            self.say(|| format!("disk {disk}: a dead process's I/O ends"));
            self.pending.swap_remove(at);
        } else {
            self.pending[at].done = Some(Completion { user, result, data });
        }
        true
    }

    fn perform(&mut self, at: usize, number: usize) -> (i32, Option<(usize, Vec<u8>)>) {
        let pending = &self.pending[at];
        let disk = &mut self.disks[number];
        let mut data = None;
        let mut touched = None;
        let done = match &pending.io.op {
            IoOp::Read { offset, into } => {
                let mut bytes = vec![0; into.len()];
                let done = disk.read(offset / 512, &mut bytes).map(|()| into.len());
                data = Some((into.start, bytes));
                done
            }
            IoOp::Write { offset, data, durable } => {
                let sectors = data.len() as u64 / 512;
                touched = Some((offset / 512, sectors));
                let copies =
                    |thread: &Thread| thread.ring == pending.ring && thread.name == "copier";
                let flips = self.plan.flips
                    && !pending.orphaned
                    && offset / 512 >= disk.data_start
                    && self.threads.iter().any(copies)
                    && self.rng.one_in(6);
                let done = disk.write(offset / 512, data).map(|()| data.len());
                if flips && done.is_ok() {
                    let sector = offset / 512 - disk.data_start + self.rng.below(sectors);
                    disk.flip(sector as u32);
                    // It may flip what is copied again, too, and then the move is undone.
                    self.ever_broken = true;
                    self.flips += 1;
                }
                if *durable && done.is_ok() {
                    disk.flush_only(offset / 512, sectors);
                }
                done
            }
            IoOp::Flush => {
                let done = disk.flush(&mut self.rng, true).map(|()| 0);
                if done.is_err() {
                    disk.flush_failed = self.moment;
                }
                done
            }
            IoOp::Zero { offset, len, .. } => {
                touched = Some((offset / 512, len / 512));
                disk.zero(offset / 512, len / 512).map(|()| 0)
            }
            IoOp::Discard { offset, len } => {
                touched = Some((offset / 512, len / 512));
                if self.rng.one_in(2) {
                    disk.zero(offset / 512, len / 512).map(|()| 0)
                } else {
                    Ok(0)
                }
            }
            IoOp::Fetch { .. } | IoOp::Wake => Ok(0),
        };
        if done.is_err() {
            data = None;
        }
        let result = match &done {
            Ok(bytes) => *bytes as i32,
            Err(error) => -error.raw_os_error().unwrap_or(5),
        };
        if self.trace.is_some() {
            let what = describe(&self.pending[at].io.op, self.disks[number].data_start);
            self.say(|| format!("disk {number}: {what} -> {result}"));
        }
        match touched {
            Some((start, sectors)) => self.touch(number, start, sectors),
            None if data.is_none() => self.touched_all = true,
            None => {}
        }
        (result, data)
    }

    /// A ring gets the end of something, and its thread looks up.
    fn complete(&mut self) -> Next {
        let done: Vec<usize> =
            (0..self.pending.len()).filter(|at| self.pending[*at].done.is_some()).collect();
        if !done.is_empty() {
            let at = done[self.rng.index(done.len())];
            let pending = self.pending.swap_remove(at);
            if let Some(completion) = pending.done {
                self.rings[pending.ring as usize].push_back(completion);
            }
        }
        let _ = self.answer_wakeup();
        let ready: Vec<usize> = (0..self.threads.len())
            .filter(|at| {
                let thread = &self.threads[*at];
                !thread.ended && !self.rings[thread.ring as usize].is_empty()
            })
            .collect();
        if !ready.is_empty() {
            return Next::Run(ready[self.rng.index(ready.len())]);
        }
        if self.execute() {
            return Next::Nothing;
        }
        if self.deliver() { Next::Nothing } else { self.pass_time() }
    }

    /// Tells who waits for a wakeup that has come.
    fn answer_wakeup(&mut self) -> Option<()> {
        let at = self.pending.iter().position(|pending| match &*pending.io.file {
            Handle::Wakeup(woken) => woken.swap(false, std::sync::atomic::Ordering::AcqRel),
            _ => false,
        })?;
        let pending = self.pending.swap_remove(at);
        let completion = Completion { user: pending.io.user, result: 8, data: None };
        self.rings[pending.ring as usize].push_back(completion);
        Some(())
    }

    /// Time passes until the next thread wants to look up.
    fn pass_time(&mut self) -> Next {
        let next = (0..self.threads.len())
            .filter(|at| !self.threads[*at].ended)
            .filter_map(|at| Some((self.threads[at].timer?, at)))
            .min();
        match next {
            Some((when, at)) => {
                self.clock = self.clock.max(when + 1_000_000);
                Next::Run(at)
            }
            None => {
                self.clock += 100_000_000;
                Next::Nothing
            }
        }
    }

    fn wish(&mut self) -> bool {
        use lvshift_frontend_common::requests::Request;
        if self.plan.wishes == 0 || !self.mover || !self.rng.one_in(self.plan.wishes) {
            return false;
        }
        let wish = if self.rng.one_in(2) { Request::Leave("TERM") } else { Request::Abort(vec![]) };
        self.say(|| format!("somebody: {wish:?}"));
        self.wishes_made += 1;
        self.requests.push_back(wish);
        true
    }

    fn stranger_comes(&mut self) -> bool {
        self.plan.hosts && self.owned && !self.stranger && self.rng.one_in(8)
    }

    fn can_restart(&self) -> bool {
        self.in_daemon == 0
            && !self.stranger
            && self.ublk.iter().any(|ublk| ublk.orphaned)
            && !lvshift_ublk::platform::sim::is_alive()
    }

    /// A request has come back.
    pub(super) fn finished(
        &mut self,
        device: u32,
        (queue, tag): (u16, u16),
        result: i32,
        bytes: &[u8],
    ) {
        let Some(at) = self.tagged(device, queue, tag) else {
            self.fail(format!(
                "device {device} queue {queue} tag {tag} answers what was not asked"
            ));
            return;
        };
        let op = self.ops.swap_remove(at);
        self.oracle.oldest = self.ops.iter().map(|op| op.issued).min().unwrap_or(self.moment);
        let good = result >= 0;
        self.say(|| format!("application: request {} ends with {result}", op.id));
        if !good && !self.may_fail(&op) {
            self.fail(format!("request {} failed ({result}), and need not have", op.id));
        }
        match op.kind {
            Kind::Read if good => {
                if result as u32 != op.count * 512 {
                    self.fail(format!("request {} read {result} bytes", op.id));
                    return;
                }
                for (sector, content) in (op.first..).zip(bytes.chunks(512)) {
                    let mut number = [0; 8];
                    number.copy_from_slice(&content[..8]);
                    let value = u64::from_le_bytes(number);
                    let read = self.oracle.read(sector as usize, value, op.issued, self.moment);
                    if let Err(what) = read {
                        self.fail(format!("request {} read what it must not: {what}", op.id));
                    }
                }
            }
            Kind::Read => {}
            Kind::Flush => {
                if good {
                    self.oracle.flushed(self.sectors_of(op.lv), op.issued);
                } else {
                    self.oracle.flush_failed(self.sectors_of(op.lv));
                }
                self.touched_all = true;
            }
            Kind::Write { .. } | Kind::Zero | Kind::Discard => {
                let durable = op.kind == Kind::Write { fua: true };
                for sector in op.first..op.first + op.count {
                    self.oracle.end(sector as usize, op.id, good, durable, self.moment);
                    self.touched |= 1 << sector;
                }
            }
        }
    }

    /// The daemon's process is gone; what it had issued may still land.
    pub(super) fn daemon_died(&mut self) {
        self.say(|| "the daemon is dead".to_owned());
        self.posted.clear();
        self.pending.retain_mut(|pending| {
            pending.orphaned = true;
            pending.done.is_none() && matches!(&*pending.io.file, Handle::Disk(_))
        });
        self.rings.iter_mut().for_each(std::collections::VecDeque::clear);
        for op in &mut self.ops {
            op.delivered = false;
        }
        self.oracle.done_again();
        for ublk in &mut self.ublk {
            (ublk.live, ublk.orphaned) = (false, true);
        }
    }
}
