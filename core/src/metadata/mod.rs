//! The model of a VG: what its metadata means.

mod model;
mod name;

pub use model::{Lv, Move, MovePart, Place, Pv, Segment, Vg};
pub use name::{Name, NameError};
