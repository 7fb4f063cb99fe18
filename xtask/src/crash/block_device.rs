//! Block devices with a will of their own: nodes of qemu-storage-daemon,
//! exported as a file through FUSE, with a loop device on it. One writes down
//! every write and flush it is given, another has a sector that cannot be read.
#![allow(clippy::disallowed_methods, reason = "a tool drives a daemon and its files")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::scratch::{LoopDevice, is_mounted, sparse_file};
use super::shell;
use crate::failure::{Context, Failure, Outcome};
use crate::pause::pause;

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

/// A device and its daemon, which ends with this guard.
pub(crate) struct ExportedDevice {
    // Dropped before the daemon that serves it.
    device: Option<LoopDevice>,
    daemon: Child,
    export: PathBuf,
}

/// A device that logs what it is told.
pub(crate) struct LoggedDevice {
    device: ExportedDevice,
    marks: File,
}

impl ExportedDevice {
    /// The node called `top` of the nodes that are described, the lowest first.
    fn new(directory: &Path, nodes: &[String], top: &str) -> Outcome<ExportedDevice> {
        let export = directory.join("export.img");
        sparse_file(&export, 0)?;
        let mut command = shell::command(shell::QEMU.name);
        for node in nodes {
            command.args(["--blockdev", node]);
        }
        let daemon = command
            .arg("--export")
            .arg(format!(
                "type=fuse,id=export,node-name={top},mountpoint={},writable=on,growable=off",
                export.display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start qemu-storage-daemon")?;
        let mut exported = ExportedDevice { device: None, daemon, export };
        exported.wait_until_exported()?;
        exported.device = Some(LoopDevice::attach(&exported.export)?);
        Ok(exported)
    }

    /// The disk in the file `image`, of which one sector of 512 bytes cannot
    /// be read.
    pub(crate) fn with_bad_sector(
        directory: &Path,
        image: &Path,
        sector: u64,
    ) -> Outcome<ExportedDevice> {
        let bad = format!(
            "driver=blkdebug,node-name=bad,image=base,inject-error.0.event=none,\
             inject-error.0.iotype=read,inject-error.0.errno=5,inject-error.0.sector={sector}"
        );
        ExportedDevice::new(directory, &[file_node("base", image), bad], "bad")
    }

    /// The block device to mount.
    pub(crate) fn path(&self) -> &Path {
        self.device.as_ref().map_or(&self.export, |device| &device.path)
    }

    fn wait_until_exported(&mut self) -> Outcome {
        for _ in 0..READY_POLLS {
            if is_mounted(&self.export) {
                return Ok(());
            }
            if let Some(status) = self.daemon.try_wait().context("qemu-storage-daemon")? {
                return Err(Failure::check(format!("qemu-storage-daemon ended: {status}")));
            }
            pause(READY_POLL);
        }
        Err(Failure::check("qemu-storage-daemon exports nothing"))
    }
}

impl LoggedDevice {
    /// A device that begins as `start`, in `directory`; its log becomes `log`.
    pub(crate) fn new(directory: &Path, start: &Path, log: &Path) -> Outcome<LoggedDevice> {
        let base = directory.join("base.img");
        fs::copy(start, &base).context(base.display())?;
        let file = OpenOptions::new().write(true).open(&base).context(base.display())?;
        file.set_len(DEVICE_BYTES).context(base.display())?;
        sparse_file(log, LOG_BYTES)?;
        let logged = "driver=blklogwrites,node-name=logged,file=base,log=log,log-sector-size=512";
        let nodes = [file_node("base", &base), file_node("log", log), logged.into()];
        let device = ExportedDevice::new(directory, &nodes, "logged")?;
        // Not synced: a mark must not make anything durable that was not.
        let marks = OpenOptions::new().write(true).open(&device.export);
        let marks = marks.context(device.export.display())?;
        Ok(LoggedDevice { device, marks })
    }

    /// The block device to mount.
    pub(crate) fn path(&self) -> &Path {
        self.device.path()
    }

    /// Puts a mark into the log: every reply counted before `moment` came
    /// before all writes that follow it there.
    pub(crate) fn mark(&self, moment: u64) -> Outcome {
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(MARK);
        sector[8..16].copy_from_slice(&moment.to_le_bytes());
        self.marks.write_all_at(&sector, MARK_OFFSET).context("cannot mark the block log")
    }
}

/// The description of a node that is a file.
fn file_node(name: &str, file: &Path) -> String {
    format!("driver=file,node-name={name},filename={}", file.display())
}

impl Drop for ExportedDevice {
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
