//! How long a VG's PVs are waited for where its metadata are read and written.

use std::time::Duration;

use super::OpenVg;
use crate::pv::Member;

impl OpenVg {
    /// Does what reads, or `writes`, metadata. A PV that keeps it waiting for longer than `patience` has failed from
    /// then on.
    pub(crate) fn attended<T>(&mut self, writes: bool, work: impl FnOnce(&mut OpenVg) -> T) -> T {
        let outermost = !std::mem::replace(&mut self.attended, true);
        let limit = self.patience;
        self.each(|member| member.pv.attend(writes, limit));
        let done = work(self);
        if outermost {
            self.attended = false;
            self.each(|member| member.pv.dismiss());
        }
        done
    }

    /// From now on a PV that has not answered after this time has failed.
    pub fn wait_for_pvs(&mut self, limit: Duration) {
        self.patience = Some(limit);
    }

    /// Makes what the next commit needs for that, since there may be no memory when it comes.
    pub(crate) fn prepare(&mut self) {
        let limit = self.patience;
        self.each(|member| member.pv.prepare(limit));
    }

    /// The children that do this are kept from one time to the next: it is for whoever reads and commits often.
    pub(crate) fn keep_children(&mut self) {
        self.each(|member| member.pv.keep_child());
    }

    fn each(&mut self, mut does: impl FnMut(&mut Member)) {
        self.members.iter_mut().chain(&mut self.spare).for_each(&mut does);
    }
}
