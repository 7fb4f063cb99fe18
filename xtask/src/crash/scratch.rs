//! A directory of our own, and what was mounted in it; both go away with their
//! guards, and what an aborted run left is cleared at the next start.
#![allow(clippy::disallowed_methods, reason = "a tool manages its own scratch directory")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{oracle_log, shell};
use crate::failure::{Context, Failure, Outcome};

/// Scratch directories are called this, the process id and random letters.
const PREFIX: &str = "kv-crash-";
/// What is kept after a violation is called this and the process id.
const EVIDENCE_PREFIX: &str = "kv-evidence-";
/// What an aborted run left is called this and what it was called.
const ABORTED_PREFIX: &str = "kv-evidence-aborted-";

/// Quiet and without questions; laid out at once: no thread of the kernel writes
/// inode tables later.
const EXT4_OPTIONS: [&str; 4] =
    ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"];
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
        shell::run("fsfreeze", &["--freeze".as_ref(), self.point.as_os_str()])?;
        Ok(Frozen { point: Some(&self.point) })
    }

    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// Unmounts, and says if that did not work.
    pub(crate) fn unmount(self) -> Outcome {
        let point = self.point.clone();
        drop(self);
        match is_mounted(&point) {
            false => Ok(()),
            true => Err(Failure::check(format!("{} stays mounted", point.display()))),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Somebody who looks around may hold it for a moment; the last try
        // lets the kernel finish it when they go.
        let tries: [&[&str]; 3] = [&[], &[], &["--lazy"]];
        for options in tries {
            let mut arguments: Vec<&std::ffi::OsStr> =
                options.iter().map(|word| word.as_ref()).collect();
            arguments.push(self.point.as_os_str());
            if shell::run("umount", &arguments).is_ok() {
                return;
            }
        }
    }
}

/// A mounted file system that nobody can write to, until this guard is gone.
pub(crate) struct Frozen<'a> {
    point: Option<&'a Path>,
}

impl Frozen<'_> {
    /// Lets the writes go on, and says if that did not work.
    pub(crate) fn thaw(mut self) -> Outcome {
        self.point.take().map_or(Ok(()), thaw)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Only where something has failed already, which is told.
        let _ = self.point.take().map(thaw);
    }
}

fn thaw(point: &Path) -> Outcome {
    shell::run("fsfreeze", &["--unfreeze".as_ref(), point.as_os_str()]).map(drop)
}

/// A loop device on a file, freed with this guard.
pub(crate) struct LoopDevice {
    pub(crate) path: PathBuf,
    /// A limit of its requests, and what it was before.
    limit: Option<(PathBuf, String)>,
}

impl LoopDevice {
    pub(crate) fn attach(file: &Path) -> Outcome<LoopDevice> {
        let arguments = ["--find".as_ref(), "--show".as_ref(), file.as_os_str()];
        Ok(LoopDevice { path: shell::run("losetup", &arguments)?.into(), limit: None })
    }

    /// Lets it take no request of more than a page. Of a larger one it may write
    /// a first part, and say that all of it is done.
    pub(crate) fn limit_requests_to_pages(&mut self) -> Outcome {
        let name = self.path.file_name().unwrap_or_default();
        let path = Path::new("/sys/block").join(name).join("queue/max_sectors_kb");
        let before = fs::read_to_string(&path).context(path.display())?;
        fs::write(&path, (PAGE_BYTES / 1024).to_string()).context(path.display())?;
        self.limit = Some((path, before));
        Ok(())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Nothing can be done where it fails; the next run tries again.
        if let Some((path, before)) = &self.limit {
            let _ = fs::write(path, before);
        }
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
fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(path)).collect()
}

/// True if something is mounted at exactly this place.
pub(crate) fn is_mounted(point: &Path) -> bool {
    mounts_below(point).iter().any(|found| found == point)
}

/// Clears the scratch directories of processes that are no more.
fn clear_leftovers() {
    let temporary = std::env::temp_dir();
    for entry in fs::read_dir(&temporary).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if !Path::new("/proc").join(owner).exists() {
            clear(&entry.path());
        }
    }
}

/// Ends what still runs on a leftover directory and unmounts it. Where the
/// oracle's log is, it is kept with the data: whoever killed that run may want
/// to know what was promised. Whatever fails here only leaves a directory
/// behind.
fn clear(directory: &Path) {
    for point in mounts_below(directory) {
        // What is not frozen, which is nearly always so, is no trouble.
        let _ = thaw(&point);
    }
    end_processes_of(directory);
    for point in mounts_below(directory).into_iter().rev() {
        drop(Mount { point });
    }
    let loops = shell::run("losetup", &["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
    for line in loops.unwrap_or_default().lines() {
        if let Some((device, file)) = line.split_once(' ')
            && Path::new(file.trim()).starts_with(directory)
        {
            drop(LoopDevice { path: device.into(), limit: None });
        }
    }
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let kept = directory.with_file_name(name.replacen(PREFIX, ABORTED_PREFIX, 1));
    if directory.join(oracle_log::FILE_NAME).exists() && fs::rename(directory, &kept).is_ok() {
        println!("NOTICE: an earlier run was killed; what it did is in {}", kept.display());
        return;
    }
    let _ = fs::remove_dir_all(directory);
}

/// Kills the servers and daemons whose command lines name the directory: an
/// aborted run could not. Its name is random, so they are nobody else's.
fn end_processes_of(directory: &Path) {
    let name = directory.as_os_str().as_encoded_bytes();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let command_line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if command_line.windows(name.len()).any(|window| window == name)
            && let Some(id) = Pid::from_raw(id)
        {
            // It may have ended by itself meanwhile.
            let _ = kill_process(id, Signal::KILL);
        }
    }
}
