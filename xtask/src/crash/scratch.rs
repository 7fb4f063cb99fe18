//! A directory of our own, and what was mounted in it; both go away with their
//! guards.
#![allow(clippy::disallowed_methods, reason = "a tool manages its own scratch directory")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use tempfile::TempDir;

use super::leftovers::clear_leftovers;
use super::shell;
use crate::failure::{Context, Outcome};
use crate::pause::pause;

/// Scratch directories are called this, the process id and random letters.
pub(crate) const PREFIX: &str = "kv-crash-";
/// What is kept after a violation is called this and the process id.
const EVIDENCE_PREFIX: &str = "kv-evidence-";

/// Quiet and without questions; laid out at once: no thread of the kernel writes
/// inode tables later.
const EXT4_OPTIONS: [&str; 4] =
    ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"];
/// Somebody who looks around may hold a file system for a moment: how long to wait
/// for them, and how often.
const UNMOUNT_POLL: Duration = Duration::from_millis(100);
const UNMOUNT_TRIES: u32 = 50;
/// What memory is given out in, and loop devices take at least.
const PAGE_BYTES: u64 = 4096;

/// A scratch directory, removed with this guard.
pub(crate) struct Scratch {
    directory: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Outcome<Scratch> {
        clear_leftovers();
        let prefix = format!("{PREFIX}{}-", process::id());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir();
        Ok(Scratch { directory: directory.context("no scratch directory")? })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new directory in it.
    pub(crate) fn subdirectory(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).context(path.display())?;
        Ok(path)
    }

    /// Keeps it, under a name that no later run clears. Nothing may be mounted
    /// in it any more.
    pub(crate) fn keep(self, label: &str, seed: u64) -> Outcome<PathBuf> {
        let place = self.directory.keep();
        let name = format!("{EVIDENCE_PREFIX}{label}-{seed}-{}", process::id());
        let kept = place.with_file_name(name);
        fs::rename(&place, &kept).context(kept.display())?;
        Ok(kept)
    }
}

/// A mounted file system, unmounted with this guard. A server on it must be
/// gone before.
pub(crate) struct Mount {
    point: PathBuf,
}

impl Mount {
    /// An empty file system in memory of so many KiB.
    pub(crate) fn tmpfs(point: &Path, kibibytes: u64) -> Outcome<Mount> {
        let options = format!("size={kibibytes}k,mode=700");
        Mount::run(
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), "tmpfs".as_ref()],
            point,
        )
    }

    /// The file system of an image file, through a loop device that goes away
    /// with it, or of a device.
    pub(crate) fn image(image: &Path, point: &Path, options: &str) -> Outcome<Mount> {
        Mount::run(&["-o".as_ref(), options.as_ref(), image.as_os_str()], point)
    }

    fn run(arguments: &[&std::ffi::OsStr], point: &Path) -> Outcome<Mount> {
        fs::create_dir_all(point).context(point.display())?;
        let mut arguments = arguments.to_vec();
        arguments.push(point.as_os_str());
        shell::run("mount", &arguments)?;
        Ok(Mount { point: point.to_path_buf() })
    }

    /// Gives a file system in memory another size.
    pub(crate) fn resize_tmpfs(&self, kibibytes: u64) -> Outcome {
        self.remount(&format!("size={kibibytes}k"))
    }

    /// Changes an option of a mounted file system.
    pub(crate) fn remount(&self, option: &str) -> Outcome {
        let options = format!("remount,{option}");
        let arguments = ["-o".as_ref(), options.as_ref(), self.point.as_os_str()];
        shell::run("mount", &arguments).map(drop)
    }

    /// Brings all of it to its device and holds every write back until the guard
    /// is gone. Nobody can unmount it before.
    pub(crate) fn freeze(&self) -> Outcome<Frozen<'_>> {
        // The guard first: a tool that fails may have frozen it all the same, and then
        // nobody who writes there can be ended.
        let frozen = Frozen { point: Some(&self.point) };
        shell::run("fsfreeze", &["--freeze".as_ref(), self.point.as_os_str()])?;
        Ok(frozen)
    }

    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// Unmounts, and says if that did not work: what comes next on the same device
    /// must not meet what is left of it.
    pub(crate) fn unmount(self) -> Outcome {
        let mut outcome = Ok(());
        for _ in 0..UNMOUNT_TRIES {
            outcome = unmount(&self.point, &[]);
            if outcome.is_ok() {
                break;
            }
            pause(UNMOUNT_POLL);
        }
        outcome
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Only where something has failed already, which is told. The last try lets
        // the kernel finish it when those who hold it go.
        if is_mounted(&self.point) && unmount(&self.point, &[]).is_err() {
            let _ = unmount(&self.point, &["--lazy"]);
        }
    }
}

