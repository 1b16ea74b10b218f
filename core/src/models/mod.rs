//! Explorers: each runs the real code of this crate in every order of events, or in very many.
//!
//! | which | explores what |
//! |---|---|
//! | [`explore_chunks`] | the chunk protocol, [`step()`](crate::chunk::step()): every interleaving, a crash in every state |
//! | [`explore_move`] | a whole move of a few chunks by mover, tracker, plans and the copier's parts: every interleaving, every crash, every recovery |
//! | `loom_cells` | cells, guard and health: every execution of a few threads, every memory order |
//! | `shuttle_part` | a mirrored part at the size of a system: random and PCT schedules |

#[cfg(not(any(loom, shuttle)))]
mod explore_chunks;
#[cfg(not(any(loom, shuttle)))]
mod explore_move;
#[cfg(loom)]
mod loom_cells;
#[cfg(shuttle)]
mod shuttle_part;

/// Whether the scorecard asks for the large form of what is enumerated here.
pub(crate) fn in_full_form() -> bool {
    std::env::var("LVSHIFT_SCORECARD").is_ok_and(|size| size == "full")
}
