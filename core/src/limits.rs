//! Every capacity limit in one file. Exceeding one is an error that names it, never a panic.

/// PVs in a VG.
pub const MAX_PVS: usize = 64;
/// LVs in a VG.
pub const MAX_LVS: usize = 256;
/// Segments of all LVs of a VG together.
pub const MAX_SEGMENTS: usize = 12_288;
/// Moves recorded in a VG at once (one running, the others queued).
pub const MAX_MOVES: usize = 256;
/// Parts of all recorded moves of a VG together.
pub const MAX_PARTS: usize = 4_096;
/// Parts (mirror targets) of one move; an `--atomic` move must fit in one.
pub const MAX_PARTS_PER_MOVE: usize = 256;
/// Parts that the planner puts into one move when it need not be atomic: each is a dm mirror
/// target with about 1 MiB of kernel copy buffers, so a long list is moved in batches.
pub const PARTS_PER_BATCH: usize = 32;
/// LVs of one move.
pub const MAX_LVS_PER_MOVE: usize = 64;
/// Mirror targets side by side that one long segment is split into, since dm-mirror has only one
/// region in flight for each target.
pub const SIDE_BY_SIDE: usize = 8;
/// The longest name of a VG or LV in bytes (LVM's limit, and dm's name limit with both joined).
pub const MAX_NAME: usize = 127;
/// The largest chunk of mirror tracking in sectors: 2 MiB, LVM's own region size for pvmove.
pub const DEFAULT_CHUNK_SECTORS: u32 = 4096;
/// Runs of free extents that one allocation may be made of.
pub const MAX_RUNS: usize = 1024;
/// A long segment is not split for [`SIDE_BY_SIDE`] below this many sectors: 16 MiB.
pub const MIN_SPLIT_SECTORS: u64 = 32_768;
