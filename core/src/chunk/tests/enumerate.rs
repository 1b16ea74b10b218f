//! Every word and every event, and the golden table of them.

use super::*;

#[test]
fn no_event_leaves_the_legal_words() {
    let mut steps = 0;
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            assert!(next.word.is_legal(), "{word:?} {event:?} -> {next:?}");
            steps += 1;
        }
    }
    assert!(steps > 800, "the small world has shrunk to {steps} steps");
}

#[test]
fn a_rejected_event_changes_nothing() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            if matches!(next.outcome, Outcome::Rejected | Outcome::Refused) {
                assert_eq!((next.word, next.wake), (word, QueueMask::NONE), "{word:?} {event:?}");
            }
        }
    }
}

#[test]
fn whoever_parked_is_in_the_word_until_woken() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            let mut before = word.parked();
            if let (Event::Admit { queue, .. }, Outcome::Parked(_)) = (event, next.outcome) {
                before |= queue.mask();
            }
            assert_eq!(next.wake | next.word.parked(), before, "{word:?} {event:?} -> {next:?}");
            // And no request is parked where nothing will wake them.
            if !next.word.parked().is_empty() {
                let phase = next.word.phase();
                assert!(matches!(phase, Phase::Draining | Phase::Copying | Phase::Marking));
            }
        }
    }
}

#[test]
fn a_piece_that_parks_is_not_counted() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            let change = i64::from(next.word.writers()) - i64::from(word.writers());
            let expected = match (event, next.outcome) {
                (_, Outcome::Rejected | Outcome::Refused) => 0,
                (Event::Admit { .. }, Outcome::Admitted(Route::Source | Route::BothLegs)) => 1,
                (Event::Admit { .. }, Outcome::AdmittedDemoting) => 1,
                (Event::WriteDone | Event::WriteFailed, _) => -1,
                _ => 0,
            };
            assert_eq!(change, expected, "{word:?} {event:?} -> {next:?}");
        }
    }
}

#[test]
fn one_owner_copies_and_only_an_empty_chunk() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            let owner =
                matches!(next.outcome, Outcome::CopyStarted | Outcome::Admitted(Route::WholeChunk));
            let enters = word.phase() != Phase::Copying && next.word.phase() == Phase::Copying;
            assert_eq!(owner, enters, "{word:?} {event:?} -> {next:?}");
            if enters {
                assert_eq!(word.writers(), 0);
                assert!(!word.phase().is_mirrored());
            }
        }
    }
}

#[test]
fn a_chunk_is_mirrored_only_by_its_copy_and_clean_only_by_a_settle_round() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            if next.word.phase().is_mirrored() && !word.phase().is_mirrored() {
                assert_eq!((word.phase(), event), (Phase::Copying, Event::CopyDone));
                assert_eq!(next.outcome, Outcome::Mirrored);
            }
            if next.word.phase() == Phase::Clean && word.phase() != Phase::Clean {
                assert_eq!((word.phase(), event), (Phase::Settling, Event::EndSettle));
            }
            if next.word.phase() == Phase::Settling && word.phase() != Phase::Settling {
                assert_eq!(
                    (word.phase(), word.writers(), event),
                    (Phase::Dirty, 0, Event::BeginSettle)
                );
            }
        }
    }
}

#[test]
fn no_writer_is_in_while_the_log_bit_may_be_one() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            if matches!(word.phase(), Phase::Clean | Phase::Marking) {
                assert!(!matches!(
                    next.outcome,
                    Outcome::Admitted(_) | Outcome::AdmittedDemoting | Outcome::CopyStarted
                ));
                let leaves = !matches!(next.word.phase(), Phase::Clean | Phase::Marking);
                assert!(!leaves || event == Event::Marked, "{word:?} {event:?} -> {next:?}");
            }
        }
    }
}

#[test]
fn a_demotion_is_always_said() {
    for word in words(3) {
        for event in events() {
            let next = step(word, event);
            let lost = word.phase().is_mirrored() && !next.word.phase().is_mirrored();
            let said = matches!(next.outcome, Outcome::Demoted | Outcome::AdmittedDemoting);
            assert_eq!(lost, said, "{word:?} {event:?} -> {next:?}");
        }
    }
}

