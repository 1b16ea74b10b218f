//! A queue thread: admits, issues, completes in any order, and tries again what waits when woken.

use std::vec::Vec;

use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use super::disks::{Flush, Promise, Span};
use super::gate::Table;
use super::plan::{Dice, Fault, Request};
use super::{
    Admission, AppResult, Authority, Content, FlushTicket, QueueId, System, WriteOutcome,
    WriteTicket,
};
use crate::Leg;
use crate::device::DeviceIndex;
use crate::io::{Discards, FlushProgress, FlushResult, WriteOp, WriteProgress, plan_write};
use crate::mirror::flush_failed;

/// Requests of a queue that are on their way at once.
const DEPTH: usize = 2;

/// A piece on its way.
enum Flying {
    /// The ticket is `None` where the LV is not mirrored.
    Write {
        span: Span,
        value: u32,
        ticket: Option<WriteTicket>,
        progress: WriteProgress,
        legs: Vec<LegWrite>,
    },
    Flush {
        ticket: FlushTicket,
        progress: FlushProgress,
        promise: Promise,
        legs: Vec<(Leg, Flush, Answer)>,
    },
}

/// What the device has done, before the queue thread sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    Failed,
}

struct LegWrite {
    leg: Leg,
    /// The cells that are not written yet.
    left: std::ops::Range<usize>,
}

/// A request that has nothing on its way.
enum Waiting {
    Request(Request),
    HeldWrite(Span, u32),
    HeldFlush(FlushResult, Promise),
}

struct Queue<'a> {
    system: &'a System,
    id: QueueId,
    dice: Dice,
    table: Table,
    epoch: u32,
    open: bool,
    todo: Vec<Request>,
    waiting: Vec<Waiting>,
    flying: Vec<Flying>,
}

pub(super) fn run(system: &System, number: u8) {
    let mut queue = Queue {
        system,
        id: QueueId::new(number).expect("below 16"),
        dice: Dice::new(system.plan.seed ^ u64::from(number)),
        table: Table::Mirror,
        epoch: 0,
        open: true,
        todo: system.plan.requests[usize::from(number)].clone(),
        waiting: Vec::new(),
        flying: Vec::new(),
    };
    while !queue.is_done() {
        queue.turn();
    }
    system.gate.left(queue.epoch);
}

