//! What the machine says of itself and of this process.
#![allow(
    clippy::disallowed_methods,
    reason = "reads /proc and the database directory from outside"
)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::workspace::source_root;

/// Load above which figures are not worth publishing.
const QUIET_LOAD: f64 = 0.2;

/// Where and on what the figures were measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// File system of the database directory.
    pub(crate) file_system: String,
    pub(crate) commit: String,
}

/// How busy the machine is with other things.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MachineLoad {
    /// `/proc/loadavg`: running tasks over 1, 5 and 15 minutes.
    pub(crate) load_average: String,
    /// `/proc/pressure/cpu` and `io`: share of time that tasks had to wait.
    pub(crate) cpu_pressure: String,
    pub(crate) io_pressure: String,
}

impl Machine {
    /// Shows what the figures were measured on.
    pub(crate) fn print(&self) {
        println!("{} cores of {}, {} GiB", self.cores, self.cpu, self.memory_bytes >> 30);
        println!("kernel {}, {}, commit {}", self.kernel, self.file_system, self.commit);
        if self.file_system == "tmpfs" {
            println!(
                "NOTICE: the directory is in memory: a sync costs nothing there; use --directory"
            );
        }
    }

    pub(crate) fn describe(database_directory: &Path) -> Machine {
        let cpu_info = read("/proc/cpuinfo");
        let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name"));
        Machine {
            cpu: model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).into(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: field(&read("/proc/meminfo"), "MemTotal:") << 10,
            kernel: read("/proc/sys/kernel/osrelease").trim().into(),
            file_system: file_system_of(database_directory, &read("/proc/mounts")),
            commit: commit(),
        }
    }
}

impl MachineLoad {
    /// Shows the load, with a warning where figures would not be worth keeping.
    pub(crate) fn print(&self) {
        println!("load {}", self.load_average);
        println!("CPU pressure {}", self.cpu_pressure);
        println!("I/O pressure {}", self.io_pressure);
        if !self.is_quiet() {
            println!(
                "NOTICE: something else keeps this machine busy: do not publish these figures"
            );
        }
        println!();
    }

    pub(crate) fn read() -> MachineLoad {
        let first_line = |path| read(path).lines().next().unwrap_or("unknown").to_owned();
        MachineLoad {
            load_average: first_line("/proc/loadavg"),
            cpu_pressure: first_line("/proc/pressure/cpu"),
            io_pressure: first_line("/proc/pressure/io"),
        }
    }

    /// True if next to nothing else ran during the last minute.
    pub(crate) fn is_quiet(&self) -> bool {
        let last_minute = self.load_average.split(' ').next();
        last_minute.and_then(|load| load.parse::<f64>().ok()).is_some_and(|load| load < QUIET_LOAD)
    }
}

/// Bytes this process has caused to be written to the device, or will.
pub(crate) fn device_written_bytes() -> u64 {
    let io = read("/proc/self/io");
    field(&io, "write_bytes:").saturating_sub(field(&io, "cancelled_write_bytes:"))
}

/// Begins a new peak: later readings count from here.
pub(crate) fn reset_peak_memory() {
    // Where the kernel refuses, peaks are those of the whole process.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Most memory this process has had in use since the reset, in bytes.
pub(crate) fn peak_memory_bytes() -> u64 {
    field(&read("/proc/self/status"), "VmHWM:") << 10
}

/// Blocks on disk of all files below `directory`, in bytes.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            // A block of stat is 512 bytes whatever the file system's is.
            Some(if metadata.is_dir() {
                disk_bytes(&entry.path())
            } else {
                metadata.blocks() * 512
            })
        })
        .sum()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number behind `name` in text of one `name number` per line.
fn field(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Type of the file system that is mounted closest above `directory`.
fn file_system_of(directory: &Path, mounts: &str) -> String {
    let path = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    let columns = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    columns
        .filter(|columns| columns.len() > 2 && path.starts_with(columns[1]))
        .max_by_key(|columns| columns[1].len())
        .map_or_else(|| "unknown".into(), |columns| columns[2].to_owned())
}

/// The commit that was built, with a mark if the tree differs from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).current_dir(source_root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{field, file_system_of};

    #[test]
    fn numbers_are_found_by_name() {
        let text = "rchar: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(field(text, "write_bytes:"), 4096);
        assert_eq!(field(text, "missing:"), 0);
        assert_eq!(field("VmHWM:\t  1234 kB\n", "VmHWM:"), 1234);
    }

    #[test]
    fn the_closest_mount_counts() {
        let mounts = "a / ext4 rw\nb /no/such tmpfs rw\nc /no/such/place xfs rw\n";
        assert_eq!(file_system_of(Path::new("/no/such/place/db"), mounts), "xfs");
        assert_eq!(file_system_of(Path::new("/no/such"), mounts), "tmpfs");
        assert_eq!(file_system_of(Path::new("/elsewhere"), mounts), "ext4");
    }
}
