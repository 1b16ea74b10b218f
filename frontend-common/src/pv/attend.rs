//! Reading and writing a PV's metadata with a limit, behind what an earlier process may still write there.

use std::time::Duration;

use super::FoundPv;
use crate::device::is_silent;
use crate::error::Result;
use crate::lock::Fence;

impl FoundPv {
    /// From now on until [`FoundPv::dismiss`] each read, write and flush of its device fails past the limit (none: it
    /// takes as long as it takes). One that does not answer, or that an earlier process may still write to, is not read
    /// and not written from now on. `writes`: what is asked for is more than reading.
    pub(crate) fn attend(&mut self, writes: bool, limit: Option<Duration>) {
        if self.unread || is_silent(self.number) || self.device.real_file().is_none() {
            return;
        }
        match self.begin(writes, limit) {
            Ok(true) => {}
            Ok(false) => {
                let path = self.path.display();
                tracing::warn!(%path, "what an earlier process was to write there has not ended: the PV is done without");
                self.unread = true;
            }
            // Who cannot use that directory has no lock of the VG either, and writes nothing.
            Err(error) => tracing::debug!(%error, "no limit for metadata I/O"),
        }
    }

    /// Whether no other process may still write there.
    fn begin(&self, writes: bool, limit: Option<Duration>) -> Result<bool> {
        let ready = self.device.with_errand(|errand| errand.pass(writes, limit));
        if let Some(passed) = ready.transpose()?.flatten() {
            return Ok(passed);
        }
        let mut fence = Fence::of(self.uuid)?;
        let passed = fence.pass(writes)?;
        if passed {
            let may_write = writes || self.device.keeps_errand();
            self.device.attend(may_write, may_write.then_some(fence), limit);
        }
        Ok(passed)
    }

    /// Makes what [`FoundPv::attend`] needs to write, while there is memory; it takes nothing from others. One that was kept
    /// is made anew: what it has may be in a swap that is on the LV.
    pub(crate) fn prepare(&self, limit: Option<Duration>) {
        let is_there = !self.unread && !is_silent(self.number);
        if is_there
            && self.device.real_file().is_some()
            && self.device.with_errand(|errand| errand.rests()).unwrap_or(true)
            && let Ok(fence) = Fence::of(self.uuid)
        {
            self.device.attend(true, Some(fence), limit);
        }
    }

    /// Ends what [`FoundPv::attend`] began.
    pub(crate) fn dismiss(&self) {
        self.device.dismiss();
    }

    /// From now on the child that does it is kept for the next time.
    pub(crate) fn keep_child(&self) {
        self.device.keep_errand();
    }
}
