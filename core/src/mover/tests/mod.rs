//! Tests of the mover: the golden table of its transitions, and a model of the world around it in
//! which every failure and every crash is tried.

mod explore;
mod golden;
mod runs;
mod world;
