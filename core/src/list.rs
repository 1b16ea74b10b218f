//! Lists with a stated maximum: what they must be able to do, and one that needs no heap.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// A list that holds at most [`List::LIMIT`] entries. Where its entries lie is its own affair: in an
/// array, or on a heap that grows with them.
pub trait List<T>: DerefMut<Target = [T]> + Clone + fmt::Debug + PartialEq + Eq {
    /// The list without entries.
    const EMPTY: Self;
    /// The most entries that it takes.
    const LIMIT: usize;

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// The entry, where there is no room for it.
    fn push(&mut self, entry: T) -> Result<(), T>;

    /// Takes the last entry away.
    fn pop(&mut self) -> Option<T>;

    /// Keeps the first `len` entries.
    fn truncate(&mut self, len: usize);

    /// Takes all entries away.
    fn clear(&mut self) {
        self.truncate(0);
    }

    /// Whether it takes no more.
    fn is_full(&self) -> bool {
        self.len() >= Self::LIMIT
    }

    /// Takes the entry at `at` away; those behind it move up.
    fn remove(&mut self, at: usize) -> Option<T> {
        match self.get_mut(at..) {
            Some(rest @ [_, ..]) => rest.rotate_left(1),
            _ => return None,
        }
        self.pop()
    }

    /// Puts an entry before that at `at`, or at the end where there is none. A full list stays as it
    /// is.
    fn insert(&mut self, at: usize, entry: T) {
        if self.push(entry).is_ok()
            && let Some(rest @ [_, ..]) = self.get_mut(at..)
        {
            rest.rotate_right(1);
        }
    }

    /// Keeps the entries that `keep` likes, in their order.
    fn retain(&mut self, keep: impl Fn(&T) -> bool)
    where
        T: Copy,
    {
        let mut kept = 0;
        for at in 0..self.len() {
            let Some(&entry) = self.get(at) else { break };
            if keep(&entry) {
                if let Some(place) = self.get_mut(kept) {
                    *place = entry;
                }
                kept += 1;
            }
        }
        self.truncate(kept);
    }
}

/// A list of at most `N` entries, kept in itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bounded<T, const N: usize>(heapless::Vec<T, N>);

impl<T, const N: usize> Bounded<T, N> {
    /// No entries.
    #[must_use]
    pub const fn new() -> Bounded<T, N> {
        Bounded(heapless::Vec::new())
    }

    /// The entries.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

/// Fails with how many entries there would have been, where there is no room for all.
impl<T: Clone, const N: usize> TryFrom<&[T]> for Bounded<T, N> {
    type Error = usize;

    fn try_from(entries: &[T]) -> Result<Bounded<T, N>, usize> {
        heapless::Vec::from_slice(entries).map(Bounded).map_err(|_| entries.len())
    }
}

impl<T, const N: usize> Default for Bounded<T, N> {
    fn default() -> Bounded<T, N> {
        Bounded::new()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Bounded<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T, const N: usize> Deref for Bounded<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> DerefMut for Bounded<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Clone + fmt::Debug + Eq, const N: usize> List<T> for Bounded<T, N> {
    const EMPTY: Bounded<T, N> = Bounded::new();
    const LIMIT: usize = N;

    fn push(&mut self, entry: T) -> Result<(), T> {
        self.0.push(entry)
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Bounded<T, N> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> core::slice::Iter<'a, T> {
        self.0.iter()
    }
}

impl<T, const N: usize> IntoIterator for Bounded<T, N> {
    type Item = T;
    type IntoIter = Entries<T, N>;

    fn into_iter(self) -> Entries<T, N> {
        Entries(self.0.into_iter())
    }
}

/// The entries of a [`Bounded`], from the first to the last.
#[derive(Debug)]
pub struct Entries<T, const N: usize>(heapless::vec::IntoIter<T, N, usize>);

impl<T, const N: usize> Iterator for Entries<T, N> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounded, List};

    #[test]
    fn a_full_list_takes_nothing_and_the_order_is_kept() {
        let mut list = Bounded::<u8, 4>::new();
        for (at, entry) in [(0, 3), (0, 1), (1, 2), (9, 4), (0, 5)] {
            list.insert(at, entry);
        }
        assert_eq!(*list, [1, 2, 3, 4]);
        assert_eq!((list.push(6), list.is_full()), (Err(6), true));
        assert_eq!((list.remove(1), list.remove(3)), (Some(2), None));
        assert_eq!(*list, [1, 3, 4]);
        list.retain(|entry| *entry != 3);
        assert_eq!(*list, [1, 4]);
        assert!(list.clone().into_iter().eq([1, 4]) && (&list).into_iter().eq(&[1, 4]));
        assert_eq!((Bounded::try_from(&[1, 4][..]), list.len()), (Ok(list.clone()), 2));
        assert_eq!(Bounded::<u8, 4>::try_from(&[0; 5][..]), Err(5));
        list.clear();
        assert_eq!(list, Bounded::EMPTY);
    }
}
