// unsafe: the shutdown ioctl of ext4 and xfs, which rustix does not wrap.
//! Power cut of a mounted file system: from this moment on nothing reaches the
//! device, and what had not reached it is gone with the next unmount.
#![allow(unsafe_code, clippy::disallowed_methods, reason = "one audited call on a mount point")]

use std::fs::File;
use std::path::Path;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

use crate::failure::{Context, Outcome};

/// `_IOR('X', 125, u32)`: XFS_IOC_GOINGDOWN, which ext4 takes as well.
const SHUT_DOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// Not even the journal is flushed.
const NO_LOG_FLUSH: u32 = 2;

/// Cuts the power of the file system mounted on `mount_point`.
pub(crate) fn cut_power(mount_point: &Path) -> Outcome {
    let directory = File::open(mount_point).context(mount_point.display())?;
    // SAFETY: the opcode is that of a call which reads one u32 through its
    // pointer and keeps no reference to it; `Setter` passes such a pointer.
    let outcome = unsafe { ioctl(&directory, Setter::<SHUT_DOWN, u32>::new(NO_LOG_FLUSH)) };
    outcome.map_err(std::io::Error::from).context("cannot shut the file system down")
}
