//! The transition: a word and an event in, a word and what follows from it out. Pure.

use super::queue::{QueueId, QueueMask};
use super::word::{MAX_WRITERS, Phase, Word};

/// What a write to a chunk that is not copied yet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WritePolicy {
    /// Waits for the chunk's copy, then goes to both legs.
    CopyFirst,
    /// Goes to the source alone; the chunk is copied later: device-mapper's rule.
    SourceFirst,
    /// The move has failed: nothing waits for a copy and nothing new reaches the destination.
    /// The tracker takes it by itself once the part is unhealthy.
    Abandoned,
}

/// What a write piece is, as far as its chunk cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// Writes a part of the chunk with known bytes.
    Partial,
    /// Writes every sector of the chunk with known bytes.
    Whole,
    /// Leaves bytes that cannot be foretold on the source (a discard), so it goes there alone and
    /// the chunk is copied again.
    SourceOnly,
}

/// Which legs an admitted piece goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The source alone.
    Source,
    /// Both legs, among other such writes.
    BothLegs,
    /// Both legs, alone in the chunk, in place of its copy.
    WholeChunk,
}

/// What a parked piece waits for, and whether the copier has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// This chunk's copy, which may start now.
    Copy,
    /// This chunk's log bit to be zeroed on disk.
    Mark,
    /// Something that is under way or already asked for.
    Nothing,
}

/// What happens to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A write piece asks to be let in.
    Admit {
        /// What it is.
        intent: Intent,
        /// What holds for chunks that are not copied yet.
        policy: WritePolicy,
        /// Where it parks if it must.
        queue: QueueId,
    },
    /// A write admitted to the source or both legs has ended well on every leg it went to.
    WriteDone,
    /// Such a write has failed on a leg: they may differ now.
    WriteFailed,
    /// The copier wants to copy it.
    BeginCopy,
    /// The copy, or the write of the whole chunk, has ended well on both legs.
    CopyDone,
    /// It has failed; nothing of it is in flight any more.
    CopyFailed,
    /// The log bit is durably zero.
    Marked,
    /// A flush of both legs is about to be issued.
    BeginSettle,
    /// That flush has succeeded on both legs.
    EndSettle,
    /// A flush of the destination has failed: what was not flushed before may be lost there.
    Distrust,
}

/// What an event has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing that anybody must act on.
    Nothing,
    /// The piece may be issued.
    Admitted(Route),
    /// The same, and the chunk is not mirrored any more.
    AdmittedDemoting,
    /// The piece must wait; it holds nothing.
    Parked(Want),
    /// The piece can neither be let in nor wait: [`MAX_WRITERS`] are in.
    Refused,
    /// The copier owns the chunk and must copy it.
    CopyStarted,
    /// Writers, or a late copy, are still in; when the last has gone, [`Outcome::CopyWanted`] is the outcome of one of them.
    CopyWaits,
    /// There is nothing to copy.
    CopyNotNeeded,
    /// The last writer or late copy has gone: the copy may start now.
    CopyWanted,
    /// The chunk is mirrored now.
    Mirrored,
    /// The chunk is not mirrored any more and must be copied again.
    Demoted,
    /// The chunk is clean: its log bit may become 1.
    Cleaned,
    /// The event does not happen in this phase; the word is unchanged. A bug of the caller.
    Rejected,
}

/// What [`step()`] answers.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The chunk's new state.
    pub word: Word,
    /// What follows.
    pub outcome: Outcome,
    /// The queues to wake; they are no longer in the word.
    pub wake: QueueMask,
}

/// What `event` does to a chunk in the state `word`.
pub fn step(word: Word, event: Event) -> Step {
    match event {
        Event::Admit { intent, policy, queue } => admit(word, intent, policy, queue),
        Event::WriteDone | Event::WriteFailed => finish(word, matches!(event, Event::WriteFailed)),
        Event::BeginCopy => begin_copy(word),
        // The end of a copy that a write has taken the chunk from says nothing of the chunk.
        Event::CopyDone | Event::CopyFailed if word.is_late() => left(word.without_late()),
        Event::CopyDone => match word.phase() {
            Phase::Copying => wake(word.with_phase(Phase::Dirty), Outcome::Mirrored),
            _ => stay(word, Outcome::Rejected),
        },
        Event::CopyFailed => match word.phase() {
            Phase::Copying => wake(word.with_phase(Phase::Pending), Outcome::Nothing),
            _ => stay(word, Outcome::Rejected),
        },
        Event::Marked => match word.phase() {
            Phase::Marking => wake(word.with_phase(Phase::Dirty), Outcome::Nothing),
            _ => stay(word, Outcome::Rejected),
        },
        Event::BeginSettle => match word.phase() {
            Phase::Dirty if word.writers() == 0 => {
                stay(word.with_phase(Phase::Settling), Outcome::Nothing)
            }
            _ => stay(word, Outcome::Nothing),
        },
        Event::EndSettle => match word.phase() {
            Phase::Settling => stay(word.with_phase(Phase::Clean), Outcome::Cleaned),
            _ => stay(word, Outcome::Nothing),
        },
        Event::Distrust => match word.phase() {
            Phase::Dirty | Phase::Settling => {
                stay(word.with_phase(Phase::Pending), Outcome::Demoted)
            }
            _ => stay(word, Outcome::Nothing),
        },
    }
}

