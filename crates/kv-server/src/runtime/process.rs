//! What the operating system says about this process, and grants it. Nothing is
//! said where there is no `/proc`.

use std::fs::read_to_string;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Clock ticks per second that Linux reports with on all its common platforms.
const TICKS_PER_SECOND: f64 = 100.0;

/// Raises the number of descriptors that this process may have as far as it may
/// be raised. Where the limit is the usual 1024 of a login, a tenth of the clients
/// that a server takes would leave no descriptor to a flush.
///
/// It holds for the whole process, so it is the program's to do.
pub fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A refusal leaves things as they were: connections wait in line then, and the
    // log tells.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Memory of the process that is in RAM, in bytes. Given in KiB, and not in pages,
/// whose size is not the same everywhere.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// CPU time used so far in user code and in the kernel.
pub(crate) fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces; field 3 follows it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? / TICKS_PER_SECOND, ticks(12)? / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_has_used_time() {
        assert!(resident_bytes().expect("linux has /proc") > 100_000);
        assert!(cpu_seconds().is_some());
    }
}
