//! A queue thread: core's queue decides, the thread carries out in any order, and tells it when it is woken.

use std::vec::Vec;

use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use super::disks::{Flush, Promise, Span};
use super::plan::{Dice, Fault, Request};
use super::quiesce::Table;
use super::{Authority, Content, LEGS, Mapped, QueueId, System};
use crate::Leg;
use crate::device::DeviceIndex;
use crate::io::WriteOp;
use crate::serve::{self, Answer, Ended, IoTag, Kind, Operation};
use crate::units::Sectors;

/// Requests of a queue that are on their way at once.
const DEPTH: usize = 2;

/// A request that is not answered.
struct Asked {
    request: Request,
    /// Core's queue has it. A flush is kept from it while the commit is not decided.
    begun: bool,
    /// It was written anywhere: a discard that only the source could do is skipped while it is not certain
    /// that the source is in charge.
    written: bool,
    /// One of its writes has failed.
    failed: bool,
    /// Flushes of devices on their way for it.
    flushes: usize,
    promise: Option<Promise>,
}

/// An I/O on its way.
struct Flying {
    io: IoTag,
    leg: Leg,
    what: What,
}

enum What {
    Write {
        span: Span,
        value: u32,
        /// The cells that are not written yet.
        left: std::ops::Range<usize>,
    },
    Flush {
        flush: Flush,
        /// The device has failed it, and the queue thread has not seen it.
        failed: bool,
    },
}

struct Queue<'a> {
    system: &'a System,
    number: usize,
    dice: Dice,
    table: Table,
    epoch: u32,
    open: bool,
    todo: Vec<Request>,
    queue: serve::Queue<DEPTH>,
    asked: [Option<Asked>; DEPTH],
    flying: Vec<Flying>,
}

pub(super) fn run(system: &System, number: u8) {
    let id = QueueId::new(number).expect("below 16");
    let mut queue = Queue {
        system,
        number: usize::from(number),
        dice: Dice::new(system.plan.seed ^ u64::from(number)),
        table: Table::Mirror,
        epoch: 0,
        open: true,
        todo: system.plan.requests[usize::from(number)].clone(),
        queue: serve::Queue::new(id, Sectors(1 << 20)),
        asked: [const { None }; DEPTH],
        flying: Vec::new(),
    };
    while !queue.is_done() {
        queue.turn();
    }
    system.quiesce.left(queue.epoch);
}

