//! A queue: the slots of its requests, and the order in which they are looked at.

use core::array;
use core::fmt;

use heapless::{Deque, Vec};

use super::operation::{IoTag, Operation};
use super::request::Request;
use super::slot::{Common, Slot, Turn, Work};
use super::volume::Served;
use crate::chunk::{Effects, QueueId};
use crate::mirror::Ended;
use crate::units::Sectors;

/// The requests that one thread serves, `N` at most at once, by tags from 0 to `N` - 1.
///
/// All queues of a volume together may have [`MAX_WRITERS`](crate::chunk::MAX_WRITERS) requests at most.
#[derive(Debug)]
pub struct Queue<const N: usize> {
    slots: [Slot; N],
    common: Common,
    /// Slots to look at; each once.
    next: Deque<u16, N>,
    /// Slots that wait until the queue is woken: for the table, for a chunk, or for a result to be
    /// decided.
    waiting: Vec<u16, N>,
}

/// There is a request under this tag already, or there is no such tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagInUse;

impl<const N: usize> Queue<N> {
    /// A queue that serves nothing yet. `id` tells it from the volume's other queues when they are woken;
    /// `most` is how many sectors a request's buffer has.
    #[must_use]
    pub fn new(id: QueueId, most: Sectors) -> Queue<N> {
        Queue {
            slots: array::from_fn(|_| Slot::new()),
            common: Common { id, most, open: true, busy: 0, effects: Effects::NONE },
            next: Deque::new(),
            waiting: Vec::new(),
        }
    }

    /// A request has come.
    ///
    /// # Errors
    /// [`TagInUse`]: it is not taken.
    pub fn came(&mut self, tag: u16, request: Request) -> Result<(), TagInUse> {
        let slot = self.slots.get_mut(usize::from(tag)).ok_or(TagInUse)?;
        if !matches!(slot.work, Work::Free) {
            return Err(TagInUse);
        }
        slot.begin(request);
        self.look_at(tag);
        Ok(())
    }

    /// An I/O that was asked for has ended.
    pub fn ended(&mut self, io: IoTag, ended: Ended) {
        let slot = self.slots.get_mut(usize::from(io.tag()));
        if slot.is_some_and(|slot| slot.take(io, ended)) {
            self.look_at(io.tag());
        }
    }

    /// The I/O of this request is past its deadline: where only the destination of a move has to answer it
    /// and the source is in charge, it is given up, and the move with it. Elsewhere nothing happens. Its
    /// late end is handed to [`Queue::ended`] all the same.
    pub fn overdue(&mut self, tag: u16) {
        let slot = self.slots.get_mut(usize::from(tag));
        if slot.is_some_and(|slot| slot.is_below() && !core::mem::replace(&mut slot.overdue, true))
        {
            self.look_at(tag);
        }
    }

    /// Whether anything that was given up has not ended.
    pub fn has_late(&self) -> bool {
        self.slots.iter().any(|slot| slot.late > 0)
    }

    /// The queue was woken, as [`Effects::wake`] of it or of others says, or since a commit was decided:
    /// what waits is tried again.
    pub fn woken(&mut self) {
        let count = self.waiting.len();
        for n in 0..count {
            let Some(&tag) = self.waiting.get(n) else { continue };
            if let Some(slot) = self.slots.get_mut(usize::from(tag))
                && matches!(slot.work, Work::Parked)
            {
                slot.work = Work::Serve;
            }
            self.look_at(tag);
        }
        self.waiting.clear();
    }

    /// The table is to change: from now on no piece is begun. When [`Queue::is_drained`] is true and
    /// [`Queue::next`] gives nothing, the queue refers to the volume no more.
    pub const fn suspend(&mut self) {
        self.common.open = false;
    }

    /// Whether nothing is on its way below.
    pub const fn is_drained(&self) -> bool {
        self.common.busy == 0
    }

    /// The table has changed, and this is the volume as it was: results that wait for a decision that the
    /// volume of before knows are told by it. Before [`Queue::resume`], drained or given up.
    pub fn leave<V: Served + ?Sized>(&mut self, before: &V) {
        for n in 0..self.waiting.len() {
            let Some(&tag) = self.waiting.get(n) else { continue };
            let Some(slot) = self.slots.get_mut(usize::from(tag)) else { continue };
            match slot.work {
                Work::Held { source } => {
                    let _ = slot.held_again(source, before);
                }
                Work::HeldFlush { result, .. } => {
                    if let Turn::Wait = slot.flush_decided(result, false, before) {
                        slot.work = Work::HeldFlush { result, before: true };
                    }
                }
                _ => {}
            }
        }
    }

    /// Pieces may be begun again, by the table of before or by another: what waits is tried again.
    pub fn resume(&mut self) {
        self.common.open = true;
        self.woken();
    }

    /// What the caller is to do next; `None` until something happens. Always by the same volume, but
    /// between [`Queue::leave`] and [`Queue::resume`].
    pub fn next<V: Served + ?Sized>(&mut self, volume: &V) -> Option<Operation> {
        loop {
            if !self.common.effects.is_none() {
                let effects = core::mem::replace(&mut self.common.effects, Effects::NONE);
                return Some(Operation::Notify(effects));
            }
            let &tag = self.next.front()?;
            let turn = match self.slots.get_mut(usize::from(tag)) {
                Some(slot) => slot.turn(tag, &mut self.common, volume),
                None => Turn::Over,
            };
            match turn {
                Turn::Yield(operation) => return Some(operation),
                Turn::Again => continue,
                Turn::Wait => {
                    let _ = self.waiting.push(tag); // Each slot is there once, so there is room.
                }
                Turn::Over => {}
            }
            self.next.pop_front();
            if let Some(slot) = self.slots.get_mut(usize::from(tag)) {
                slot.listed = false;
            }
        }
    }

    fn look_at(&mut self, tag: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(tag))
            && !slot.listed
        {
            slot.listed = true;
            let _ = self.next.push_back(tag); // Each slot is there once, so there is room.
        }
    }
}

impl fmt::Display for TagInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tag has a request already, or does not exist")
    }
}

impl core::error::Error for TagInUse {}
