//! `--map`: a picture of the disk that is being left, drawn while the move is made.
//!
//! What is equal stands in the dirty log, on the destination. A destination that does not answer must not keep the
//! mover waiting: so a thread reads it, and whoever moves takes the last picture that there is. It reads the
//! metadata only when a move has begun or ended, since it has their lock meanwhile.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::super::sights::Seen;
use crate::error::Result;
use crate::front_end::PvSectors;
use crate::progress::DiskMap;

/// Between two pictures.
const STEP: Duration = Duration::from_secs(1);
/// With all memory locked, all of a stack counts.
const STACK: usize = 512 << 10;

/// What the disks looked like last; kept over all that a command does.
pub(super) type Pictures = Arc<Mutex<Vec<DiskMap>>>;

/// Who draws: keeps what a disk looked like, since what has left it is not of the VG's moves any more.
pub(super) struct Mapper {
    bad: Vec<PvSectors>,
    last: Pictures,
}

impl Mapper {
    /// `bad` is what is known to be unreadable.
    pub(super) fn new(bad: Vec<PvSectors>, last: Pictures) -> Mapper {
        Mapper { bad, last }
    }

    /// The disks that anything was moved away from, in these VGs.
    pub(super) fn look(&self, seen: &[Seen]) -> Vec<DiskMap> {
        let mut now: Vec<DiskMap> = seen.iter().flat_map(|vg| vg.disks(&self.bad)).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for before in last.iter() {
            match now.iter_mut().find(|map| map.device() == before.device()) {
                Some(map) => map.remember(before),
                None => now.push(before.clone()),
            }
        }
        last.clone_from(&now);
        now
    }
}

/// A thread that draws.
pub(super) struct Drawer {
    changed: Sender<()>,
    drawn: Arc<Mutex<Option<Vec<DiskMap>>>>,
}

impl Drawer {
    /// Draws the disks of this VG, which `open` opens. Without a thread there is no picture.
    pub(super) fn start(name: String, open: fn(&str) -> Result<Seen>, mapper: Mapper) -> Drawer {
        let (changed, told) = channel();
        let drawn = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&drawn);
        // A signal must not find this thread: the mover takes them off a descriptor.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let thread = std::thread::Builder::new().name("map".to_owned()).stack_size(STACK);
        let started = thread.spawn(move || {
            let mut vg: Option<Seen> = None;
            while let Some(changed) = next(&told) {
                if changed {
                    // What cannot be read now is drawn after the next change.
                    vg = vg.take().and_then(reread).or_else(|| open(&name).ok());
                }
                if let Some(seen) = &vg {
                    let maps = mapper.look(std::slice::from_ref(seen));
                    *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(maps);
                }
            }
        });
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
        if let Err(error) = started {
            tracing::warn!(%error, "there is no map");
        }
        Drawer { changed, drawn }
    }

    /// A move has begun or ended: the metadata say something new.
    pub(super) fn changed(&self) {
        let _ = self.changed.send(());
    }

    /// The newest picture that was not taken yet.
    pub(super) fn take(&self) -> Option<Vec<DiskMap>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn reread(mut vg: Seen) -> Option<Seen> {
    vg.reread().is_ok().then_some(vg)
}

/// Whether the metadata have changed when it is time for the next picture; `None` when the move has ended.
fn next(told: &Receiver<()>) -> Option<bool> {
    match told.recv_timeout(STEP) {
        Ok(()) => {
            while told.try_recv().is_ok() {}
            Some(true)
        }
        Err(RecvTimeoutError::Timeout) => Some(false),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}
