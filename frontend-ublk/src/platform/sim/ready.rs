//! Making a dead device ready to be taken over: the simulator's always is.

use std::io;

use crate::platform::Handle;

#[expect(clippy::unnecessary_wraps, reason = "as the program's")]
pub(crate) fn make_ready(_device: Handle, _queues: u16, _depth: u16) -> io::Result<()> {
    Ok(())
}
