//! The mirror of a move: the parts that queue threads share with the copier, and its thread.

mod confirm;
mod copy;
mod log;
mod pace;
mod part;
mod settle;
mod worker;
mod zeroes;

pub(crate) use part::{Part, PartPlace};
pub(crate) use worker::{Worker, WorkerSetting};