impl Queue<'_> {
    fn is_done(&self) -> bool {
        self.todo.is_empty() && self.asked.iter().all(Option::is_none)
    }

    fn turn(&mut self) {
        self.look_at_quiesce();
        if self.system.queues[self.number].take() {
            self.look_at_quiesce();
            self.woken();
            // A piece that the guard has stopped at its second word may wake its own queue, so
            // others must get on before the next look.
            thread::yield_now();
        }
        let free = self.asked.iter().position(Option::is_none);
        if let Some(tag) = free.filter(|_| !self.todo.is_empty())
            && (self.flying.is_empty() || self.dice.one_in(2))
        {
            let request = self.todo.pop().expect("it is not empty");
            let asked = Asked {
                request,
                begun: false,
                written: false,
                failed: false,
                flushes: 0,
                promise: None,
            };
            self.asked[tag] = Some(asked);
            self.begin(tag);
        } else if !self.flying.is_empty() {
            self.go_on();
        } else if !self.is_done() {
            self.system.queues[self.number].wait();
            self.look_at_quiesce();
            self.woken();
        }
    }

    fn look_at_quiesce(&mut self) {
        let epoch = self.system.quiesce.epoch();
        if epoch == self.epoch {
            return;
        }
        if epoch.is_multiple_of(2) {
            (self.epoch, self.open) = (epoch, true);
            let before = std::mem::replace(&mut self.table, self.system.quiesce.table());
            self.queue.leave(&Mapped { system: self.system, table: before });
            self.queue.resume();
            self.carry_out();
            self.begin_flushes();
            return;
        }
        self.open = false;
        self.queue.suspend();
        if self.queue.is_drained() {
            self.epoch = epoch;
            self.system.quiesce.drained();
        }
    }

    fn woken(&mut self) {
        self.queue.woken();
        self.carry_out();
        self.begin_flushes();
    }

    /// Tries again with those that core's queue does not have yet.
    fn begin_flushes(&mut self) {
        for tag in 0..DEPTH {
            if self.asked[tag].as_ref().is_some_and(|asked| !asked.begun) {
                self.begin(tag);
            }
        }
    }

    fn begin(&mut self, tag: usize) {
        let Some(asked) = &mut self.asked[tag] else { return };
        let (kind, start, count) = match asked.request {
            Request::Flush if !self.open => return,
            Request::Flush => {
                self.system.flushing.fetch_add(1, Ordering::SeqCst);
                let undecided = self.system.tracker().authority() == Authority::Undecided;
                if self.table == Table::Mirror && undecided {
                    // Until it is decided the only flush is the mover's.
                    self.system.flushing.fetch_sub(1, Ordering::SeqCst);
                    self.system.mover.ring();
                    return;
                }
                (Kind::Flush, Sectors(0), Sectors(0))
            }
            Request::Write { span, content, .. } => {
                let op = match content {
                    Content::Known => WriteOp::Write { fua: false },
                    Content::Undefined => WriteOp::Discard,
                };
                (Kind::Change(op), span.piece().first, span.piece().count)
            }
        };
        asked.begun = true;
        let request = serve::Request { kind, start, count };
        self.queue.came(tag as u16, request).expect("a free tag");
        self.carry_out();
    }

    /// Does what core's queue asks for, but for what takes time.
    fn carry_out(&mut self) {
        let volume = Mapped { system: self.system, table: self.table };
        while let Some(operation) = self.queue.next(&volume) {
            match operation {
                Operation::Write { io, at, .. } | Operation::Discard { io, at, .. } => {
                    self.begin_write(io, at.device);
                }
                Operation::Flush { io, device } => self.begin_flush(io, device),
                Operation::Notify(effects) => self.system.pass_on(effects),
                Operation::Answer { tag, answer } => self.answer(usize::from(tag), answer),
                other => panic!("not asked for: {other:?}"),
            }
        }
    }

    fn begin_write(&mut self, io: IoTag, device: DeviceIndex) {
        let asked = self.asked[usize::from(io.tag())].as_mut().expect("a request");
        asked.written = true;
        let Request::Write { span, value, .. } = asked.request else { panic!("a flush writes") };
        let what = What::Write { span, value, left: span.cells() };
        self.flying.push(Flying { io, leg: LEGS[usize::from(device.0)], what });
    }

    fn begin_flush(&mut self, io: IoTag, device: DeviceIndex) {
        let leg = LEGS[usize::from(device.0)];
        let mut disks = self.system.disks();
        let asked = self.asked[usize::from(io.tag())].as_mut().expect("a request");
        asked.promise.get_or_insert_with(|| disks.promise());
        asked.flushes += 1;
        let what = What::Flush { flush: disks.begin_flush(leg), failed: false };
        self.flying.push(Flying { io, leg, what });
    }

    /// One step of something that is on its way.
    fn go_on(&mut self) {
        let at = self.dice.below(self.flying.len() as u64) as usize;
        let mut flying = self.flying.swap_remove(at);
        let ended = match &mut flying.what {
            What::Write { value, left, .. } => {
                let value = *value;
                self.go_on_writing(flying.leg, value, left)
            }
            What::Flush { flush, failed } => self.go_on_flushing(flying.leg, flush, failed),
        };
        let Some(ended) = ended else {
            self.flying.push(flying);
            return;
        };
        let tag = usize::from(flying.io.tag());
        if let Some(asked) = &mut self.asked[tag] {
            asked.failed |= matches!(ended, Ended::Failed(_));
        }
        let failed = self.asked[tag].as_ref().is_some_and(|asked| asked.failed);
        self.queue.ended(flying.io, ended);
        self.carry_out();
        match flying.what {
            What::Write { .. } if self.table != Table::Mirror => {}
            What::Write { span, .. } if !failed => self.system.check_equal(span.chunk),
            What::Write { span, .. } => {
                if self.asked[tag].is_some() {
                    // If the destination comes to be in charge, the application is told of a failure.
                    self.system.disks().fail(span);
                }
            }
            What::Flush { .. } => self.flush_ended(tag),
        }
    }

    fn go_on_writing(
        &mut self,
        leg: Leg,
        value: u32,
        left: &mut std::ops::Range<usize>,
    ) -> Option<Ended> {
        let fault = self.system.plan.fault;
        let fails = self.table == Table::Mirror
            && match leg {
                Leg::Source => fault == Fault::Source(value),
                Leg::Destination => fault == Fault::Destination(value),
            };
        // A failing write has written its first cell, perhaps.
        let cell = if fails && self.dice.one_in(2) { None } else { left.next() };
        if let Some(cell) = cell {
            let mut disks = self.system.disks();
            match self.table {
                Table::Plain(Leg::Destination) => disks.write_destination(cell, value),
                _ => disks.write(leg, cell, value),
            }
        }
        match (fails, left.is_empty()) {
            (true, _) => Some(Ended::Failed(5)),
            (false, true) => Some(Ended::Done(usize::MAX)),
            (false, false) => None,
        }
    }

    fn go_on_flushing(&self, leg: Leg, flush: &Flush, failed: &mut bool) -> Option<Ended> {
        if *failed {
            return Some(Ended::Failed(5));
        }
        let mirrored = self.table == Table::Mirror;
        if mirrored && leg == Leg::Destination && self.system.plan.fault == Fault::Flush {
            *failed = true;
            self.system.disks().fail_flush(leg);
            return None;
        }
        self.system.disks().end_flush(leg, flush);
        Some(Ended::Done(0))
    }

    /// The flush of a device has ended for this request.
    fn flush_ended(&mut self, tag: usize) {
        let all = match &mut self.asked[tag] {
            Some(asked) => {
                asked.flushes -= 1;
                asked.flushes == 0
            }
            None => true,
        };
        if all {
            self.system.copier.ring();
            self.system.flushing.fetch_sub(1, Ordering::SeqCst);
            self.system.mover.ring();
        }
    }

    fn answer(&mut self, tag: usize, answer: Answer) {
        let asked = self.asked[tag].take().expect("a request");
        let mut disks = self.system.disks();
        match (asked.request, answer) {
            (Request::Write { .. }, Answer::Done) if !asked.written => {}
            (Request::Write { span, value, .. }, Answer::Done) => disks.acknowledge(span, value),
            (Request::Write { span, .. }, Answer::Failed(_)) => disks.fail(span),
            (Request::Flush, Answer::Done) => disks.promised(&asked.promise.expect("begun")),
            (Request::Flush, Answer::Failed(_)) => {}
        }
    }
}
