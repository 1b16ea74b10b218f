use super::*;

const MIB: u64 = 1 << 20;
const MS: u64 = 1_000_000;

/// Disks on which a chunk takes `latency` and no more than `bandwidth` bytes a second go through.
struct Disks {
    latency: u64,
    bandwidth: u64,
    now: u64,
}

impl Disks {
    /// Copies chunks of 1 MiB one after the other, as they would end with so many in flight.
    fn copy(&mut self, widen: &mut Widen, chunks: u32) {
        for _ in 0..chunks {
            let by_latency = self.latency / u64::from(widen.limit());
            let by_bandwidth = MIB * SECOND / self.bandwidth;
            self.now += by_latency.max(by_bandwidth);
            widen.copied(MIB, Nanos(self.now));
        }
    }

    fn seconds(&mut self, widen: &mut Widen, seconds: u64) {
        let end = self.now + seconds * SECOND;
        while self.now < end {
            self.copy(widen, 1);
        }
    }
}

fn late() -> Disks {
    Disks { latency: 20 * MS, bandwidth: 10_000 * MIB, now: 0 }
}

fn narrow() -> Disks {
    Disks { latency: MS / 10, bandwidth: 200 * MIB, now: 0 }
}

#[test]
fn late_disks_get_all_there_may_be() {
    for most in [4, 8, 13, 32] {
        let mut widen = Widen::new(4, most);
        late().copy(&mut widen, 1000);
        assert_eq!(widen.limit(), most);
    }
}

#[test]
fn disks_that_are_busy_get_no_more_than_they_need() {
    let mut widen = Widen::new(4, 32);
    narrow().copy(&mut widen, 1000);
    assert_eq!(widen.limit(), 4);
}

#[test]
fn a_gain_that_ends_half_way_ends_the_search_there() {
    // Eight in flight fill these: 8 MiB in 20 ms are 400 MiB/s.
    let mut disks = Disks { bandwidth: 400 * MIB, ..late() };
    let mut widen = Widen::new(4, 32);
    disks.copy(&mut widen, 1000);
    assert_eq!(widen.limit(), 8);
}

#[test]
fn a_decision_stands_and_then_is_looked_at_again_in_either_direction() {
    let mut widen = Widen::new(4, 8);
    let mut disks = late();
    disks.copy(&mut widen, 200);
    assert_eq!(widen.limit(), 8);
    disks = Disks { now: disks.now, ..narrow() };
    disks.seconds(&mut widen, 10);
    assert_eq!(widen.limit(), 8, "it stands for a while");
    disks.seconds(&mut widen, 60);
    assert_eq!(widen.limit(), 4);
    disks = Disks { now: disks.now, ..late() };
    disks.seconds(&mut widen, 60);
    assert_eq!(widen.limit(), 8);
}

#[test]
fn a_pause_in_the_middle_is_no_reason_for_more_once_it_was_told() {
    let mut widen = Widen::new(4, 8);
    let mut disks = narrow();
    disks.copy(&mut widen, 12);
    disks.now += 5 * SECOND;
    widen.disturbed();
    disks.copy(&mut widen, 1000);
    assert_eq!(widen.limit(), 4);
}

#[test]
fn a_search_never_leaves_its_bounds_whatever_it_is_told() {
    for (least, most) in [(0, 0), (1, 1), (4, 2), (3, 7), (u16::MAX, u16::MAX)] {
        let mut widen = Widen::new(least, most);
        let bounds = least.max(1)..=most.max(least.max(1));
        let mut random = 7_u64;
        for _ in 0..3000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bytes = if random >> 60 == 0 { u64::MAX } else { random >> 40 };
            // Time that goes back is none that passed.
            assert!(bounds.contains(&widen.copied(bytes, Nanos(random >> 20))));
        }
    }
}
