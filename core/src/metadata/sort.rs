//! Sorting that cannot panic: the standard library's sort does where an order contradicts itself.

use core::mem::swap;

/// Sorts by a key, in place, equal ones in no order: a heap sort, so that hostile metadata cannot
/// make it slow.
pub(super) fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    for root in (0..list.len() / 2).rev() {
        sift_down(list, root, &key);
    }
    let mut heap = list;
    while let Some(last) = heap.len().checked_sub(1) {
        exchange(heap, 0, last);
        let all = heap;
        heap = all.get_mut(..last).unwrap_or_default();
        sift_down(heap, 0, &key);
    }
}

/// Lets the element at `at` sink until no child of it is greater.
fn sift_down<T, K: Ord>(heap: &mut [T], mut at: usize, key: &impl Fn(&T) -> K) {
    loop {
        let left = at.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let key_of = |index: usize| heap.get(index).map(key);
        // `None`, past the end, is less than every key.
        let greater = if key_of(right) > key_of(left) { right } else { left };
        if key_of(greater) <= key_of(at) {
            return;
        }
        exchange(heap, at, greater);
        at = greater;
    }
}

fn exchange<T>(list: &mut [T], one: usize, other: usize) {
    if let Ok([one, other]) = list.get_disjoint_mut([one, other]) {
        swap(one, other);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::super::testing::Rng;
    use super::sort_by_key;

    #[test]
    #[cfg_attr(miri, ignore = "long lists")]
    fn every_list_comes_out_as_from_the_standard_library() {
        let mut rng = Rng(7);
        for len in 0..200 {
            let list: Vec<u64> = (0..len).map(|_| rng.below(1 + len / 2)).collect();
            let (mut ours, mut theirs) = (list.clone(), list.clone());
            sort_by_key(&mut ours, |&number| number);
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{list:?}");
            sort_by_key(&mut ours, |&number| u64::MAX - number);
            theirs.reverse();
            assert_eq!(ours, theirs, "{list:?}");
        }
    }
}
