//! The overlap guard.

use super::super::tests::{piece, queue};
use super::*;

#[test]
fn a_piece_s_words_and_blocks_are_exact() {
    let words = |first, count| Words::of(piece(first, count)).collect::<std::vec::Vec<_>>();
    assert_eq!(words(0, 1), [(0, 1)]);
    assert_eq!(words(7, 2), [(0, 0b11)]);
    assert_eq!(words(248, 16), [(0, 1 << 31), (1, 1)]);
    assert_eq!(words(256, 256), [(1, u32::MAX)]);
    assert_eq!(words(0, u64::from(MAX_GUARDED_SECTORS)).len(), WORDS);
    assert_eq!(words(256 * WORDS as u64, 8), [(0, 1)]);
}

#[test]
fn what_parks_holds_nothing() {
    let guard = Guard::new();
    guard.take(piece(256, 8), queue(0)).unwrap();
    assert!(guard.take(piece(0, 512), queue(1)).unwrap_err().is_empty());
    // The first word was given back.
    guard.take(piece(0, 256), queue(2)).unwrap();
    assert!(guard.give_back(piece(0, 256)).is_empty());
    assert_eq!(guard.give_back(piece(256, 8)), queue(1).mask());
    assert!(guard.words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
}

#[test]
fn taking_never_shares_a_block_and_giving_back_wakes_everyone_parked() {
    let masks = [1u32, 2, 3, 1 << 31, u32::MAX];
    for held in masks {
        for wanted in masks {
            let (word, _) = take(0, held, queue(0));
            let (after, taken) = take(word, wanted, queue(3));
            assert_eq!(taken == Taken::Yes, held & wanted == 0);
            let (left, wake) = give_back(after, held);
            assert_eq!(wake.contains(queue(3)), taken == Taken::Parked);
            assert_eq!(left, if taken == Taken::Yes { u64::from(wanted) } else { 0 });
        }
    }
}

#[test]
fn a_queue_that_parks_twice_in_one_word_is_woken() {
    let (word, _) = take(0, 1, queue(0));
    let (word, _) = take(word, 1, queue(3));
    let (word, _) = take(word, 1, queue(3));
    assert_eq!(give_back(word, 1), (0, queue(3).mask()));
}