#[test]
fn the_last_writer_out_of_a_draining_chunk_calls_for_its_copy() {
    for word in words(3).into_iter().filter(|word| word.writers() > 0) {
        for event in [Event::WriteDone, Event::WriteFailed] {
            let calls = step(word, event).outcome == Outcome::CopyWanted;
            let last = word.writers() == 1 && !word.is_late();
            assert_eq!(calls, word.phase() == Phase::Draining && last);
        }
    }
}

#[test]
fn while_a_late_copy_is_out_no_other_begins_and_its_end_says_nothing_of_the_chunk() {
    for word in words(3).into_iter().filter(|word| word.is_late()) {
        for event in events() {
            let next = step(word, event);
            if matches!(event, Event::CopyDone | Event::CopyFailed) {
                assert_eq!(next.word, word.without_late(), "{word:?} {event:?}");
            } else {
                assert!(next.word.is_late(), "{word:?} {event:?} -> {next:?}");
                assert_ne!(next.word.phase(), Phase::Copying, "{word:?} {event:?}");
            }
        }
    }
}

#[test]
fn a_write_that_ends_well_is_one_subtraction() {
    for word in words(3).into_iter().filter(|word| word.writers() > 0) {
        let next = step(word, Event::WriteDone).word;
        assert_eq!(next.bits(), word.bits() - Word::ONE_WRITER, "{word:?}");
    }
}

#[test]
fn abandoned_parts_park_only_for_the_log() {
    for word in words(3) {
        for intent in [Intent::Partial, Intent::Whole, Intent::SourceOnly] {
            let event = Event::Admit { intent, policy: WritePolicy::Abandoned, queue: queue(0) };
            let parks = matches!(step(word, event).outcome, Outcome::Parked(_));
            assert_eq!(parks, matches!(word.phase(), Phase::Clean | Phase::Marking), "{word:?}");
        }
    }
}

#[test]
fn a_full_chunk_refuses_and_does_not_wrap() {
    let mut word = Word::new(Phase::Dirty);
    for _ in 0..MAX_WRITERS {
        word = word.plus_writer();
    }
    for event in events().into_iter().filter(|event| matches!(event, Event::Admit { .. })) {
        assert_eq!(step(word, event).outcome, Outcome::Refused);
    }
    assert!(word.is_legal());
}

#[test]
fn any_bits_at_all_are_a_word_that_step_can_take() {
    let patterns = [0, u32::MAX, 7, 1 << 31, 0x5555_5555, 0xAAAA_AAAA];
    for bits in patterns {
        for event in events() {
            let _ = step(Word::from_bits(bits), event);
        }
    }
}

#[test]
fn the_transition_table_is_as_written_down() {
    let mut table = String::from(
        "# Every chunk state (up to 2 writers, queue 0 parked or not) x every event of queue 1.\n\
         # Written by the tests: LVSHIFT_BLESS=1 cargo test -p lvshift-core. Review the diff.\n",
    );
    for word in words(2).into_iter().filter(|word| !word.parked().contains(queue(1))) {
        table += &format!("\n{word:?}\n");
        for event in events() {
            let name = match event {
                Event::Admit { queue, .. } if queue.number() == 0 => continue,
                Event::Admit { intent, policy, .. } => format!("Admit {intent:?} {policy:?}"),
                other => format!("{other:?}"),
            };
            let next = step(word, event);
            let wake =
                if next.wake.is_empty() { String::new() } else { format!(" wake {:?}", next.wake) };
            table += &format!(
                "  {name:<30} -> {:<14} {:?}{wake}\n",
                format!("{:?}", next.word),
                next.outcome
            );
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/chunk/tests/transitions.txt");
    if std::env::var_os("LVSHIFT_BLESS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == table,
        "transitions.txt differs; bless it (LVSHIFT_BLESS=1) and review the diff"
    );
}
