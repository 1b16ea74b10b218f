//! The order, over disks that are made up.

use std::vec::Vec;

use super::*;

/// What a chunk does when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Good,
    Slow,
    /// Large reads fail, small ones do not.
    Torn,
    Lost,
    /// It does not answer in time at first.
    Late,
}

/// The reads of a part: which chunk, and whether with patience.
fn read(chunks: &[Chunk]) -> (Vec<(u32, bool)>, Rescue, Vec<bool>) {
    let end = chunks.len() as u32;
    let (mut rescue, mut reads) = (Rescue::new(), Vec::new());
    let mut copied = std::vec![false; chunks.len()];
    loop {
        let mut next = 0;
        let plain = loop {
            match (0..end).find(|at| *at >= next && !copied[*at as usize]) {
                None => break None,
                Some(at) => match rescue.passes(ChunkIndex(at)) {
                    Some(end) => next = end.0,
                    None => break Some(at),
                },
            }
        };
        let Some(at) = plain.or_else(|| rescue.take().map(|chunk| chunk.0)) else { break };
        if copied[at as usize] {
            rescue.give_back();
            continue;
        }
        let patient = rescue.is_patient();
        reads.push((at, patient));
        assert!(reads.len() < 20 * chunks.len() + 100, "it never ends: {chunks:?}");
        let (chunk, bad) = (ChunkIndex(at), Nanos(5_000_000_000));
        match (chunks[at as usize], patient) {
            (Chunk::Good, _) => rescue.was_good(chunk, Nanos(1), end),
            (Chunk::Slow, _) | (Chunk::Torn | Chunk::Late, true) => {
                rescue.was_good(chunk, bad, end)
            }
            (Chunk::Late, false) => rescue.was_bad(chunk, Aside::Slow, bad, end),
            (Chunk::Torn | Chunk::Lost, false) => rescue.was_bad(chunk, Aside::Failed, bad, end),
            (Chunk::Lost, true) => rescue.was_bad(chunk, Aside::Lost, bad, end),
        }
        copied[at as usize] = rescue.passes(chunk).is_none();
        if rescue.is_hopeless() {
            break;
        }
    }
    (reads, rescue, copied)
}

/// All that can be read was, each chunk once but for those that were tried at first; the others are lost; and no
/// chunk was read with patience while one was left that had not been tried.
fn check(chunks: &[Chunk]) {
    let (reads, rescue, copied) = read(chunks);
    if rescue.is_hopeless() {
        return;
    }
    assert_eq!(rescue.next(), None);
    for (at, chunk) in chunks.iter().enumerate() {
        let of: Vec<bool> = reads
            .iter()
            .filter(|(read, _)| *read == at as u32)
            .map(|(_, patient)| *patient)
            .collect();
        assert_eq!(copied[at], *chunk != Chunk::Lost, "{at} of {chunks:?}");
        assert_eq!(rescue.has_lost(), chunks.contains(&Chunk::Lost));
        match chunk {
            Chunk::Good | Chunk::Slow => assert_eq!(of.len(), 1, "{at} of {chunks:?}"),
            _ => assert!(of == [false, true] || of == [true], "{at} of {chunks:?}: {of:?}"),
        }
    }
    let first = reads.iter().position(|(_, patient)| *patient).unwrap_or(reads.len());
    for at in 0..chunks.len() as u32 {
        let tried = reads.iter().position(|(read, _)| *read == at);
        assert!(tried.is_some_and(|tried| tried < first), "{at} was not tried first: {chunks:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand disks")]
fn on_every_small_disk_what_can_be_read_is_read_and_the_good_comes_first() {
    const KINDS: [Chunk; 5] = [Chunk::Good, Chunk::Lost, Chunk::Slow, Chunk::Torn, Chunk::Late];
    for disk in 0..5_usize.pow(6) {
        let chunks: Vec<Chunk> = (0..6).map(|at| KINDS[disk / 5_usize.pow(at) % 5]).collect();
        check(&chunks);
    }
    for disk in 0..2_usize.pow(12) {
        let kind = |at: usize| if disk >> at & 1 == 0 { Chunk::Good } else { Chunk::Lost };
        let chunks: Vec<Chunk> = (0..12).map(kind).collect();
        check(&chunks);
    }
}

#[test]
fn a_run_of_bad_chunks_is_left_after_few_reads_and_its_edges_are_found_later() {
    let mut chunks = std::vec![Chunk::Good; 1000];
    chunks[100..125].fill(Chunk::Lost);
    let (reads, _, _) = read(&chunks);
    let behind = reads.iter().position(|(at, _)| *at >= 131).expect("it is read");
    // Of 100, 101, 103, 106, 111 and 120; all else is good.
    let bad = reads[..behind].iter().filter(|(at, _)| chunks[*at as usize] == Chunk::Lost).count();
    assert!(bad <= 6, "{bad} bad reads before what is behind them");
    let all = reads.iter().position(|(at, _)| *at == 999).expect("it is read");
    let good = |read: &&(u32, bool)| chunks[read.0 as usize] == Chunk::Good;
    assert!(reads[..=all].iter().filter(good).count() > 960, "the good ones come first");
    check(&chunks);
}

#[test]
fn more_bad_places_than_are_kept_apart_are_all_tried() {
    let mut chunks = std::vec![Chunk::Good; 1500];
    for at in (0..1500).step_by(5) {
        chunks[at] = if at % 2 == 0 { Chunk::Torn } else { Chunk::Late };
    }
    let (reads, rescue, copied) = read(&chunks);
    assert!(copied.iter().all(|copied| *copied) && rescue.next().is_none());
    assert!(reads.len() < 2 * 1500, "{} reads", reads.len());
}

#[test]
fn a_disk_of_which_nothing_can_be_read_is_given_up_soon() {
    let (reads, rescue, _) = read(&[Chunk::Lost; 5000]);
    assert!(rescue.is_hopeless());
    assert!(reads.len() < 40, "{} reads", reads.len());
}

#[test]
fn what_is_set_aside_is_counted_with_the_time_that_it_takes() {
    let mut rescue = Rescue::new();
    rescue.was_bad(ChunkIndex(4), Aside::Failed, Nanos(5_000), 100);
    rescue.was_bad(ChunkIndex(5), Aside::Failed, Nanos(5_000), 100);
    // Those that failed, and the one behind them.
    let SetAside { areas, chunks, time } = rescue.set_aside();
    assert_eq!((areas, chunks), (2, 3));
    assert_eq!(time, Nanos(5_000 * (2 * READS_OF_FAILED + 1)));
}

#[test]
fn what_a_request_has_copied_meanwhile_leaves_its_area() {
    let mut rescue = Rescue::new();
    rescue.was_bad(ChunkIndex(4), Aside::Failed, Nanos(5), 100);
    rescue.was_bad(ChunkIndex(6), Aside::Failed, Nanos(5), 100);
    // It fails once more, when a write had wanted it: it is in one area only.
    rescue.was_bad(ChunkIndex(4), Aside::Failed, Nanos(5), 100);
    let taken: Vec<_> = std::iter::from_fn(|| rescue.take()).map(|chunk| chunk.0).collect();
    let mut sorted = taken.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), taken.len(), "{taken:?}");
}
