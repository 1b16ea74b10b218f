//! Several devices waited for at once: what each takes to answer is not summed up.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many are waited for at once at most.
const MOST: usize = 32;

/// Does `work` for each of `items`, on as many threads as there are items, up to 32, this one among
/// them; back when all are done. With fewer threads than that if the system gives no more.
///
/// # Panics
/// If `work` does.
pub(crate) fn for_each<T: Send>(items: &mut [T], work: impl Fn(&mut T) + Sync) {
    let threads = if one_by_one() { 1 } else { items.len().min(MOST) };
    let left = Mutex::new(items.iter_mut());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        while let Some(item) = next() {
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            if thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
}

/// In the simulator all happens in one order, again and again.
fn one_by_one() -> bool {
    #[cfg(feature = "sim")]
    return crate::simulation::is_on();
    #[cfg(not(feature = "sim"))]
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_item_is_done_once_however_many_there_are() {
        for count in [0, 1, 2, MOST, 3 * MOST + 1] {
            let mut items = vec![0; count];
            for_each(&mut items, |item| *item += 1);
            assert_eq!(items, vec![1; count]);
        }
    }

    #[test]
    fn up_to_32_are_waited_for_together() {
        let together = Barrier::new(MOST);
        let mut items = vec![(); MOST];
        // Ends only if all of them wait at the same time.
        for_each(&mut items, |()| {
            together.wait();
        });
    }

    #[test]
    fn no_more_than_32_are_waited_for_together() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut items = vec![(); 4 * MOST];
        for_each(&mut items, |()| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(most.load(Ordering::SeqCst) <= MOST);
    }
}
