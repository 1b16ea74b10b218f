//! For the tests: a VG on the heap, as hosts with one have it.

extern crate std;

use core::ops::{Deref, DerefMut};
use std::vec::Vec;

use crate::limits::{MAX_LVS, MAX_MOVES, MAX_PARTS, MAX_PVS, MAX_SEGMENTS};
use crate::list::List;
use crate::metadata::{Lv, Move, MovePart, Pv, Run, Segment, Store};

/// A VG that is as large as what it holds.
pub(crate) type Vg = crate::metadata::Vg<Heap>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heap;

impl Store for Heap {
    type Pvs = Growing<Pv, MAX_PVS>;
    type Lvs = Growing<Lv, MAX_LVS>;
    type Segments = Growing<Segment, MAX_SEGMENTS>;
    type Moves = Growing<Move, MAX_MOVES>;
    type Parts = Growing<MovePart, MAX_PARTS>;
    type Used = Growing<Run, { MAX_SEGMENTS + MAX_PARTS }>;
    type Order = Growing<u16, MAX_PARTS>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Growing<T, const LIMIT: usize>(Vec<T>);

impl<T, const LIMIT: usize> Deref for Growing<T, LIMIT> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const LIMIT: usize> DerefMut for Growing<T, LIMIT> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Clone + core::fmt::Debug + Eq, const LIMIT: usize> List<T> for Growing<T, LIMIT> {
    const EMPTY: Growing<T, LIMIT> = Growing(Vec::new());
    const LIMIT: usize = LIMIT;

    fn push(&mut self, entry: T) -> Result<(), T> {
        if self.0.len() >= LIMIT {
            return Err(entry);
        }
        self.0.push(entry);
        Ok(())
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}