impl Queue<'_> {
    fn is_done(&self) -> bool {
        self.todo.is_empty() && self.waiting.is_empty() && self.flying.is_empty()
    }

    fn turn(&mut self) {
        self.look_at_gate();
        if self.system.queues[usize::from(self.id.number())].take() {
            self.look_at_gate();
            self.retry();
            // A piece that the guard has stopped at its second word may wake its own queue, so
            // others must get on before the next look.
            thread::yield_now();
        }
        let room = self.flying.len() + self.waiting.len() < DEPTH;
        let begins = !self.todo.is_empty() && room;
        if begins && (self.flying.is_empty() || self.dice.one_in(2)) {
            let request = self.todo.pop().expect("it is not empty");
            self.serve(request);
        } else if !self.flying.is_empty() {
            self.go_on();
        } else if !self.is_done() {
            self.system.queues[usize::from(self.id.number())].wait();
            self.look_at_gate();
            self.retry();
        }
    }

    fn look_at_gate(&mut self) {
        let epoch = self.system.gate.epoch();
        if epoch == self.epoch {
            return;
        }
        if epoch.is_multiple_of(2) {
            (self.epoch, self.open) = (epoch, true);
            self.table = self.system.gate.table();
            self.retry();
            return;
        }
        self.open = false;
        if self.flying.is_empty() {
            self.epoch = epoch;
            self.system.gate.drained();
        }
    }

    fn retry(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Request(request) => self.serve(request),
                Waiting::HeldWrite(span, value) => {
                    let app = self.system.tracker().held_result();
                    self.answer_write(span, value, app);
                }
                Waiting::HeldFlush(result, promise) => {
                    let app = result.app(self.system.tracker().authority(), true);
                    self.answer_flush(result, promise, app);
                }
            }
        }
    }

    fn serve(&mut self, request: Request) {
        if !self.open {
            self.waiting.push(Waiting::Request(request));
            return;
        }
        match request {
            Request::Flush => self.begin_flush(),
            Request::Write { span, content, value } => self.begin_write(span, content, value),
        }
    }

    fn begin_write(&mut self, span: Span, content: Content, value: u32) {
        let op = match content {
            Content::Known => WriteOp::Write { fua: false },
            Content::Undefined => WriteOp::Discard,
        };
        let discards = Discards::SourceOnly;
        let tracker = self.system.tracker();
        let (ticket, plan) = match self.table {
            Table::Plain(leg) => {
                let mut plan = plan_write(op, super::Route::Source, discards);
                plan.iter_mut().for_each(|io| io.leg = leg);
                (None, plan)
            }
            Table::Mirror => {
                let content = op.content(discards);
                let policy = self.system.plan.policy;
                match tracker.admit(span.piece(), content, self.id, policy).expect("a good piece") {
                    Admission::Admitted(ticket, effects) => {
                        self.system.pass_on(effects);
                        let plan = plan_write(op, ticket.route(), discards);
                        (Some(ticket), plan)
                    }
                    Admission::Parked(_, effects) => {
                        let request = Request::Write { span, content, value };
                        self.waiting.push(Waiting::Request(request));
                        self.system.pass_on(effects);
                        return;
                    }
                }
            }
        };
        let progress = WriteProgress::new(&plan);
        let legs = plan.iter().map(|io| LegWrite { leg: io.leg, left: span.cells() }).collect();
        self.flying.push(Flying::Write { span, value, ticket, progress, legs });
    }

    fn begin_flush(&mut self) {
        let legs: &[Leg] = match &self.table {
            Table::Mirror => &[Leg::Source, Leg::Destination],
            Table::Plain(leg) => std::slice::from_ref(leg),
        };
        self.system.flushing.fetch_add(1, Ordering::SeqCst);
        if self.table == Table::Mirror && self.system.tracker().authority() == Authority::Undecided
        {
            // Until it is decided the only flush is the mover's.
            self.system.flushing.fetch_sub(1, Ordering::SeqCst);
            self.waiting.push(Waiting::Request(Request::Flush));
            self.system.mover.ring();
            return;
        }
        let ticket = self.system.flushes.begin();
        let mut disks = self.system.disks();
        self.flying.push(Flying::Flush {
            ticket,
            progress: FlushProgress::new(legs.len() as u32),
            promise: disks.promise(),
            legs: legs.iter().map(|&leg| (leg, disks.begin_flush(leg), Answer::None)).collect(),
        });
    }

    /// One step of something that is on its way.
    fn go_on(&mut self) {
        let at = self.dice.below(self.flying.len() as u64) as usize;
        let flying = self.flying.swap_remove(at);
        let flying = match flying {
            Flying::Write { .. } => self.go_on_writing(flying),
            Flying::Flush { .. } => self.go_on_flushing(flying),
        };
        self.flying.extend(flying);
    }

    fn go_on_writing(&mut self, flying: Flying) -> Option<Flying> {
        let Flying::Write { span, value, ticket, mut progress, mut legs } = flying else {
            return Some(flying);
        };
        let at = self.dice.below(legs.len() as u64) as usize;
        let leg = legs[at].leg;
        let fault = self.system.plan.fault;
        let fails = ticket.is_some()
            && match leg {
                Leg::Source => fault == Fault::Source(value),
                Leg::Destination => fault == Fault::Destination(value),
            };
        // A failing write has written its first cell, perhaps.
        let cell = if fails && self.dice.one_in(2) { None } else { legs[at].left.next() };
        if let Some(cell) = cell {
            let mut disks = self.system.disks();
            match self.table {
                Table::Plain(Leg::Destination) => disks.write_destination(cell, value),
                _ => disks.write(leg, cell, value),
            }
        }
        if !fails && !legs[at].left.is_empty() {
            return Some(Flying::Write { span, value, ticket, progress, legs });
        }
        let _ = legs.swap_remove(at);
        let Some(outcome) = progress.leg_done(leg, !fails) else {
            return Some(Flying::Write { span, value, ticket, progress, legs });
        };
        let app = match ticket {
            None => AppResult::Done,
            Some(ticket) => {
                let ended = ticket.complete(self.system.tracker(), outcome);
                self.system.pass_on(ended.effects);
                if outcome == WriteOutcome::Done {
                    self.system.check_equal(span.chunk);
                } else {
                    self.system.mover.ring();
                }
                ended.app
            }
        };
        self.answer_write(span, value, app);
        None
    }

    fn answer_write(&mut self, span: Span, value: u32, app: AppResult) {
        match app {
            AppResult::Done => self.system.disks().acknowledge(span, value),
            AppResult::Failed => self.system.disks().fail(span),
            AppResult::Held => {
                // If the destination comes to be in charge, the application is told of a failure.
                self.system.disks().fail(span);
                self.waiting.push(Waiting::HeldWrite(span, value));
            }
        }
    }

    fn go_on_flushing(&mut self, flying: Flying) -> Option<Flying> {
        let Flying::Flush { ticket, mut progress, promise, mut legs } = flying else {
            return Some(flying);
        };
        let at = self.dice.below(legs.len() as u64) as usize;
        let (leg, flush, answer) = &mut legs[at];
        let leg = *leg;
        let mirrored = self.table == Table::Mirror;
        let fails = mirrored && leg == Leg::Destination && self.system.plan.fault == Fault::Flush;
        if fails && *answer == Answer::None {
            *answer = Answer::Failed;
            self.system.disks().fail_flush(leg);
            return Some(Flying::Flush { ticket, progress, promise, legs });
        }
        if fails {
            self.system.pass_on(flush_failed(self.system, DeviceIndex(1), &[leg]));
            self.system.mover.ring();
        } else {
            self.system.disks().end_flush(leg, flush);
        }
        let _ = legs.swap_remove(at);
        let Some(result) = progress.device_done(leg, !fails) else {
            return Some(Flying::Flush { ticket, progress, promise, legs });
        };
        self.system.flushes.end(ticket);
        self.system.copier.ring();
        self.system.flushing.fetch_sub(1, Ordering::SeqCst);
        self.system.mover.ring();
        let authority = match self.table {
            Table::Mirror => self.system.tracker().authority(),
            Table::Plain(_) => Authority::Source,
        };
        self.answer_flush(result, promise, result.app(authority, true));
        None
    }

    fn answer_flush(&mut self, result: FlushResult, promise: Promise, app: AppResult) {
        match app {
            AppResult::Done => self.system.disks().promised(&promise),
            AppResult::Failed => {}
            AppResult::Held => self.waiting.push(Waiting::HeldFlush(result, promise)),
        }
    }
}