/// Unmounts what is there, once.
pub(crate) fn unmount(point: &Path, options: &[&str]) -> Outcome {
    let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(|word| word.as_ref()).collect();
    arguments.push(point.as_os_str());
    shell::run("umount", &arguments).map(drop)
}

/// A mounted file system that nobody can write to, until this guard is gone.
pub(crate) struct Frozen<'a> {
    point: Option<&'a Path>,
}

impl Frozen<'_> {
    /// Lets the writes go on, and says if that did not work.
    pub(crate) fn thaw(mut self) -> Outcome {
        self.point.map_or(Ok(()), thaw)?;
        self.point = None;
        Ok(())
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Only where something has failed already, which is told.
        let _ = self.point.take().map(thaw);
    }
}

/// Lets writes go on at a place.
pub(crate) fn thaw(point: &Path) -> Outcome {
    shell::run("fsfreeze", &["--unfreeze".as_ref(), point.as_os_str()]).map(drop)
}

/// A loop device on a file, freed with this guard.
pub(crate) struct LoopDevice {
    pub(crate) path: PathBuf,
    /// True if the size of its requests is no longer that of other devices.
    is_limited: bool,
}

impl LoopDevice {
    pub(crate) fn attach(file: &Path) -> Outcome<LoopDevice> {
        let arguments = ["--find".as_ref(), "--show".as_ref(), file.as_os_str()];
        Ok(LoopDevice { path: shell::run("losetup", &arguments)?.into(), is_limited: false })
    }

    /// One that another process has left, which may have limited its requests.
    pub(crate) fn left_behind(path: PathBuf) -> LoopDevice {
        LoopDevice { path, is_limited: true }
    }

    /// Lets it take no request of more than a page. Of a larger one it may write
    /// a first part, and say that all of it is done.
    pub(crate) fn limit_requests_to_pages(&mut self) -> Outcome {
        let limit = self.limit();
        self.is_limited = true;
        fs::write(&limit, (PAGE_BYTES / 1024).to_string()).context(limit.display())
    }

    /// Where the most that one request may hold is written, in KiB.
    fn limit(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        Path::new("/sys/block").join(name).join("queue/max_sectors_kb")
    }

    /// The limit outlives the file: the next on this device would have it too.
    fn lift_limit(&self) {
        let limit = self.limit();
        // Zero is what the kernel takes by itself; older ones know only the most
        // there is.
        if fs::write(&limit, "0").is_err()
            && let Ok(most) = fs::read_to_string(limit.with_file_name("max_hw_sectors_kb"))
        {
            // Nothing can be done where it fails: that device stays slow.
            let _ = fs::write(&limit, most);
        }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if self.is_limited {
            self.lift_limit();
        }
        // Nothing can be done where it fails; the next run tries again.
        let _ = shell::run("losetup", &["--detach".as_ref(), self.path.as_os_str()]);
    }
}

/// A sparse file of a size.
pub(crate) fn sparse_file(path: &Path, bytes: u64) -> Outcome {
    let file = File::create(path).context(path.display())?;
    file.set_len(bytes).context(path.display())
}

/// Puts an empty file system of type `ext4` or `xfs` into an image file.
pub(crate) fn format(kind: &str, image: &Path) -> Outcome {
    match kind {
        "ext4" => make("ext4", &EXT4_OPTIONS, image),
        _ => make(kind, &["-q", "-f"], image),
    }
}

/// Puts an empty ext4 into an image file whose blocks are pages.
pub(crate) fn format_in_pages(image: &Path) -> Outcome {
    let block_bytes = PAGE_BYTES.to_string();
    make("ext4", &[&EXT4_OPTIONS[..], &["-b", &block_bytes]].concat(), image)
}

fn make(kind: &str, options: &[&str], image: &Path) -> Outcome {
    let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(|word| word.as_ref()).collect();
    arguments.push(image.as_os_str());
    shell::run(&format!("mkfs.{kind}"), &arguments).map(drop)
}

/// Mount points at or below a path, the innermost last.
pub(crate) fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(path)).collect()
}

/// True if something is mounted at exactly this place.
pub(crate) fn is_mounted(point: &Path) -> bool {
    mounts_below(point).iter().any(|found| found == point)
}