fn admit(word: Word, intent: Intent, policy: WritePolicy, queue: QueueId) -> Step {
    if word.writers() >= MAX_WRITERS {
        return stay(word, Outcome::Refused);
    }
    // A late copy may still write to the destination.
    let alone = word.is_drained();
    let whole = matches!(intent, Intent::Whole) && alone;
    let abandoned = matches!(policy, WritePolicy::Abandoned);
    match word.phase() {
        // Taken even from a copy that is stuck: nothing trusts the destination any more, and no
        // copy of this part begins again.
        Phase::Pending | Phase::Draining | Phase::Copying if abandoned => {
            let taken = matches!(word.phase(), Phase::Copying);
            let word = if taken { word.with_late() } else { word };
            wake(word.plus_writer().with_phase(Phase::Pending), Outcome::Admitted(Route::Source))
        }
        // It needs no copy: it is one.
        Phase::Pending | Phase::Draining if whole => {
            stay(word.with_phase(Phase::Copying), Outcome::Admitted(Route::WholeChunk))
        }
        Phase::Pending => {
            let waits =
                matches!(policy, WritePolicy::CopyFirst) && !matches!(intent, Intent::SourceOnly);
            if waits {
                // With writers or a late copy in, the last of them gets CopyWanted.
                let want = if alone { Want::Copy } else { Want::Nothing };
                park(word.with_phase(Phase::Draining), queue, want)
            } else {
                stay(word.plus_writer(), Outcome::Admitted(Route::Source))
            }
        }
        Phase::Draining | Phase::Copying | Phase::Marking => park(word, queue, Want::Nothing),
        Phase::Clean => park(word.with_phase(Phase::Marking), queue, Want::Mark),
        Phase::Dirty | Phase::Settling => {
            if abandoned || matches!(intent, Intent::SourceOnly) {
                stay(word.plus_writer().with_phase(Phase::Pending), Outcome::AdmittedDemoting)
            } else {
                let word = word.plus_writer().with_phase(Phase::Dirty);
                stay(word, Outcome::Admitted(Route::BothLegs))
            }
        }
    }
}

fn finish(word: Word, failed: bool) -> Step {
    if word.writers() == 0 {
        return stay(word, Outcome::Rejected);
    }
    let less = word.minus_writer();
    match word.phase() {
        Phase::Dirty if failed => stay(less.with_phase(Phase::Pending), Outcome::Demoted),
        _ => left(less),
    }
}

fn begin_copy(word: Word) -> Step {
    match word.phase() {
        Phase::Pending | Phase::Draining => {
            if word.is_drained() {
                stay(word.with_phase(Phase::Copying), Outcome::CopyStarted)
            } else {
                stay(word.with_phase(Phase::Draining), Outcome::CopyWaits)
            }
        }
        _ => stay(word, Outcome::CopyNotNeeded),
    }
}

/// A writer or a late copy has left: the last one calls for the copy that is waited for.
fn left(word: Word) -> Step {
    match word.phase() {
        Phase::Draining if word.is_drained() => stay(word, Outcome::CopyWanted),
        _ => stay(word, Outcome::Nothing),
    }
}

const fn stay(word: Word, outcome: Outcome) -> Step {
    Step { word, outcome, wake: QueueMask::NONE }
}

const fn wake(word: Word, outcome: Outcome) -> Step {
    Step { word: word.with_none_parked(), outcome, wake: word.parked() }
}

const fn park(word: Word, queue: QueueId, want: Want) -> Step {
    stay(word.with_parked(queue), Outcome::Parked(want))
}
