//! What several files of tests need.
#![allow(clippy::disallowed_methods, reason = "plays the rest of the machine")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The text of the panic that `call` must end in.
#[track_caller]
pub(crate) fn panic_text(call: impl FnOnce()) -> String {
    let payload: Box<dyn Any + Send> =
        catch_unwind(AssertUnwindSafe(call)).expect_err("the call was to panic");
    payload.downcast_ref::<String>().expect("a formatted text").clone()
}

/// A mounted file system, unmounted when it is dropped.
pub(crate) struct Mount {
    directory: TempDir,
}

impl Mount {
    /// Mounts with these arguments of `mount` on a directory of its own. Where
    /// that is not allowed it says so on standard error and gives nothing.
    pub(crate) fn new(arguments: &[&str]) -> Option<Mount> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(arguments).arg(directory.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Mount { directory }),
            Ok(output) => {
                eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: cannot run mount: {error}");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that a failing test with files still open leaves nothing
        // behind either.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        let is_done = unmounted.is_ok_and(|status| status.success());
        assert!(is_done || std::thread::panicking(), "{} stays mounted", self.path().display());
    }
}
