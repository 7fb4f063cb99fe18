//! A block device that writes down every write and flush it is given:
//! qemu-storage-daemon with a write log, exported as a file through FUSE, with
//! a loop device on it.
#![allow(clippy::disallowed_methods, reason = "a tool drives a daemon and its files")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::scratch::{LoopDevice, is_mounted, sparse_file};
use super::shell;
use crate::failure::{Context, Failure, Outcome};

/// Size of the file system at the start of the device.
pub(crate) const FILE_SYSTEM_BYTES: u64 = 32 << 20;
/// Where marks are written: behind the file system.
pub(crate) const MARK_OFFSET: u64 = 48 << 20;
/// Size of the device, and the most its log may become; both are sparse.
const DEVICE_BYTES: u64 = 64 << 20;
const LOG_BYTES: u64 = 256 << 20;
/// What a mark begins with; the moment follows.
pub(crate) const MARK: &[u8; 8] = b"KV-MARK!";
/// How often it is looked whether the export is there, and how many times.
const READY_POLL: Duration = Duration::from_millis(5);
const READY_POLLS: u32 = 2000;

/// The device, its log and its daemon, which ends with this guard.
pub(crate) struct LoggedDevice {
    // Dropped before the daemon that serves it.
    device: Option<LoopDevice>,
    daemon: Child,
    export: PathBuf,
    marks: File,
}

impl LoggedDevice {
    /// A device that begins as `start`, in `directory`; its log becomes `log`.
    pub(crate) fn new(directory: &Path, start: &Path, log: &Path) -> Outcome<LoggedDevice> {
        let [base, export] = ["base.img", "export.img"].map(|name| directory.join(name));
        fs::copy(start, &base).context(base.display())?;
        let file = OpenOptions::new().write(true).open(&base).context(base.display())?;
        file.set_len(DEVICE_BYTES).context(base.display())?;
        sparse_file(log, LOG_BYTES)?;
        sparse_file(&export, 0)?;
        let node = |name: &str, file: &Path| {
            format!("driver=file,node-name={name},filename={}", file.display())
        };
        let daemon = Command::new("qemu-storage-daemon")
            .args(["--blockdev", &node("base", &base), "--blockdev", &node("log", log)])
            .arg("--blockdev")
            .arg("driver=blklogwrites,node-name=logged,file=base,log=log,log-sector-size=512")
            .arg("--export")
            .arg(format!(
                "type=fuse,id=export,node-name=logged,mountpoint={},writable=on,growable=off",
                export.display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start qemu-storage-daemon")?;
        let marks = File::open(&export).context(export.display())?;
        let mut logged = LoggedDevice { device: None, daemon, export, marks };
        logged.wait_until_exported()?;
        logged.device = Some(LoopDevice::attach(&logged.export)?);
        // Not synced: a mark must not make anything durable that was not.
        logged.marks =
            OpenOptions::new().write(true).open(&logged.export).context(logged.export.display())?;
        Ok(logged)
    }

    /// The block device to mount.
    pub(crate) fn path(&self) -> &Path {
        self.device.as_ref().map_or(&self.export, |device| &device.path)
    }

    /// Puts a mark into the log: every reply counted before `moment` came
    /// before all writes that follow it there.
    pub(crate) fn mark(&self, moment: u64) -> Outcome {
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(MARK);
        sector[8..16].copy_from_slice(&moment.to_le_bytes());
        self.marks.write_all_at(&sector, MARK_OFFSET).context("cannot mark the block log")
    }

    fn wait_until_exported(&mut self) -> Outcome {
        let (_open, pause) = channel::<()>();
        for _ in 0..READY_POLLS {
            if is_mounted(&self.export) {
                return Ok(());
            }
            if let Some(status) = self.daemon.try_wait().context("qemu-storage-daemon")? {
                return Err(Failure::check(format!("qemu-storage-daemon ended: {status}")));
            }
            // Nothing is ever sent: this is a pause.
            let _ = pause.recv_timeout(READY_POLL);
        }
        Err(Failure::check("qemu-storage-daemon exports nothing"))
    }
}

impl Drop for LoggedDevice {
    fn drop(&mut self) {
        self.device = None;
        // Asked to end it writes its log out; it is our child, so the id is
        // still its own.
        if let Some(id) = Pid::from_raw(self.daemon.id() as i32) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.daemon.wait();
        if is_mounted(&self.export) {
            let _ = shell::run("umount", &["--lazy".as_ref(), self.export.as_os_str()]);
        }
    }
}
