//! One value for a whole machine, where there is no standard library to lock it: a VG in a `static`, the
//! table that a boot path hands to those who serve.
//!
//! It spins. So it is for what is short and rare, never for the path of a request, and not for interrupt
//! handlers that may come while their own processor holds it.

use crate::sync::{Mutex, with};

/// A value that one at a time may look at and change.
///
/// ```
/// use lvshift_core::Shared;
/// use lvshift_core::metadata::{Fixed, Vg};
///
/// /// Room for 2 PVs, 1 LV, 4 segments, 1 move, 8 parts.
/// static VG: Shared<Vg<Fixed<2, 1, 4, 1, 8, 12>>> = Shared::new(Vg::empty());
/// assert_eq!(VG.with(|vg| vg.sequence()), 0);
/// ```
#[derive(Debug)]
pub struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    /// Holds `value`.
    #[cfg(not(any(loom, shuttle)))]
    pub const fn new(value: T) -> Shared<T> {
        Shared(Mutex::new(value))
    }

    /// Holds `value`.
    #[cfg(any(loom, shuttle))]
    pub fn new(value: T) -> Shared<T> {
        Shared(Mutex::new(value))
    }

    /// Waits until no other thread has it, and gives it to `work`. Whoever asks for it again inside of `work`
    /// waits for ever.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        with(&self.0, work)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::Shared;

    #[test]
    fn no_change_is_lost_between_two_who_make_many() {
        static COUNT: Shared<u64> = Shared::new(0);
        let often = || {
            for _ in 0..1000 {
                COUNT.with(|count| *count += 1);
            }
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(often);
            often();
            other.join().expect("no panic");
        });
        assert_eq!(COUNT.with(|count| *count), 2000);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;

    use super::Shared;

    #[test]
    fn loom_two_exchange_a_value_whole() {
        loom::model(|| {
            let table = Arc::new(Shared::new((1u32, 1u32)));
            let other = Arc::clone(&table);
            let thread = loom::thread::spawn(move || other.with(|table| *table = (2, 2)));
            let (one, two) = table.with(|table| *table);
            assert_eq!(one, two);
            thread.join().expect("no panic");
            assert_eq!(table.with(|table| *table), (2, 2));
        });
    }
}
