//! The mirror of a move: the memory of its parts, and the thread that carries out what core's copier asks
//! for.

mod confirm;
mod part;
mod worker;

pub(crate) use part::{Differs, Storage, Unreadable, new_part};
pub(crate) use worker::{Verified, Worker, WorkerSetting};
