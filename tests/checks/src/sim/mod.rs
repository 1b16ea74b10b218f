//! The simulator: the real front ends, driver, core and format over disks, threads, kernels and
//! processes that are made up, with a power cut looked at after every step.
//!
//! Everything that happens is chosen by a seed, so that a run can be had again. What is simulated
//! and what is not stands in `docs/testing/proofs.md`.

pub mod client;
pub mod disk;
mod faults;
pub mod host;
pub mod hosts;
pub mod oracle;
pub mod rng;
pub mod run;
pub mod steps;
pub mod template;
pub mod view;
mod words;
pub mod world;

pub use run::{Findings, Worlds};
