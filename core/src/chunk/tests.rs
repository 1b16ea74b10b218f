//! The transition over its whole small world, and the tracker's answers.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::units::Sectors;
use crate::{Leg, LegFault};

mod enumerate;
mod large;
mod tracker;

pub(super) fn queue(number: u8) -> QueueId {
    QueueId::new(number).expect("below 16")
}

/// Every event, with two queues.
pub(super) fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for policy in [WritePolicy::CopyFirst, WritePolicy::SourceFirst, WritePolicy::Abandoned] {
        for intent in [Intent::Partial, Intent::Whole, Intent::SourceOnly] {
            for number in 0..2 {
                events.push(Event::Admit { intent, policy, queue: queue(number) });
            }
        }
    }
    events.extend([
        Event::WriteDone,
        Event::WriteFailed,
        Event::BeginCopy,
        Event::CopyDone,
        Event::CopyFailed,
        Event::Marked,
        Event::BeginSettle,
        Event::EndSettle,
        Event::Distrust,
    ]);
    events
}

/// Every legal word with up to `writers` writers and two queues.
pub(super) fn words(writers: u32) -> Vec<Word> {
    let mut words = Vec::new();
    for phase in Phase::ALL {
        for count in 0..=writers {
            for parked in 0..4u8 {
                let mut word = Word::new(phase);
                for _ in 0..count {
                    word = word.plus_writer();
                }
                for number in (0..2).filter(|number| parked & (1 << number) != 0) {
                    word = word.with_parked(queue(number));
                }
                words.extend([word, word.with_late()].into_iter().filter(|word| word.is_legal()));
            }
        }
    }
    words
}

pub(super) struct Part {
    cells: Vec<ChunkCell>,
    groups: Vec<Group>,
}

impl Cells for Part {
    fn cells(&self) -> &[ChunkCell] {
        &self.cells
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// A part of `length` sectors in chunks of 64 (32 KiB).
pub(super) fn part(length: u64) -> Tracker<Part> {
    let geometry = Geometry::new(Sectors(length), 64).expect("a small part");
    let cells = (0..geometry.chunks()).map(|_| ChunkCell::new()).collect();
    let groups = (0..geometry.groups()).map(|_| Group::new()).collect();
    Tracker::new(geometry, Part { cells, groups }).expect("memory enough")
}

pub(super) fn piece(first: u64, count: u64) -> Piece {
    Piece { first: Sectors(first), count: Sectors(count) }
}
