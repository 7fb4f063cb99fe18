//! A pause, for who waits for another process and can only look again.

use std::sync::mpsc::channel;
use std::time::Duration;

/// Lets so much time pass.
pub(crate) fn pause(length: Duration) {
    let (_open, nothing) = channel::<()>();
    // Nothing is ever sent: the time passes.
    let _ = nothing.recv_timeout(length);
}
