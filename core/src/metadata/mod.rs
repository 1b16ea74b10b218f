//! The model of a VG: what its metadata means, how it may change, and how it gets to disk.

mod alloc;
mod apply;
mod behind;
mod change;
mod choose;
mod commit;
mod decode;
mod encode;
mod error;
mod log_image;
mod lookup;
mod lvs;
mod model;
mod name;
mod pieces;
mod plan;
mod pvs;
mod sort;
mod store;
mod system_id;
mod used;
mod validate;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use lvshift_on_disk_format::record::MoveState;

pub use alloc::{AllocError, AllocRequest, Area, Policy, Runs};
pub use apply::ApplyError;
pub use behind::Lag;
pub use change::Change;
pub use choose::{
    Choice, ChooseError, Found, FoundSlot, Standing, choose, choose_on, newest_here, rivals,
};
pub use commit::{Commit, CommitAction, CommitResult, CommitTarget};
pub use decode::SlotInfo;
pub use error::{Invalid, MetadataError, Records};
pub use log_image::LogImage;
pub use lookup::LvsOfMove;
pub use lvs::LvError;
pub use model::{Lv, Move, MovePart, Place, Pv, Run, Segment, Vg};
pub use name::{Name, NameError};
pub use pieces::{Piece, Pieces};
pub use plan::{MoveRequest, PlanError, Planned};
pub use pvs::PvError;
pub use store::{Fixed, Store};
pub use system_id::{MAX_SYSTEM_ID, SystemId};
pub use used::FreeRuns;
